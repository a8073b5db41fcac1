"""Results of STXM stacks: access to phases, values, spectra and key numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.view.style import field_of_view, spread

NOT_FITTED = "not fitted: fewer than six energies"
"""Reason for a missing energy shift; there is no other."""


def stxm_stacks(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """The stacks of a result tree by name, in order of state of charge when all have one.

    Parameters
    ----------
    tree
        The whole result (with a group ``/stxm``), or the group ``/stxm`` itself.
    """
    group = tree.children.get("stxm", tree)
    stacks = {str(name): node.to_dataset() for name, node in group.children.items()}
    stacks = {name: dataset for name, dataset in stacks.items() if "phase" in dataset}
    if all(state_of_charge(dataset) is not None for dataset in stacks.values()):
        stacks = dict(sorted(stacks.items(), key=lambda item: state_of_charge(item[1]) or 0.0))
    return stacks


def state_of_charge(dataset: xr.Dataset) -> float | None:
    """The stack's ``state_of_charge`` attribute; None when it is absent or not a number."""
    value = dataset.attrs.get("state_of_charge")
    if value is None or isinstance(value, str) or not np.isfinite(value):
        return None
    return float(value)


def phase_names(dataset: xr.Dataset) -> list[str]:
    """Names of the phases in the order of their labels."""
    return [str(name) for name in dataset["reference"].to_numpy()]


def pixel_counts(dataset: xr.Dataset, variable: str = "phase") -> tuple[NDArray[np.int64], int]:
    """Pixels per phase, and unknown pixels, of a label map."""
    labels = dataset[variable].to_numpy()
    counts = np.bincount(labels[labels >= 0].ravel(), minlength=dataset.sizes["reference"])
    return counts.astype(np.int64), int((labels == -2).sum())


def value_map(dataset: xr.Dataset) -> xr.DataArray | None:
    """The value map to draw (posterior mean if there is one), None without any finite value."""
    for name in ("value_mean", "value"):
        if name in dataset and bool(np.isfinite(dataset[name]).any()):
            return dataset[name]
    return None


def value_limits(datasets: Sequence[xr.Dataset]) -> tuple[float, float]:
    """Ends of the value scale shared by the stacks: the references' smallest and largest."""
    values = np.concatenate([np.ravel(dataset["phase_value"]) for dataset in datasets])
    return spread(values.astype(float), low=0.0, high=100.0)


def value_label(dataset: xr.Dataset) -> str:
    """Name of the value with its unit, from its attributes; "Value" without them."""
    array = value_map(dataset)
    attrs = {} if array is None else array.attrs
    name = str(attrs.get("long_name", "") or dataset["phase_value"].attrs.get("long_name", ""))
    units = str(attrs.get("units", ""))
    return (name or "Value") + (f" ({units})" if units not in ("", "1") else "")


def thinned(dataset: xr.Dataset, *, most: int = 20_000, seed: int = 0) -> NDArray[np.intp]:
    """Flat indices of at most ``most`` pixels inside the mask, ascending, by a seeded choice."""
    inside = np.flatnonzero(dataset["mask"].to_numpy())
    if inside.size > most:
        inside = np.sort(np.random.default_rng(seed).choice(inside, most, replace=False))
    return inside


