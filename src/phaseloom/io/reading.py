"""Find the reader for a file and call it."""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from phaseloom.errors import InputError
from phaseloom.io.choice import Choice
from phaseloom.io.readers import READERS

if TYPE_CHECKING:
    import xarray as xr


def readers() -> list[ModuleType]:
    """All reader modules, in the order in which they are tried."""
    return [import_module(f"phaseloom.io.readers.{name}") for name in READERS]


def find_reader(path: Path) -> ModuleType:
    """The reader module for a file: by its extension first, then by its content.

    Raises
    ------
    InputError
        The file is absent or no reader knows it.
    """
    if not path.exists():
        raise InputError("no such file", "check the path", source=path)
    modules = readers()
    suffix = "" if path.is_dir() and path.suffix.lower() not in (".zarr", ".zspy") else path.suffix
    for module in modules:
        if suffix.lower() in module.file_extensions and module.reads_this(path):
            return module
    if path.is_dir():
        raise InputError(
            "is a folder, and neither a .zspy or .zarr store nor one of .png or .bmp images alone",
            "give a file in it",
            source=path,
        )
    if path.suffix.lower() == ".zip":
        raise InputError("is a zip archive", "unzip it and give the file inside", source=path)
    extensions = sorted({e for module in modules for e in module.file_extensions if e})
    if path.suffix.lower() in extensions:
        raise InputError(
            f"has the extension {path.suffix} but not the content of any format that uses it",
            "the file may be truncated, or of another kind",
            source=path,
        )
    raise InputError(
        f"unknown format {path.suffix or '(no extension)'}",
        f"known are {' '.join(extensions)}",
        source=path,
    )


def read(
    path: str | PathLike[str],
    *,
    detector: str | None = None,
    entry: int | None = None,
    partial: bool = False,
) -> xr.Dataset:
    """Read one file of X-ray images or spectra, or a 4D-STEM scan, into a labelled measurement.

    Parameters
    ----------
    path
        The file; for SDF the ``.hdr``, for aXis2000 ``.dat`` or ``.ncb``, for EMPAD the
        ``.xml``, for Arina the ``_master.h5``, for TVIPS the part ``_000``; the folder of
        a ``.zspy`` or ``.zarr``, or one of ``.png`` or ``.bmp`` images.
    detector
        Name of the detector channel; the first counter by default. In a file with several
        scans the name of one.
    entry
        Which of the file's own spatial regions (NXentry, SDF region), counted from 1; the
        first by default, with a warning when there are more.
    partial
        Use an incomplete file as far as it can be read; what is missing is named in a warning.

    Returns
    -------
    xarray.Dataset
        ``counts`` with dims (energy, y, x) for stacks and images, (energy, position) for line
        scans, (energy, point) for point spectra, or ``absorption`` (spectrum, energy).
        Energies in eV, lengths in µm, all axes ascending. ``attrs["kind"]`` says which it is.
        Pages of a TIFF without energies are ``counts`` (frame, y, x) of kind
        ``images_without_energy`` or, in Å⁻¹, (frame, ky, kx) of kind ``patterns``, lazy.

        A 4D-STEM scan (kind ``scan``) has ``counts`` (y, x, ky, kx), row 0 the top, and is
        lazy: numbers are read when they are asked for. Its scan axes are in nm and its detector
        axes in Å⁻¹ (k = 1/d), or they count pixels (``units`` "px"); ``attrs`` hold what is known
        of the microscope: ``voltage`` (kV), ``precession_angle`` (deg), ``camera_length`` (mm),
        ``convergence_angle`` (mrad), ``exposure`` (s), ``scan_rotation`` (deg), ``saturation``
        (largest readable value).

    Raises
    ------
    InputError
        The file is absent, damaged, of an unknown format or of a kind that holds no map.
    """
    path = Path(path)
    measurement: xr.Dataset = find_reader(path).read(path, Choice(detector, entry, partial))
    return measurement
