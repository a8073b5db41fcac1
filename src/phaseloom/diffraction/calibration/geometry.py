"""Least-squares fit of centre, ellipse and pixel size to points whose 1/d is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def stretch(a: float, b: float) -> Array:
    """Symmetric 2×2 matrix of unit determinant: exp of [[a, b], [b, −a]].

    It removes an ellipticity of axis ratio exp(2·√(a² + b²)).
    """
    size = float(np.hypot(a, b))
    factor = np.sinh(size) / size if size > 1e-12 else 1.0
    return np.asarray(np.cosh(size) * np.eye(2) + factor * np.array([[a, b], [b, -a]]))


_DEPTH = 1.5e-4
_DEPTH_ERROR = 1.5e-4
"""Å⁻²: what is expected of c beforehand (crystals of about 100 Å), and its standard deviation."""


def flat_length(k: Array, depth: float) -> Array:
    """Length in the plane of the pattern of reflections at k whose depth is √``depth``."""
    return np.asarray(np.sqrt(np.maximum(k**2 - depth, 0.25 * k**2)))


@dataclass(frozen=True, eq=False)
class Geometry:
    """Fit of |D (p − centre)| = √(k² − c) / pixel_size.

    A reflection that is seen off the Ewald sphere's cut through its rod lies nearer to the beam
    than k: c is the mean square of the part of k along the beam.

    Parameters
    ----------
    parameters
        (6,): centre row, centre column, ln pixel_size, a, b of :func:`stretch`, c in Å⁻².
    covariance
        (6, 6).
    residual
        (n,) distance of each point from its circle, px.
    kept
        (n,) bool: points within four robust standard deviations.
    """

    parameters: Array
    covariance: Array
    residual: Array
    kept: NDArray[np.bool_]


def fit_geometry(points: Array, k: Array, errors: Array, start: Array) -> Geometry:
    """Least squares of :class:`Geometry`, robust (soft L1), outliers left out, errors scaled.

    Parameters
    ----------
    points
        (n, 2) detector positions (row, column), px.
    k
        (n,) 1/d of each, Å⁻¹.
    errors
        (n,) radial standard errors, px.
    start
        (5,) or more, as ``Geometry.parameters``.
    """
    from scipy.optimize import least_squares

    def distance(parameters: Array) -> Array:
        corrected = (points - parameters[:2]) @ stretch(parameters[3], parameters[4])
        flat = flat_length(k, parameters[5])
        return np.asarray(np.hypot(*corrected.T) - flat * np.exp(-parameters[2]))

    scale = np.array([1.0, 1.0, 0.01, 0.01, 0.01, _DEPTH])
    kept = np.ones(len(points), dtype=bool)
    parameters = np.append(np.asarray(start, dtype=np.float64)[:5], 0.0)
    covariance = np.full((6, 6), np.nan)
    for _ in range(3):

        def weighed(p: Array, kept: NDArray[np.bool_] = kept) -> Array:
            return np.append((distance(p) / errors)[kept], (p[5] - _DEPTH) / _DEPTH_ERROR)

        fit = least_squares(weighed, parameters, x_scale=scale, loss="soft_l1", f_scale=2.0)
        parameters = np.asarray(fit.x)
        pull = distance(parameters) / errors
        spread = max(1.4826 * float(np.median(np.abs(pull[kept]))), 1e-6)
        freedom = max(int(kept.sum()) - 5, 1)
        chi = max(float((np.minimum(np.abs(pull[kept]), 4 * spread) ** 2).sum()) / freedom, 1e-12)
        jacobian = fit.jac
        inverse = np.linalg.pinv(jacobian.T @ jacobian)
        covariance = _at_least(inverse * chi, inverse, jacobian[:-1], fit.fun[:-1], k[kept])
        new = np.abs(pull) < 4 * max(spread, 0.5)
        if np.array_equal(new, kept) or new.sum() < 6:
            break
        kept = new
    return Geometry(parameters, covariance, distance(parameters), kept)


def _at_least(
    covariance: Array, inverse: Array, jacobian: Array, residual: Array, k: Array
) -> Array:
    """The covariance, grown to what the scatter of whole rings says.

    Points of one ring share what moves it (overlap with neighbours, few grains, depth): they are
    no independent measurements. The sandwich of the sums over rings is compared, parameter by
    parameter, with the covariance of independent points, and the greater errors are taken.
    """
    ring = np.unique(k, return_inverse=True)[1]
    rings = int(ring.max(initial=-1)) + 1
    if rings < 3:
        return covariance
    pushes = np.zeros((rings, jacobian.shape[1]))
    np.add.at(pushes, ring, jacobian * residual[:, None])
    shared = inverse @ (pushes.T @ pushes) @ inverse * rings / (rings - 2)
    grown = np.sqrt(np.maximum(np.diag(shared) / np.maximum(np.diag(covariance), 1e-300), 1.0))
    return np.asarray(covariance * np.outer(grown, grown))
