"""Calibration on single spots: each given to a ring of the known crystal; likelihood and fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.calibration.geometry import (
    Geometry,
    fit_geometry,
    flat_length,
    stretch,
)

Array = NDArray[np.float64]

_DEPTH = 4e-4
_DEPTH_ERROR = 2.5e-4
"""Å⁻²: mean square of the part of k along the beam that is expected of spots, of which weak ones
off the Ewald sphere count as much as strong ones; and its standard deviation."""

_CLEAR = 2.5
"""Px: a ring with a neighbour nearer than twice that is not fitted, for its spots may be the
neighbour's."""

_FEWEST = 8
"""Spots of clear rings that a fit needs."""

_MOVED = 0.03
"""Rings of decoys are moved by up to this part of k at least, however near the next is."""

_DECOYS = 8
"""Crystals that cannot be right, to compare with."""


def likelihood(radius: Array, tolerance: Array, rings: Array, shares: Array) -> float:
    """Mean log likelihood of the radii; ``shares`` are the spots expected of every ring."""
    return float(np.log(_density(radius, tolerance, rings, shares)).mean())


def _density(radius: Array, tolerance: Array, rings: Array, shares: Array) -> Array:
    reach = float(radius.max())
    near = rings < reach + 3 * float(tolerance.max())
    rings, shares = rings[near], shares[near]
    away = (radius[:, None] - rings) / tolerance[:, None]
    on = (np.exp(-(away**2) / 2) @ shares) / (np.sqrt(2 * np.pi) * tolerance)
    return np.asarray(0.1 / reach + 0.9 * on / max(float(shares.sum()), 1e-300))


def fit_spots(points: Array, errors: Array, k: Array, scale: float) -> Geometry:
    """Give rings to spots and fit, with less and less tolerance.

    Only spots of clear rings are fitted (of all, where too few are clear): where rings are closer
    than spots are sure to be on theirs, the nearest ring fits whatever the pixel size.
    """
    parameters = np.array([0.0, 0.0, -np.log(scale), 0.0, 0.0])
    middle = (k[1:] + k[:-1]) / 2
    gap = np.minimum(np.diff(k, prepend=-np.inf), np.diff(k, append=np.inf))
    fit: Geometry | None = None
    for share in (0.6, 1.0, 1.0, 1.0):
        offset = (points - parameters[:2]) @ stretch(parameters[3], parameters[4])
        radius = np.hypot(*offset.T)
        ring = np.searchsorted(middle, radius * np.exp(parameters[2]))
        clear = gap[ring] * np.exp(-parameters[2]) > 2 * _CLEAR
        if clear.sum() < _FEWEST:
            clear[:] = True
        # inner spots first: their rings are far apart
        near = clear & (radius <= np.quantile(radius[clear], share))
        if near.sum() < _FEWEST:
            near = clear
        fit = fit_geometry(points[near], k[ring[near]], errors[near], parameters)
        parameters = fit.parameters
    assert fit is not None
    return fit


_BESIDE = 4
"""Rings on either side of a spot that may be its own."""

_ALIEN = 0.1
"""Part of the spots that is expected to be of something else."""


