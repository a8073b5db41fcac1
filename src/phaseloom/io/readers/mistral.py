"""ALBA MISTRAL: full-field spectroscopy stacks that the beamline has normalised (HDF5)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.energies import in_electronvolts
from phaseloom.io.images import file_attrs
from phaseloom.io.readers import _frames
from phaseloom.io.readers import _hdf5 as hdf5

if TYPE_CHECKING:
    import xarray as xr

format_name = "MISTRAL"
file_extensions = (".hdf5", ".hdf", ".h5")
describe = "normalised spectroscopy stacks of ALBA MISTRAL (transmission)"

_GROUP = "SpecNormalized"
_STACKS = ("spectroscopy_normalized", "spectroscopy_normalized_aligned")
# Pixels of a full-field microscope for soft X-rays, in µm.
_PLAUSIBLE_PIXEL = (1e-3, 1.0)


def reads_this(path: Path) -> bool:
    """Whether this is an HDF5 file with a normalised stack of MISTRAL."""
    return hdf5.holds(path, lambda file: bool(_stacks(hdf5.subgroup(file, _GROUP))))


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a normalised stack.

    The detector is ``spectroscopy_normalized`` (the default when the file has it) or
    ``spectroscopy_normalized_aligned``.

    Returns
    -------
    xarray.Dataset
        ``transmission`` (energy, y, x): intensity over flat field; ``dwell`` (s) and
        ``ring_current`` (mA) per energy when the file has them. Pixel (0, 0) is at 0 µm; y
        counts the rows as stored.

    Raises
    ------
    InputError
        The file is damaged or half-written, or the stack does not fit its energies.
    """
    import xarray as xr

    choice.require_first_entry(path)
    with hdf5.open_hdf5(path) as file:
        group = hdf5.subgroup(file, _GROUP)
        stacks = _stacks(group)
        if group is None or not stacks:
            raise InputError(f"holds no stack in {_GROUP}", "the file is damaged", source=path)
        name = choice.detector or next(iter(stacks))
        if name not in stacks:
            raise InputError(
                f"there is no stack {name!r}", f"stacks are {', '.join(stacks)}", source=path
            )
        stack = stacks[name]
        hdf5.require_numbers(stack)
        energy = _per_energy(group, "energy")
        if energy is None:
            raise InputError("holds no photon energies", "the file is damaged", source=path)
        energy = in_electronvolts(energy, unit=None, source=path, gaps=True, stacklevel=4)
        if stack.ndim != 3 or stack.shape[0] != energy.size:
            raise InputError(
                f"a stack of shape {stack.shape} does not fit {energy.size} photon energies",
                "the file is damaged",
                source=path,
            )
        whole = hdf5.written(stack, strict=not choice.partial)
        if not whole.any():
            raise InputError("the stack was never written", "copy the file again", source=path)
        n = int(np.flatnonzero(whole)[-1]) + 1
        cube = hdf5.frames(stack, n)
        zero, absent, n_missing = _frames.line_states(cube)
        bad = np.ones(energy.size, bool)
        # Alignment moves empty lines into view: only wholly empty frames are unmeasured.
        bad[:n] = (zero | absent).all(axis=1) | ~whole[:n]
        order = _frames.drop_or_raise(energy, bad, partial=choice.partial, source=path)
        n_missing += int(absent[order].sum()) * cube.shape[2]
        _frames.warn_of_missing(n_missing, source=path)
        cube = _frames.arrange(cube, order)
        extra = {
            "dwell": (_per_energy(group, "ExpTimes"), "s"),
            "ring_current": (_per_energy(group, "Currents"), "mA"),
        }
        pixel = {axis: _pixel_size(group, axis) for axis in ("y", "x")}
        if None in pixel.values():
            pixel = dict.fromkeys(pixel)
    coordinates = {
        axis: (axis, np.arange(size) * (pixel[axis] or 1.0), {"units": _unit(pixel[axis])})
        for axis, size in zip(("y", "x"), cube.shape[1:], strict=True)
    }
    data = xr.Dataset(
        {"transmission": (("energy", "y", "x"), cube, {"units": "1"})},
        coords={"energy": ("energy", energy[order], {"units": "eV"}), **coordinates},
        attrs={
            "kind": "stack" if order.size > 1 else "image",
            **file_attrs(path, format_name, name, detectors=list(stacks)),
        },
    )
    for key, (values, unit) in extra.items():
        if values is not None and values.size == energy.size:
            data[key] = ("energy", values[order], {"units": unit})
    return data


def _stacks(group: h5py.Group | None) -> dict[str, h5py.Dataset]:
    if group is None:
        return {}
    stacks = {name: hdf5.dataset(group, name) for name in _STACKS}
    return {name: item for name, item in stacks.items() if item is not None}


def _per_energy(group: h5py.Group, name: str) -> NDArray[np.float64] | None:
    item = hdf5.dataset(group, name)
    return None if item is None else hdf5.values(item).ravel()


def _unit(size: float | None) -> str:
    return "px" if size is None else "µm"


def _pixel_size(group: h5py.Group, axis: str) -> float | None:
    """Pixel size in µm; None, with a warning, when the file has none that can be right."""
    item = hdf5.dataset(group, f"{axis}_pixel_size")
    size = None if item is None else float(hdf5.values(item).ravel()[0])
    if size is not None and _PLAUSIBLE_PIXEL[0] <= size <= _PLAUSIBLE_PIXEL[1]:
        return size
    said = "is not recorded" if size is None else f"of {size:g} µm cannot be right"
    warnings.warn(
        f"{group.file.filename}: the pixel size along {axis} {said}; pixels are counted instead",
        InputWarning,
        stacklevel=3,
    )
    return None
