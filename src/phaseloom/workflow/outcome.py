"""Outcome of a run: its results and files, the provenance and times in its attributes."""

from __future__ import annotations

import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import phaseloom
from phaseloom.errors import InputWarning
from phaseloom.workflow.recipe import Recipe, to_toml

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from phaseloom.compute.execution import Execution

_LIBRARIES = (
    "numpy",
    "scipy",
    "xarray",
    "zarr",
    "torch",
    "numba",
    "rosettasciio",
    "scikit-learn",
    "scikit-image",
)

PROVENANCE = ("recipe", "versions", "inputs")
"""Attributes with the provenance of a result."""

TIMES = ("seconds", "patterns_per_second")
"""Attributes with the time of a computation."""


@dataclass(frozen=True)
class Outcome:
    """Results and files of a run.

    Parameters
    ----------
    folder
        Of the results.
    results
        As written to ``results.zarr``.
    tables
        As written to ``tables/NAME.csv``.
    facts
        Few numbers for the console and ``--json``.
    files
        All files that were written, without the store.
    notes
        Warnings about the input.
    reused
        Stages kept from an earlier run.
    """

    folder: Path
    results: xr.DataTree
    tables: dict[str, pd.DataFrame]
    facts: dict[str, Any]
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Facts, files and warnings, JSON-able."""
        files = [str(file) for file in self.files]
        return {"folder": str(self.folder), **self.facts, "files": files, "notes": self.notes}


def versions() -> dict[str, str]:
    """Versions of phaseloom and of the libraries its numbers depend on."""
    numbers = {"phaseloom": phaseloom.__version__}
    for library in _LIBRARIES:
        try:
            numbers[library] = version(library)
        except PackageNotFoundError:
            numbers[library] = "absent"
    return numbers


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect the warnings about the input, each once, while they are shown and logged."""
    notes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if not issubclass(category, InputWarning):
                show(message, category, *rest)
            elif str(message) not in notes:
                notes.append(str(message))
                logging.getLogger("phaseloom").warning("%s", message)
                show(message, category, *rest)

        warnings.showwarning = collect  # type: ignore[assignment]
        yield notes


def provenance(recipe: Recipe, inputs: dict[str, str]) -> dict[str, str]:
    """Recipe, versions and input fingerprints: the attributes of every result."""
    texts = (
        to_toml(recipe.model_copy(update={"out": Path()})),
        json.dumps(versions()),
        json.dumps(inputs),
    )
    return dict(zip(PROVENANCE, texts, strict=True))


def timed(
    compute: Callable[[], xr.Dataset], group: str, folder: Path, execution: Execution
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Compute a group of the results, and time it (:data:`TIMES`, of the run that computed it).

    Parameters
    ----------
    compute
        Computes the group, or takes it from an earlier run.
    group
        Its name; it has maps (y, x).
    folder
        Of the results.
    execution
        Its checkpoints keep the group.

    Returns
    -------
    data : xarray.Dataset
        The group.
    times : dict
        Empty when an earlier run began the group: the whole time is not known.
    """
    unfinished = any((folder / "unfinished").glob(f"{group}-*"))
    begun = time.monotonic()
    data = compute()
    seconds = time.monotonic() - begun
    if any(stage.startswith(f"{group}: ") for stage in execution.checkpoints.reused):
        return data, stored_attributes(folder, group, TIMES)
    if unfinished and not execution.fresh:
        return data, {}
    patterns = data.sizes["y"] * data.sizes["x"]
    return data, dict(zip(TIMES, (seconds, patterns / seconds), strict=True))


def stored_attributes(folder: Path, group: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Attributes of a group in the store, those of the names that it has."""
    try:
        metadata = (folder / "results.zarr" / group / "zarr.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    attributes = json.loads(metadata)["attributes"]
    return {name: attributes[name] for name in names if name in attributes}


def run_times(results: xr.DataTree, group: str) -> dict[str, float]:
    """Computing times of a group of the results, and of registering its peaks."""
    times = {}
    if "peaks" in results.children and group != "peaks":
        times["registering_seconds"] = float(results["peaks"].attrs.get("seconds", math.nan))
    return times | {name: float(results[group].attrs.get(name, math.nan)) for name in TIMES}


def write_tables(folder: Path, tables: dict[str, pd.DataFrame]) -> list[Path]:
    """Write tables as ``NAME.csv``; the files written."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"{name}.csv" for name in tables]
    for file, table in zip(files, tables.values(), strict=True):
        table.to_csv(file, index=False)
    return files
