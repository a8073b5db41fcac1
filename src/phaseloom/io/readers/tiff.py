"""TIFF stacks: one page per energy, energies from a list beside the file or from its metadata.

Conventions
-----------
Rows: TIFF and every viewer put the first stored row at the top of the picture; here y ascends
upwards, so rows are reversed.

Energies, from the first of these that is there, in eV, one per page:

1. a text file beside it, ``STEM.csv``, ``STEM.txt``, ``STEM_energies.txt`` or
   ``STEM.energies``, of which the first number in each line counts;
2. labels of the pages (ImageJ slice labels, OME channel names, page descriptions) which say
   ``700.5 eV``, or a list ``energy`` in a JSON description;
3. for a single image the file name (``_710.5_eV``), with a warning.

Pixel size: ImageJ ``unit``, OME ``PhysicalSizeX`` or a resolution in pixels per centimetre.
A resolution per inch is a setting of printers and says nothing about the sample.
"""

from __future__ import annotations

import json
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.stacking import energy_in_name, images_to_stack, pixel_axis, refuse_choice

format_name = "TIFF"
file_extensions = (".tif", ".tiff")
describe = "TIFF stack, one page per energy, with a list of energies beside it or in its labels"

_DETECTOR = "image"
_SIDECARS = ("{}.csv", "{}.txt", "{}_energies.txt", "{}.energies")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FIRST_NUMBER = re.compile(rf"\s*({_NUMBER})(?=[\s,;]|$)")
_LABELLED_ENERGY = re.compile(rf"({_NUMBER})[ _]?eV(?![A-Za-z])")
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
# What tifffile raises on headers and strips that make no sense.
_TIFF_FAULTS = (
    tifffile.TiffFileError,
    OSError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    ZeroDivisionError,
)


def reads_this(path: Path) -> bool:
    """Whether the file starts as TIFF or BigTIFF does."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(
    path: Path, *, detector: str | None = None, region: int | None = None, partial: bool = False
) -> xr.Dataset:
    """Read a TIFF stack and its energies.

    Parameters
    ----------
    path
        The file.
    detector
        ``"image"`` or None.
    region
        1 or None.
    partial
        Use the pages of a truncated file that are complete.

    Returns
    -------
    xarray.Dataset
        ``counts`` (energy, y, x), dtype as stored. TIFF does not say what its numbers are: they
        are called counts whatever they are. x and y in µm from 0, or in px (see the module).

    Raises
    ------
    InputError
        The file is truncated or damaged, is no stack of grey images, or there is no list of
        energies of the right length.
    """
    refuse_choice(path, detector=detector, region=region, available=_DETECTOR)
    with _opened(path) as file:
        pages = _grey_pages(file, path)
        kept = _complete_pages(pages, path=path, partial=partial)
        images = np.stack([pages[index].asarray() for index in kept])
        labels = _labels(file, pages)
        listed = _listed_energies(file)
        pixel_size = _pixel_size(file)
    energy = _energies(path, len(pages), labels, listed)[kept]
    return images_to_stack(
        {"counts": (images[:, ::-1].astype(images.dtype.newbyteorder("=")), "counts")},
        energy=energy,
        y=pixel_axis("y", images.shape[1], pixel_size[0], None),
        x=pixel_axis("x", images.shape[2], pixel_size[1], None),
        attrs={
            "format": format_name,
            "source": path.name,
            "title": path.stem,
            "detector": _DETECTOR,
            "detectors": [_DETECTOR],
        },
    )


def grey_pages(
    path: Path, *, partial: bool = False
) -> tuple[tuple[int, int], np.dtype[Any], list[int]]:
    """Shape and type of the pages, and which of them are complete: for series of patterns.

    Raises
    ------
    InputError
        As :func:`read`, energies aside.
    """
    with _opened(path) as file:
        pages = _grey_pages(file, path)
        kept = _complete_pages(pages, path=path, partial=partial)
        return pages[0].shape, pages[0].dtype.newbyteorder("="), kept


def read_pages(path: Path, indices: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Some pages as they are stored, (page, row, column)."""
    with _opened(path) as file:
        return np.stack([file.pages[i].asarray() for i in indices]).astype(dtype)


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """The file, its faults turned into sentences."""
    try:
        with tifffile.TiffFile(path) as file:
            yield file
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError("no such file", "check the path", source=path) from None
    except _TIFF_FAULTS as fault:
        raise InputError(
            f"is a damaged or truncated TIFF file ({fault})", "write it again", source=path
        ) from fault


