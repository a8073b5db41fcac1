"""X-ray stacks in HDF5 files of other programs: FXI, data exchange, BLISS and silx, hand-made.

Conventions
-----------
Rows: where positions are recorded, y ascends with them; otherwise the first stored row is the top
of the picture, as viewers show it, and rows are reversed: y ascends upwards.

Quantity: whole numbers are counts; numbers that go below zero are an optical density; numbers from
0 to about 1 a transmission. What is not recorded but concluded is said in a warning; ``--quantity``
says otherwise.

Flats and darks: of counts, ``img_bkg`` (FXI) or ``data_white`` (data exchange) becomes
``reference_counts``, one image or one per energy; the mean dark image is subtracted from both.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.images import file_attrs, pixel_axis
from phaseloom.io.readers import _frames, _nexus
from phaseloom.io.readers import _hdf5 as hdf5
from phaseloom.io.readers._hdf5_stacks import FoundStack, find_stacks
from phaseloom.io.readers._hdf_scan import choose
from phaseloom.io.readers._quantity import concluded_quantity

if TYPE_CHECKING:
    import xarray as xr

format_name = "HDF5 stack"
file_extensions = (".h5", ".hdf5", ".hdf", ".nxs", ".nx", ".cxi")
describe = "X-ray stacks in other HDF5: FXI, data exchange, BLISS / silx NXdata, hand-made"

_FLATS = ("img_bkg_avg", "img_bkg", "data_white")
_DARKS = ("img_dark_avg", "img_dark", "data_dark")
_PIXEL_SIZES = ("pixel_size", "Pixel Size", "pixelsize", "pixel size")
_LENGTH_IN_TEXT = re.compile(r"\s*([0-9.eE+-]+)\s*([a-zµμ]*)\s*")
# Pixels of X-ray microscopes, in µm.
_PLAUSIBLE_PIXEL = (1e-3, 20.0)


def reads_this(path: Path) -> bool:
    """Whether this is an HDF5 file with X-ray images in it, a stack or not."""
    if not hdf5.has_signature(path):
        return False
    try:
        with hdf5.open_hdf5(path) as file:
            return bool(find_stacks(file, path))
    except InputError:
        return True  # it says so when it is read


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a stack; the detector is the name of the dataset with the images.

    Returns
    -------
    xarray.Dataset
        ``counts``, ``transmission`` or ``optical_density`` (energy, y, x), of counts also
        ``reference_counts`` where the file has flats.

    Raises
    ------
    InputError
        The file is damaged, half-written, or holds X-ray images that are no stack.
    """
    import xarray as xr

    choice.require_first_entry(path)
    with hdf5.open_hdf5(path) as file:
        stacks = {stack.name: stack for stack in find_stacks(file, path)}
        stack = stacks[choose(list(stacks), choice.detector, path=path, first_is_meant=True)]
        cube, order, energy = _images(stack, partial=choice.partial, path=path)
        quantity = concluded_quantity(cube, stack.name, path)
        reference = None
        if quantity == "counts":
            cube, reference = _with_reference(stack, cube, order, path)
        y, x, turned = _positions(stack, cube.shape[1:], path)
        attrs = file_attrs(path, stack.program, stack.name, detectors=list(stacks))
    units = "counts" if quantity == "counts" else "1"
    measurement = xr.Dataset(
        {quantity: (("energy", "y", "x"), cube, {"units": units})},
        {"energy": ("energy", energy[order], {"units": "eV"}), "y": y, "x": x},
        {"kind": "stack" if order.size > 1 else "image", **attrs},
    )
    if reference is not None:
        dims = ("energy", "y", "x")[-reference.ndim :]
        measurement["reference_counts"] = (dims, reference, {"units": "counts"})
    if turned:
        measurement = measurement.isel(y=slice(None, None, -1)).assign_coords(y=y)
    return measurement.sortby(["y", "x"])


