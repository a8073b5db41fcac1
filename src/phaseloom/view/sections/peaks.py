"""Registered diffraction patterns in figures and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


def present(tree: xr.DataTree) -> bool:
    """Whether the result holds a peak table."""
    return "peaks" in tree.children
