"""Detector readings: dark level, spikes, empty frames.

All functions work frame by frame and in place, so that the memory needed on top of the stack is
a few frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError

_SPIKE_LIMIT = 8.0
_ALIKE, _NEAR = 1 / 4, 2
"""Of a reading's deviation the first, seen at one of so many energies beside, is structure."""


def subtract_dark(counts: NDArray[np.float32], dark: float) -> None:
    """Take the detector's dark level (counts) off, in place.

    Raises
    ------
    InputError
        Nothing is left above the dark level.
    """
    if dark == 0:
        return
    counts -= np.float32(dark)
    if not np.any(counts > 0):
        raise InputError(f"no reading is above the dark level of {dark:g}", "check --dark")


def despike(counts: NDArray[np.float32], *, progress: Progress = SILENT) -> int:
    """Replace single wild readings by the median of their neighbours, in place.

    A reading is wild when it differs from the median of its 3×3 neighbourhood by more than
    8 standard deviations, the deviation being the larger of the frame's own robust spread
    about that median and the counting noise. What stands out likewise at an energy close
    by is structure of the sample, a thin wall or a corner, as long as it is neither darker nor
    brighter than the frame as a whole.

    Returns
    -------
    int
        How many readings were replaced.
    """
    replaced = 0
    for number, frame in enumerate(progress.track(counts, "despike")):
        median = median_3x3(frame)
        difference = np.abs(frame - median)
        some = difference[:: max(1, frame.shape[0] // 256)]
        some = some[np.isfinite(some)]
        spread = 1.4826 * float(np.median(some)) if some.size else 0.0
        limit = _SPIKE_LIMIT * np.maximum(spread, np.sqrt(np.maximum(median, 1.0)))
        wild = difference > limit
        # A spike has nothing like it beside it; the rim of a particle has.
        alone = ndimage.uniform_filter(wild.astype(np.float32), 3, mode="constant") < 2.5 / 9
        wild &= alone
        y, x = np.nonzero(wild)
        wild[y, x] = ~_structure(counts, number, y, x)
        frame[wild] = median[wild]
        replaced += int(np.count_nonzero(wild))
    return replaced


def _structure(
    counts: NDArray[np.float32], number: int, y: NDArray[np.intp], x: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Which readings (pixel,) of a frame stand out in the same way in one close by."""
    if not y.size:
        return np.zeros(0, dtype=bool)
    here = counts[number][y, x]
    some = counts[number][:: max(1, counts.shape[1] // 256)]
    dark, bright = np.nanpercentile(some, [1, 99])
    sign = np.sign(_relative(counts[number], y, x))
    noise = 3.0 / np.sqrt(np.maximum(here, 1.0))
    least = np.maximum(np.abs(_relative(counts[number], y, x)) * _ALIKE, noise)
    found = np.zeros(y.size, dtype=bool)
    near = range(max(number - _NEAR, 0), min(number + _NEAR + 1, len(counts)))
    for other in (n for n in near if n != number):
        # The sample may have drifted by a pixel in between.
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                found |= sign * _relative(counts[other], y + dy, x + dx) >= least
    return np.asarray(found & (here > 0.5 * dark) & (here < 1.2 * bright))


def _relative(
    frame: NDArray[np.float32], y: NDArray[np.intp], x: NDArray[np.intp]
) -> NDArray[np.float64]:
    """How far pixels stand out of the median of their 3×3 neighbourhood, relative to it."""
    steps = np.array([-1, 0, 1])
    rows = np.clip(y[:, None, None] + steps[:, None], 0, frame.shape[0] - 1)
    columns = np.clip(x[:, None, None] + steps[None, :], 0, frame.shape[1] - 1)
    window = frame[rows, columns].reshape(y.size, 9).astype(np.float64)
    median = np.median(window, axis=1)
    return np.asarray(window[:, 4] / np.maximum(median, 1.0) - 1.0)


def median_3x3(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of each pixel and its eight neighbours, the rim repeated outwards.

    Equal to ``scipy.ndimage.median_filter(frame, 3, mode="nearest")`` and some ten times
    faster: nine shifted pictures go through a sorting network of 19 exchanges.
    """
    padded = np.pad(frame, 1, mode="edge")
    ny, nx = frame.shape
    p = [padded[dy : dy + ny, dx : dx + nx].copy() for dy in range(3) for dx in range(3)]
    smaller = np.empty_like(frame)
    for a, b in _NETWORK:
        np.minimum(p[a], p[b], out=smaller)
        np.maximum(p[a], p[b], out=p[b])
        p[a], smaller = smaller, p[a]
    return p[4]


_NETWORK = (
    (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3),
    (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2),
)  # fmt: skip
"""Exchanges that bring the median of nine to place 4 (A. W. Paeth, Graphics Gems, 1990)."""


def check_frames(counts: NDArray[np.float32], energy: NDArray[np.float64], source: str) -> None:
    """Refuse frames without a single usable reading, naming their energies.

    Raises
    ------
    InputError
        A frame is all zero, all NaN or constant.
    """
    empty = np.array([not np.any(np.nan_to_num(frame)) for frame in counts])
    constant = np.array(
        [not e and np.nanmin(f) == np.nanmax(f) for e, f in zip(empty, counts, strict=True)]
    )
    bad = empty | constant
    if not np.any(bad):
        return
    named = ", ".join(f"{value:g} eV" for value in energy[bad][:5])
    # A scan that was aborted leaves zeros; readers know nothing of other constants.
    remedies = {
        "an aborted scan? drop them with --partial": np.any(empty),
        "leave those energies out with --leave-out": np.any(constant),
    }
    raise InputError(
        f"{np.count_nonzero(bad)} of {len(energy)} frames are empty or constant "
        f"({named}{' …' if np.count_nonzero(bad) > 5 else ''})",
        ", or ".join(remedy for remedy, helps in remedies.items() if helps),
        source=source,
    )
