"""Readings that say nothing about the sample: found, counted, and made missing (NaN).

A detector or a scan that failed leaves numbers behind: fill values, the end of its scale, lines
that were never counted, columns that do not answer, counts that ran over. Each is recognised by
what no sample can do, and taken out reading by reading, so that a pixel keeps its good energies.

All functions work frame by frame and in place: what is held on top of the stack are a few frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.stxm.preparation.beam_steps import stepped_lines
from phaseloom.stxm.preparation.readings import median_3x3

Values = NDArray[np.float32]

_HUGE = 1e30
"""No reading is as large: netCDF fills with 9.97e36, EPICS with 1e36, C with 3.4e38."""
_FILLS = (-1.0, -2.0, -99.0, -999.0, -9999.0, -32768.0, -2147483648.0)
_CAMERA_SCALES = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 15, 16))
MOST_NEGATIVE = 0.05
"""Counts of which more than this part is negative are none."""
_SURELY_COUNTED = 50.0
"""Mean counts of a pixel beside which a reading of none is no reading: e⁻³·⁹ of the mean is denser
than what counts as saturated anyway."""
_LOST = 0.1
"""A line that counts less than this part of what its pixels count else was not illuminated."""
_NEXT_TO_NONE = 0.05
_DEAD = 0.05
"""A column that counts less than this part of the columns beside it does not answer."""


@dataclass
class Unusable:
    """What was found in a stack.

    Attributes
    ----------
    readings
        By kind ("saturated at 65535", "lost lines" …): readings, and frames that hold them.
    saturated
        (y, x) part of the frames in which a pixel is saturated; None where none is.
    clipped
        (energy, y, x) which readings are saturated; None where none is.
    level
        The end of the scale that they are at.
    """

    readings: dict[str, tuple[int, int]] = field(default_factory=dict)
    saturated: Values | None = None
    clipped: NDArray[np.bool_] | None = None
    level: float = float("nan")

    @property
    def total(self) -> int:
        """Readings left out, of all kinds."""
        return sum(n for n, _ in self.readings.values())

    def sentence(self, frames: int) -> str:
        """What was left out, in words with numbers; empty where nothing was."""
        return "; ".join(
            f"{kind} in {n} px of {within} of {frames} frames"
            for kind, (n, within) in self.readings.items()
        )

    @contextmanager
    def saturated_shown(self, values: Values) -> Iterator[None]:
        """Let saturated readings of (energy, y, x) stand at the end of the scale meanwhile.

        What they outline is the sample: its drift can be found by it.
        """
        if self.clipped is None:
            yield
            return
        values[self.clipped] = self.level
        try:
            yield
        finally:
            values[self.clipped] = np.nan

    def add(self, kind: str, found: NDArray[np.int64]) -> None:
        """Add a kind with its readings per frame (energy,)."""
        if found.any():
            n, within = self.readings.get(kind, (0, 0))
            self.readings[kind] = (
                n + int(found.sum()),
                max(within, int(np.count_nonzero(found))),
            )


def leave_out_unusable(
    values: Values, dtype: np.dtype[Any], *, quantity: str = "counts"
) -> Unusable:
    """Make unusable readings NaN, in place.

    Parameters
    ----------
    values
        (energy, y, x) as read.
    dtype
        Of the readings in the file: its ends are fill values and ends of scales.
    quantity
        What the numbers are. Of optical densities only what is no number at all is taken out, of a
        transmission also columns and rows that are zero throughout.

    Returns
    -------
    Unusable
        What was found.

    Notes
    -----
    In this order, each on what the former left:

    - NaN, infinite, beyond 1e30; the largest value of a 32-bit or longer integer; of counts also
      −1, −999 and the like, where all negative readings are that one number;
    - saturated: the highest reading is the end of the detector's scale, 2ⁿ − 1 or the type's
      largest, or more readings pile up on it than counting could;
    - wrapped: low islands in a 16-bit frame whose every shore is at the end of the scale;
    - dead: columns, rows and pixels without counts among such with, and readings that never change;
    - lost: no counts where a pixel has 50 else, lines below a tenth of what they have else, and
      lines that repeat the one before;
    - lines scanned under another beam than the others of their image.
    """
    found = Unusable()
    _leave_out(values, found, "NaN or infinite", lambda frame: ~np.isfinite(frame))
    _leave_out(values, found, "fill value beyond 1e30", lambda frame: np.abs(frame) >= _HUGE)
    if dtype.kind in "iu" and dtype.itemsize >= 4:
        end = np.float32(np.iinfo(dtype).max)
        _leave_out(values, found, f"fill value {np.iinfo(dtype).max}", lambda frame: frame >= end)
    if quantity != "counts":
        if quantity == "transmission":
            _never_lit(values, found)
        return found
    _fill_values(values, found)
    if negative_part(values) > MOST_NEGATIVE:
        return found
    if not _wrapped(values, dtype, found):
        _saturated(values, dtype, found)
    _dead_and_lost(values, found)
    return found


def negative_part(values: Values) -> float:
    """Part of the readings that are negative."""
    negative = sum(int(np.count_nonzero(frame < 0)) for frame in values)
    return negative / max(1, sum(int(np.count_nonzero(np.isfinite(f))) for f in values))


def _leave_out(
    values: Values, found: Unusable, kind: str, chosen: Callable[[Values], NDArray[np.bool_]]
) -> bool:
    """Make the readings that ``chosen`` (frame) → (y, x) picks NaN; whether there were any."""
    number = np.zeros(len(values), dtype=np.int64)
    for e, frame in enumerate(values):
        with np.errstate(invalid="ignore"):
            picked = chosen(frame)
        number[e] = np.count_nonzero(picked)
        if number[e]:
            frame[picked] = np.nan
    found.add(kind, number)
    return bool(number.any())


def _fill_values(values: Values, found: Unusable) -> None:
    """Negative readings that are all one of the numbers programs fill with."""
    lowest = np.fmin.reduce([np.fmin.reduce(f, axis=None) for f in values])
    if lowest not in _FILLS:
        return
    others = any(bool(np.any((f < 0) & (f != lowest))) for f in values)
    if not others:
        _leave_out(values, found, f"fill value {lowest:g}", lambda frame: frame == lowest)


def _saturated(values: Values, dtype: np.dtype[Any], found: Unusable) -> None:
    """Readings at the end of the detector's scale."""
    highest = float(np.fmax.reduce([np.fmax.reduce(f, axis=None) for f in values]))
    if not np.isfinite(highest) or highest <= 0:
        return
    step = max(1.0, 0.01 * highest)
    at_end = sum(int(np.count_nonzero(_clipped(f, highest))) for f in values)
    below = sum(int(np.count_nonzero((f < highest) & (f >= highest - step))) for f in values)
    ends = (*_CAMERA_SCALES, *((float(np.iinfo(dtype).max),) if dtype.kind in "iu" else ()))
    # On the slope below a true maximum a single level holds fewer than the levels next to it.
    expected = below / step
    enough = at_end >= 3 if highest in ends else at_end >= max(30, 1e-4 * values.size)
    if not enough or at_end < 10.0 * expected:
        return
    clipped = np.empty(values.shape, dtype=bool)
    for e, frame in enumerate(values):
        clipped[e] = _clipped(frame, highest)
        frame[clipped[e]] = np.nan
    found.clipped, found.level = clipped, highest
    found.saturated = clipped.mean(axis=0, dtype=np.float32)
    found.add(f"saturated at {highest:g}", clipped.sum(axis=(1, 2)))


