"""Find the reader for a file and call it; join the images of several files into a stack."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import Choice
from phaseloom.io.image_sets import files_of, in_counting_order, name_of, said, without_flats
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
            "is a folder, and neither a .zspy or .zarr store nor one of X-ray images, nor of .png "
            "or .bmp images alone",
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
    path: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    detector: str | None = None,
    entry: int | None = None,
    partial: bool = False,
) -> xr.Dataset:
    """Read X-ray images or spectra, or a 4D-STEM scan, into a labelled measurement.

    Parameters
    ----------
    path
        The file; for SDF the ``.hdr``, for aXis2000 ``.dat`` or ``.ncb``, for EMPAD the
        ``.xml``, for Arina the ``_master.h5``, for TVIPS the part ``_000``; the folder of
        a ``.zspy`` or ``.zarr``, or one of ``.png`` or ``.bmp`` images. A folder of X-ray
        images, one file per energy, a pattern (``"scan_*.xrm"``) or a list of files are a stack,
        sorted by energy; its attribute ``sources`` lists the files.
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
    choice = Choice(detector, entry, partial)
    if not isinstance(path, str | PathLike):
        return _read_set([Path(file) for file in path], choice)
    path = Path(path)
    files = files_of(path)
    if not files:
        return _read_file(path, choice)
    return _read_set(files, choice, path)


def holds_one_image(path: Path) -> bool:
    """Whether a file is an X-ray image at one energy, and no stack, as far as is quickly told.

    Parameters
    ----------
    path
        A file. Of HDF5 and headers what is larger than any one image counts as a stack.
    """
    suffix = path.suffix.lower()
    if suffix in (".xrm", ".xim"):
        return True
    if not path.is_file() or path.stat().st_size > _LARGEST_IMAGE:
        return False
    with warnings.catch_warnings(action="ignore"):
        try:
            measurement = _read_file(path, Choice())
        except InputError:  # said when it is read for good
            return False
    pages = measurement.attrs["kind"] == "images_without_energy" and measurement.sizes["frame"]
    return measurement.attrs["kind"] == "image" or pages == 1


def _read_file(path: Path, choice: Choice) -> xr.Dataset:
    measurement: xr.Dataset = find_reader(path).read(path, choice)
    return measurement


def _read_set(files: Sequence[Path], choice: Choice, given: Path | None = None) -> xr.Dataset:
    """Read images of one energy each and join them; what is odd about the set is said once.

    Parameters
    ----------
    files
        In any order.
    choice
        Of detector and entry in each.
    given
        The folder or pattern that the files were found by.
    """
    from phaseloom.io.stacking import stack_images

    if not files:
        raise InputError("no files are given", "name at least one")
    called = given or said(files)
    kept, flats = without_flats(in_counting_order(files))
    if flats:
        listed = ", ".join(file.name for file in flats[:_NAMED_AT_MOST])
        warnings.warn(
            f"{called}: {len(flats)} files are flats or darks by their names and no part of the "
            f"stack ({listed}{' …' if len(flats) > _NAMED_AT_MOST else ''})",
            InputWarning,
            stacklevel=3,
        )
    if len(kept) == 1:
        return _read_file(kept[0], choice)
    images: list[xr.Dataset] = []
    caught: list[warnings.WarningMessage] = []
    for file in kept:
        with warnings.catch_warnings(record=True, action="always") as here:
            image = _read_file(file, choice)
        _require_image(image, file, len(kept), called)
        caught += here
        images.append(image.assign_attrs(source=file.name))
    _say_once(caught, called)
    stack = stack_images(_without_copies(images, called))
    title = name_of(given if given is not None else files)
    return stack.assign_attrs(source=str(called), title=title)


_NAMED_AT_MOST = 4
_LARGEST_IMAGE = 64 * 2**20
"""Bytes."""


def _require_image(image: xr.Dataset, file: Path, n: int, called: Path | str) -> None:
    kind = image.attrs["kind"]
    if kind == "image":
        return
    if kind == "images_without_energy":
        raise InputError(
            f"says nothing of its photon energy, as each of the {n} images of {called} should",
            "write it into the name of the file, as in NAME_700.5eV.tif; diffraction patterns are "
            "given as one file",
            source=file,
        )
    what = "a stack of its own" if kind == "stack" else f"of kind {kind!r}"
    raise InputError(
        f"is {what}, where each of the {n} files of {called} should be an image at one energy",
        "give stacks one by one, and leave out what is no image",
        source=file,
    )


def _say_once(caught: Sequence[warnings.WarningMessage], called: Path | str) -> None:
    """Pass on what was said of single files, once for all of which it was said."""
    from phaseloom.io.images import EnergyFromName

    named = [w for w in caught if issubclass(w.category, EnergyFromName)]
    if named:
        warnings.warn(
            f"{called}: no energy is recorded in {len(named)} files; it is taken from their names",
            EnergyFromName,
            stacklevel=4,
        )
    first: dict[str, str] = {}
    number: dict[str, int] = {}
    for warning in (w for w in caught if not issubclass(w.category, EnergyFromName)):
        text = str(warning.message)
        plain = text.partition(": ")[2] or text
        first.setdefault(plain, text)
        number[plain] = number.get(plain, 0) + 1
    for plain, text in first.items():
        others = number[plain] - 1
        warnings.warn(
            f"{text} (the same of {others} more files)" if others else text,
            InputWarning,
            stacklevel=4,
        )


def _without_copies(images: Sequence[xr.Dataset], called: Path | str) -> list[xr.Dataset]:
    """The images without copies of one file; repeated energies are kept, and said."""
    kept: list[xr.Dataset] = []
    copies: list[str] = []
    at: dict[float, list[xr.Dataset]] = {}
    for image in images:
        # A monochromator that is asked for one energy twice reaches it within some meV.
        same = at.setdefault(round(float(image["energy"][0]), 2), [])
        twin = next((other for other in same if image.identical(_renamed(other, image))), None)
        if twin is not None:
            copies.append(f"{image.attrs['source']} of {twin.attrs['source']}")
            continue
        same.append(image)
        kept.append(image)
    if copies:
        warnings.warn(
            f"{called}: copies are left out: {', '.join(copies[:_NAMED_AT_MOST])}"
            f"{' …' if len(copies) > _NAMED_AT_MOST else ''}",
            InputWarning,
            stacklevel=4,
        )
    repeated = {energy: same for energy, same in at.items() if len(same) > 1}
    if repeated:
        energy, same = next(iter(sorted(repeated.items())))
        names = " and ".join(str(image.attrs["source"]) for image in same)
        more = f", and {len(repeated) - 1} more energies" if len(repeated) > 1 else ""
        warnings.warn(
            f"{called}: several images have one energy ({energy:.10g} eV: {names}{more}); all are "
            "kept",
            InputWarning,
            stacklevel=4,
        )
    return kept


def _renamed(image: xr.Dataset, like: xr.Dataset) -> xr.Dataset:
    """The image under the names of another, so that only what they hold is compared."""
    names = {name: like.attrs[name] for name in ("source", "title") if name in like.attrs}
    return image.assign_attrs(names)