def _grey_pages(file: tifffile.TiffFile, path: Path) -> list[Any]:
    """All pages, which must be grey images of one shape and type."""
    pages = [page.aspage() for page in file.pages]
    if not pages:
        raise InputError("holds no image", source=path)
    first = pages[0]
    for index, page in enumerate(pages):
        if (
            len(page.shape) != 2
            or min(page.shape) < 1
            or page.dtype is None
            or page.dtype.kind not in "uif"
        ):
            raise InputError(
                f"page {index + 1} is no grey image (shape {page.shape}, type {page.dtype})",
                "save the stack as grey, not as colour or palette images",
                source=path,
            )
        if page.shape != first.shape or page.dtype != first.dtype:
            raise InputError(
                f"page {index + 1} has shape {page.shape} and type {page.dtype}, page 1 has "
                f"{first.shape} and {first.dtype}",
                "a stack needs equal pages",
                source=path,
            )
    described = sum(int(np.prod(series.shape)) for series in file.series)
    if described > len(pages) * int(np.prod(first.shape)):
        raise InputError(
            f"its description promises {described} pixels, its {len(pages)} pages hold fewer",
            "save it as a plain multi-page TIFF",
            source=path,
        )
    return pages


def _complete_pages(pages: Sequence[Any], *, path: Path, partial: bool) -> list[int]:
    """Pages all of whose strips lie inside the file; tifffile fills missing strips with zeros."""
    size = path.stat().st_size
    complete = []
    for index, page in enumerate(pages):
        offsets, counts = page.dataoffsets, page.databytecounts
        needed = int(np.prod(page.chunked))
        whole = len(offsets) == len(counts) == needed and all(
            offset > 0 and count > 0 and offset + count <= size
            for offset, count in zip(offsets, counts, strict=True)
        )
        if whole and page.compression == 1:
            whole = sum(counts) >= page.nbytes
        if whole:
            complete.append(index)
    if len(complete) < len(pages):
        missing = next(index for index in range(len(pages)) if index not in complete) + 1
        fault = f"page {missing} of {len(pages)} is not complete in the file"
        if not partial or not complete:
            raise InputError(
                fault,
                "use the complete pages with --partial (partial=True)" if complete else None,
                source=path,
            )
        warnings.warn(
            f"{path}: {fault}; {len(pages) - len(complete)} pages are dropped",
            InputWarning,
            stacklevel=3,
        )
    return complete


def _labels(file: tifffile.TiffFile, pages: Sequence[Any]) -> list[str]:
    """One text per page, where the file has as many."""
    imagej = file.imagej_metadata or {}
    candidates: list[list[str]] = []
    labels = imagej.get("Labels")
    if isinstance(labels, list):
        candidates.append([str(label) for label in labels])
    root = _ome(file)
    if root is not None:
        candidates.append([str(c.get("Name", "")) for c in root.iterfind(".//{*}Channel")])
    candidates.append([str(page.description) for page in pages])
    for candidate in candidates:
        if len(candidate) == len(pages) and all(map(_LABELLED_ENERGY.search, candidate)):
            return candidate
    return []


def _ome(file: tifffile.TiffFile) -> ElementTree.Element | None:
    if not file.is_ome or file.ome_metadata is None:
        return None
    try:
        return ElementTree.fromstring(file.ome_metadata)
    except ElementTree.ParseError:
        return None