def _clipped(frame: Values, highest: float) -> NDArray[np.bool_]:
    """Readings at the end of the scale among bright ones or beside others: else they are spikes."""
    at_end: NDArray[np.bool_] = np.asarray(frame == highest)
    if not at_end.any():
        return at_end
    around = ndimage.uniform_filter(at_end.astype(np.float32), 3, mode="constant")
    bright = median_3x3(np.nan_to_num(frame)) >= 0.7 * highest
    return np.asarray(at_end & (bright | (around > 2.5 / 9)))


def _wrapped(values: Values, dtype: np.dtype[Any], found: Unusable) -> bool:
    """Counts of 16 bits that ran over: low islands with the end of the scale all round."""
    highest = float(np.fmax.reduce([np.fmax.reduce(f, axis=None) for f in values]))
    signed = dtype == np.int16
    scale = 32768.0 if signed else 65536.0
    if not 0.9 * scale <= highest < scale:
        return False
    if signed:
        return _leave_out(values, found, "run over 32767", lambda frame: frame < -0.5 * scale)
    return _leave_out(values, found, "run over 65535", lambda frame: _low_islands(frame, scale))


def _low_islands(frame: Values, scale: float) -> NDArray[np.bool_]:
    """Parts of a frame below a quarter of the scale whose shore lies above nine tenths of it.

    Real edges are blurred: a pixel between both is beside them.
    """
    with np.errstate(invalid="ignore"):
        labels, n = ndimage.label(frame < 0.25 * scale)
    wrapped = np.zeros(frame.shape, dtype=bool)
    for label, box in enumerate(ndimage.find_objects(labels, n), start=1):
        wide = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
        island = labels[wide] == label
        shore = frame[wide][ndimage.binary_dilation(island) & ~island]
        shore = shore[np.isfinite(shore)]
        # a few bright pixels within a dark field are spikes, not a shore
        if shore.size >= np.sqrt(island.sum()) and np.median(shore) >= 0.9 * scale:
            wrapped[wide] |= island
    return wrapped


