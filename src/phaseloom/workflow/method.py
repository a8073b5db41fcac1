"""Interface of a method: what it gives to recipes, runs, command line and demonstrations.

A method has a folder here (:data:`phaseloom.methods.METHODS` names it) with two modules that the
others find: ``recipe`` holds ``RECIPE``, the class of its recipes, and ``example()``; ``method``
holds ``METHOD``, a :class:`Method`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from phaseloom.methods import METHODS

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from rich.console import Console

    from phaseloom.compute.execution import Execution
    from phaseloom.workflow.outcome import Outcome


@dataclass(frozen=True)
class Computed:
    """Results of a method's computation, which its checkpoints keep.

    Parameters
    ----------
    groups
        Groups of the results by path, those of earlier methods that the report shows included.
    inputs
        Fingerprints of what it was computed from, by name.
    attributes
        By group, values to set in its attributes; None removes one.
    documented
        Groups that get the provenance (recipe, versions, inputs) in their attributes.
    owned
        Groups below which only the stages of this run stay.
    """

    groups: dict[str, xr.Dataset]
    inputs: dict[str, str]
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    documented: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()


class Demonstrate(Protocol):
    """Function that simulates files of known truth, computes from them, and scores the results."""

    def __call__(
        self, folder: Path, *, size: int, seed: int, execution: Execution, overwrite: bool
    ) -> tuple[Outcome, dict[str, Any]]:
        """Return the outcome, and scores by name.

        Parameters
        ----------
        folder
            Gets the simulated files and the results.
        size
            Along a side, within the bounds of :class:`Demo`.
        seed, execution, overwrite
            As for recipes and :func:`phaseloom.workflow.run.run_recipe`.
        """


@dataclass(frozen=True)
class Demo:
    """A method's demonstration on simulated data.

    Parameters
    ----------
    run
        The function.
    sizes
        Along a side: least, default, most.
    """

    run: Demonstrate
    sizes: tuple[int, int, int]


@dataclass(frozen=True)
class Summary:
    """Summary of results, for the console and as JSON.

    Parameters
    ----------
    facts
        Results → few numbers, JSON-able, under the name of their subject.
    show, show_scores
        Print facts, or a demonstration's scores, on a console.
    """

    facts: Callable[[xr.DataTree], dict[str, Any]]
    show: Callable[[dict[str, Any], Console], None]
    show_scores: Callable[[dict[str, Any], Console], None]


def _nothing(*_: Any) -> Sequence[Any]:
    return ()


@dataclass(frozen=True)
class Method:
    """The parts that a method gives to the frame of every run.

    The frame (:func:`phaseloom.workflow.run.run_recipe`) owns the folder, collects warnings, keeps
    stages, states recipe and versions, writes tables, figures and report.

    Parameters
    ----------
    compute
        Does what a recipe says: recipe, execution (its checkpoints are the folder's), truth of
        simulated data (or None) → :class:`Computed`. Raises an
        :class:`~phaseloom.errors.InputError` where a file or a value is at fault.
    tables
        Results and recipe → tables by name.
    summary
        Few numbers for the console and ``--json``.
    demo
        The demonstration.
    write_more
        Recipe and results → files beside figures, tables and report.
    groups_made
        Folder → groups that ``--fresh`` computes again where the folder's peaks are the input.
    """

    compute: Callable[[Any, Execution, xr.Dataset | None], Computed]
    tables: Callable[[xr.DataTree, Any], dict[str, pd.DataFrame]]
    summary: Summary
    demo: Demo
    write_more: Callable[[Any, xr.DataTree], Sequence[Path]] = _nothing
    groups_made: Callable[[Path], Sequence[str]] = _nothing


def method_of(name: str) -> Method:
    """The method of a command or recipe."""
    method: Method = import_module(f"phaseloom.workflow.{METHODS[name].room}.method").METHOD
    return method
