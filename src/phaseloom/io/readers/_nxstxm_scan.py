"""The counts of one NXstxm detector, their dimensions and where they lie on the sample."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.readers import _als, _nexus
from phaseloom.io.readers import _hdf5 as hdf5

Coordinates = dict[str, tuple[str, NDArray[np.float64], str]]
"""Name to dimension, values and units."""


@dataclass(frozen=True)
class Scan:
    """Counts of one detector, dimensions as in the file."""

    numbers: NDArray[Any]
    """Up to the last frame (or line of an image) that the file holds."""
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    """As declared; longer than that of the numbers when the end was never written."""
    missing: NDArray[np.bool_] | np.bool_
    """Frames (or lines) of the numbers that were not written completely."""


def axes_of(entry: h5py.Group, group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Axes of a detector; those of the grid that the ALS files of version 2 keep apart."""
    axes = _nexus.axis_datasets(group)
    if (grid := _als.grid(entry, group)) is not None:
        axes |= {r: item for r, item in _nexus.axis_datasets(grid).items() if r != "energy"}
    return axes


def scan_of(
    entry: h5py.Group,
    group: h5py.Group,
    axes: dict[str, h5py.Dataset],
    *,
    scan_type: str,
    partial: bool = False,
) -> Scan:
    """Read the counts of a detector, as far as the file holds them.

    Raises
    ------
    InputError
        There are none, they fit no kind of scan, or too little of them was ever written.
    """
    counts = _nexus.signal(group)
    grid = _als.grid(entry, group)
    if grid is not None and (binned := hdf5.dataset(grid, "data")) is not None:
        group, counts, grid = grid, binned, None
    if counts is None:
        raise InputError(f"{group.name} holds no counts", source=group.file.filename)
    hdf5.require_numbers(counts)
    if grid is not None:
        numbers, dims = _als.rebinned(group, counts, axes, scan_type=scan_type)
        return Scan(numbers, dims, numbers.shape, np.False_)
    dims = _nexus.dimensions(group, counts, axes, scan_type=scan_type)
    whole = hdf5.written(counts, strict=not partial)
    by_frame_or_line = dims[0] == "energy" or dims == ("y", "x")
    if not whole.any() or not (whole.all() or by_frame_or_line):
        raise InputError(
            f"{counts.name} was not written completely",
            "the file is half-written: copy it again, or wait until the scan has ended",
            source=group.file.filename,
        )
    n = int(np.flatnonzero(whole)[-1]) + 1
    missing = np.False_ if whole.all() else ~whole[:n]
    return Scan(hdf5.frames(counts, n), dims, counts.shape, missing)


def energy_first(scan: Scan, path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Counts as (energy, y, x), (energy, position) or (energy, point): a view, no copy."""
    numbers, dims = scan.numbers, scan.dims
    if "single" in dims:
        numbers = numbers.squeeze(axis=dims.index("single"))
        dims = tuple(name for name in dims if name != "single")
    if set(dims) in ({"energy", "y"}, {"energy", "x"}):
        dims = tuple("energy" if name == "energy" else "position" for name in dims)
    if "energy" not in dims:
        numbers, dims = numbers[np.newaxis], ("energy", *dims)
    if dims == ("energy",):
        numbers, dims = numbers[:, np.newaxis], ("energy", "point")
    for wanted in (("energy", "y", "x"), ("energy", "position"), ("energy", "point")):
        if sorted(wanted) == sorted(dims):
            return numbers.transpose([dims.index(name) for name in wanted]), wanted
    raise InputError(
        f"a scan over {' and '.join(dims)} holds no map of the sample",
        "give an image, stack, line scan or point spectrum",
        source=path,
    )


def coordinates_of(
    scan: Scan, axes: dict[str, h5py.Dataset], dims: tuple[str, ...], path: Path
) -> Coordinates:
    """Coordinates besides the energy, as in the file.

    Raises
    ------
    InputError
        The positions fit neither the counts nor a rectangular grid.
    """
    if dims[1:] == ("y", "x"):
        if "y" in axes and "x" in axes:
            at = {
                role: _nexus.positions(axes[role], dims=scan.dims, shape=scan.shape, role=role)
                for role in ("y", "x")
            }
            return {role: (role, values, "µm") for role, values in at.items()}
        sizes = {role: scan.shape[scan.dims.index(role)] for role in ("y", "x")}
        return {r: (r, _pixels(n, path), "px") for r, n in sizes.items()}
    along = dims[1]
    n = scan.numbers.size // max(1, _length(scan, "energy"))
    where = {
        role: np.broadcast_to(_nexus.in_micrometres(axes[role], hdf5.values(axes[role]).ravel()), n)
        for role in ("x", "y")
        if role in axes and axes[role].size in (1, n)
    }
    found: Coordinates = {role: (along, values.copy(), "µm") for role, values in where.items()}
    if along == "point":
        return {**found, "point": ("point", np.arange(float(n)), "1")}
    if len(where) == 2:
        steps = np.hypot(np.diff(where["x"]), np.diff(where["y"]))
        found["position"] = (along, np.concatenate([[0.0], np.cumsum(steps)]), "µm")
    elif "position" in axes and axes["position"].size == n:
        recorded = hdf5.values(axes["position"]).ravel()
        found["position"] = (along, _nexus.in_micrometres(axes["position"], recorded), "µm")
    else:
        found["position"] = (along, _pixels(n, path), "px")
    return found


def _length(scan: Scan, role: str) -> int:
    return scan.numbers.shape[scan.dims.index(role)] if role in scan.dims else 1


def _pixels(n: int, path: Path) -> NDArray[np.float64]:
    warnings.warn(
        f"{path}: the positions are not recorded; pixels are counted instead",
        InputWarning,
        stacklevel=6,
    )
    return np.arange(float(n))