def _dead_and_lost(values: Values, found: Unusable) -> None:
    """Pixels that never answer, readings and lines that are missing in some frames."""
    mean, low, high, number = _levels(values)
    dead = np.isfinite(mean) & _silent(np.nan_to_num(mean))
    dead |= (low == high) & (mean >= 10.0) & (number >= 4)
    if dead.any() and np.count_nonzero(dead) < 0.5 * dead.size:
        kind = _shape_of(dead)
        _leave_out(values, found, f"dead {kind}", lambda frame: dead & np.isfinite(frame))
        mean[dead] = np.nan
    sure = np.isfinite(mean) & (mean >= _SURELY_COUNTED)
    if not sure.any():
        return
    counted = np.zeros(len(values), dtype=np.int64)
    expected = np.where(sure, mean, np.float32(0)).sum(axis=1)
    for e, frame in enumerate(values):
        if not np.any(frame > 0):
            continue  # a frame without counts: an aborted scan, which is another matter
        lost = ((frame == 0) & sure) | _repeated_lines(frame)[:, None]
        if _looks_lost(frame, sure, expected):
            lost |= _lost_lines(frame, mean, sure) & np.isfinite(frame)
        counted[e] = np.count_nonzero(lost)
        if counted[e]:
            frame[lost] = np.nan
    found.add("not counted (lost lines or readings)", counted)
    stepped = stepped_lines(values, np.where(sure, mean, np.float32(np.nan)))
    values[stepped] = np.nan
    found.add("lines under another beam", stepped.sum(axis=1) * values.shape[2])


def _levels(values: Values) -> tuple[Values, Values, Values, NDArray[np.int32]]:
    """Mean over energies of the readings that counted, lowest, highest, how many, (y, x) each."""
    total = np.zeros(values.shape[1:], dtype=np.float32)
    number = np.zeros(values.shape[1:], dtype=np.int32)
    low = np.full(values.shape[1:], np.inf, dtype=np.float32)
    high = np.full(values.shape[1:], -np.inf, dtype=np.float32)
    seen = np.zeros(values.shape[1:], dtype=bool)
    for frame in values:
        seen |= np.isfinite(frame)
        total += np.fmax(frame, np.float32(0))
        number += frame > 0
        np.fmin(low, frame, out=low)
        np.fmax(high, frame, out=high)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(number > 0, total / number, np.where(seen, 0.0, np.nan))
    return mean.astype(np.float32), low, high, number


