"""Detector images flipped and turned, where a file has them otherwise than the microscope.

Also the rotation between the axes of the scan and those of the detector's image, which is taken out
of the vectors of spots, not of the images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.scan_axes import DIMS, ROTATION_REMOVED

if TYPE_CHECKING:
    import xarray as xr

Flip = Literal["none", "rows", "columns"]
Rotate = Literal[0, 90, 180, 270]
Turn = tuple[Flip, Rotate]
"""Flip, and rotation after it."""


def oriented(scan: xr.Dataset, *, flip: Flip = "none", rotate: Rotate = 0) -> xr.Dataset:
    """The scan with its detector's image flipped, then rotated, before anything else is done.

    The positions of the scan stay where they are. Nothing is read or copied.

    Parameters
    ----------
    scan
        A scan.
    flip
        ``rows``: the first row becomes the last; ``columns``: the first column becomes the last.
    rotate
        Degrees counter-clockwise, as the pattern is seen with row 0 at the top: after 90, what
        was to the right is at the top.

    Returns
    -------
    xarray.Dataset
        A scan with the attributes ``flip`` and ``rotate``, and another fingerprint; `scan` itself
        where nothing is to be done.

    Raises
    ------
    InputError
        Another flip or rotation, or the scan is flipped or rotated already.
    """
    import xarray as xr

    if flip not in get_args(Flip) or rotate not in get_args(Rotate):
        raise InputError(
            f"a detector image cannot be turned by flip {flip!r} and rotate {rotate!r}",
            "flip is none, rows or columns; rotate is 0, 90, 180 or 270",
        )
    if flip == "none" and rotate == 0:
        return scan
    if turn_of(scan.attrs) != ("none", 0):
        raise InputError(
            "the detector's image is flipped or rotated already",
            "do both at once, from the scan as it was read",
            source=scan.attrs.get("source"),
        )
    counts = scan["counts"]
    matrix = turn_matrix((flip, rotate))
    coordinates = {name: scan[name] for name in DIMS[:2]}
    for axis, name in enumerate(DIMS[2:]):
        (old,) = np.flatnonzero(matrix[axis])
        values, attrs = scan[DIMS[2 + old]].to_numpy(), scan[DIMS[2 + old]].attrs
        if matrix[axis, old] < 0 and attrs.get("units", "px") != "px":
            values = 0.0 - values[::-1]
        coordinates[name] = xr.DataArray(values, dims=name, attrs=attrs)
    fingerprint = hashlib.blake2b(digest_size=16)
    fingerprint.update(f"{scan.attrs.get('input_fingerprint')};{flip};{rotate}".encode())
    return xr.Dataset(
        {"counts": (DIMS, turned(counts.data, (flip, rotate)), counts.attrs)},
        coords=coordinates,
        attrs=scan.attrs
        | {"input_fingerprint": fingerprint.hexdigest(), "flip": flip, "rotate": rotate},
    )


def turn_of(attributes: Mapping[Any, Any]) -> Turn:
    """Flip and rotation that the attributes of a scan, or of its peaks, state."""
    return attributes.get("flip", "none"), attributes.get("rotate", 0)


def turn_attributes(turn: Turn) -> dict[str, str | int | None]:
    """Attributes that state flip and rotation; None, for no attribute, where there is neither."""
    absent = turn == ("none", 0)
    return {"flip": None if absent else turn[0], "rotate": None if absent else turn[1]}


def shape_in_file(shape: tuple[int, int], turn: Turn) -> tuple[int, int]:
    """Rows and columns of the file's image, from those of the turned one."""
    return shape if turn[1] in (0, 180) else (shape[1], shape[0])


def turned(images: Any, turn: Turn) -> Any:
    """A view of images (…, ky, kx), numpy or dask, flipped and then rotated."""
    flip, rotate = turn
    if flip == "rows":
        images = images[..., ::-1, :]
    elif flip == "columns":
        images = images[..., ::-1]
    if rotate in (90, 270):
        images = images.swapaxes(-2, -1)
    if rotate in (90, 180):
        images = images[..., ::-1, :]
    if rotate in (180, 270):
        images = images[..., ::-1]
    return images


def turn_matrix(turn: Turn) -> NDArray[np.float64]:
    """2×2 matrix from vectors (row, column) in the file's image to those in the turned one."""
    flip, rotate = turn
    mirror = np.diag({"none": (1.0, 1.0), "rows": (-1.0, 1.0), "columns": (1.0, -1.0)}[flip])
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])  # right (0, 1) becomes up (−1, 0)
    return np.asarray(np.linalg.matrix_power(quarter, rotate // 90) @ mirror)


def rotation_removed(attributes: Mapping[Any, Any]) -> float:
    """Degrees that are taken out of the vectors of a scan's spots, as its attributes state."""
    return float(attributes.get(ROTATION_REMOVED) or 0.0)


def to_scan_axes(degrees: float) -> NDArray[np.float64]:
    """2×2 matrix from vectors (row, column) of the detector's image to those in the scan's axes.

    Parameters
    ----------
    degrees
        By which the image is rotated against the scan, counter-clockwise, seen with row 0 at the
        top: what lies along the scan's x, to the right, is seen in the image so many degrees
        above its right.
    """
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def frame_notes(attributes: Mapping[Any, Any]) -> list[str]:
    """What was done to the patterns or their vectors, in words for the titles of files."""
    flip, rotate = turn_of(attributes)
    notes = []
    if flip != "none":
        notes.append(f"{flip} of the patterns reversed")
    if rotate:
        notes.append(f"patterns rotated by {rotate:g} deg")
    if ROTATION_REMOVED in attributes:
        notes.append(f"scan rotation of {rotation_removed(attributes):g} deg taken out")
    return notes
