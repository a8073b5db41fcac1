"""Phase maps of stacks: do what their recipe says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

import phaseloom
from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError
from phaseloom.workflow.outcome import Outcome, collected, make_folder, publish, stated
from phaseloom.workflow.stxm.recipe import Reference, Stack, StxmRecipe

if TYPE_CHECKING:
    from phaseloom.stxm.preparation.preparation import Region

_OWNED = ("stxm", "dense", "references", "latent")
"""Groups of the results that belong to this method."""


def run_stxm(recipe: StxmRecipe, *, fresh: bool = False, progress: Progress = SILENT) -> Outcome:
    """Phase maps of all stacks of a recipe.

    Parameters
    ----------
    recipe
        What to do.
    fresh
        Compute everything again, also what an earlier run finished.
    progress
        Where long work is reported.

    Returns
    -------
    Outcome
        Results as written to ``recipe.out``.

    Raises
    ------
    InputError
        A file or a value is at fault.
    """
    from phaseloom.stxm.phasemap import map_phases
    from phaseloom.stxm.references.references import attach_values
    from phaseloom.workflow.stxm.tables import stxm_tables, write_tables

    folder = recipe.out
    make_folder(folder)
    keep = Checkpoints(folder / "results.zarr", fresh=fresh)
    with collected() as notes:
        references = [
            r for entry in recipe.reference for r in _references(entry, recipe, keep, progress)
        ]
        references = attach_values(references, recipe.values)
        stacks = _Stacks(recipe.stack)
        results = map_phases(
            stacks,
            references,
            i0={s.name: incident(s.i0) for s in recipe.stack},
            **recipe.preparation.model_dump(),
            **recipe.mapping.model_dump(),
            seed=recipe.seed,
            device=recipe.device,
            keep=keep,
            progress=progress,
        )
        for s in recipe.stack:
            if s.state_of_charge is not None:
                results["stxm"][s.name].attrs["state_of_charge"] = s.state_of_charge
        facts = stated(
            recipe,
            {n: results["stxm"][n].attrs["input_fingerprint"] for n in stacks}
            | {"references": fingerprint(references)},
        )
        of_stacks = {
            f"stxm/{s.name}": {
                "state_of_charge": s.state_of_charge,
                "input_fingerprint": results["stxm"][s.name].attrs["input_fingerprint"],
            }
            for s in recipe.stack
        }
        keep.finish({"": facts, **of_stacks}, owned=_OWNED)
        results.attrs.update(facts)
        tables = stxm_tables(results, seed=recipe.seed)
        write_tables(folder / "tables", tables, results)
        publish(recipe, results, tables, notes)
    return Outcome(folder, results, tables, _facts(results), notes, keep.reused)


def _facts(results: xr.DataTree) -> dict[str, Any]:
    """Per stack: fractions of the phases, energy shift, residual."""
    stacks = {}
    for name, node in results["stxm"].children.items():
        data = node.to_dataset()
        phase = data["phase"].to_numpy()
        inside = data["mask"].to_numpy()
        stacks[name] = {
            "fractions": {
                str(label): float((phase[inside] == p).mean())
                for p, label in enumerate(data["phase_name"].to_numpy())
            },
            "unknown": float((phase[inside] == -2).mean()),
            "ambiguous": float(data["ambiguous"].to_numpy()[inside].mean()),
            "energy_shift": data.attrs["energy_shift"],
            "energy_shift_fitted": data.attrs["energy_shift_fitted"],
            "energy_shift_error": data.attrs["energy_shift_error"],
            "residual": data.attrs["residual"],
        }
    return {"method": "stxm", "stacks": stacks}


def incident(text: str) -> Literal["auto"] | Region | xr.DataArray:
    """What an I0 argument means: "auto", a region ``y0:y1,x0:x1`` or a file with a spectrum."""
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
    """Rows and columns from ``y0:y1,x0:x1``.

    Raises
    ------
    InputError
        The text is not of that form, or the region is empty.
    """
    found = re.fullmatch(r"\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*", text)
    if found is None:
        raise InputError(f"{text!r} is not a region", "write rows and columns as y0:y1,x0:x1")
    y0, y1, x0, x1 = map(int, found.groups())
    if y1 <= y0 or x1 <= x0:
        raise InputError(f"the region {text} is empty", "write rows and columns as y0:y1,x0:x1")
    return slice(y0, y1), slice(x0, x1)


def read_stack(entry: Stack) -> xr.Dataset:
    """The stack of a recipe's entry, named in messages by its path as given there.

    Raises
    ------
    InputError
        The file cannot be read, or holds something other than a stack.
    """
    stack = phaseloom.read(
        entry.file, detector=entry.detector, entry=entry.region, partial=entry.partial
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


def _references(
    entry: Reference, recipe: StxmRecipe, keep: Checkpoints, progress: Progress
) -> list[xr.DataArray]:
    """The reference spectra of one file: as they are, or the mean of a dense stack."""
    from phaseloom.io.spectra import read_references
    from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare

    measurement = phaseloom.read(entry.file).assign_attrs(source=str(entry.file))
    if measurement.attrs["kind"] == "spectra":
        return read_references(entry.file, label=entry.label)
    label = entry.label or entry.file.stem
    options = recipe.preparation.model_dump()

    def mean() -> xr.Dataset:
        prepared = prepare(measurement, **options, progress=progress)
        return mean_spectrum(prepared, label=label).isel(spectrum=0, drop=True)

    kept = keep.stage(f"dense/{label}", "mean", fingerprint(measurement, options), mean, first=True)
    return [kept["absorption"].rename(label)]
