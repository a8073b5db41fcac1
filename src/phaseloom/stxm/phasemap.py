"""All steps from stacks and references to phase maps.

For every stack: preparation → energy shift → references at the stack's energies → Pearson
correlation → likelihood. Then for all together: one latent space in which the ambiguous
pixels are resolved. Then for every stack: values, particles.

Source: Adrar et al., arXiv 2603.07666; where this departs from it, the modules say why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.device import one_thread
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.errors import InputError
from phaseloom.stxm.assignment.assignment import by_argmax, complete, in_latent_space, judge
from phaseloom.stxm.boundaries.boundary_test import boundary_test
from phaseloom.stxm.options import BoundaryTest, PhaseMapping, Preparation
from phaseloom.stxm.preparation.preparation import Region, prepare
from phaseloom.stxm.references.references import sample_references

_VERSION = 3
"""Raised when a stage computes something else from the same input."""

_SAME_ENERGY = 0.2
"""Stacks share a latent space when their energies agree to this, in eV."""

Incident = Literal["auto"] | Region | xr.DataArray


@takes_options(preparation=Preparation, mapping=PhaseMapping, boundaries=BoundaryTest)
@one_thread()
def map_phases(
    stacks: xr.Dataset | Mapping[str, xr.Dataset],
    references: Sequence[xr.DataArray],
    *,
    i0: Incident | Mapping[str, Incident] = "auto",
    seed: int = 0,
    preparation: Preparation,
    mapping: PhaseMapping,
    boundaries: BoundaryTest,
    execution: Execution,
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
    seed
        Same seed, same result.
    preparation, mapping, boundaries, execution
        Instead of single options: all of a step, and how the chain is carried out. Finished
        stages are kept in ``execution.checkpoints``, and taken from there when nothing that they
        depend on changed.
    **options
        See :class:`phaseloom.stxm.options.Preparation`,
        :class:`phaseloom.stxm.options.PhaseMapping` and
        :class:`phaseloom.stxm.options.BoundaryTest`.

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
    _check_incident(stacks, i0)
    for reference in references:
        _check_name(_group(reference), "reference")
    checkpoints = execution.checkpoints
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
        keys[name] = fingerprint(_VERSION, inputs[name], preparation.model_dump(), _plain(incident))
        sample_references(references, energies[name])
        prepared[name] = checkpoints.stage(
            f"stxm/{name}",
            "preparation",
            keys[name],
            partial(
                prepare,
                measurement,
                i0=incident,
                name=str(measurement.attrs.get("source", name)),
                preparation=preparation,
                progress=execution.progress,
            ),
            first=True,
        )
        del measurement  # as large as half of what is made of it

    key = fingerprint(_VERSION, list(keys.values()), list(references), mapping.model_dump(), seed)

    @cache
    def mapped() -> tuple[dict[str, xr.Dataset], xr.Dataset]:
        return _mapped(prepared, references, seed, mapping, execution)

    def maps_of(name: str) -> Callable[[], xr.Dataset]:
        return lambda: mapped()[0][name]

    tree: dict[str, xr.Dataset] = {}
    for name, data in prepared.items():
        maps = checkpoints.stage(f"stxm/{name}", "phases", key, maps_of(name))
        both = data.assign(maps.variables).set_coords(list(maps.coords))
        both = both.assign_attrs(maps.attrs, input_fingerprint=inputs[name])
        if boundaries.boundary_test:
            tested = checkpoints.stage(
                f"stxm/{name}",
                "boundaries",
                fingerprint(_VERSION, key, name, boundaries.model_dump()),
                partial(
                    boundary_test,
                    data,
                    maps,
                    options=boundaries,
                    seed=seed,
                    progress=execution.progress,
                ),
            )
            both = both.assign(tested.variables).set_coords(list(tested.coords))
            both = both.assign_attrs(tested.attrs)
        tree[f"/stxm/{name}"] = both
    if mapping.resolve == "gmvae":
        tree["/latent"] = checkpoints.stage("latent", "space", key, lambda: mapped()[1], first=True)
    for reference in references:
        group = f"references/{_group(reference)}"
        spectrum = reference.rename("absorption").to_dataset()
        tree[f"/{group}"] = checkpoints.stage(
            group, "reference", fingerprint(reference), spectrum.copy, first=True
        )
    return xr.DataTree.from_dict(tree)


def _mapped(
    prepared: Mapping[str, xr.Dataset],
    references: Sequence[xr.DataArray],
    seed: int,
    mapping: PhaseMapping,
    execution: Execution,
) -> tuple[dict[str, xr.Dataset], xr.Dataset]:
    """Maps of every stack by name, and the latent space (empty where none is used)."""
    tracked = execution.progress.track(prepared.items(), "correlation", total=len(prepared))
    judged = {
        name: judge(data, references, shift=mapping.shift, margin=mapping.margin, seed=seed)
        for name, data in tracked
    }
    space = xr.Dataset()
    if mapping.resolve == "gmvae":
        assigned, space = in_latent_space(
            prepared, judged, references, mapping, seed=seed, execution=execution
        )
    else:
        assigned = {name: by_argmax(maps, mapping.resolve) for name, maps in judged.items()}
    maps = {
        name: complete(
            data,
            judged[name],
            assigned[name],
            smooth=mapping.smooth,
            value_name=mapping.value_name,
        ).assign_attrs(resolve=mapping.resolve)
        for name, data in prepared.items()
    }
    return maps, space


def _check_incident(
    stacks: Mapping[str, xr.Dataset], i0: Incident | Mapping[str, Incident]
) -> None:
    """Refuse an I0 by name that lacks a stack, before any work is done."""
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
