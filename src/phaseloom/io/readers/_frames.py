"""Unmeasured frames and lines of aborted scans: detection, removal, warnings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning

_NAMED_AT_MOST = 6


def arrange(frames: NDArray[Any], order: Sequence[int] | NDArray[np.intp]) -> NDArray[Any]:
    """Put ``frames[order[i]]`` at ``i``, in place (one spare frame), and return that part.

    Frames that `order` does not name are lost.

    >>> arrange(np.array([[0], [1], [2]]), [2, 0]).ravel()
    array([2, 0])
    """
    kept = [int(i) for i in order]
    full = kept + sorted(set(range(len(frames))) - set(kept))
    done = np.zeros(len(full), bool)
    for start in range(len(full)):
        if done[start] or full[start] == start:
            continue
        spare = frames[start].copy()
        place = start
        while full[place] != start:
            frames[place] = frames[full[place]]
            done[place] = True
            place = full[place]
        frames[place] = spare
        done[place] = True
    return frames[: len(kept)]


def line_states(frames: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Which scan lines hold no counts, which hold nothing at all, how many odd pixels are left.

    Parameters
    ----------
    frames
        (frame, ..., pixel); a line is one row of pixels.

    Returns
    -------
    zero, absent
        (frame, line): every pixel is zero; every pixel is NaN or infinite.
    n_missing
        Number of NaN or infinite pixels outside absent lines.
    """
    lines = frames.reshape(len(frames), -1, frames.shape[-1]) if frames.ndim != 3 else frames
    zero = np.empty(lines.shape[:2], bool)
    absent = np.zeros(lines.shape[:2], bool)
    n_missing = 0
    for i, frame in enumerate(lines):
        zero[i] = ~frame.any(axis=-1)  # NaN counts as true here
        if frames.dtype.kind == "f":
            bad = ~np.isfinite(frame)
            absent[i] = bad.all(axis=-1)
            n_missing += int(bad[~absent[i]].sum())
    return zero, absent, n_missing


def unmeasured(
    zero: NDArray[np.bool_], absent: NDArray[np.bool_], *, missing: NDArray[np.bool_] | np.bool_
) -> NDArray[np.bool_]:
    """Which frames of a stack were not measured, or not to their end.

    A frame without any counts; one with a line that is all NaN, if other frames have that line;
    one the file does not hold; and
    the last measured one when it has lines without counts where every other frame has counts.
    """
    dead = absent.all(axis=0)
    bad = np.asarray((zero | absent).all(axis=1) | (absent & ~dead).any(axis=1))
    bad[:] |= missing
    good = np.flatnonzero(~bad)
    if good.size > 1:
        bad[good[-1]] = bool((zero[good[-1]] & ~zero[good[:-1]].any(axis=0)).any())
    return bad


def drop_or_raise(
    energy: NDArray[np.float64], bad: NDArray[np.bool_], *, partial: bool, source: Path
) -> NDArray[np.intp]:
    """Order in which the measured frames are kept: ascending in energy, repeats as recorded.

    Raises
    ------
    InputError
        No frame was measured; or some were not and `partial` is false; or an energy is not a
        positive number.
    """
    if bad.all():
        raise InputError(
            "not one frame holds counts", "choose another detector or file", source=source
        )
    if bad.any():
        named = [f"{e:.10g}" for e in energy[bad][:_NAMED_AT_MOST]]
        if bad.sum() > _NAMED_AT_MOST:
            named.append("…")
        fault = (
            f"{bad.sum()} of {bad.size} frames were not measured completely "
            f"(zeros or NaN; at {', '.join(named)} eV)"
        )
        _leave_out(fault, "drop them", "they are dropped", partial=partial, source=source)
    kept = np.flatnonzero(~bad)
    require_positive(energy[kept], source=source)
    return kept[np.argsort(energy[kept], kind="stable")]


def _leave_out(fault: str, what: str, done: str, *, partial: bool, source: Path) -> None:
    """Refuse an aborted scan, or say that what is missing is left out where that is asked for."""
    if not partial:
        raise InputError(
            fault, f"the scan was aborted; {what} with --partial (partial=True)", source=source
        )
    warnings.warn(f"{source}: {fault}; {done}", InputWarning, stacklevel=5)


def require_positive(energy: NDArray[np.float64], *, source: Path) -> None:
    """Raise an InputError unless every photon energy is a positive number."""
    if not (np.isfinite(energy) & (energy > 0)).all():
        raise InputError("the photon energies hold NaN, zero or negative values", source=source)


def measured_lines(empty: NDArray[np.bool_], *, partial: bool, source: Path) -> slice:
    """Part of a single image that was measured: all of it, or what an aborted scan left.

    Parameters
    ----------
    empty
        (line,): the line holds no counts.

    Raises
    ------
    InputError
        No line holds counts; or those at an edge do not and `partial` is false.
    """
    full = np.flatnonzero(~empty)
    if not full.size:
        raise InputError(
            "the image holds no counts", "choose another detector or file", source=source
        )
    part = slice(int(full[0]), int(full[-1]) + 1)
    missing = empty.size - (part.stop - part.start)
    if missing:
        fault = f"{missing} of {empty.size} lines of the image hold no counts"
        _leave_out(fault, "cut them off", "they are cut off", partial=partial, source=source)
    return part


def warn_of_missing(n_missing: int, *, source: Path) -> None:
    """Say how many single pixels are NaN or infinite."""
    if n_missing:
        warnings.warn(
            f"{source}: {n_missing} pixels are NaN or infinite", InputWarning, stacklevel=4
        )
