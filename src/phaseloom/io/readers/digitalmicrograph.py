"""Gatan DigitalMicrograph ``.dm3`` and ``.dm4``; the tags are read by RosettaSciIO.

A 4-D image has either its patterns or its scan positions contiguous, depending on the version of
the program. The units tell which axes are which (nm⁻¹ or mrad for the detector); failing that the
tag ``Data Order Swapped``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._hdf_scan import choose
from phaseloom.io.readers._lazy import MappedArray, frames_in_file, lazily, pattern_type
from phaseloom.io.scan_axes import Axis, is_length, is_reciprocal
from phaseloom.io.scan_making import make_scan
from phaseloom.io.tags import number_at, scaled

format_name = "DigitalMicrograph"
file_extensions = (".dm3", ".dm4")
describe = "Gatan DigitalMicrograph (.dm3, .dm4)"


def reads_this(path: Path) -> bool:
    """Whether the file begins as version 3 or 4 does."""
    return first_bytes(path, 4) in (b"\0\0\0\3", b"\0\0\0\4")


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read the diffraction patterns of a file; the detector is the title of an image.

    Raises
    ------
    InputError
        The file is damaged, incomplete, or holds no diffraction patterns.
    """
    choice.require_first_entry(path)
    from rsciio.digitalmicrograph import file_reader

    described = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images = file_reader(str(path), lazy=True, chunks=-1)
    except Exception as fault:  # whatever a parser that is not ours raises on damaged tags
        raise InputError(
            f"is damaged or truncated ({type(fault).__name__}: {fault})", "copy it again",
            source=path,
        ) from fault  # fmt: skip
    for image in images:
        try:
            described.append(_described(image))
        except (KeyError, TypeError, ValueError, OverflowError) as fault:
            raise InputError(
                f"has damaged tags ({type(fault).__name__}: {fault})", "copy it again", source=path
            ) from fault
    titles = [title for title, *_ in described]
    if len(set(titles)) < len(titles):
        titles = [f"{title} {index + 1}" for index, title in enumerate(titles)]
    _, shape, dtype, place, axes, tags = described[
        titles.index(choose(titles, choice.detector, path=path, first_is_meant=True))
    ]
    if dtype.kind not in "uif" or min(shape, default=0) < 1:
        raise InputError(f"holds {dtype} of shape {shape}, no patterns", source=path)
    axes = _detector_last(axes, tags, path)
    data = _lazy(path, shape, dtype, place, axes, partial=choice.partial)
    ordered = [a for a in axes if a.navigate] + [a for a in axes if not a.navigate]
    exposure = number_at(tags, "Acquisition", "Parameters", "High Level", "Exposure (s)")
    if exposure is None:
        exposure = number_at(tags, "Acquisition", "Parameters", "Detector", "exposure (s)")
    return make_scan(
        data,
        [Axis(navigate=True)] * (4 - len(ordered)) + ordered,
        format_name=format_name,
        source=path,
        title=titles[0] if len(titles) == 1 else "",
        facts={
            "voltage": scaled(number_at(tags, "Microscope Info", "Voltage"), 1e-3),
            "camera_length": number_at(tags, "Microscope Info", "STEM Camera Length"),
            "exposure": exposure,
        },
    )


def _described(
    image: Mapping[str, Any],
) -> tuple[str, tuple[int, ...], np.dtype[Any], int, list[Axis], Mapping[str, Any]]:
    """Title, shape, type, place in the file, axes and tags of an image."""
    found = image["original_metadata"]["ImageList"]["TagGroup0"]
    place = int(found["ImageData"]["Data"]["offset"])
    axes = [
        Axis(
            name=str(axis["name"] or ""),
            units=str(axis["units"] or ""),
            scale=float(axis["scale"]),
            offset=float(axis["offset"]),
            navigate=bool(axis["navigate"]),
        )
        for axis in image["axes"]
    ]
    data = image["data"]
    shape = tuple(int(n) for n in data.shape)
    if len(axes) != len(shape):
        raise ValueError(f"{len(axes)} axes for shape {shape}")
    title = str(image["metadata"]["General"].get("title") or "image")
    return title, shape, np.dtype(data.dtype), place, axes, dict(found.get("ImageTags") or {})


def _detector_last(axes: list[Axis], tags: Mapping[str, Any], path: Path) -> list[Axis]:
    """The axes with those of the detector marked."""
    if len(axes) < 3:
        return [Axis(a.name, a.units, a.scale, a.offset) for a in axes]
    if any(axis.units in ("eV", "keV") for axis in axes):
        raise InputError(
            "holds spectra, not diffraction patterns (it has an axis in eV)",
            "give a 4D-STEM scan",
            source=path,
        )
    first = all(is_reciprocal(axis.units) for axis in axes[:2])
    last = all(is_reciprocal(axis.units) for axis in axes[-2:])
    if len(axes) == 4 and not (first or last):
        # The scan's units may tell when the detector's do not.
        first = all(is_length(a.units) for a in axes[2:]) and not is_length(axes[0].units)
        last = all(is_length(a.units) for a in axes[:2]) and not is_length(axes[2].units)
        if not (first or last):
            swapped = (tags.get("Meta Data") or {}).get("Data Order Swapped")
            if swapped is None:
                warnings.warn(
                    f"{path}: does not say which of its axes are those of the detector; the last "
                    "two are taken",
                    InputWarning,
                    stacklevel=4,
                )
            else:
                first = not swapped
    detector = {0, 1} if first and not last else {len(axes) - 2, len(axes) - 1}
    return [
        Axis(a.name, a.units, a.scale, a.offset, navigate=index not in detector)
        for index, a in enumerate(axes)
    ]


def _lazy(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    place: int,
    axes: list[Axis],
    *,
    partial: bool,
) -> Any:
    dtype = dtype.newbyteorder("<")  # what is not is refused by RosettaSciIO
    detector_first = not axes[0].navigate and len(axes) > 2
    if not detector_first:
        rows, columns = (1, 1, *shape)[-4:-2]
        frame = pattern_type(dtype, shape[-2:], path)
        return frames_in_file(
            path, offset=place, frame=frame, field=None, shape=(rows, columns), partial=partial
        )
    there, promised = path.stat().st_size - place, int(np.prod(shape)) * dtype.itemsize
    if there < promised:
        raise InputError(
            f"holds {max(0, there)} of the {promised} bytes of its scan, of every pattern a part",
            "copy it again",
            source=path,
        )
    shape = shape if len(shape) == 4 else (*shape[:2], 1, shape[2])
    return lazily(MappedArray(path, place, dtype, shape, axes=(2, 3, 0, 1)))