def _listed_energies(file: tifffile.TiffFile) -> list[float]:
    """The list ``energy`` of a JSON description, as tifffile writes from ``metadata=``."""
    try:
        description = json.loads(file.pages.first.description)
        return [float(energy) for energy in description["energy"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []


def _energies(
    path: Path, n_pages: int, labels: Sequence[str], listed: Sequence[float]
) -> NDArray[np.float64]:
    """Energy of every page in eV, from the first source that has them."""
    named = energy_in_name(path) if n_pages == 1 else None
    sidecars = [path.with_name(pattern.format(path.stem)) for pattern in _SIDECARS]
    for sidecar in sidecars:
        if sidecar.is_file():
            origin, energies = sidecar.name, _numbers(sidecar)
            break
    else:
        if labels:
            origin = "the labels of its pages"
            energies = [float(_LABELLED_ENERGY.findall(label)[-1]) for label in labels]
        elif listed:
            origin, energies = "its description", list(listed)
        elif named is not None:
            origin, energies = "its name", [named]
            warnings.warn(
                f"{path}: no energy recorded; {named:g} eV is taken from the file name",
                InputWarning,
                stacklevel=3,
            )
        else:
            raise InputError(
                "says nothing about its photon energies",
                f"put {sidecars[2].name} beside it, with one energy in eV per line for each of "
                f"its {n_pages} pages",
                source=path,
            )
    if len(energies) != n_pages:
        raise InputError(
            f"has {n_pages} pages but {origin} lists {len(energies)} energies",
            "give one energy in eV per page, in the order of the pages",
            source=path,
        )
    energy = np.array(energies, dtype=np.float64)
    if not np.all((energy > 0) & (energy < 1e6)):
        raise InputError(
            f"{origin} gives energies from {energy.min():g} to {energy.max():g} eV",
            "photon energies lie between 0 and 1e6 eV",
            source=path,
        )
    return energy


def _numbers(sidecar: Path) -> list[float]:
    """First number of each line; lines before the first number are headers."""
    numbers: list[float] = []
    for index, line in enumerate(sidecar.read_text("utf-8-sig", errors="replace").splitlines()):
        match = _FIRST_NUMBER.match(line)
        if match:
            numbers.append(float(match[1]))
        elif numbers and line.strip() and not line.lstrip().startswith(("#", "*")):
            raise InputError(
                f"line {index + 1} starts with no number: {line.strip()[:40]!r}",
                "the energy list has one energy in eV per line",
                source=sidecar,
            )
    return numbers


def _pixel_size(file: tifffile.TiffFile) -> tuple[float | None, float | None]:
    """Pixel size (y, x) in µm, None where the file does not say."""
    root = _ome(file)
    pixels = None if root is None else root.find(".//{*}Pixels")
    if pixels is not None:
        sizes = [
            _positive(pixels.get(f"PhysicalSize{axis}"))
            * _MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"), np.nan)
            for axis in "YX"
        ]
    else:
        tags = file.pages.first.tags
        unit = (file.imagej_metadata or {}).get("unit")
        scale = np.nan
        if isinstance(unit, str):
            scale = _MICROMETRES.get(unit.strip().lower(), np.nan)
        elif tags.valueof("ResolutionUnit", 2) == 3:
            scale = 1e4
        sizes = [scale / _rational(tags.valueof(f"{axis}Resolution")) for axis in "YX"]
    # 1 pixel per centimetre is what writers put who know nothing.
    plausible = [size if 1e-6 < size < 1e3 else None for size in sizes]
    return plausible[0], plausible[1]


def _positive(text: str | None) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        return float("nan")
    return value if value > 0 else float("nan")


def _rational(value: Any) -> float:
    """Resolution in pixels per unit; NaN if absent or not positive."""
    if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
        return float("nan")
    return float(value[0]) / float(value[1])
