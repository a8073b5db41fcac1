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


@dataclass(frozen=True, eq=False)
class Geometry:
    """Fit of |D (p − centre)| = k / pixel_size.

    Parameters
    ----------
    parameters
        (5,): centre row, centre column, ln pixel_size, a, b of :func:`stretch`.
    covariance
        (5, 5).
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
        (5,), as ``Geometry.parameters``.
    """
    from scipy.optimize import least_squares

    def distance(parameters: Array) -> Array:
        corrected = (points - parameters[:2]) @ stretch(parameters[3], parameters[4])
        return np.asarray(np.hypot(*corrected.T) - k * np.exp(-parameters[2]))

    scale = np.array([1.0, 1.0, 0.01, 0.01, 0.01])
    kept = np.ones(len(points), dtype=bool)
    parameters = np.asarray(start, dtype=np.float64)
    covariance = np.full((5, 5), np.nan)
    for _ in range(3):

        def weighed(p: Array, kept: NDArray[np.bool_] = kept) -> Array:
            return np.asarray((distance(p) / errors)[kept])

        fit = least_squares(weighed, parameters, x_scale=scale, loss="soft_l1", f_scale=2.0)
        parameters = np.asarray(fit.x)
        pull = distance(parameters) / errors
        spread = max(1.4826 * float(np.median(np.abs(pull[kept]))), 1e-6)
        freedom = max(int(kept.sum()) - 5, 1)
        chi = max(float((np.minimum(np.abs(pull[kept]), 4 * spread) ** 2).sum()) / freedom, 1e-12)
        jacobian = fit.jac
        covariance = np.linalg.pinv(jacobian.T @ jacobian) * chi
        new = np.abs(pull) < 4 * max(spread, 0.5)
        if np.array_equal(new, kept) or new.sum() < 6:
            break
        kept = new
    return Geometry(parameters, covariance, distance(parameters), kept)
