"""Pages of TIFF files: which are complete grey images, read one by one when asked for."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.chunking import chunks
from phaseloom.io.readers._files import FAULTS, damage_named

# What tifffile raises, besides, on headers and strips that make no sense.
_TIFF_FAULTS = (tifffile.TiffFileError, AssertionError, ZeroDivisionError, zlib.error)


@contextmanager
def opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """The file, its faults turned into sentences."""
    faults = (*FAULTS, *_TIFF_FAULTS)
    with (
        damage_named(path, "TIFF file", "write it again", faults=faults),
        tifffile.TiffFile(path) as file,
    ):
        yield file


def grey_pages(file: tifffile.TiffFile, path: Path) -> list[Any]:
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


def complete_pages(pages: Sequence[Any], *, path: Path, partial: bool) -> list[int]:
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


def ome_tree(file: tifffile.TiffFile) -> ElementTree.Element | None:
    """The OME description, or None."""
    if not file.is_ome or file.ome_metadata is None:
        return None
    try:
        return ElementTree.fromstring(file.ome_metadata)
    except ElementTree.ParseError:
        return None


@dataclass(frozen=True)
class LazyPages:
    """Pages of a TIFF file that are read when they are asked for."""

    path: Path
    pages: tuple[int, ...]
    page_shape: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(page, row, column)."""
        return len(self.pages), *self.page_shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part."""
        first, *inside = key if isinstance(key, tuple) else (key,)
        chosen = np.array(self.pages)[first]
        with opened(self.path) as file:
            indices = np.atleast_1d(chosen).tolist()
            images = np.stack([file.pages[i].asarray() for i in indices]).astype(self.dtype)
        images = images[(slice(None), *inside)]
        return images if np.ndim(chosen) else images[0]


def lazy_pages(path: Path, pages: Sequence[Any], kept: Sequence[int]) -> Any:
    """The complete pages as a dask array (page, row, column), the first row on top."""
    import dask.array as da

    array = LazyPages(path, tuple(kept), pages[0].shape, pages[0].dtype.newbyteorder("="))
    return da.from_array(array, chunks=chunks((1, *array.shape), array.dtype.itemsize)[1:])