def refine(points: Array, k: Array, shares: Array, start: Geometry) -> tuple[Geometry, float]:
    """Geometry of greatest likelihood, no spot being given to a ring: all near ones may be its own.

    Where rings are closer than spots are sharp, those spots say nothing of the pixel size, as it
    must be. Errors are those of the sandwich over spots, which holds though the model is no truth.

    Returns
    -------
    geometry : Geometry
        ``residual`` is the distance from the likeliest ring, ``kept`` whether that is likelier
        than something else.
    scatter : float
        Standard deviation of the spots about their rings, px.
    """
    from scipy.optimize import minimize

    reach = float(np.hypot(*points.T).max())
    first = start.parameters.copy()
    step = np.array([0.1, 0.1, 1e-3, 1e-3, 1e-3, _DEPTH_ERROR, 0.2])

    def logs(u: Array) -> Array:
        return _mixture(first_and(u), points, k, shares, reach)[0]

    def first_and(u: Array) -> Array:
        values = np.append(first, np.log(0.4)) + step * u
        values[6] = np.clip(values[6], np.log(0.05), np.log(3.0))
        return values

    def cost(u: Array) -> float:
        p = first_and(u)
        held = 0.5 * ((p[5] - _DEPTH) / _DEPTH_ERROR) ** 2 + 0.5 * float(p[:2] @ p[:2]) / 4.0
        return float(held - logs(u).sum())

    scan = np.zeros((81, 7))
    scan[:, 2] = np.linspace(-20, 20, 81)
    best = scan[int(np.argmin([cost(u) for u in scan]))]
    u = np.asarray(minimize(cost, best, method="BFGS", options={"maxiter": 25}).x)
    h = 0.05
    eye = np.eye(7) * h
    scores = np.stack([(logs(u + e) - logs(u - e)) / (2 * h) for e in eye], axis=1)
    information = scores.T @ scores
    information[5, 5] += 1.0
    covariance = np.linalg.pinv(information)[:6, :6] * np.outer(step[:6], step[:6])
    values = first_and(u)
    _, away, own = _mixture(values, points, k, shares, reach)
    return Geometry(values[:6], np.asarray(covariance, dtype=float), away, own), float(
        np.exp(values[6])
    )


def _mixture(
    values: Array, points: Array, k: Array, shares: Array, reach: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Ln density of every radius, distance from its likeliest ring, and whether it is of one."""
    scatter = float(np.exp(values[6]))
    radius = np.hypot(*((points - values[:2]) @ stretch(values[3], values[4])).T)
    rings = flat_length(k, float(values[5])) * np.exp(-values[2])
    total = max(float(shares[rings < reach + 3 * scatter].sum()), 1e-12)
    after = np.asarray(np.searchsorted(rings, radius))
    at = after[:, None] + np.arange(-_BESIDE, _BESIDE)
    exists = (at >= 0) & (at < len(rings))
    at = np.clip(at, 0, len(rings) - 1)
    away = radius[:, None] - rings[at]
    on = shares[at] / total * np.exp(-0.5 * (away / scatter) ** 2) / scatter
    on = np.where(exists, on, 0.0) * (1 - _ALIEN) / np.sqrt(2 * np.pi)
    likeliest = on.argmax(axis=1)[:, None]
    alien = _ALIEN / reach
    own = on.sum(axis=1) > alien
    return np.log(alien + on.sum(axis=1)), np.take_along_axis(away, likeliest, 1)[:, 0], own


def likelihood_of_fit(
    fit: Geometry, scatter: float, points: Array, k: Array, shares: Array
) -> float:
    """Mean log likelihood of all spots after the fit, with the scatter it left."""
    reach = float(np.hypot(*points.T).max())
    values = np.append(fit.parameters, np.log(scatter))
    return float(_mixture(values, points, k, shares, reach)[0].mean())


def excess(k: Array, achieved: float, search: Callable[[Array], float]) -> float:
    """Goodness of fit: by how many of their standard deviations a crystal beats decoys.

    Decoys have the same rings at other places: each is moved by up to its distance to the next,
    so that they are as dense. ``search`` gives the best mean ln likelihood of rings, as it was
    ``achieved`` by the crystal.
    """
    rng = np.random.default_rng(0)
    gap = np.minimum(np.diff(k, prepend=0.0), np.diff(k, append=1.1 * k[-1]))
    gap = np.maximum(gap, _MOVED * k)
    chance = [search(np.sort(k + gap * rng.uniform(-0.9, 0.9, len(k)))) for _ in range(_DECOYS)]
    return float((achieved - np.mean(chance)) / max(float(np.std(chance, ddof=1)), 1e-3))


def closeness(fit: Geometry) -> float:
    """Robust distance of the fitted spots from their rings, px."""
    return float(1.4826 * np.median(np.abs(fit.residual)))