def _blank_lines(zero: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels (y, x) of columns and rows that are nothing but zero."""
    columns, rows = (np.all(zero, axis=axis, keepdims=True) for axis in (0, 1))
    return np.asarray(columns | rows)


def _never_lit(values: Values, found: Unusable) -> None:
    """Columns and rows that are zero at all energies, of a transmission; others stay."""
    zero = np.ones(values.shape[1:], dtype=bool)
    for frame in values:
        zero &= frame == 0
    blank = _blank_lines(zero)
    if blank.any() and not blank.all():
        _leave_out(values, found, f"dead {_shape_of(blank)}", lambda frame: blank & (frame == 0))


def _silent(mean: Values) -> NDArray[np.bool_]:
    """Columns and rows far below those beside them, and single pixels without any counts."""
    silent: NDArray[np.bool_] = np.equal(mean, 0)
    blank = _blank_lines(silent)
    if silent.any():
        silent &= ndimage.median_filter(mean, 5, mode="nearest") >= _SURELY_COUNTED
    if not blank.all() and np.median(mean[~blank]) >= _SURELY_COUNTED:
        silent |= blank
    for axis in (0, 1):
        line = np.median(mean, axis=axis)
        beside = ndimage.median_filter(line, min(9, line.size), mode="nearest")
        bad = (line < _DEAD * beside) & (beside >= _SURELY_COUNTED)
        silent |= np.expand_dims(bad, axis)
    return np.asarray(silent)


def _shape_of(dead: NDArray[np.bool_]) -> str:
    columns = int(np.count_nonzero(dead.mean(axis=0) > 0.9))
    rows = int(np.count_nonzero(dead.mean(axis=1) > 0.9))
    named = [f"{n} {what}{'s' * (n > 1)}" for n, what in ((columns, "column"), (rows, "row")) if n]
    return f"({' and '.join(named)})" if named else "pixels"


def _repeated_lines(frame: Values) -> NDArray[np.bool_]:
    """Rows (y,) equal to the one before, reading by reading: no noise repeats itself."""
    repeated = np.zeros(frame.shape[0], dtype=bool)
    same = (frame[1:, :8] == frame[:-1, :8]).all(axis=1)
    for y in np.flatnonzero(same):
        there = np.isfinite(frame[y + 1])
        repeated[y + 1] = np.array_equal(frame[y + 1], frame[y]) and np.ptp(frame[y][there]) > 0
    return repeated


def _looks_lost(frame: Values, sure: NDArray[np.bool_], expected: Values) -> bool:
    """Whether sums over rows leave it open that lines are lost: medians would take long."""
    sums = np.where(sure & np.isfinite(frame), frame, np.float32(0)).sum(axis=1)
    ratio = sums[expected > 0] / expected[expected > 0]
    return bool((ratio < 0.5 * np.quantile(ratio, 0.75)).any() or np.median(ratio) < 0.5)


def _lost_lines(frame: Values, mean: Values, sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels (y, x) in rows that count far less in this frame than else, and than other rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(sure & np.isfinite(frame), frame / mean, np.nan)
    known = np.isfinite(ratio).sum(axis=1) >= max(3, 0.2 * frame.shape[1])
    lost = np.zeros(frame.shape[0], dtype=bool)
    if known.any():
        level = np.nanmedian(ratio[known], axis=1)
        lost[known] = level < _LOST * max(float(np.quantile(level, 0.75)), 0.3)
    return np.broadcast_to(lost[:, None], frame.shape)


def unusable_frames(values: Values) -> NDArray[np.bool_]:
    """Which frames (energy,) hold next to no reading: fewer than a twentieth of their pixels."""
    return np.array([np.isfinite(frame).mean() < _NEXT_TO_NONE for frame in values])
