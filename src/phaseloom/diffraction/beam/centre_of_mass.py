"""Centre of mass of the direct beam in a window that follows it, for many patterns at once.

Also the beam's radius. What the beam's plane over the scan is fitted to in the end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Images = NDArray[np.float32]


def centre_of_mass(
    patterns: Images, start: ArrayLike, window: float, *, rounds: int = 10, settled: float = 0.1
) -> tuple[Array, Array]:
    """Iterated centre of mass in a round window that follows it.

    Parameters
    ----------
    patterns
        (n, ky, kx) without background; NaN does not count.
    start
        (n, 2) first position (row, column), px.
    window
        Diameter of the window, px.
    rounds, settled
        Rounds at most, and the step (px) under which a position has settled (Folastre et al.,
        Sci. Rep. 2024, s41598-024-63060-5: 10 rounds, 0.1 px).

    Returns
    -------
    centre : ndarray
        (n, 2); NaN where the window holds nothing, leaves the pattern or wanders off by more than
        its own diameter.
    mass : ndarray
        (n,), sum in the last window.
    """
    first = np.asarray(start, dtype=np.float64)
    centre, mass = first.copy(), np.zeros(len(first))
    moving = np.asarray(np.isfinite(centre).all(axis=1))
    for _ in range(rounds):
        index = np.flatnonzero(moving)
        if index.size == 0:
            break
        values, rows, columns, weight = window_values(patterns, index, centre[index], window / 2)
        weighed = values * weight
        total = weighed.sum(axis=(1, 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            new = np.stack(
                [(weighed * axis).sum(axis=(1, 2)) / total for axis in (rows, columns)], axis=1
            )
        lost = ~(total > 0) | (np.hypot(*(new - first[index]).T) > window)
        new[lost] = np.nan
        moving[index] = ~lost & (np.hypot(*(new - centre[index]).T) >= settled)
        centre[index], mass[index] = new, np.where(lost, 0, total)
    return centre, mass


def beam_radius(patterns: Images, centres: Array) -> float:
    """Radius at half maximum of the mean beam, px."""
    reach = min(max(patterns.shape[1:]) / 6, 96.0)
    every = np.arange(len(patterns))
    values, rows, columns, weight = window_values(patterns, every, centres, reach)
    away = np.hypot(rows - centres[:, 0, None, None], columns - centres[:, 1, None, None])
    bins = (2 * away).astype(np.intp).ravel()
    number = np.bincount(bins, weight.ravel())
    filled = number > 0
    profile, radii = (
        np.bincount(bins, (part * weight).ravel())[filled] / number[filled]
        for part in (values, away)
    )
    core = radii < 1.0
    if not core.any():
        return 1.0
    top = float(np.average(profile[core], weights=number[filled][core]))
    half = (top + float(profile.min())) / 2
    under = np.flatnonzero((profile < half) & (radii > 0.5))
    if under.size == 0 or under[0] == 0:
        return 1.0
    i = under[0]
    step = (profile[i - 1] - half) / max(profile[i - 1] - profile[i], 1e-12)
    return float(max(radii[i - 1] + step * (radii[i] - radii[i - 1]), 0.7))


def measured_centres(patterns: Images, predicted: Array, radius: float) -> tuple[Array, Array]:
    """Centres of mass near the predicted places (NaN where no beam stands out), and errors."""
    every = np.arange(len(patterns))
    reach = 1.8 * radius + 1.5
    values, rows, columns, weight = window_values(patterns, every, predicted, reach + 3)
    away = np.hypot(rows - predicted[:, 0, None, None], columns - predicted[:, 1, None, None])
    rim = weight * (away > reach)
    ground = (values * rim).sum(axis=(1, 2)) / np.maximum(rim.sum(axis=(1, 2)), 1e-9)
    count = _count_of_one(values, rim, ground)
    # small pieces, as far as a window may wander, are quicker than whole patterns
    values, rows, columns, weight = window_values(patterns, every, predicted, 3 * reach)
    pieces = np.where(weight > 0, values - ground[:, None, None], np.nan).astype(np.float32)
    corner = np.stack([rows[:, 0, 0], columns[:, 0, 0]], axis=1)
    centres, mass = centre_of_mass(pieces, predicted - corner, 2 * reach, settled=0.01)
    centres = centres + corner
    under = np.maximum(ground, 0) * np.pi * reach**2
    with np.errstate(invalid="ignore", divide="ignore"):
        centres[mass <= 4 * np.sqrt(count * (mass + under))] = np.nan
        # the beam's own counts spread by its width, those under it over the window
        errors = np.sqrt(count * (mass * radius**2 / 1.386 + under * reach**2 / 4)) / mass
    return centres, np.where(mass > 0, errors, np.nan)


def window_values(
    patterns: Images, index: NDArray[np.intp], centre: Array, radius: float
) -> tuple[Array, Array, Array, Array]:
    """Pixels about each centre: values (0 where unusable), rows, columns and weights.

    The weight falls from 1 to 0 over the pixel at the edge, so that it changes smoothly as the
    window moves.
    """
    half = int(np.ceil(radius + 1))
    step = np.arange(-half, half + 1)
    corner = np.rint(centre).astype(np.intp)
    shape = (len(corner), len(step), len(step))
    rows = np.broadcast_to(corner[:, 0, None, None] + step[:, None], shape).astype(np.float64)
    columns = np.broadcast_to(corner[:, 1, None, None] + step, shape).astype(np.float64)
    inside = (rows >= 0) & (rows < patterns.shape[1]) & (columns >= 0)
    inside &= columns < patterns.shape[2]
    values = patterns[
        index[:, None, None],
        np.where(inside, rows, 0).astype(np.intp),
        np.where(inside, columns, 0).astype(np.intp),
    ].astype(np.float64)
    away = np.hypot(rows - centre[:, 0, None, None], columns - centre[:, 1, None, None])
    usable = inside & np.isfinite(values)
    weight = np.where(usable, np.clip(radius + 0.5 - away, 0, 1), 0)
    return np.asarray(np.where(usable, values, 0)), rows, columns, np.asarray(weight)


def _count_of_one(values: Array, rim: Array, ground: Array) -> float:
    """Counts per electron: variance over mean about the beam, or the smallest value."""
    number = np.maximum(rim.sum(axis=(1, 2)), 1e-9)
    variance = ((values - ground[:, None, None]) ** 2 * rim).sum(axis=(1, 2)) / number
    lit = ground > 0
    if lit.any():
        # neighbouring spots only ever add
        return float(np.quantile(variance[lit] / ground[lit], 0.1))
    return float(values.min(where=values > 0, initial=np.inf)) if (values > 0).any() else 1.0
