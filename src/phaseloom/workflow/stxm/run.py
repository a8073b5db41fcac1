"""Run of ``phaseloom stxm``: phase maps of stacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import xarray as xr

import phaseloom
from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.errors import InputError
from phaseloom.workflow.folder import add_files
from phaseloom.workflow.method import Computed
from phaseloom.workflow.stxm.beam import incident, mask
from phaseloom.workflow.stxm.recipe import Reference, Stack, StackFile, StxmRecipe

if TYPE_CHECKING:
    from phaseloom.stxm.preparation.left_out import Region

_OWNED = ("stxm", "dense", "references", "latent")
"""Groups of the results that belong to this method."""
_QUANTITIES = ("counts", "transmission", "optical_density")
"""What the images of a stack may be; one of them."""


def compute_maps(
    recipe: StxmRecipe, execution: Execution, truth: xr.Dataset | None = None
) -> Computed:
    """Compute the phase maps of all stacks of a recipe: groups ``/stxm/NAME`` and their inputs.

    The truth is not kept beside phase maps. Where the references do not describe a stack, spectra
    and figures that help to find out why are written before the error is raised.
    """
    del truth
    from phaseloom.stxm.assignment.description import UnfittingReferencesError
    from phaseloom.stxm.phasemap import map_phases
    from phaseloom.stxm.references.references import attach_values
    from phaseloom.workflow.stxm.misfit import write_misfit

    references = [
        reference
        for entry in recipe.reference
        for reference in _references(entry, recipe, execution)
    ]
    references = attach_values(references, recipe.values)
    stacks = _Stacks(recipe.stack)
    try:
        results = map_phases(
            stacks,
            references,
            i0=_incidents(recipe.stack),
            mask={stack.name: mask(stack.mask) for stack in recipe.stack},
            preparation=recipe.preparation,
            mapping=recipe.mapping,
            edge=recipe.edge,
            boundaries=recipe.boundaries,
            seed=recipe.seed,
            execution=execution,
        )
    except UnfittingReferencesError as error:
        files = write_misfit(recipe.folder, error.shown)
        add_files(recipe.folder, files)
        raise InputError(
            error.fault,
            f"see {files[-1].parent} and {files[0].parent}; {error.remedy}",
            source=error.source,
        ) from error
    inputs = {name: results["stxm"][name].attrs["input_fingerprint"] for name in stacks}
    attributes = {
        f"stxm/{stack.name}": {
            "state_of_charge": stack.state_of_charge,
            "input_fingerprint": inputs[stack.name],
        }
        for stack in recipe.stack
    }
    groups = {
        node.path: node.to_dataset(inherit=False) for node in results.subtree if node.has_data
    }
    return Computed(
        groups,
        inputs | {"references": fingerprint(references)},
        attributes=attributes,
        owned=_OWNED,
    )


def read_stack(entry: StackFile) -> xr.Dataset:
    """Read the stack of a recipe's entry, named in messages by its path as given there.

    Raises
    ------
    InputError
        The file cannot be read, or holds something other than a stack.
    """
    stack = phaseloom.read(
        entry.file, detector=entry.detector, entry=entry.entry, partial=entry.partial
    ).assign_attrs(source=entry.called)
    if stack.attrs["kind"] != "stack":
        raise InputError(
            f"holds a measurement of kind {stack.attrs['kind']!r}, not a stack of images",
            "a phase map needs one image per energy",
            source=entry.called,
        )
    held = next(name for name in _QUANTITIES if name in stack)
    if entry.quantity is not None and held != entry.quantity:
        stack = stack.rename({held: entry.quantity})
    return stack


class _Stacks(Mapping[str, xr.Dataset]):
    """Stacks read from their files when asked for, so that one at a time is in memory."""

    def __init__(self, entries: tuple[Stack, ...]) -> None:
        self._entries = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> xr.Dataset:
        return read_stack(self._entries[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _incidents(
    entries: tuple[Stack, ...],
) -> dict[str, Literal["auto"] | Region | xr.Dataset]:
    """I0 of every stack by name; a file that several share is read once."""
    read: dict[tuple[str, str | None], Literal["auto"] | Region | xr.Dataset] = {}
    for entry in entries:
        key = entry.i0, entry.i0_channel
        if key not in read:
            read[key] = incident(*key)
    return {entry.name: read[entry.i0, entry.i0_channel] for entry in entries}


def _references(entry: Reference, recipe: StxmRecipe, execution: Execution) -> list[xr.DataArray]:
    """Read the reference spectra of one file, or average a dense stack."""
    from phaseloom.io.spectra import read_references
    from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare

    measurement = phaseloom.read(entry.file).assign_attrs(source=str(entry.file))
    if measurement.attrs["kind"] == "spectra":
        return read_references(entry.file, label=entry.label)
    label = entry.label or entry.file.stem

    # energies are left out of the stacks that are mapped, not of what they are compared with
    preparation = recipe.preparation.model_copy(update={"leave_out": ""})

    def mean() -> xr.Dataset:
        prepared = prepare(measurement, preparation=preparation, progress=execution.progress)
        return mean_spectrum(prepared, label=label).isel(spectrum=0, drop=True)

    key = fingerprint(measurement, preparation.model_dump())
    spectrum = execution.checkpoints.stage(f"dense/{label}", "mean", key, mean, first=True)
    return [spectrum["absorption"].rename(label)]
