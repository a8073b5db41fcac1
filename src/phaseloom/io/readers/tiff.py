"""TIFF: stacks of one page per energy, images without energies, diffraction patterns.

Conventions
-----------
Rows: TIFF and every viewer put the first stored row at the top of the picture; here y ascends
upwards, so rows are reversed.

Energies, from the first of these that is there, in eV, one per page:

1. a text file beside it, ``STEM.csv``, ``STEM.txt``, ``STEM_energies.txt`` or
   ``STEM.energies``, see :func:`phaseloom.io.readers._energy_list.read_energy_list`;
2. labels of the pages (ImageJ slice labels, OME channel names, page descriptions) which say
   ``700.5 eV`` or ``0.7005 keV``, or a list ``energy`` in a JSON description;
3. for a single image the file name (``_710.5_eV``), with a warning.

Pixel size: ImageJ ``unit``, OME ``PhysicalSizeX`` or a resolution in pixels per centimetre.
A resolution per inch is a setting of printers and says nothing about the sample.

Pages without energies are no stack: they are described for what they are, patterns if their unit
is a reciprocal length, otherwise images.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import xarray as xr

from phaseloom.errors import InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.images import file_attrs, images_to_stack, pixel_axis
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._tiff_energies import (
    SIDECARS,
    energies_in_description,
    energies_in_labels,
    page_energies,
)
from phaseloom.io.readers._tiff_pages import (
    complete_pages,
    grey_pages,
    lazy_pages,
    ome_tree,
    opened,
)
from phaseloom.io.scan_axes import ANGSTROM, per_angstrom, plain_axes
from phaseloom.io.scan_making import make_scan

format_name = "TIFF"
file_extensions = (".tif", ".tiff")
describe = "TIFF stack, one page per energy, with a list of energies beside it or in its labels"

_DETECTOR = "image"
_MICROMETRES = {
    "nm": 1e-3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "\\u00b5m": 1.0,
    "mm": 1e3,
    "cm": 1e4,
}


def reads_this(path: Path) -> bool:
    """Whether the file starts as TIFF or BigTIFF does."""
    return first_bytes(path, 4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a TIFF stack and its energies, or pages without energies as what they are.

    Returns
    -------
    xarray.Dataset
        ``counts`` (energy, y, x), dtype as stored. TIFF does not say what its numbers are: they
        are called counts whatever they are. x and y in µm from 0, or in px (see the module).
        Without energies, with a warning that says what to do: ``counts`` (frame, y, x), kind
        "images_without_energy"; or (frame, ky, kx) in Å⁻¹ from 0, kind "patterns", row 0 the
        top. These are lazy.

    Raises
    ------
    InputError
        The file is truncated or damaged, holds no grey images, or the list of energies is not
        of the right length.
    """
    choice.require_only(_DETECTOR, path)
    with opened(path) as file:
        pages = grey_pages(file, path)
        kept = complete_pages(pages, path=path, partial=choice.partial)
        labelled, described = energies_in_labels(file, pages), energies_in_description(file)
        energy = page_energies(path, len(pages), labelled, described)
        if energy is None:
            return _without_energies(path, file, lazy_pages(path, pages, kept))
        images = np.stack([pages[index].asarray() for index in kept])
        pixel_size = _pixel_size(file)
    return images_to_stack(
        {"counts": (images[:, ::-1].astype(images.dtype.newbyteorder("=")), "counts")},
        energy=energy[kept],
        y=pixel_axis("y", images.shape[1], pixel_size[0], None),
        x=pixel_axis("x", images.shape[2], pixel_size[1], None),
        attrs=file_attrs(path, format_name, _DETECTOR),
    )


def read_patterns(path: Path, *, partial: bool = False) -> xr.Dataset:
    """The pages of a TIFF file as a series of patterns, the first row on top.

    Parameters
    ----------
    path
        The file.
    partial
        Leave out incomplete pages.

    Returns
    -------
    xarray.Dataset
        A scan (1, pages, ky, kx), uncalibrated.

    Raises
    ------
    InputError
        The file is damaged or holds no grey images.
    """
    with opened(path) as file:
        pages = grey_pages(file, path)
        kept = complete_pages(pages, path=path, partial=partial)
        patterns = lazy_pages(path, pages, kept)
    return make_scan(
        patterns[None],
        plain_axes(4),
        format_name=format_name,
        source=path,
    )


def _without_energies(path: Path, file: tifffile.TiffFile, pages: Any) -> xr.Dataset:
    """The pages as images, or as patterns if their unit is a reciprocal length."""
    pages_named = f"each of its {len(pages)} pages" if len(pages) > 1 else "its page"
    warnings.warn(
        f"{path}: says nothing about photon energies; if it is of X-rays, put "
        f"{SIDECARS[2].format(path.stem)} beside it, with one energy in eV per line for "
        f"{pages_named}; diffraction patterns are taken as they are by peaks, index, cluster and "
        "calibrate (read_scan)",
        InputWarning,
        stacklevel=3,
    )
    factor = per_angstrom(str((file.imagej_metadata or {}).get("unit", "")))
    resolution = _resolution(file)
    if factor is not None and np.isfinite(resolution).all():
        kind, dims = "patterns", ("ky", "kx")
        axes = [
            xr.Variable((dim,), np.arange(n) * (factor / pixels), {"units": ANGSTROM})
            for dim, n, pixels in zip(dims, pages.shape[1:], resolution, strict=True)
        ]
    else:
        kind, dims, pages = "images_without_energy", ("y", "x"), pages[:, ::-1]
        axes = [
            pixel_axis(dim, n, size, None)
            for dim, n, size in zip(dims, pages.shape[1:], _pixel_size(file), strict=True)
        ]
    return xr.Dataset(
        {"counts": (("frame", *dims), pages, {"units": "counts"})},
        {"frame": np.arange(len(pages)), **dict(zip(dims, axes, strict=True))},
        {"kind": kind, **file_attrs(path, format_name, _DETECTOR)},
    )


def _pixel_size(file: tifffile.TiffFile) -> tuple[float | None, float | None]:
    """Pixel size (y, x) in µm, None where the file does not say."""
    root = ome_tree(file)
    pixels = None if root is None else root.find(".//{*}Pixels")
    if pixels is not None:
        sizes = [
            _positive(pixels.get(f"PhysicalSize{axis}"))
            * _MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"), np.nan)
            for axis in "YX"
        ]
    else:
        unit = (file.imagej_metadata or {}).get("unit")
        scale = np.nan
        if isinstance(unit, str):
            scale = _MICROMETRES.get(unit.strip().lower(), np.nan)
        elif file.pages.first.tags.valueof("ResolutionUnit", 2) == 3:
            scale = 1e4
        sizes = [scale / resolution for resolution in _resolution(file)]
    # 1 pixel per centimetre is what writers put who know nothing.
    plausible = [size if 1e-6 < size < 1e3 else None for size in sizes]
    return plausible[0], plausible[1]


def _positive(text: str | None) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        return float("nan")
    return value if value > 0 else float("nan")


def _resolution(file: tifffile.TiffFile) -> list[float]:
    """Pixels per unit along y and x, NaN where the file does not say."""
    tags = file.pages.first.tags
    return [_rational(tags.valueof(f"{axis}Resolution")) for axis in "YX"]


def _rational(value: Any) -> float:
    """Resolution in pixels per unit; NaN if absent or not positive."""
    if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
        return float("nan")
    return float(value[0]) / float(value[1])