def spectra_of(dataset: xr.Dataset, pixels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Optical density (energy, pixel) of the pixels with these flat indices."""
    y, x = np.unravel_index(pixels, dataset["mask"].shape)
    chosen = dataset["optical_density"].isel(
        y=xr.DataArray(y, dims="pixel"), x=xr.DataArray(x, dims="pixel")
    )
    return np.asarray(chosen.transpose("energy", "pixel").to_numpy(), dtype=float)


def peak_energy(dataset: xr.Dataset) -> int:
    """Index of the energy at which the particle absorbs most."""
    density = spectra_of(dataset, thinned(dataset, most=2000))
    if density.size == 0 or not np.isfinite(density).any():
        return 0
    return int(np.nanargmax(np.nanmedian(density, axis=1)))


def stated_recipe(tree: xr.DataTree) -> dict[str, Any]:
    """The recipe in the attributes of the tree or its group ``/stxm``; empty without one."""
    group = tree.children.get("stxm", tree)
    text = tree.attrs.get("recipe", group.attrs.get("recipe"))
    return tomllib.loads(text) if isinstance(text, str) else {}


def resolution_method(tree: xr.DataTree) -> str | None:
    """How ambiguous pixels were resolved: "gmvae", "likelihood" or "pearson".

    As the stacks' attribute ``resolve`` or the recipe says; without either a latent space says
    "gmvae", and None is what nothing tells.
    """
    stacks = stxm_stacks(tree).values()
    stated = [dataset.attrs["resolve"] for dataset in stacks if "resolve" in dataset.attrs]
    stated.append(stated_recipe(tree).get("mapping", {}).get("resolve"))
    if stated[0] is not None:
        return str(stated[0])
    return "gmvae" if any("latent" in dataset for dataset in stacks) else None


def has_edge(dataset: xr.Dataset) -> bool:
    """Whether some pixel has a quantity of the edge: an edge jump at least."""
    return "edge_jump" in dataset and bool(np.isfinite(dataset["edge_jump"]).any())


def numbers(dataset: xr.Dataset) -> dict[str, str]:
    """Key numbers of a map, as text by their label.

    Parameters
    ----------
    dataset
        Result of one stack; numbers that it does not hold are left out.
    """
    mask = dataset["mask"].to_numpy()
    inside = max(1, int(mask.sum()))
    energy = dataset["energy"].to_numpy()
    ny, nx = mask.shape
    charge = state_of_charge(dataset)
    texts = {} if charge is None else {"State of charge": f"{charge:.4g}"}
    texts |= {
        "Field": f"{nx} × {ny} pixels{field_text(dataset)}",
        "Energies": f"{energy.size}, {energy[0]:.1f} to {energy[-1]:.1f} eV",
        "Particle pixels": f"{int(mask.sum()):,}",
    }
    if dataset.attrs.get("edge_undetermined"):
        texts["Edge position, white line"] = f"none: {dataset.attrs['edge_undetermined']}"
    elif has_edge(dataset):
        position, error = (
            float(dataset[name].median()) for name in ("edge_position", "edge_position_error")
        )
        found = int(np.isfinite(dataset["edge_position"]).sum())
        where = f"in {100 * found / inside:.0f} % of the pixels"
        texts["Edge position, median pixel"] = (
            f"{position:.2f} ± {error:.2f} eV {where}" if found else "determined in no pixel"
        )
    if "mask_reason" in dataset:
        reason = dataset["mask_reason"].to_numpy()
        for code, label in (
            (1, "Too thin or empty"),
            (2, "Saturated"),
            (3, "Invalid or not common to all frames"),
        ):
            texts[f"{label}, left out"] = f"{int((reason == code).sum()):,} pixels"
        if (reason == 4).any():
            texts["Left out by the mask given"] = f"{int((reason == 4).sum()):,} pixels"
    texts |= _readings(dataset.attrs)
    if "i0" in dataset and bool(dataset["i0"].notnull().any()):
        i0 = dataset["i0"].to_numpy()
        units = str(dataset["i0"].attrs.get("units", "counts")).replace("1", "").strip()
        texts["Incident intensity, median"] = f"{np.nanmedian(i0):.4g} {units}".strip()
        texts |= _scaling(dataset.attrs)
    if "shift_y" in dataset:
        size = np.hypot(dataset["shift_y"].to_numpy(), dataset["shift_x"].to_numpy())
        texts["Drift"] = (
            f"{np.sqrt(np.nanmean(size**2)):.2f} px rms, {np.nanmax(size):.2f} px at most"
        )
    if "energy_shift" in dataset.attrs:
        texts["Energy shift"] = energy_shift_text(dataset)
    by_phase = phase_shift_texts(dataset)
    if by_phase:
        texts["Energy shift by phase"] = ", ".join(by_phase)
    for name, label, form in (
        ("energy_shift_chi2", "Reduced χ² at this shift", ".2f"),
        ("energy_shift_chi2_at_zero", "Reduced χ² without it", ".2f"),
        ("reference_misfit", "Missed by the references, of the contrast", ".1%"),
        ("stray_light_fitted", "Stray light fitted", ".1%"),
    ):
        number = float(dataset.attrs.get(name, np.nan))
        if np.isfinite(number):
            texts[label] = format(number, form).replace("%", " %")
    bound = {"lower": "the least", "upper": "the most"}.get(
        str(dataset.attrs.get("stray_light_bound"))
    )
    if bound and "Stray light fitted" in texts:
        texts["Stray light fitted"] += f", {bound} there can be"
    if "margin" in dataset.attrs:
        margin = dataset.attrs["margin"]
        texts["Margin of ambiguity"] = f"{margin:.3g}" if isinstance(margin, float) else str(margin)
    for name, label in (
        ("ambiguous", "Ambiguous"),
        ("false_assignment", "False assignments"),
        ("transition", "Transition pixels"),
    ):
        if name in dataset:
            share = int((dataset[name].to_numpy() & mask).sum()) / inside
            texts[label] = f"{100 * share:.2f} %"
    if "rim" in dataset:
        texts["Rims of a phase between, given to the larger share"] = (
            f"{int(dataset['rim'].sum()):,} pixels"
        )
    texts["Unknown"] = f"{100 * int((dataset['phase'] == -2).sum()) / inside:.2f} %"
    if "chi2" in dataset:
        chi2 = dataset["chi2"].to_numpy()[mask]
        if np.isfinite(chi2).any():
            median = float(np.nanmedian(chi2))
            texts["Fit residual, median reduced χ²"] = f"{median:.2f}"
            scale = float(dataset.attrs.get("noise_scale", np.nan))
            if np.isfinite(scale) and dataset.attrs.get("quantity") == "counts":
                texts["… against counting statistics"] = f"{median * scale:.2f}"
                texts["Noise (variance) against counting"] = f"{scale:.3g}"
    if np.isfinite(dataset.attrs.get("residual", np.nan)):
        texts["Fit residual, rms"] = f"{dataset.attrs['residual']:.4f} optical density"
    if "boundary_verdict" in dataset.attrs:
        texts["Boundary test"] = str(dataset.attrs["boundary_verdict"])
    if "posterior" in dataset:
        winner = dataset["posterior"].max("reference").to_numpy()[mask]
        if np.isfinite(winner).any():
            texts["Mean posterior of the likeliest phase"] = f"{np.nanmean(winner):.3f}"
    return texts


def _readings(attrs: Mapping[Any, Any]) -> dict[str, str]:
    """What was found unusable among the readings, and what it costs the particles."""
    texts = {}
    if attrs.get("unusable"):
        texts["Unusable readings"] = str(attrs["unusable"])
    if attrs.get("images_left_out"):
        texts["Images without readings"] = f"{attrs['images_left_out']}"
    if attrs.get("readings_missing", 0) > 0:
        texts["Readings missing on the particles"] = f"{attrs['readings_missing']:.2%}".replace(
            "%", " %"
        )
    if attrs.get("row_displacement"):
        texts["Every other row displaced by"] = f"{attrs['row_displacement']:+.1f} px"
    return texts


def _scaling(attrs: Mapping[Any, Any]) -> dict[str, str]:
    """Where I0 came from, and by what it was scaled."""
    return {
        label: form.format(attrs[name])
        for name, label, form in (
            ("i0_kind", "Incident intensity from", "{}"),
            ("i0_channel", "Channel of the I0 file", "{}"),
            ("dwell", "Dwell of the stack, median", "{:.4g} s"),
            ("i0_dwell", "Dwell of I0, median", "{:.4g} s"),
            ("dwell_factor", "I0 scaled by dwell", "× {:.4g}"),
            ("ring_current", "Ring current of the stack", "{} mA"),
            ("i0_ring_current", "Ring current of I0", "{} mA"),
            ("ring_factor", "I0 scaled by ring current", "× {}"),
            ("field_factor", "I0 scaled to the empty beam of the field", "× {:.4g}"),
        )
        if name in attrs
    }


def energy_shift(dataset: xr.Dataset) -> tuple[float, float, float]:
    """Fitted energy shift, its standard error, and the shift applied (0 when none was), in eV.

    From the attributes ``energy_shift_fitted`` (or ``energy_shift``), ``energy_shift_error``,
    ``energy_shift`` and ``energy_shift_applied``; NaN where they are silent.
    """
    attrs = dataset.attrs
    stated = float(attrs.get("energy_shift", np.nan))
    fitted = float(attrs.get("energy_shift_fitted", stated))
    applied = stated if attrs.get("energy_shift_applied") else 0.0
    return fitted, float(attrs.get("energy_shift_error", np.nan)), applied


def energy_shift_text(dataset: xr.Dataset) -> str:
    """The energy shift as text: fitted, with its standard error, and applied."""
    fitted, error, applied = energy_shift(dataset)
    text = f"{fitted:+.3f} eV" if not np.isfinite(error) else f"{fitted:+.3f} ± {error:.3f} eV"
    if applied == 0.0:
        return f"{text}, not applied" if np.isfinite(fitted) else NOT_FITTED
    if abs(applied - fitted) < 5e-4:
        return f"{text}, applied"
    return f"{text if np.isfinite(fitted) else NOT_FITTED}; {applied:+.3f} eV applied"


def phase_shift_texts(dataset: xr.Dataset) -> list[str]:
    """The energy shift that each phase's own pixels ask for, as text; those that have one."""
    if "phase_energy_shift" not in dataset:
        return []
    return [
        f"{name} {shift:+.3f} ± {error:.3f} eV"
        for name, shift, error in zip(
            phase_names(dataset),
            dataset["phase_energy_shift"].to_numpy(),
            dataset["phase_energy_shift_error"].to_numpy(),
            strict=True,
        )
        if np.isfinite(shift)
    ]


def has_energy_shift_curve(dataset: xr.Dataset) -> bool:
    """Whether the result holds χ² of trial energy shifts; with few energies none is fitted."""
    curve = dataset.get("energy_shift_trial_chi2")
    return curve is not None and bool(np.isfinite(curve).any())


def field_text(dataset: xr.Dataset) -> str:
    """Width and height of the field of view with their unit, after a comma; empty in pixels."""
    units = str(dataset["x"].attrs.get("units", "px"))
    if units == "px":
        return ""
    left, right, bottom, top = field_of_view(dataset)
    return f", {right - left:.4g} × {top - bottom:.4g} {units}"
