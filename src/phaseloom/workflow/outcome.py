"""What every run does around its science: a folder, notes, versions, figures and a report."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

import phaseloom
from phaseloom.errors import InputError, InputWarning
from phaseloom.workflow.recipe import Recipe, to_toml, write_recipe

if TYPE_CHECKING:
    import pandas as pd

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
    """What a run left behind."""

    folder: Path
    results: xr.DataTree
    tables: dict[str, pd.DataFrame]
    facts: dict[str, Any]
    notes: list[str]
    reused: list[str]

    def summary(self) -> dict[str, Any]:
        """The answer in few numbers, JSON-able."""
        return {"folder": str(self.folder), **self.facts, "notes": self.notes}


def versions() -> dict[str, str]:
    """Versions of phaseloom and of the libraries its numbers depend on."""
    known = {"phaseloom": phaseloom.__version__}
    for library in _LIBRARIES:
        try:
            known[library] = version(library)
        except PackageNotFoundError:
            known[library] = "absent"
    return known


def make_folder(folder: Path) -> None:
    """Make the folder of the results.

    Raises
    ------
    InputError
        Something is in its way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot be the folder of the results ({error.strerror})",
            "give another --out",
            source=folder,
        ) from error


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


def earlier(folder: Path, group: str, names: tuple[str, ...]) -> dict[str, Any]:
    """What the run that made a group said of itself; attributes that it lacks are left out."""
    try:
        metadata = (folder / "results.zarr" / group / "zarr.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    known = json.loads(metadata)["attributes"]
    return {name: known[name] for name in names if name in known}


def forget(folder: Path, group: str) -> None:
    """Remove one group, and nothing else, from the results of a folder."""
    store = folder / "results.zarr"
    # The index of the store would still name what is gone.
    (store / "zarr.json").unlink(missing_ok=True)
    for path in (store / group, *(folder / "unfinished").glob(f"{group}-*")):
        if path.is_dir():
            shutil.rmtree(path)


def write_tables(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables as ``NAME.csv``."""
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)


def publish(
    recipe: Recipe,
    results: xr.DataTree,
    tables: dict[str, pd.DataFrame],
    notes: list[str],
    *,
    name: str = "recipe.toml",
) -> None:
    """Write recipe, figures and report beside the results; with all notes collected so far."""
    from phaseloom.view.figures import write_figures
    from phaseloom.view.report import write_report

    folder = recipe.out
    write_recipe(recipe, folder / name)
    figures = write_figures(folder / "figures", results, tables=tables)
    write_report(
        folder / "report.html",
        results,
        tables=tables,
        figures=figures,
        notes=notes,
        recipe=(folder / name).read_text(encoding="utf-8"),
    )
