"""Ptychographic reconstructions in CXI files (Coherent X-ray Imaging, HDF5).

The reconstruction is the complex transmission function of the sample ("object"). Layout after
F. Maia, "The Coherent X-ray Imaging Data Bank", Nat. Methods 9 (2012) 854, and the CXI file
format, with the additions of the ALS COSMIC microscope as read by xanespy.

Conventions
-----------
Rows: the first stored row is the top one, so rows are reversed: y ascends upwards. (Measured: the
object of ``ptycho-scan-856eV.cxi`` matches the STXM image of the same particle, whose y axis is
recorded, with a correlation of 0.93 so and of 0.83 in stored order.)

Scale: the modulus of a reconstruction is arbitrary unless it was normalised; a median
|object|² above 2, which no transmission reaches, is pointed out with a warning. Divide by the
value beside the sample (as with an incident intensity) before taking the logarithm.

Phase: in radians in (−π, π], not unwrapped; offset and ramp of a reconstruction are arbitrary.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.images import file_attrs, images_to_stack, pixel_axis
from phaseloom.io.readers._files import damage_named
from phaseloom.io.readers._hdf5_sources import load_filters, require_link

format_name = "CXI"
file_extensions = (".cxi",)
describe = "CXI (HDF5): ptychographic reconstruction, as transmission and phase"

ELEMENTARY_CHARGE = 1.602176634e-19  # C, exact (SI 2019)
_ENERGY_WAVELENGTH = 1.239841984  # eV µm, h c / e
_DETECTOR = "object"
_ENTRY = re.compile(r"entry_(\d+)")


def reads_this(path: Path) -> bool:
    """Whether the file is HDF5 and says that it is CXI."""
    try:
        with h5py.File(path, "r") as file:
            return "cxi_version" in file or "entry_1/image_1" in file
    except (OSError, RuntimeError, KeyError, ValueError):
        return False


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read the reconstructed object of ``entry_N``; it is one image, whole or not at all.

    Returns
    -------
    xarray.Dataset
        kind "image": ``transmission`` = |object|² and ``phase_shift`` = arg(object) in radians,
        both float32 (energy, y, x); x and y in µm from 0. Scale and conventions: see the module.

    Raises
    ------
    InputError
        The file is damaged, holds no complex object, or records no photon energy.
    """
    with (
        damage_named(path, "HDF5 file", "copy it again from the beamline"),
        h5py.File(path, "r") as file,
    ):
        entries = sorted(int(m[1]) for name in file if (m := _ENTRY.fullmatch(name)))
        if not entries:
            raise InputError("has no entry_1", "it is no CXI file, or is damaged", source=path)
        number = choice.entry_among(entries, path)
        choice.require_detector(_DETECTOR, path)
        entry = file[f"entry_{number}"]
        image = _object(entry, path)
        energy = _energy(entry, path)
        pixel_size = _pixel_size(entry, energy, image.shape)
        title, start = _text(entry, "title"), _text(entry, "start_time")

    transmission = (image.real.astype(np.float64) ** 2 + image.imag.astype(np.float64) ** 2).astype(
        np.float32
    )
    level = float(np.nanmedian(transmission))
    arbitrary = level > 2
    if arbitrary:
        warnings.warn(
            f"{path}: the median of |object|² is {level:.4g}, so its scale is arbitrary; divide it "
            "by the value beside the sample before taking the optical density",
            InputWarning,
            stacklevel=2,
        )
    attrs = file_attrs(path, format_name, _DETECTOR, title=title or "")
    if start is not None:
        attrs["start_time"] = start
    upwards = np.s_[None, ::-1]
    return images_to_stack(
        {
            "transmission": (transmission[upwards], "arbitrary" if arbitrary else "1"),
            "phase_shift": (np.angle(image).astype(np.float32)[upwards], "rad"),
        },
        energy=np.array([energy]),
        y=pixel_axis("y", image.shape[0], pixel_size[0], None),
        x=pixel_axis("x", image.shape[1], pixel_size[1], None),
        attrs=attrs,
    )


