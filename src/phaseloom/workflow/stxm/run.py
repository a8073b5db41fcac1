"""Run of ``phaseloom stxm``: phase maps of stacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import xarray as xr

import phaseloom
from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.errors import InputError
from phaseloom.workflow.method import Computed
from phaseloom.workflow.stxm.recipe import Reference, Stack, StackFile, StxmRecipe

if TYPE_CHECKING:
    from phaseloom.stxm.preparation.preparation import Region

_OWNED = ("stxm", "dense", "references", "latent")
"""Groups of the results that belong to this method."""


def compute_maps(
    recipe: StxmRecipe, execution: Execution, truth: xr.Dataset | None = None
) -> Computed:
    """Compute the phase maps of all stacks of a recipe: groups ``/stxm/NAME`` and their inputs.

    The truth is not kept beside phase maps.
    """
    del truth
    from phaseloom.stxm.phasemap import map_phases
    from phaseloom.stxm.references.references import attach_values

    references = [
        reference
        for entry in recipe.reference
        for reference in _references(entry, recipe, execution)
    ]
    references = attach_values(references, recipe.values)
    stacks = _Stacks(recipe.stack)
    results = map_phases(
        stacks,
        references,
        i0={stack.name: incident(stack.i0) for stack in recipe.stack},
        preparation=recipe.preparation,
        mapping=recipe.mapping,
        boundaries=recipe.boundaries,
        seed=recipe.seed,
        execution=execution,
    )
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


def incident(text: str) -> Literal["auto"] | Region | xr.DataArray:
    """Parse an I0 argument: "auto", a region ``y0:y1,x0:x1`` or a file with a spectrum."""
    if text == "auto":
        return "auto"
    if re.fullmatch(r"[\d:,\s]+", text):
        return region(text)
    from phaseloom.io.spectra import read_references

    spectrum, *others = read_references(text)
    if others:
        raise InputError(f"holds {1 + len(others)} spectra", "a file for I0 holds one", source=text)
    return spectrum.assign_attrs(source=text)


def region(text: str) -> Region:
    """Parse a region ``y0:y1,x0:x1`` into rows and columns.

    Raises
    ------
    InputError
        The text is not of that form, or the region is empty.
    """
    match = re.fullmatch(r"\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*", text)
    if match is None:
        raise InputError(f"{text!r} is not a region", "write rows and columns as y0:y1,x0:x1")
    y0, y1, x0, x1 = map(int, match.groups())
    if y1 <= y0 or x1 <= x0:
        raise InputError(f"the region {text} is empty", "write rows and columns as y0:y1,x0:x1")
    return slice(y0, y1), slice(x0, x1)


def read_stack(entry: StackFile) -> xr.Dataset:
    """Read the stack of a recipe's entry, named in messages by its path as given there.

    Raises
    ------
    InputError
        The file cannot be read, or holds something other than a stack.
    """
    stack = phaseloom.read(
        entry.file, detector=entry.detector, entry=entry.entry, partial=entry.partial
    ).assign_attrs(source=str(entry.file))
    if stack.attrs["kind"] != "stack":
        raise InputError(
            f"holds a measurement of kind {stack.attrs['kind']!r}, not a stack of images",
            "a phase map needs one image per energy",
            source=entry.file,
        )
    if entry.quantity is not None and "counts" in stack:
        stack = stack.rename(counts=entry.quantity)
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


def _references(entry: Reference, recipe: StxmRecipe, execution: Execution) -> list[xr.DataArray]:
    """Read the reference spectra of one file, or average a dense stack."""
    from phaseloom.io.spectra import read_references
    from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare

    measurement = phaseloom.read(entry.file).assign_attrs(source=str(entry.file))
    if measurement.attrs["kind"] == "spectra":
        return read_references(entry.file, label=entry.label)
    label = entry.label or entry.file.stem

    def mean() -> xr.Dataset:
        prepared = prepare(measurement, preparation=recipe.preparation, progress=execution.progress)
        return mean_spectrum(prepared, label=label).isel(spectrum=0, drop=True)

    key = fingerprint(measurement, recipe.preparation.model_dump())
    spectrum = execution.checkpoints.stage(f"dense/{label}", "mean", key, mean, first=True)
    return [spectrum["absorption"].rename(label)]
