"""Single diffraction patterns: dark, gain and mask images, calibration patterns; and TIFF files."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.scan_axes import plain_axes
from phaseloom.io.scans import make_scan, read_scan

if TYPE_CHECKING:
    import xarray as xr


def read_pattern(path: str | PathLike[str], *, detector: str | None = None) -> NDArray[Any]:
    """One pattern, or an image of the detector such as a dark, gain or mask, as an array.

    Parameters
    ----------
    path
        Any file of a single pattern that :func:`phaseloom.io.read_scan` reads (``.npy``,
        ``.tif``, ``.hspy``, ``.dm4``, ``.blo`` …).
    detector
        Its name, in a file with several.

    Returns
    -------
    ndarray
        (ky, kx), as stored, row 0 the top.

    Raises
    ------
    InputError
        The file cannot be read or holds several patterns.
    """
    counts = read_scan(path, detector=detector)["counts"]
    n = counts.sizes["y"] * counts.sizes["x"]
    if n != 1:
        raise InputError(f"holds {n} patterns", "give a file with one", source=path)
    pattern: NDArray[Any] = counts[0, 0].to_numpy()
    return pattern


def read_tiff_scan(path: Path, *, partial: bool = False) -> xr.Dataset:
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
    import dask.array as da

    from phaseloom.io.readers import tiff
    from phaseloom.io.readers._lazy import chunks

    shape, dtype, kept = tiff.grey_pages(path, partial=partial)
    pages = _Pages(path, tuple(kept), shape, dtype)
    sizes = chunks((1, *pages.shape), dtype.itemsize)[1:]
    return make_scan(
        da.from_array(pages, chunks=sizes)[None],
        plain_axes(4),
        format_name=tiff.format_name,
        source=path,
        fingerprint=input_fingerprint(path),
    )


@dataclass(frozen=True)
class _Pages:
    """Pages of a TIFF file that are read when they are asked for."""

    path: Path
    pages: tuple[int, ...]
    page_shape: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.pages), *self.page_shape

    @property
    def ndim(self) -> int:
        return 3

    def __getitem__(self, key: Any) -> NDArray[Any]:
        from phaseloom.io.readers import tiff

        first, *inside = key if isinstance(key, tuple) else (key,)
        chosen = np.array(self.pages)[first]
        images = tiff.read_pages(self.path, np.atleast_1d(chosen).tolist(), self.dtype)
        images = images[(slice(None), *inside)]
        return images if np.ndim(chosen) else images[0]
