"""Results of 4D-STEM scans: access shared by the groups of peaks, components, orientations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.errors import InputError


@dataclass(frozen=True, eq=False)
class ScanResult:
    """A group of a result that holds maps (y, x) of a scan.

    Parameters
    ----------
    data
        The group, as :func:`scan_maps` gives it.
    """

    data: xr.Dataset

    @property
    def shape(self) -> tuple[int, int]:
        """Scan positions (y, x)."""
        return int(self.data.sizes["y"]), int(self.data.sizes["x"])

    def has(self, *names: str) -> bool:
        """Whether the group holds all these variables, with a finite value in the first."""
        if not set(names) <= set(self.data.variables):
            return False
        values = self.data[names[0]].to_numpy()
        return bool(np.isfinite(values).any()) if values.dtype.kind == "f" else True

    def number(self, name: str) -> float:
        """A number among the attributes; NaN where there is none."""
        return number(self.data.attrs, name)

    def states(self, *names: str) -> bool:
        """Whether all of these numbers are among the attributes."""
        return all(np.isfinite(self.number(name)) for name in names)

    def run_time(self) -> dict[str, str]:
        """Time and speed of the run as text by their label, where the group states them."""
        texts = {}
        if self.states("seconds"):
            texts["Time"] = f"{self.number('seconds'):.3g} s"
        if self.states("patterns_per_second"):
            texts["Speed"] = f"{self.number('patterns_per_second'):,.0f} patterns per second"
        return texts

    def handedness(self) -> str:
        """Whether the patterns' handedness is the file's, or the user's flip of them."""
        flip, rotate = self.text("flip"), self.number("rotate")
        turn = f", rotated by {rotate:g}° (--rotate)" if rotate > 0 else ""
        if flip in ("", "none"):
            return f"taken from the file as it is{turn}"
        return f"given by the user: {flip} reversed (--flip){turn}"

    def axes(self) -> str:
        """Whether vectors and orientations are in the axes of the scan or of the detector."""
        removed, stated = self.number("scan_rotation_removed"), self.number("scan_rotation")
        if np.isfinite(removed):
            return (
                f"those of the scan: {removed:g}° by which the patterns are rotated against it "
                "are taken out (--scan-rotation)"
            )
        if np.isfinite(stated) and stated:
            return f"those of the detector: the file's scan rotation, {stated:g}°, is not taken out"
        return "those of the detector: no scan rotation is taken out"

    def text(self, name: str) -> str:
        """A text among the attributes; empty where there is none."""
        value = self.data.attrs.get(name)
        return value.strip() if isinstance(value, str) else ""


def number(attrs: Mapping[str, Any], name: str) -> float:
    """A number among the attributes of a dataset; NaN where there is none."""
    value = attrs.get(name)
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if is_number else float("nan")  # type: ignore[arg-type]


def group_of(
    tree: xr.DataTree, name: str, *, needs: Iterable[str], absent: tuple[str, str]
) -> xr.DataTree:
    """A group of a result with the variables it must hold.

    Parameters
    ----------
    tree
        The whole result.
    name
        Of the group.
    needs
        Variables that the group must hold.
    absent
        Message and hint of the error.

    Raises
    ------
    InputError
        When the group or one of the variables is missing.
    """
    group = tree.children.get(name)
    if group is None or any(variable not in group for variable in needs):
        raise InputError(*absent)
    return group


def subgroups(group: xr.DataTree, names: Iterable[str]) -> dict[str, xr.Dataset]:
    """The named groups below a group, where they exist, without inherited coordinates."""
    children = group.children
    return {name: children[name].to_dataset(inherit=False) for name in names if name in children}


def scan_maps(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset of a scan, marked as one (y is drawn downwards), with coordinates y and x.

    Parameters
    ----------
    dataset
        With dimensions y and x; where it has no coordinates, its positions are numbered.
    """
    numbered = {
        axis: (axis, np.arange(dataset.sizes[axis], dtype=float), {"units": "px"})
        for axis in ("y", "x")
        if axis not in dataset.coords
    }
    return dataset.assign_coords(numbered).assign_attrs(kind="scan")