def _object(entry: h5py.Group, path: Path) -> Any:
    """The complex image, checked."""
    dataset = entry.get("image_1/data")
    require_link(entry, "image_1/data")
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "c":
        raise InputError(
            "holds no reconstructed object (complex image_1/data)",
            "it may hold diffraction patterns only: reconstruct them first",
            source=path,
        )
    load_filters(dataset)
    image = dataset[()]
    if image.ndim == 3 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 2 or image.size == 0:
        raise InputError(
            f"its object has shape {image.shape}", "one image (y, x) is read", source=path
        )
    # HDF5 hands out zeros for what was declared and never written; 1e15 squared is still float32.
    written = dataset.id.get_storage_size() > 0
    if dataset.chunks is not None:
        grid = [
            -(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)
        ]
        written = dataset.id.get_num_chunks() == int(np.prod(grid))
    if not written or not (np.abs(image) < 1e15).all() or not image.any():
        raise InputError(
            "its object is not completely written, or holds numbers that are not finite",
            "the reconstruction did not finish",
            source=path,
        )
    return image


def _energy(entry: h5py.Group, path: Path) -> float:
    """Photon energy in eV; CXI records joules."""
    recorded = _number(entry, "instrument_1/source_1/energy")
    if recorded is not None:
        energy = recorded / ELEMENTARY_CHARGE
        if 10 < energy < 1e6:
            return energy
        if 10 < recorded < 1e6:
            warnings.warn(
                f"{path}: records the energy {recorded:g} where CXI has joules; taken as eV",
                InputWarning,
                stacklevel=4,
            )
            return recorded
    raise InputError(
        "records no photon energy (instrument_1/source_1/energy in joules)"
        if recorded is None
        else f"records the photon energy {recorded:g} J, which no X-rays have",
        source=path,
    )


def _pixel_size(
    entry: h5py.Group, energy: float, shape: tuple[int, ...]
) -> tuple[float | None, float | None]:
    """Pixel size (y, x) in µm: recorded, or from the geometry, or unknown.

    The half angle θ to the corner of the detector bounds the spatial frequencies, hence
    pixel = λ / (2 sin θ); ``corner_position`` is (x, y, z) in m from the sample.
    """
    size = entry.get("image_1/image_size")  # field of view (x, y, z) in m
    if isinstance(size, h5py.Dataset) and size.size >= 2:
        field = np.ravel(size[()]).astype(np.float64)
        if np.isfinite(field).all() and (field[:2] > 0).all():
            return float(field[1] / shape[0] * 1e6), float(field[0] / shape[1] * 1e6)
    recorded = _number(entry, "process_1/Param/pixnm")  # in m, whatever its name
    if recorded is not None and 0 < recorded < 1e-3:
        return recorded * 1e6, recorded * 1e6
    corner = entry.get("instrument_1/detector_1/corner_position")
    if isinstance(corner, h5py.Dataset) and corner.size == 3:
        x, y, z = np.ravel(corner[()]).astype(np.float64)
        if np.isfinite([x, y, z]).all() and x and y and z:
            wavelength = _ENERGY_WAVELENGTH / energy
            return (
                float(wavelength / (2 * abs(np.sin(np.arctan(y / z))))),
                float(wavelength / (2 * abs(np.sin(np.arctan(x / z))))),
            )
    return None, None


def _number(entry: h5py.Group, name: str) -> float | None:
    dataset = entry.get(name)
    if (
        not isinstance(dataset, h5py.Dataset)
        or dataset.size != 1
        or dataset.dtype.kind not in "iuf"
    ):
        return None
    value = float(np.ravel(dataset[()])[0])
    return value if np.isfinite(value) else None


def _text(entry: h5py.Group, name: str) -> str | None:
    dataset = entry.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.size != 1:
        return None
    value = np.ravel(dataset[()])[0]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text.strip() if isinstance(text, str) else None
