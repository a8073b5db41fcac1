"""Single diffraction patterns: dark, gain and mask images, calibration patterns."""

from __future__ import annotations

from os import PathLike
from typing import Any

from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.scans import read_scan


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
