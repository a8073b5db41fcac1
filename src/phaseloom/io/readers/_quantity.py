"""What the numbers of images are, where a file does not say: counts, transmission, density."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputWarning

_NAMES = {
    "counts": "counts",
    "transmission": "transmission",
    "optical_density": "optical_density",
    "od": "optical_density",
}
# Noise makes an optical density negative beside the sample; a transmission hardly exceeds 1, and
# no optical density or transmission comes near the counts of a usable pixel.
_OUTLYING_SHARE, _MOST_TRANSMITTED, _FEWEST_COUNTS = 1e-3, 1.5, 20.0


def concluded_quantity(images: NDArray[Any], name: str, path: Path) -> str:
    """``counts``, ``transmission`` or ``optical_density``, from the name or else from the values.

    Whole numbers are counts, also where they are stored as floating-point ones; what goes below
    zero is an optical density; what stays between 0 and about 1 a transmission.

    Parameters
    ----------
    images
        The numbers.
    name
        Of the dataset, whose last part may say it.
    path
        For messages.

    Warns
    -----
    InputWarning
        It was concluded from values that are no counts.
    """
    said = _NAMES.get(name.rpartition("/")[2].lower())
    if said is not None:
        return said
    finite = images[np.isfinite(images)] if images.dtype.kind == "f" else images[:0].ravel()
    if not finite.size:
        return "counts"
    low, high = np.quantile(finite, [_OUTLYING_SHARE, 1 - _OUTLYING_SHARE])
    if high > _FEWEST_COUNTS or np.array_equal(finite, np.round(finite)):
        return "counts"
    quantity = "optical_density"
    if low >= 0 and high <= _MOST_TRANSMITTED:
        quantity = "transmission"
    warnings.warn(
        f"{path}: {name} does not say what its numbers are; from {low:.3g} to {high:.3g} "
        f"they are taken as {quantity.replace('_', ' ')}, --quantity says otherwise",
        InputWarning,
        stacklevel=4,
    )
    return quantity
