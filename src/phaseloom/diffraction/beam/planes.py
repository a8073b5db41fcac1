"""The descan plane: robust fit of the beam's position as a linear function of the scan index.

Descan is linear in the scan coils' currents to first order, so where the direct beam falls on the
detector is a plane over the scan indices. Most of the positions it is fitted to may be wrong:
random samples find it, Tukey's biweight refines it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """Detector position (row, column) as a linear function of the scan index (y, x).

    Parameters
    ----------
    coefficients
        (3, 2): position at (0, 0), change per step of y, change per step of x; each (row, column)
        in px.
    """

    coefficients: Array

    def at(self, positions: Array) -> Array:
        """Positions (…, 2) on the detector for scan indices (…, 2)."""
        return np.asarray(positions @ self.coefficients[1:] + self.coefficients[0])


def fit_plane(positions: Array, values: Array, weights: Array) -> Plane:
    """Weighted least squares; what the positions do not determine is a slope of zero."""
    middle = positions.mean(axis=0)
    scale = max(float(np.abs(positions - middle).max()), 1.0)
    design = np.column_stack([np.ones(len(positions)), (positions - middle) / scale])
    root = np.sqrt(weights)[:, None]
    solution = np.linalg.lstsq(design * root, values * root, rcond=1e-8)[0]
    slopes = solution[1:] / scale
    return Plane(np.vstack([solution[0] - middle @ slopes, slopes]))


def refine_plane(positions: Array, values: Array, errors: Array, plane: Plane) -> Plane:
    """Tukey's biweight from a first plane, with decreasing width (Huber, Robust Statistics, 1981).

    Parameters
    ----------
    positions, values
        (n, 2) scan indices and detector positions, finite.
    errors
        (n,) standard errors of the values, px.
    plane
        To start from.
    """
    given = 1.0 / np.maximum(errors, 1e-3) ** 2
    for _ in range(20):
        away = np.hypot(*(values - plane.at(positions)).T) / np.maximum(errors, 1e-3)
        # a fifth of a Rayleigh variable lies under 0.668 sigma; four fifths may be wrong
        width = 4.685 * max(float(np.quantile(away, 0.2)) / 0.668, 1.0)
        weights = given * np.clip(1 - (away / width) ** 2, 0, None) ** 2
        if np.count_nonzero(weights) < min(3, len(positions)):
            break
        new = fit_plane(positions, values, weights)
        moved = np.abs(new.at(positions) - plane.at(positions)).max()
        plane = new
        if moved < 1e-4:
            break
    return plane


def scatter_about(positions: Array, values: Array, plane: Plane) -> float:
    """Robust standard deviation of one coordinate about the plane, px."""
    residual = values - plane.at(positions)
    return float(1.4826 * np.median(np.abs(residual))) if residual.size else float("nan")


def search_planes(
    positions: Array,
    candidates: Array,
    weights: Array,
    *,
    size: tuple[int, int],
    tolerance: float,
    number: int = 1,
    trials: int = 4000,
    seed: int = 0,
) -> tuple[list[Plane], Array]:
    """Planes that pass near a candidate of many patterns (RANSAC: Fischler & Bolles 1981).

    Parameters
    ----------
    positions
        (n, 2), scan indices.
    candidates
        (n, k, 2), positions on the detector in each pattern, NaN where there are fewer; likely
        ones first.
    weights
        (n, k), what a candidate on the plane is worth; all ones: planes are ranked by the share
        of patterns with a candidate on them.
    size
        Rows and columns of the detector; the plane has to stay on it.
    tolerance
        Distance, px, at which a candidate no longer counts.
    number
        How many distinct planes to return.
    trials
        Planes tried.
    seed
        Of the random choice.

    Returns
    -------
    planes
        At most ``number``, best first.
    scores : ndarray
        Mean worth per pattern.
    """
    rng = np.random.default_rng(seed)
    n, k, _ = candidates.shape
    present = np.isfinite(candidates[..., 0])
    chance = present / (1.0 + np.arange(k))
    able = np.flatnonzero(present.any(axis=1))
    if able.size == 0:
        return [], np.zeros(0)
    # level planes through every candidate, tilted ones through three candidates of three patterns
    level = candidates[present]
    trial = np.zeros((len(level), 3, 2))
    trial[:, 0] = level
    if able.size >= 3:
        which = able[rng.random((trials, able.size)).argpartition(2, axis=1)[:, :3]]
        steps = np.cumsum(chance[which], axis=2)
        draw = rng.random((trials, 3, 1)) * steps[..., -1:]
        pick = (draw > steps).sum(axis=2)
        three = np.take_along_axis(candidates[which], pick[..., None, None], axis=2)[:, :, 0]
        design = np.concatenate([np.ones((trials, 3, 1)), positions[which]], axis=2)
        sound = np.abs(np.linalg.det(design)) > 0.02 * max(np.ptp(positions, axis=0).prod(), 1)
        if min(np.ptp(positions, axis=0)) == 0:
            # a line scan: the slope across it is nothing
            trial = np.concatenate([trial, _line_trials(positions[which], three)])
        else:
            trial = np.concatenate([trial, np.linalg.solve(design[sound], three[sound])])
    score = np.concatenate(
        [
            _score(part, positions, candidates, weights, size, tolerance)
            for part in np.array_split(trial, max(1, len(trial) * n * k // 4_000_000))
        ]
    )
    planes: list[Plane] = []
    scores: list[float] = []
    for index in np.argsort(-score, kind="stable"):
        if score[index] <= 0 or len(planes) == number:
            break
        plane = Plane(trial[index])
        if all(_apart(plane, other, positions) > 2 * tolerance for other in planes):
            plane = _settle(plane, positions, candidates, weights, tolerance)
            planes.append(plane)
            worth = _score(
                plane.coefficients[None], positions, candidates, weights, size, tolerance
            )
            scores.append(float(worth[0]))
    order = np.argsort(-np.asarray(scores), kind="stable")
    return [planes[i] for i in order], np.asarray(scores)[order]


def _line_trials(positions: Array, three: Array) -> Array:
    """Planes along a line scan through the first two of three candidates."""
    step = positions[:, 1] - positions[:, 0]
    length = (step**2).sum(axis=1, keepdims=True)
    slope = (
        step[:, :, None] * (three[:, 1] - three[:, 0])[:, None] / np.maximum(length, 1)[..., None]
    )
    start = three[:, 0] - np.einsum("ti,tij->tj", positions[:, 0], slope)
    return np.concatenate([start[:, None], slope], axis=1)


def _score(
    trial: Array,
    positions: Array,
    candidates: Array,
    weights: Array,
    size: tuple[int, int],
    tolerance: float,
) -> Array:
    design = np.column_stack([np.ones(len(positions)), positions])
    predicted = np.einsum("ni,tij->tnj", design, trial)
    away = ((candidates - predicted[:, :, None]) ** 2).sum(axis=-1) / tolerance**2
    worth = np.nanmax(np.where(away < 1, weights * (1 - away), 0.0), axis=2)
    inside = ((predicted > -0.5) & (predicted < np.array(size) - 0.5)).all(axis=2)
    return np.asarray(np.where(inside, worth, 0.0).mean(axis=1))


def _apart(plane: Plane, other: Plane, positions: Array) -> float:
    """Distance of two planes over the scan, rms in px."""
    return float(np.sqrt(((plane.at(positions) - other.at(positions)) ** 2).sum(axis=1).mean()))


def _settle(
    plane: Plane, positions: Array, candidates: Array, weights: Array, tolerance: float
) -> Plane:
    """Least squares through the candidates nearest to the plane, a few times over."""
    for _ in range(5):
        away = ((candidates - plane.at(positions)[:, None]) ** 2).sum(axis=-1)
        nearest = np.where(np.isnan(away), np.inf, away).argmin(axis=1)
        rows = np.arange(len(positions))
        near = away[rows, nearest] < tolerance**2
        if near.sum() < 1:
            break
        plane = fit_plane(
            positions[near],
            candidates[rows, nearest][near],
            np.maximum(weights[rows, nearest][near], 1e-6),
        )
    return plane