def _images(
    stack: FoundStack, *, partial: bool, path: Path
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.float64]]:
    """Images (energy, y, x) sorted by energy, which of those recorded they are, all energies."""
    item, energy = stack.images, _nexus.energies(stack.energy)
    if not stack.certain:
        warnings.warn(
            f"{path}: {stack.name} of shape {item.shape} has several axes as long as its "
            f"{energy.size} energies; the first is taken for that of the energies",
            InputWarning,
            stacklevel=3,
        )
    whole = hdf5.written(item, strict=not partial)
    if stack.axis != 0 or item.ndim > 3:
        if not whole.all():
            raise InputError(
                f"{item.name} was not written completely", "copy it again", source=path
            )
        numbers = hdf5.frames(item, item.shape[0]).reshape(item.shape[-3:])
        cube = np.moveaxis(numbers, stack.axis, 0)
        written = np.ones(energy.size, bool)
    else:
        if not whole.any():
            raise InputError(f"{item.name} was never written", "copy it again", source=path)
        n = int(np.flatnonzero(whole)[-1]) + 1
        cube, written = hdf5.frames(item, n), whole
    if stack.columns_first:
        cube = cube.swapaxes(1, 2)
    cube = np.ascontiguousarray(cube)
    zero, absent, n_missing = _frames.line_states(cube)
    bad = ~written
    # Lines may be empty by alignment or normalisation: only wholly empty frames are unmeasured.
    bad[: len(cube)] |= (zero | absent).all(axis=1)
    order = _frames.drop_or_raise(energy, bad, partial=partial, source=path)
    _frames.warn_of_missing(n_missing, source=path)
    return _frames.arrange(cube, order), order, energy


def _with_reference(
    stack: FoundStack, cube: NDArray[Any], order: NDArray[np.intp], path: Path
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The images without their dark, and the flats in their order, where the file has any."""
    flat = _beside(stack, _FLATS, cube, order)
    dark = _beside(stack, _DARKS, cube, order)
    if dark is not None and flat is not None:
        dark = dark.mean(axis=0) if dark.ndim == 3 else dark
        warnings.warn(
            f"{path}: the dark image in the file is subtracted from the images and from the flats",
            InputWarning,
            stacklevel=3,
        )
        return (cube - dark).astype(np.float32), (flat - dark).astype(np.float32)
    return cube, flat


def _beside(
    stack: FoundStack, names: tuple[str, ...], cube: NDArray[Any], order: NDArray[np.intp]
) -> NDArray[Any] | None:
    """Flats or darks in the group of the images: one per energy, or their mean."""
    for name in names:
        item = hdf5.dataset(stack.images.parent, name)
        if item is None or item.dtype.kind not in "uif" or item.ndim not in (2, 3):
            continue
        values = hdf5.frames(item, item.shape[0])
        if stack.columns_first:
            values = values.swapaxes(-1, -2)
        if values.shape[-2:] != cube.shape[1:]:
            continue
        if values.ndim == 3 and len(values) == stack.energy.size:
            return values[order]
        return values if values.ndim == 2 else values.mean(axis=0, dtype=np.float64)
    return None


def _positions(
    stack: FoundStack, shape: tuple[int, ...], path: Path
) -> tuple[xr.Variable, xr.Variable, bool]:
    """Positions along y and x, and whether rows are to be reversed."""
    import xarray as xr

    if stack.y is not None and stack.x is not None and not _only_counted(stack.y, stack.x):
        y, x = (
            xr.Variable((role,), _nexus.in_micrometres(item, hdf5.values(item)), {"units": "µm"})
            for role, item in (("y", stack.y), ("x", stack.x))
        )
        for role, axis in (("y", y), ("x", x)):
            _nexus.falls(axis.values, name=role, source=path)
        return y, x, False
    size = _pixel_size(stack, path)
    y, x = (pixel_axis(role, n, size, None) for role, n in zip(("y", "x"), shape, strict=True))
    return y, x, True


def _only_counted(*axes: h5py.Dataset) -> bool:
    """Whether positions without units are but the numbers of the pixels."""
    return all(
        not hdf5.attribute_text(axis, "units")
        and np.array_equal(hdf5.values(axis) - hdf5.values(axis)[0], np.arange(axis.size))
        for axis in axes
    )


def _pixel_size(stack: FoundStack, path: Path) -> float | None:
    """Pixel size in µm that is recorded beside the images, or None."""
    for name in _PIXEL_SIZES:
        item = hdf5.dataset(stack.images.parent, name)
        if item is None or item.size != 1:
            continue
        units = hdf5.attribute_text(item, "units").lower()
        match = _LENGTH_IN_TEXT.fullmatch(hdf5.dataset_text(stack.images.parent, name).lower())
        try:
            number = float(match[1]) if match else float("nan")
        except ValueError:
            continue
        factor = _nexus.length_factor(units or (match[2] if match else ""))
        if factor is not None:
            size = number * factor
            return size if 0 < size < 1e3 else None
        low, high = _PLAUSIBLE_PIXEL
        fitting = [
            (number * f, unit)
            for unit, f in (("nm", 1e-3), ("µm", 1.0), ("m", 1e6))
            if low <= number * f <= high
        ]
        if not fitting:
            return None
        size, unit = fitting[0]
        warnings.warn(
            f"{path}: {item.name} has no units; {number:g} is taken as {unit}",
            InputWarning,
            stacklevel=4,
        )
        return size
    return None
