"""Methods paragraph of phase maps, and the works it cites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.view.parts import MethodsText, program
from phaseloom.view.results import (
    NOT_FITTED,
    energy_shift,
    phase_names,
    pixel_counts,
    resolution_method,
    stated_recipe,
    stxm_stacks,
)

_ADRAR = (
    "Adrar et al., AI-Driven Phase Identification from X-ray Hyperspectral Imaging of cycled "
    "Na-ion Cathode Materials, arXiv:2603.07666."
)
_JIANG = (
    "Z. Jiang, Y. Zheng, H. Tan, B. Tang, H. Zhou, Variational Deep Embedding: An Unsupervised "
    "and Generative Approach to Clustering, Proc. IJCAI 2017, 1965–1972."
)

Stacks = Mapping[str, xr.Dataset]


def methods_text(tree: xr.DataTree) -> MethodsText:
    """What was done, as far as variables, attributes and recipe of a result state it.

    Parameters
    ----------
    tree
        Result with a group per stack under ``/stxm``.
    """
    stacks, recipe, text = stxm_stacks(tree), stated_recipe(tree), MethodsText()
    text.add(
        f"Phase maps were made with {program(tree)} following Adrar et al. {text.cite(_ADRAR)}.",
        *_preparation(stacks, recipe),
        *_energies(stacks),
        *_ambiguous(stacks),
    )
    _add_resolution(text, tree, stacks, recipe)
    return text


def _preparation(stacks: Stacks, recipe: Mapping[str, Any]) -> list[str]:
    """From what was recorded to optical density and mask."""
    sentences = []
    options = recipe.get("preparation", {})
    dark = float(options.get("dark", 0.0))
    if dark > 0:
        sentences.append(f"The dark level of {dark:g} counts was subtracted.")
    spikes = _total(stacks, "spikes")
    if spikes:
        sentences.append(
            f"{spikes:,} single wild readings (spikes, beyond 8 standard deviations of their 3×3 "
            "neighbourhood) were replaced by its median."
        )
    unusable = {name: str(d.attrs.get("unusable", "")) for name, d in stacks.items()}
    said = [text + (f" ({n})" if len(stacks) > 1 else "") for n, text in unusable.items() if text]
    if said:
        sentences.append(
            f"Unusable readings were left out one by one: {'; '.join(said)}; correlation and fits "
            "use the readings that are there, and a pixel needs half of them."
        )
    if all("shift_y" in dataset for dataset in stacks.values()):
        squared = [(d["shift_y"] ** 2 + d["shift_x"] ** 2).to_numpy() for d in stacks.values()]
        rms = float(np.sqrt(np.nanmean(np.concatenate(squared))))
        sentences.append(
            "The frames were aligned by the drift found between them and cropped to their common "
            f"field (drift {rms:.2f} px rms)."
        )
    else:
        sentences.append("The frames were not aligned.")
    sentences.append(_density(stacks))
    incident = _incident(stacks, recipe)
    if incident:
        sentences.append(incident)
    before = [int(d.attrs.get("pre_edge_energies", 0)) for d in stacks.values()]
    if max(before) > 0:
        sentences.append(
            f"Each pixel's mean optical density before the edge ({_counted(before)}) was "
            "subtracted as baseline."
        )
    elif all("pre_edge_energies" in d.attrs for d in stacks.values()):
        sentences.append("No pre-edge baseline was subtracted.")
    if all("mask_reason" in dataset for dataset in stacks.values()):
        reasons = np.concatenate([np.ravel(d["mask_reason"]) for d in stacks.values()])
        mapped, thin, saturated, invalid = np.bincount(reasons, minlength=4)[:4]
        limits = [
            f"below {options['thin']:g} of the median thickness or within the noise"
            if "thin" in options
            else "",
            f"above an optical density of {options['thick']:g}" if "thick" in options else "",
        ]
        thinner, denser = (f" ({limit})" if limit else "" for limit in limits)
        sentences.append(
            f"{mapped:,} particle pixels were mapped; {thin:,} empty or too thin{thinner}, "
            f"{saturated:,} saturated{denser} and {invalid:,} without a valid reading were left "
            "out."
        )
    return sentences


def _density(stacks: Stacks) -> str:
    name, dataset = next(iter(stacks.items()))
    energy = dataset["energy"].to_numpy()
    which = "the stack" if len(stacks) == 1 else f"every one of {len(stacks)} stacks"
    span = f"{energy.size} energies from {energy[0]:.1f} to {energy[-1]:.1f} eV"
    where = "" if len(stacks) == 1 else f" in {name}"
    form = {
        "transmission": "optical density, −ln of the recorded transmission,",
        "optical_density": "optical density, as recorded,",
    }.get(str(dataset.attrs.get("quantity", "counts")), "optical density −ln(I/I0)")
    return f"The {form} of {which} has {span}{where}."


def _incident(stacks: Stacks, recipe: Mapping[str, Any]) -> str:
    """Where the incident intensity came from, alike sources together."""
    stated = {str(s.get("name", "")): str(s.get("i0", "auto")) for s in recipe.get("stack", [])}
    sources: dict[str, list[str]] = {}
    for name, dataset in stacks.items():
        if dataset.attrs.get("quantity", "counts") != "counts" or "i0" not in dataset:
            continue
        i0 = stated.get(name)
        if "i0_area" in dataset and "beam" not in dataset:
            number = f"{int(dataset['i0_area'].sum()):,} pixels"
            source = {
                None: f"{number} of the field",
                "auto": f"the empty area of the field ({number}, found automatically)",
            }.get(i0, f"the region {i0} (rows, columns; {number}) of the field")
        else:
            source = {
                None: "a recorded spectrum",
                "auto": "the record in the measurement's own file",
            }.get(i0, "a separately recorded spectrum")
            if "beam" in dataset:
                source = f"a flat field by which every image was divided ({_kind(dataset)})"
        sources.setdefault(source, []).append(name)
    if not sources:
        return ""
    several = len(stacks) > 1
    parts = [
        source + (f" for {', '.join(names)}" if several and len(names) < len(stacks) else "")
        for source, names in sources.items()
    ]
    return f"I0 was taken from {'; from '.join(parts)}."


def _kind(dataset: xr.Dataset) -> str:
    return str(dataset.attrs.get("i0_kind", "per pixel"))


def _energies(stacks: Stacks) -> list[str]:
    """The shift of the energy axis: removed, given, left, or not fitted."""
    removed, left, unfitted = [], [], []
    for name, dataset in stacks.items():
        if "energy_shift" not in dataset.attrs:
            continue
        fitted, error, applied = energy_shift(dataset)
        of = f" for {name}" if len(stacks) > 1 else ""
        sure = f" (standard error {error:.3f} eV)" if np.isfinite(error) else ""
        if applied != 0.0 and abs(applied - fitted) < 5e-4:
            removed.append(f"{applied:+.3f} eV{sure}{of}")
        elif applied != 0.0:
            other = f"fitted {fitted:+.3f} eV{sure}" if np.isfinite(fitted) else NOT_FITTED
            removed.append(f"{applied:+.3f} eV as given ({other}){of}")
        elif np.isfinite(fitted):
            left.append(f"{fitted:+.3f} eV{sure}{of}")
        else:
            unfitted.append(of)
    axis = "shift of the energy axis against the references"
    sentences = []
    if removed:
        sentences.append(f"The {axis} was removed: {', '.join(removed)}.")
    if left:
        sentences.append(f"The fitted {axis} was not removed: {', '.join(left)}.")
    if unfitted:
        sentences.append(f"The {axis} was {NOT_FITTED}{','.join(unfitted)}.")
    return sentences


def _ambiguous(stacks: Stacks) -> list[str]:
    """Pearson correlation and what it leaves open."""
    dataset = next(iter(stacks.values()))
    phases = ", ".join(phase_names(dataset))
    sentences = [
        "The spectra were correlated (Pearson) with reference spectra of "
        f"{dataset.sizes['reference']} phases ({phases})."
    ]
    margin = dataset.attrs.get("margin")
    if margin is None or any("ambiguous" not in d for d in stacks.values()):
        return sentences
    limit = (
        f"{margin:g}"
        if isinstance(margin, int | float)
        else "the pixel's noise (1.645 standard deviations of the difference by counting)"
    )
    inside = sum(int(d["mask"].sum()) for d in stacks.values())
    ambiguous = sum(int((d["ambiguous"] & d["mask"]).sum()) for d in stacks.values())
    sentences.append(
        f"Pixels whose two highest correlations differ by no more than {limit} were ambiguous "
        f"({100 * ambiguous / max(1, inside):.1f} %)."
    )
    return sentences


def _add_resolution(
    text: MethodsText, tree: xr.DataTree, stacks: Stacks, recipe: Mapping[str, Any]
) -> None:
    """How each pixel got its phase."""
    method = resolution_method(tree)
    false = sum(
        int(d["false_assignment"].sum()) for d in stacks.values() if "false_assignment" in d
    )
    unknown = sum(pixel_counts(dataset)[1] for dataset in stacks.values())
    rescaled = any(d.attrs.get("noise_scale", 1.0) != 1.0 for d in stacks.values())
    weights = (
        "with a noise level measured on neighbouring pixels"
        if rescaled
        else "weighted by its counts"
    )
    evidence = (
        f"fits of one and of two phases to each pixel's spectrum, {weights} (Bayesian evidence)"
    )
    if method == "gmvae":
        dims = next((d.sizes["latent"] for d in stacks.values() if "latent" in d), None)
        space = f"{dims}-dimensional latent space" if dims else "latent space"
        covariance = {
            "noise": ", under the covariance of each pixel's noise carried into the latent space",
            "pooled": ", under the pooled covariance within the classes",
        }.get(str(recipe.get("mapping", {}).get("covariance")), "")
        text.add(
            f"They were resolved in the {space} of a Gaussian-mixture variational autoencoder of "
            f"the VaDE type {text.cite(_JIANG)} trained on the pixel spectra, by their Mahalanobis "
            f"distances to the phases and to two-phase mixtures{covariance}.",
            "Confident Pearson labels that the latent space contradicts with more than 95 % "
            "probability, or that name a phase without a cluster there, were replaced (false "
            f"assignments, {false:,} pixels).",
        )
    elif method == "likelihood":
        text.add(
            "Every pixel was given the phase most likely to hold its largest share, by "
            f"{evidence}.",
            "Confident Pearson labels with a probability below 5 % count as false assignments "
            f"({false:,} pixels).",
        )
    elif method == "pearson":
        text.add(
            "Every pixel was given the phase of highest correlation; posterior probabilities are "
            f"from {evidence}.",
            "Confident labels with a probability below 5 % were kept and flagged as false "
            f"assignments ({false:,} pixels).",
        )
    smooth = [float(d.attrs.get("smooth", 0.0)) for d in stacks.values()]
    if max(smooth) > 0:
        text.add(
            f"A spatial prior (Potts field of strength {max(smooth):g}) was laid on the posterior "
            "of neighbouring pixels."
        )
    if method in ("gmvae", "likelihood") or unknown:
        text.add(f"Pixels that no phase or mixture explains are left unknown ({unknown:,}).")


def _total(stacks: Stacks, attribute: str) -> int:
    return sum(int(dataset.attrs.get(attribute, 0)) for dataset in stacks.values())


def _counted(numbers: Sequence[int]) -> str:
    """A number of energies, or its range over the stacks."""
    low, high = min(numbers), max(numbers)
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"{span} {'energy' if high == 1 else 'energies'}"
