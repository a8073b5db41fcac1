"""All steps from stacks and references to phase maps.

For every stack: preparation → energy shift → references at the stack's energies → Pearson
correlation → likelihood. Then for all together: one latent space in which the ambiguous
pixels are resolved. Then for every stack: values, particles, quantities of the edge.

Source: Adrar et al., arXiv 2603.07666; where this departs from it, the modules say why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.device import one_thread
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.errors import InputError
from phaseloom.stxm.assignment.assignment import by_argmax, complete, in_latent_space, judge
from phaseloom.stxm.assignment.description import examine, refuse, warn_of_misfit
from phaseloom.stxm.boundaries.boundary_test import boundary_test
from phaseloom.stxm.options import BoundaryTest, EdgeWindows, PhaseMapping, Preparation
from phaseloom.stxm.preparation.beam import FROM_FIELD, Incident
from phaseloom.stxm.preparation.incident import check_empty
from phaseloom.stxm.preparation.left_out import Region
from phaseloom.stxm.preparation.preparation import prepare
from phaseloom.stxm.quantities.edge import edge_quantities
from phaseloom.stxm.references.references import sample_references

_VERSION = 5
"""Raised when a stage computes something else from the same input."""

_SAME_ENERGY = 0.2
"""Stacks share a latent space when their energies agree to this, in eV."""

Given = TypeVar("Given")
Mask = ArrayLike | Region | None


@takes_options(
    preparation=Preparation, mapping=PhaseMapping, edge=EdgeWindows, boundaries=BoundaryTest
)
@one_thread()
def map_phases(
    stacks: xr.Dataset | Mapping[str, xr.Dataset],
    references: Sequence[xr.DataArray],
    *,
    i0: Incident | Mapping[str, Incident] = "auto",
    mask: Mask | Mapping[str, Mask] = None,
    seed: int = 0,
    preparation: Preparation,
    mapping: PhaseMapping,
    edge: EdgeWindows,
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
    mask
        What of the field may be mapped, likewise.
    seed
        Same seed, same result.
    preparation, mapping, edge, boundaries, execution
        Instead of single options: all of a step, and how the chain is carried out. Finished
        stages are kept in ``execution.checkpoints``, and taken from there when nothing that they
        depend on changed.
    **options
        See :class:`phaseloom.stxm.options.Preparation`,
        :class:`phaseloom.stxm.options.PhaseMapping`,
        :class:`phaseloom.stxm.options.EdgeWindows` and
        :class:`phaseloom.stxm.options.BoundaryTest`.

    Returns
    -------
    xarray.DataTree
        A group ``stxm/NAME`` per stack with the variables of the results contract.

    Raises
    ------
    InputError
        Stacks, references or options are at fault.
    phaseloom.stxm.assignment.description.UnfittingReferencesError
        An InputError: the references do not describe a stack, and ``force`` is not set. Its
        attribute ``shown`` holds spectra and the fit of the energy shift.
    """
    if isinstance(stacks, xr.Dataset):
        stacks = {"stack": stacks}
    if not stacks:
        raise InputError("no stack was given")
    incidents, masks = _by_name(stacks, i0, "I0"), _by_name(stacks, mask, "mask")
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
        incident, allowed = incidents[name], masks[name]
        inputs[name] = fingerprint(measurement)
        keys[name] = fingerprint(
            _VERSION, inputs[name], preparation.model_dump(), _plain(incident), _plain(allowed)
        )
        sample_references(references, energies[name])
        prepared[name] = checkpoints.stage(
            f"stxm/{name}",
            "preparation",
            keys[name],
            partial(
                prepare,
                measurement,
                i0=incident,
                mask=allowed,
                name=str(measurement.attrs.get("source", name)),
                preparation=preparation,
                progress=execution.progress,
            ),
            first=True,
        )
        _check_prepared(prepared, name, references)
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
        scale = float(maps.attrs["noise_scale"])
        quantities = checkpoints.stage(
            f"stxm/{name}",
            "edge",
            fingerprint(_VERSION, keys[name], edge.model_dump(), scale),
            partial(edge_quantities, data, windows=edge, noise_scale=scale),
        )
        both = data.assign(maps.variables).set_coords(list(maps.coords))
        both = both.assign(quantities.data_vars).assign_attrs(
            maps.attrs, **quantities.attrs, input_fingerprint=inputs[name]
        )
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
    tracked = execution.progress.track(prepared.items(), "energy shift", total=len(prepared))
    examined = {
        name: examine(data, references, shift=mapping.shift, seed=seed) for name, data in tracked
    }
    given = mapping.shift != "auto"
    if not mapping.force:
        refuse(prepared, examined, references, given=given)
    tracked = execution.progress.track(prepared.items(), "correlation", total=len(prepared))
    judged = {}
    for name, data in tracked:
        warn_of_misfit(data.attrs["source"], examined[name], given=given)
        judged[name] = judge(data, references, examined[name], margin=mapping.margin)
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
            rims=mapping.resolve != "pearson",
            value_name=mapping.value_name,
        ).assign_attrs(resolve=mapping.resolve)
        for name, data in prepared.items()
    }
    return maps, space


def _by_name(
    stacks: Mapping[str, xr.Dataset], given: Given | Mapping[str, Given], what: str
) -> dict[str, Given]:
    """What is given for all stacks, or for each, by name; refused where a stack lacks it."""
    if not isinstance(given, Mapping) or isinstance(given, xr.Dataset):
        return dict.fromkeys(stacks, given)
    lacking = [name for name in stacks if name not in given]
    if lacking:
        raise InputError(
            f"no {what} is given for {', '.join(lacking)}", 'give one for every stack, or "auto"'
        )
    return {name: given[name] for name in stacks}


def _check_prepared(
    prepared: Mapping[str, xr.Dataset], name: str, references: Sequence[xr.DataArray]
) -> None:
    """Refuse a stack whose I0, taken from its field, is a phase; or whose energies are alone."""
    _check_energies({n: data["energy"].to_numpy() for n, data in prepared.items()})
    data = prepared[name]
    if "i0_area" not in data or data.attrs.get("i0_kind") != FROM_FIELD:
        return
    inside = data["mask"].to_numpy()
    density = np.array([float(np.nanmean(frame[inside])) for frame in
                        data["optical_density"].to_numpy()])  # fmt: skip
    sampled = sample_references(references, data["energy"].to_numpy()).to_numpy()
    try:
        check_empty(data["i0"].to_numpy(), density, list(sampled))
    except InputError as error:
        raise InputError(error.fault, error.remedy, source=data.attrs["source"]) from error


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


def _plain(given: object) -> object:
    """An I0 or a mask in a form that can be fingerprinted."""
    if isinstance(given, tuple):
        return [[part.start, part.stop] for part in given]
    return given
