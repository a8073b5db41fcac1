"""The peak finder: position and intensity of every spot of every pattern, with standard errors.

``find_peaks(patterns, finder, correction, beam)`` is one compiled pass per pattern
(:mod:`phaseloom.diffraction.spots.kernel` says how); the finder holds what is known beforehand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.diffraction.detector.correction import Correction
from phaseloom.diffraction.detector.shapes import check_shapes
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.errors import InputError

_CANDIDATE_LEVEL = 0.85
"""Candidates may be this much weaker than spots: their middle lies between pixels."""

_WRONG = 0.1
"""Part of a spot that its template may leave and that is taken for no other spot."""

_AT_ONCE = 16
"""Patterns handed to the compiled pass in one call."""

_CAPACITY = 4096
"""Candidates a pattern may have."""

_CELL = 4
"""Side of the cells the background is estimated on, in px; of larger bins half as many."""

_KNOWN_TO = 400.0
"""Counts the background is smoothed over: known to 5 %."""


@dataclass(frozen=True, kw_only=True)
class Finder:
    """Settings of the search, known before the first pattern is looked at.

    Parameters
    ----------
    shape
        Template of the spots.
    gain, floor
        Variance of a pixel is ``gain · counts + floor``; 1 and 0 for counted electrons.
    false_alarms
        Expected false peaks per pattern.
    background
        Typical background, in counts per px: few counts need a wider mean.
    guard
        Round the direct beam, in px, no other peak is looked for; its bright field is the sum
        of the counts in there.
    max_peaks
        Of a pattern, the strongest.
    """

    shape: SpotShape
    gain: float = 1.0
    floor: float = 0.0
    false_alarms: float = 0.01
    background: float = 1.0
    guard: float = math.nan
    max_peaks: int = 500

    def __post_init__(self) -> None:
        if not (self.gain > 0 and self.floor >= 0 and math.isfinite(self.gain + self.floor)):
            raise InputError(
                f"a variance of {self.gain:g} · counts + {self.floor:g} cannot be",
                "give a positive gain and a floor of 0 or more",
            )

    def level(self, area: int) -> float:
        """Least score of a peak on so many px with many counts; it is more where there are few."""
        return _thresholds(self.shape, self.false_alarms, area)[0]

    @property
    def guard_radius(self) -> float:
        """The guard, three sigma (or the disk) by default, in px."""
        return self.guard if math.isfinite(self.guard) else 1.2 * self.shape.half


class Found(NamedTuple):
    """Peaks of a number of patterns.

    Parameters
    ----------
    columns
        One row per peak: ``row``, ``column`` (px), ``intensity`` (counts), ``row_error``,
        ``column_error``, ``intensity_error``, ``prominence`` and ``background`` (counts per px),
        ``score`` (signal-to-noise ratio); float64, patterns one after the other.
    number
        (n,) peaks of each pattern; −1 where it has no usable pixels to speak of.
    maps
        (n,) each: ``beam_row``, ``beam_column``, ``beam_error`` (px, NaN where the beam was not
        found), ``bright_field`` (counts within the guard), ``noise`` (standard deviation outside
        the inscribed circle), ``prominence`` (height of the faintest spot that counts).
    """

    columns: dict[str, NDArray[np.float64]]
    number: NDArray[np.int64]
    maps: dict[str, NDArray[np.float64]]


_COLUMNS = (
    "row", "column", "intensity", "row_error", "column_error", "intensity_error", "score",
    "background", "prominence",
)  # fmt: skip
_MAPS = ("beam_row", "beam_column", "beam_error", "bright_field", "noise", "prominence")


def find_peaks(
    patterns: ArrayLike, finder: Finder, correction: Correction, beam: ArrayLike
) -> Found:
    """Find and fit the spots of some patterns.

    Parameters
    ----------
    patterns
        (n, ky, kx) as recorded, of any integer or float type; NaN is a missing pixel.
    finder
        See :class:`Finder`.
    correction
        Dark, gain, mask and saturation of the detector.
    beam
        (n, 2), where the direct beam should be (row, column), in px.

    Raises
    ------
    InputError
        Shapes do not fit each other, or the patterns are too small for these spots.

    Notes
    -----
    Errors are those of the Cramér–Rao bound for Poisson counts with the background known,
    larger where the model misfits. A peak on the edge of the detector is fitted to what of it is
    inside.
    """
    from phaseloom.diffraction.spots.joint_fit import COLUMNS
    from phaseloom.diffraction.spots.kernel import register_block

    raw = np.asarray(patterns)
    expected = np.asarray(beam, dtype=np.float64)
    check_shapes(raw, expected, mask=correction.mask)
    room = _Room(raw.shape[1:], finder, correction)
    number = np.zeros(len(raw), np.int64)
    maps = np.full((len(raw), len(_MAPS)), np.nan)
    lowest = correction.lowest
    check = raw.dtype.kind == "f" or math.isfinite(correction.saturation) or lowest is not None
    # In one type for the compiled pass, few at a time so that they stay in the cache.
    few = np.empty((min(_AT_ONCE, len(raw)), *raw.shape[1:]), np.float32)
    out = np.empty((len(few) * finder.max_peaks, COLUMNS))
    tables = [out[:0].copy()]
    for first in range(0, len(raw), _AT_ONCE):
        some = slice(first, min(first + _AT_ONCE, len(raw)))
        np.copyto(few[: some.stop - first], raw[some], casting="unsafe")
        if lowest is not None:
            few[: some.stop - first][few[: some.stop - first] < lowest] = np.nan
        filled = register_block(
            few[: some.stop - first], check, expected[some], room.images, room.settings,
            room.search, room.cells, room.halo, room.work, out, number[some], maps[some],
            finder.max_peaks,
        )  # fmt: skip
        tables.append(out[:filled].copy())
    found = np.concatenate(tables)
    columns = dict(zip(_COLUMNS, found[:, : len(_COLUMNS)].T.copy(), strict=True))
    for name in ("intensity", "intensity_error"):
        columns[name] *= room.volume
    return Found(columns, number, dict(zip(_MAPS, maps.T, strict=True)))


def with_beam(
    found: Found,
    predicted: NDArray[np.float64],
    centres: NDArray[np.float64],
    errors: NDArray[np.float64],
    *,
    guard: float,
) -> Found:
    """Move the direct beam, map and peak, to where it was measured by other means.

    Parameters
    ----------
    found
        Changed in place: the maps of the beam, and the peaks within ``guard`` of where it should
        be (there is no other than the beam), which get its place.
    predicted
        (n, 2), where the beam should be (row, column), in px.
    centres, errors
        (n, 2) and (n,), where it is and the standard error, in px; NaN where not measured.
    guard
        Of the finder, in px.
    """
    measured = (found.number >= 0) & np.isfinite(centres).all(axis=1) & np.isfinite(errors)
    found.maps["beam_row"][:], found.maps["beam_column"][:] = np.where(
        measured[:, None], centres, np.nan
    ).T
    found.maps["beam_error"][:] = np.where(measured, errors, np.nan)
    pattern = np.repeat(np.arange(len(centres)), np.maximum(found.number, 0))
    row, column = found.columns["row"], found.columns["column"]
    away = np.hypot(row - predicted[pattern, 0], column - predicted[pattern, 1])
    beam = measured[pattern] & (away < guard)
    row[beam], column[beam] = centres[pattern[beam]].T
    for name in ("row_error", "column_error"):
        found.columns[name][beam] = errors[pattern[beam]]
    return found


def warm_up() -> None:
    """Compile the kernel, which takes half a minute once after installing, or load it."""
    side = 64
    finder = Finder(shape=SpotShape())
    correction = Correction(np.ones((side, side), dtype=bool))
    find_peaks(np.zeros((1, side, side)), finder, correction, [[side / 2, side / 2]])


class _Room:
    """Arrays the kernel works in, and the constants of a scan, laid out for it."""

    def __init__(self, shape: tuple[int, ...], finder: Finder, correction: Correction) -> None:
        from phaseloom.diffraction.spots.fitting import BEYOND, LANES
        from phaseloom.diffraction.spots.halo import SECTORS

        height, width = shape
        if min(height, width) < max(16, 4 * finder.shape.half):
            raise InputError(
                f"patterns of {height} × {width} px are too small for spots that reach "
                f"{finder.shape.half} px from their middle",
                "give the spots' sigma or radius if it was taken wrong",
            )
        side = finder.shape.bin_side
        spot = finder.shape.binned(side)
        rows, columns = height // side, width // side
        stride = width + 8
        frame = (height, width, stride, 0)
        full = _zeros(height * stride + 64)
        y, x = np.divmod(np.flatnonzero(~correction.mask.ravel()), width)
        masked = y * stride + x
        tiles = correction.mask[: rows * side, : columns * side]
        usable = np.asarray(tiles.reshape(rows, side, columns, side).all((1, 3)))

        blocks = -(-(2 * spot.half + 1) // LANES)
        margin = LANES * blocks
        wide = -(-(columns + margin + 8) // 8) * 8
        start = margin * wide + margin
        size = (rows + 2 * margin) * wide + 4 * margin
        self.images = (
            full, frame, np.zeros(height * width + 8, np.int64),
            np.full(size, BEYOND, np.float32), (rows, columns, wide, start), _zeros(size),
            np.zeros(rows * columns + 8, np.int64), _zeros(rows * columns + 8),
            int(np.count_nonzero(~usable)), side,
        )  # fmt: skip

        sigma = spot.filter_sigma
        taps = _taps(sigma)
        r = taps.size - 1
        tight = columns + r
        padded = (rows + 2 * r) * tight + 2 * r + 64
        images = (
            _zeros(padded), _zeros(padded), _zeros(padded), _zeros(rows * tight + 2 * r + 64),
            _zeros(rows * tight + 64), _zeros(rows * tight + 64),
        )  # fmt: skip
        both = np.concatenate([taps[:0:-1], taps]).astype(np.float64)
        squares = float((both**2).sum() ** 2)
        axis = np.abs(np.arange(1 - taps.size, taps.size))
        seen = spot.profile(np.hypot(axis[:, None], axis))
        response = float((seen * both[:, None] * both).sum())
        grid = (rows, columns, tight, r * tight)
        self.search = (grid, taps, response, images, np.zeros((_CAPACITY, 3)))

        counts = max(finder.background * side**2 / finder.gain, 1e-4)
        smoothing = max(math.sqrt(_KNOWN_TO / (4 * math.pi * counts)), 3.3 * sigma)
        cell = _CELL if side == 1 else _CELL // 2
        cell_taps = _taps(min(smoothing, 10 * sigma) / cell)
        ny, nx = rows // cell, columns // cell
        rc = cell_taps.size - 1
        flat = (ny + 2 * rc) * (nx + rc) + 2 * rc + 64
        inside = usable[: ny * cell, : nx * cell].reshape(ny, cell, nx, cell)
        profiles = np.zeros((4, 2 * math.ceil(math.hypot(ny, nx)) + 8), np.float32)
        self.cells = (
            inside.sum((1, 3)).astype(np.float32), cell_taps,
            *(np.zeros((ny, nx), np.float32) for _ in range(7)), np.zeros((ny, nx), np.int64),
            np.zeros((ny, columns), np.float32), _zeros(width + 16), profiles,
            (*(_zeros(flat) for _ in range(5)), np.zeros((ny, nx), np.float32)),
            (_middles(cell_taps, ny), _middles(cell_taps, nx)), cell,
            4 * math.pi * (min(smoothing, 10 * sigma) / cell) ** 2,
            np.zeros((ny, nx), np.float32),
        )  # fmt: skip

        reach = 2 * math.ceil(math.hypot(rows, columns)) + 8
        self.halo = (
            np.zeros((rows, columns), np.int32), *(_zeros(SECTORS * reach) for _ in range(2)),
            *(_zeros(reach) for _ in range(6)),
            np.zeros((ny, nx), np.float32),
        )  # fmt: skip

        template = spot.template()
        level, scores = _thresholds(spot, finder.false_alarms, max(1, int(usable.sum())))
        windows = (_CAPACITY, 2 * spot.half + 1, margin)
        line = max(columns, rows, 2 * margin)
        self.work = (
            np.empty(windows, np.float32), np.empty(windows, np.float32), _zeros(line),
            _zeros(line), np.zeros(9), np.zeros(6),
        )  # fmt: skip
        table, per_square = spot.table()
        empty = np.zeros((0, 0), np.float32)
        self.settings = (
            (spot.half, blocks, float(sigma), table, np.float32(per_square)),
            (np.float32(finder.gain), np.float32(finder.floor * side**2)),
            (np.float32((_CANDIDATE_LEVEL * level) ** 2 * squares), np.float32(_WRONG), scores),
            empty if correction.dark is None else _image(correction.dark),
            empty if correction.gain is None else _image(correction.gain),
            np.float32(correction.saturation), masked, float(finder.guard_radius),
            _outside(height, width), float((template**2).sum()),
            spot.volume / finder.shape.volume,
        )  # fmt: skip
        self.volume = spot.volume


@lru_cache(maxsize=64)
def _thresholds(
    shape: SpotShape, false_alarms: float, area: int
) -> tuple[float, tuple[NDArray[np.float64], float, float]]:
    """Level of a Gaussian field of scores, and the table of least scores against background."""
    from phaseloom.diffraction.spots.false_alarms import (
        LOWEST,
        PER_DECADE,
        gaussian_level,
        least_scores,
    )

    template = shape.template()
    level = gaussian_level(template, max(area, 1), false_alarms)
    return level, (least_scores(template, level), LOWEST, float(PER_DECADE))


def _outside(height: int, width: int) -> NDArray[np.int64]:
    """(rows, 2): columns where the inscribed circle begins and ends; equal where there is none."""
    radius = min(height, width) / 2
    y = np.arange(height) - (height - 1) / 2
    half = np.sqrt(np.maximum(radius**2 - y**2, 0))
    middle = (width - 1) / 2
    ends = np.stack([np.ceil(middle - half), np.floor(middle + half) + 1], axis=1)
    return np.asarray(np.clip(ends, 0, width), dtype=np.int64)


def _taps(sigma: float) -> NDArray[np.float32]:
    """Half of a normalised Gaussian filter of three sigma, its length a multiple of four and 1."""
    offsets = np.arange(4 * math.ceil(3 * sigma / 4) + 1)
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    return np.asarray(taps / (taps[0] + 2 * taps[1:].sum()), dtype=np.float32)


def _middles(taps: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Mean place of the neighbours, weighted with the taps, of each of n cells in a line."""
    place = np.arange(n, dtype=np.float64)
    apart = np.abs(place[:, None] - place)
    weight = np.where(apart < taps.size, taps[np.minimum(apart, taps.size - 1).astype(int)], 0.0)
    return np.asarray(weight @ place / weight.sum(1), dtype=np.float32)


def _zeros(size: int) -> NDArray[np.float32]:
    return np.zeros(size, np.float32)


def _image(values: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)
