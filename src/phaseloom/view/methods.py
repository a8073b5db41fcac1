"""What each method of the package puts into figures and report, method by method.

A method is a folder of this package with a module ``section``:

- ``present(tree)``: whether the result holds anything of it;
- ``figures(tree, tables)``: what draws its figures, by file name;
- ``section(tree, figures, tables)``: its part of the report, a :class:`Section`.

A new method is one more line in :data:`phaseloom.methods.METHODS`.
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
    """What the module ``section`` of a method offers."""

    def present(self, tree: xr.DataTree) -> bool:
        """Whether the result holds anything of this method."""

    def figures(self, tree: xr.DataTree, tables: Tables) -> Draws:
        """What draws each figure the result has the data for, by file name."""

    def section(self, tree: xr.DataTree, figures: Figures, tables: Tables) -> Section:
        """What the report says of this method."""


def methods_of(tree: xr.DataTree) -> list[Method]:
    """The methods that the result holds something of.

    Raises
    ------
    InputError
        When there is none.
    """
    modules = [
        cast(Method, import_module(f"phaseloom.view.{name}.section")) for name in METHODS.values()
    ]
    found = [module for module in modules if module.present(tree)]
    if not found:
        raise InputError(
            "the result holds no STXM phase map, no diffraction peaks, no components and no "
            "orientation map",
            "map a stack, or register, cluster or index a scan first",
        )
    return found
