"""What a run states of itself, and what it leaves behind."""

from __future__ import annotations

import json
import logging
import math
import time
import warnings
from collections.abc import Callable
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

STATED = ("recipe", "versions", "inputs")
"""Attributes that say what was done."""

TIMES = ("seconds", "patterns_per_second")
"""Attributes that say how long it took."""


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Parameters
    ----------
    folder
        Of the results.
    results
        As written to ``results.zarr``.
    tables
        As written to ``tables/NAME.csv``.
    facts
        The answer in few numbers.
    files
        Everything that was written, but for the store.
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
        """The answer in few numbers, JSON-able."""
        files = [str(file) for file in self.files]
        return {"folder": str(self.folder), **self.facts, "files": files, "notes": self.notes}


def versions() -> dict[str, str]:
    """Versions of phaseloom and of the libraries its numbers depend on."""
    known = {"phaseloom": phaseloom.__version__}
    for library in _LIBRARIES:
        try:
            known[library] = version(library)
        except PackageNotFoundError:
            known[library] = "absent"
    return known


class collected:  # noqa: N801 - reads as a verb at its one place of use
    """Collects the warnings about the input while they are shown as usual."""

    def __enter__(self) -> list[str]:
        self._notes: list[str] = []
        self._context = warnings.catch_warnings()
        self._context.__enter__()
        warnings.simplefilter("always", InputWarning)
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if not issubclass(category, InputWarning):
                show(message, category, *rest)
            elif str(message) not in self._notes:
                self._notes.append(str(message))
                logging.getLogger("phaseloom").warning("%s", message)
                show(message, category, *rest)

        warnings.showwarning = collect  # type: ignore[assignment]
        return self._notes

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)


def stated(recipe: Recipe, inputs: dict[str, str]) -> dict[str, str]:
    """What was done, with what, from what: the attributes that every result carries."""
    texts = (
        to_toml(recipe.model_copy(update={"out": Path()})),
        json.dumps(versions()),
        json.dumps(inputs),
    )
    return dict(zip(STATED, texts, strict=True))


def timed(
    compute: Callable[[], xr.Dataset], group: str, folder: Path, execution: Execution
) -> tuple[xr.Dataset, dict[str, Any]]:
    """A group of the results, and how long it took: :data:`TIMES`, by the run that made it.

    Parameters
    ----------
    compute
        Makes the group, or takes it from an earlier run.
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
        Empty when the group was begun by an earlier run: nobody knows how long it took.
    """
    unfinished = any((folder / "unfinished").glob(f"{group}-*"))
    begun = time.monotonic()
    data = compute()
    seconds = time.monotonic() - begun
    if any(stage.startswith(f"{group}: ") for stage in execution.checkpoints.reused):
        return data, earlier(folder, group, TIMES)
    if unfinished and not execution.fresh:
        return data, {}
    patterns = data.sizes["y"] * data.sizes["x"]
    return data, dict(zip(TIMES, (seconds, patterns / seconds), strict=True))


def earlier(folder: Path, group: str, names: tuple[str, ...]) -> dict[str, Any]:
    """What the run that made a group said of itself; attributes that it lacks are left out."""
    try:
        metadata = (folder / "results.zarr" / group / "zarr.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    known = json.loads(metadata)["attributes"]
    return {name: known[name] for name in names if name in known}


def run_times(results: xr.DataTree, group: str) -> dict[str, float]:
    """How long a group of the results took, and registering the peaks that it is made of."""
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
