"""The published registration: maxima that stand out by their prominence, centres of mass.

F. Folastre et al., *Improved ACOM pattern matching in 4D-STEM through adaptive sub-pixel peak
detection and image reconstruction*, Sci. Rep. 14 (2024), s41598-024-63060-5. It is here to be
compared with (``threshold="prominence"``);
:func:`phaseloom.diffraction.spots.finder.find_peaks` is the better finder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.diffraction.detector.correction import Correction, corrected
from phaseloom.diffraction.detector.shapes import check_shapes
from phaseloom.errors import InputError

if TYPE_CHECKING:
    from phaseloom.diffraction.spots.finder import Found

GREY_LEVELS = 255.0
LEAST_PROMINENCE = 3.0
"""Grey levels of 8 bits."""

_ORDER = (
    "row", "column", "intensity", "row_error", "column_error", "intensity_error", "score",
    "background", "prominence",
)  # fmt: skip
_RADIUS_PER_WIDTH = 0.1
_BLUR = 2.0
_MOST_UNUSABLE = 0.9
_FEWEST_OUTSIDE = 16
_SMALLEST = 24


def find_prominent(
    patterns: ArrayLike,
    correction: Correction,
    beam: ArrayLike,
    *,
    minimum: float | None = None,
    max_peaks: int = 150,
) -> Found:
    """Register patterns as published: adaptive prominence and centres of mass.

    Per pattern of width W:

    1. P = max(P_min, σ), σ being the standard deviation outside the inscribed circle.
    2. Background: opening with a paraboloid whose apex has the radius W/10 (*sliding
       paraboloid*), subtracted.
    3. Maxima of a copy blurred with a Gaussian of 2 px whose topographic prominence exceeds P,
       none on the edge, at most ``max_peaks``, the most prominent.
    4. Position: centre of mass of the blurred copy, five rounds, in a window of 10 px; of the
       direct beam, which is the maximum nearest to ``beam``, of 20 px.
    5. Intensity: mean within 3 px of the position, background subtracted.

    Parameters
    ----------
    patterns
        (n, ky, kx) as recorded, of any integer or float type; NaN is a missing pixel.
    correction
        Dark, gain, mask and saturation of the detector. Unusable pixels do not count for the
        background and the noise, and are empty in what is left.
    beam
        (n, 2), where the direct beam should be (row, column), in px.
    minimum
        P_min in counts per px. The published 3 grey levels are of patterns stretched to 8 bits,
        each by itself: by default 3/255 of the pattern's largest count. The paraboloid, too, is
        drawn in grey levels, of which one is as high as a pixel is wide.
    max_peaks
        Most peaks of a pattern.

    Returns
    -------
    Found
        As of :func:`phaseloom.diffraction.spots.finder.find_peaks`, but ``intensity`` is the *mean*
        in counts per px, ``prominence`` is measured on the blurred copy, and the errors and the
        score are NaN: the method gives none. ``bright_field`` are the counts within 10 px of
        ``beam``.

    Raises
    ------
    InputError
        Shapes do not fit each other, patterns smaller than 24 px, or a minimum that is not
        positive.

    Notes
    -----
    Known flaws, kept: a brighter direct beam raises the threshold of all spots (P_min is a part
    of it); σ knows nothing of the counting noise near the beam, and is compared with a blurred
    copy, so that false alarms follow neither the dose nor a stated rate; spots in the flank of
    a brighter one have no maximum; a neighbour within the window pulls the centre of mass,
    and what noise and background are left in it pull towards the window's middle; the opening
    follows the lowest pixels and leaves the mean of the noise in the intensity.
    """
    from phaseloom.diffraction.spots.finder import Found
    from phaseloom.diffraction.spots.prominence import COLUMNS, register_prominent

    raw = np.asarray(patterns)
    expected = np.ascontiguousarray(beam, dtype=np.float64)
    check_shapes(raw, expected, mask=correction.mask)
    if min(raw.shape[1:]) < _SMALLEST:
        raise InputError(
            f"patterns of {raw.shape[1]} × {raw.shape[2]} px are too small for windows of 20 px",
            f"{_SMALLEST} px and more are possible",
        )
    if minimum is not None and not minimum > 0:
        raise InputError(f"a least prominence of {minimum:g} counts cannot be", "make it positive")
    values = corrected(raw, correction)
    usable = np.isfinite(values)
    values[~usable] = 0
    noise = _spread_outside(values, usable)
    largest = values.max(axis=(1, 2), initial=0.0, where=usable).astype(np.float64)
    grey = largest / GREY_LEVELS
    prominence = np.fmax(LEAST_PROMINENCE * grey if minimum is None else minimum, noise)
    measured = usable.mean(axis=(1, 2)) >= 1 - _MOST_UNUSABLE
    out = np.empty((len(raw), max_peaks, COLUMNS))
    number = np.full(len(raw), -1, dtype=np.int64)
    maps = np.full((3, len(raw)), np.nan)
    curvature = 0.5 * grey / (_RADIUS_PER_WIDTH * raw.shape[2])
    register_prominent(
        values, usable, measured, curvature, prominence, expected, _BLUR, out, number, maps
    )
    rows = out[np.arange(max_peaks) < number[:, None]]
    places = {"row": 0, "column": 1, "intensity": 2, "background": 3, "prominence": 4}
    columns = {
        name: rows[:, places[name]].copy() if name in places else np.full(len(rows), np.nan)
        for name in _ORDER
    }
    return Found(
        columns,
        number,
        {
            "beam_row": maps[0],
            "beam_column": maps[1],
            "beam_error": np.full(len(raw), np.nan),
            "bright_field": maps[2],
            "noise": np.where(measured, noise, np.nan),
            "prominence": np.where(measured, prominence, np.nan),
        },
    )


def _spread_outside(values: NDArray[np.float32], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) standard deviation of the usable pixels outside the inscribed circle, or NaN."""
    height, width = values.shape[1:]
    y, x = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    outside = np.hypot(y[:, None], x) > min(height, width) / 2
    of = usable[:, outside]
    seen = values[:, outside].astype(np.float64)
    number = np.where(of.sum(axis=1) >= _FEWEST_OUTSIDE, of.sum(axis=1), np.nan)
    # What is unusable is 0, and adds nothing to the sums.
    mean = seen.sum(axis=1) / number
    squares = (np.where(of, seen - mean[:, None], 0) ** 2).sum(axis=1)
    spread: NDArray[np.float64] = np.sqrt(squares / number)
    return spread
