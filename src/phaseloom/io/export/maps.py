"""Maps to TIFF stacks that ImageJ opens with names, scale and unit."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from phaseloom.errors import InputError
from phaseloom.io.export._target import completed, require_folder

_IMAGEJ_UNITS = {"µm": "micron", "px": "pixel", "Å⁻¹": "1/angstrom"}


def write_map_stack(
    path: str | PathLike[str],
    maps: Mapping[str, ArrayLike],
    *,
    pixel_size: tuple[float, float] = (1.0, 1.0),
    units: str = "px",
) -> Path:
    """Write maps as the pages of one TIFF, 32-bit floating point.

    Parameters
    ----------
    path
        The file to write; it appears under its name only when it is complete.
    maps
        (y, x) by name, all of one shape, the first row on top. Names become ImageJ's labels.
    pixel_size
        ``units`` per pixel, (y, x).
    units
        "µm", "nm", "px" or "Å⁻¹".

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    InputError
        There are no maps, they differ in shape, or the folder does not exist.
    """
    from tifffile import imwrite

    path = Path(path)
    require_folder(path)
    pages = {name: np.asarray(page, dtype=np.float32) for name, page in maps.items()}
    if len({page.shape for page in pages.values()}) != 1:
        raise InputError("maps of one shape make a stack", "give at least one", source=path)
    with completed(path) as unfinished:
        imwrite(
            unfinished,
            np.stack(list(pages.values()))[:, None],
            imagej=True,
            resolution=(1 / pixel_size[1], 1 / pixel_size[0]),
            metadata={
                "axes": "ZCYX",
                "unit": _IMAGEJ_UNITS.get(units, units),
                "Labels": list(pages),
            },
        )
    return path
