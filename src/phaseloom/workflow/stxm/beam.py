"""Arguments of a run about the beam and the field: I0, regions, masks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from phaseloom.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phaseloom.stxm.preparation.left_out import Region


def incident(text: str, channel: str | None = None) -> Literal["auto"] | Region | xr.Dataset:
    """Parse an I0 argument: "auto", a region ``y0:y1,x0:x1``, or a file or folder of the beam."""
    if text == "auto":
        return "auto"
    if re.fullmatch(r"[\d:,\s]+", text):
        return region(text)
    from phaseloom.io.incident import read_incident

    return read_incident(text, channel=channel)


def region(text: str) -> Region:
    """Parse a region ``y0:y1,x0:x1`` into rows and columns.

    Raises
    ------
    InputError
        The text is not of that form, or the region is empty.
    """
    match = re.fullmatch(r"\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*", text)
    if match is None:
        raise InputError(f"{text!r} is not a region", "write rows and columns as y0:y1,x0:x1")
    y0, y1, x0, x1 = map(int, match.groups())
    if y1 <= y0 or x1 <= x0:
        raise InputError(f"the region {text} is empty", "write rows and columns as y0:y1,x0:x1")
    return slice(y0, y1), slice(x0, x1)


def mask(text: str | None) -> Region | NDArray[Any] | None:
    """Parse a mask argument: a region ``y0:y1,x0:x1``, or an image file of the field.

    An image file shows the top of the field first, as stacks of image files do; an array in a
    ``.npy`` file begins with the row at the lowest y, as the results do.

    Raises
    ------
    InputError
        The file is no single image, or cannot be read.
    """
    if text is None:
        return None
    if re.fullmatch(r"[\d:,\s]+", text):
        return region(text)
    path = Path(text)
    try:
        if path.suffix.lower() == ".npy":
            image = np.load(path, allow_pickle=False)
        else:
            from PIL import Image

            with Image.open(path) as picture:
                image = np.asarray(picture)[::-1]
    except FileNotFoundError as error:
        raise InputError("does not exist", "check --mask", source=path) from error
    except (OSError, ValueError) as error:
        raise InputError(
            "is no image that can be read", "give --mask a .npy, .tif or .png image", source=path
        ) from error
    if image.ndim == 3 and image.shape[2] in (2, 3, 4):
        # colours: what is black is not mapped; the opacity says nothing
        image = image[..., : 1 if image.shape[2] == 2 else 3].max(axis=2)
    if np.squeeze(image).ndim != 2:
        raise InputError(
            f"holds an array of shape {image.shape}", "give --mask a single image", source=path
        )
    return np.asarray(np.squeeze(image))
