"""Sections of the report and figures, method by method.

A method is a folder of this package, such as ``phaseloom/view/peaks``, with a module ``section``
that offers the three functions of :class:`Method`:

- ``present(tree)``: whether the result holds anything of the method;
- ``figures(tree, tables)``: functions that draw its figures, by file name without ``.png``;
- ``section(tree, figures, tables)``: its :class:`~phaseloom.view.parts.Section` of the report,
  most simply from a :class:`~phaseloom.view.parts.Contents` with title, headings and captions.

To add a method, write such a folder and one line in :data:`phaseloom.methods.METHODS`: figures and
report take it from there, in the order of that table. The folder uses the front modules
(``pages``, ``panels``, ``parts``, ``scans``, ``style`` …) and no other method's folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from phaseloom.errors import InputError
from phaseloom.methods import METHODS
from phaseloom.view.parts import Draws, Figures, Section, Tables

if TYPE_CHECKING:
    import xarray as xr


class Method(Protocol):
    """Functions of the module ``section`` of a method."""

    def present(self, tree: xr.DataTree) -> bool:
        """Whether the result holds anything of this method."""

    def figures(self, tree: xr.DataTree, tables: Tables) -> Draws:
        """Functions that draw the figures for which the result holds the data, by file name."""

    def section(self, tree: xr.DataTree, figures: Figures, tables: Tables) -> Section:
        """The section of this method in the report."""


def methods_of(tree: xr.DataTree) -> list[Method]:
    """The methods that the result holds something of.

    Raises
    ------
    InputError
        When there is none.
    """
    modules = [
        cast(Method, import_module(f"phaseloom.view.{entry.room}.section"))
        for entry in METHODS.values()
    ]
    present = [module for module in modules if module.present(tree)]
    if not present:
        raise InputError(
            "the result holds no STXM phase map, no diffraction peaks, no components and no "
            "orientation map",
            "map a stack, or register, cluster or index a scan first",
        )
    return present
