"""The chain from stacks and references to phase maps.

For every stack: preparation → energy shift → references at the stack's energies → Pearson
correlation → likelihood. Then for all together: one latent space in which the ambiguous
pixels are resolved. Then for every stack: values, particles.

Source: Adrar et al., arXiv 2603.07666; where this departs from it, the modules say why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from numbers import Real
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.device import one_thread
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError
from phaseloom.stxm.assignment.assignment import by_argmax, complete, in_latent_space, judge
from phaseloom.stxm.preparation.preparation import Region, prepare
from phaseloom.stxm.references.references import sample_references

_VERSION = 2
"""Raised when a stage computes something else from the same input."""

_SAME_ENERGY = 0.2
"""Stacks share a latent space when their energies agree to this, in eV."""

Incident = Literal["auto"] | Region | xr.DataArray


@one_thread()
def map_phases(
    stacks: xr.Dataset | Mapping[str, xr.Dataset],
    references: Sequence[xr.DataArray],
    *,
    i0: Incident | Mapping[str, Incident] = "auto",
    dark: float = 0.0,
    despike: bool = True,
    align: bool = True,
    baseline: bool = True,
    thin: float = 0.1,
    thick: float = 3.0,
    shift: Literal["auto"] | float = "auto",
    margin: float | Literal["noise"] = 0.005,
    resolve: Literal["gmvae", "likelihood", "pearson"] = "gmvae",
    latent_dims: int = 3,
    covariance: Literal["noise", "pooled"] = "noise",
    smooth: float = 0.0,
    value_name: str = "value",
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    keep: Checkpoints | None = None,
    progress: Progress = SILENT,
) -> xr.DataTree:
    """Map the phases of one stack, or of several in one shared latent space.

    Parameters
    ----------
    stacks
        A stack from :func:`phaseloom.read`, or several by name. A mapping may read its stacks
        when asked for them: they are taken one at a time.
    references
        Two or more spectra (energy,) in optical density of any scale, named by phase;
        ``attrs["value"]`` may hold the phase's number, such as its sodium content.
    i0
        Incident intensity, for all stacks or by name: see :func:`phaseloom.stxm.prepare`.
    dark, despike, align, baseline, thin, thick
        See :func:`phaseloom.stxm.prepare`.
    shift
        How far the stacks' energies read too high against the references, in eV; "auto" fits it
        for every stack and applies it when significant.
    margin
        See :func:`phaseloom.stxm.references.correlation.correlate`.
    resolve
        How ambiguous pixels get their phase: "gmvae" (latent space, as published),
        "likelihood" (count-weighted fits) or "pearson" (the better correlation).
    latent_dims, covariance
        See :func:`phaseloom.stxm.assignment.resolution.resolve`.
    smooth
        Strength of the spatial prior (Potts field) on the phases; 0 is none.
    value_name
        What the phases' numbers are, such as "sodium content x".
    seed
        Same seed, same result.
    keep
        Where finished stages are kept, and taken from when nothing they depend on changed.

    Returns
    -------
    xarray.DataTree
        A group ``stxm/NAME`` per stack with the variables of the results contract.

    Raises
    ------
    InputError
        Stacks, references or options are at fault.
    """
    if isinstance(stacks, xr.Dataset):
        stacks = {"stack": stacks}
    if not stacks:
        raise InputError("no stack was given")
    _check_options(stacks, i0, shift, margin, resolve, covariance, smooth)
    for reference in references:
        _check_name(_group(reference), "reference")
    keep = keep or Checkpoints()
    options = [dark, despike, align, baseline, thin, thick]
    prepared: dict[str, xr.Dataset] = {}
    inputs: dict[str, str] = {}
    keys: dict[str, str] = {}
    energies: dict[str, NDArray[np.float64]] = {}
    for name in stacks:
        _check_name(name, "stack")
        measurement = stacks[name]
        energies[name] = measurement["energy"].to_numpy()
        _check_energies(energies)
        incident = i0[name] if isinstance(i0, Mapping) else i0
        inputs[name] = fingerprint(measurement)
        keys[name] = fingerprint(_VERSION, inputs[name], options, _plain(incident))
        sample_references(references, energies[name])
        prepared[name] = keep.stage(
            f"stxm/{name}",
            "preparation",
            keys[name],
            partial(
                prepare,
                measurement,
                i0=incident,
                dark=dark,
                despike=despike,
                align=align,
                baseline=baseline,
                thin=thin,
                thick=thick,
                name=str(measurement.attrs.get("source", name)),
                progress=progress,
            ),
            first=True,
        )
        del measurement  # as large as half of what is made of it

    key = fingerprint(
        _VERSION, list(keys.values()), list(references),
        shift, margin, resolve, latent_dims, covariance, smooth, value_name, seed,
    )  # fmt: skip

    @cache
    def mapped() -> tuple[dict[str, xr.Dataset], xr.Dataset]:
        judged = {
            name: judge(data, references, shift=shift, margin=margin, seed=seed)
            for name, data in progress.track(prepared.items(), "correlation", total=len(prepared))
        }
        space = xr.Dataset()
        if resolve == "gmvae":
            assigned, space = in_latent_space(
                prepared,
                judged,
                references,
                latent_dims=latent_dims,
                covariance=covariance,
                seed=seed,
                device=device,
                progress=progress,
            )
        else:
            assigned = {name: by_argmax(maps, resolve) for name, maps in judged.items()}
        maps = {
            name: complete(
                prepared[name],
                judged[name],
                assigned[name],
                smooth=smooth,
                value_name=value_name,
            ).assign_attrs(resolve=resolve)
            for name in prepared
        }
        return maps, space

    def maps_of(name: str) -> Callable[[], xr.Dataset]:
        return lambda: mapped()[0][name]

    tree: dict[str, xr.Dataset] = {}
    for name, data in prepared.items():
        maps = keep.stage(f"stxm/{name}", "phases", key, maps_of(name))
        both = data.assign(maps.variables).assign_attrs(maps.attrs)
        tree[f"/stxm/{name}"] = both.assign_attrs(input_fingerprint=inputs[name])
    if resolve == "gmvae":
        tree["/latent"] = keep.stage("latent", "space", key, lambda: mapped()[1], first=True)
    for reference in references:
        group = f"references/{_group(reference)}"
        spectrum = reference.rename("absorption").to_dataset()
        tree[f"/{group}"] = keep.stage(
            group, "reference", fingerprint(reference), spectrum.copy, first=True
        )
    return xr.DataTree.from_dict(tree)


def _check_options(
    stacks: Mapping[str, xr.Dataset],
    i0: Incident | Mapping[str, Incident],
    shift: Any,
    margin: Any,
    resolve: str,
    covariance: str,
    smooth: float,
) -> None:
    """Refuse options that mean nothing before any work is done."""
    for name, given, choices in (
        ("resolve", resolve, ("gmvae", "likelihood", "pearson")),
        ("covariance", covariance, ("noise", "pooled")),
    ):
        if given not in choices:
            raise InputError(f"{name} is {given!r}", f"choose {', '.join(choices)}")
    if shift != "auto" and not (isinstance(shift, Real) and np.isfinite(float(shift))):
        raise InputError(f"the energy shift is {shift!r}", 'give a number of eV or "auto"')
    if margin != "noise" and not (isinstance(margin, Real) and float(margin) >= 0):
        raise InputError(f"the margin is {margin!r}", 'give a number of 0 or more, or "noise"')
    if not smooth >= 0:
        raise InputError(f"the smoothing strength is {smooth}", "give 0 or more")
    lacking = [name for name in stacks if name not in i0] if isinstance(i0, Mapping) else []
    if lacking:
        raise InputError(
            f"no I0 is given for {', '.join(lacking)}", 'give one for every stack, or "auto"'
        )


def _check_energies(energies: Mapping[str, NDArray[np.float64]]) -> None:
    """Refuse stacks that cannot share a latent space: their energies differ."""
    (first, energy), *others = energies.items()
    for name, again in others:
        if again.size != energy.size or np.max(np.abs(again - energy)) > _SAME_ENERGY:
            raise InputError(
                f"the energies of {name} ({again.size}, {again[0]:g}–{again[-1]:g} eV) are not "
                f"those of {first} ({energy.size}, {energy[0]:g}–{energy[-1]:g} eV)",
                "stacks mapped together need the same energies; map them in separate runs",
            )


def _group(reference: xr.DataArray) -> str:
    """A reference's name without the slash that a group cannot hold."""
    return str(reference.name).replace("/", "_")


def _check_name(name: str, what: str) -> None:
    """Refuse a name that cannot be the name of a group of the results."""
    if not name or name.startswith((".", "__")) or "/" in name or "\\" in name:
        raise InputError(
            f"a {what} cannot be called {name!r}", "use letters, digits, - and _ for its name"
        )


def _plain(incident: Incident) -> object:
    """An I0 argument in a form that can be fingerprinted."""
    if isinstance(incident, tuple):
        return [[part.start, part.stop] for part in incident]
    return incident
