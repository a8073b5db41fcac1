"""Least-squares fit of centre, ellipse and pixel size to points whose 1/d is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    chi
        χ² per degree of freedom, by which the covariance is scaled.
    """

    parameters: Array
    covariance: Array
    residual: Array
    kept: NDArray[np.bool_]
    chi: float


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
    covariance, chi = np.full((5, 5), np.nan), 1.0
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
    return Geometry(parameters, covariance, distance(parameters), kept, chi)


_BEFOREHAND = 2.0
"""Rings that an expected scatter counts as."""


def with_ring_scatter(
    fit: Geometry, k: Array, errors: Array, ring: NDArray[np.intp], *, doubt: Array, expected: float
) -> tuple[Geometry, float]:
    """The fit with rings that are each off as a whole: overlaps and slopes beneath shift them.

    Errors of centre and ellipse follow from the scatter within rings. The pixel size is fitted to
    the rings, each off by an amount that is random besides its error (R. C. Paule and J. Mandel,
    J. Res. Natl. Bur. Stand. 87, 377 (1982)).

    Parameters
    ----------
    fit, k, errors
        From :func:`fit_geometry`, and its points.
    ring
        (n,) of which ring each point is.
    doubt
        (n,) by how much the radius of a point's ring is uncertain, px.
    expected
        By how much rings are off beforehand, px.

    Returns
    -------
    fit : Geometry
        With another pixel size and other errors.
    scatter : float
        By how much the rings are off (rms) beyond their errors, px.
    """
    from scipy.optimize import brentq

    _, own = np.unique(ring[fit.kept], return_inverse=True)
    residual, weight = fit.residual[fit.kept], errors[fit.kept] ** -2
    total = np.bincount(own, weight)
    mean = np.bincount(own, weight * residual) / total
    radius = np.bincount(own, weight * k[fit.kept]) / total * np.exp(-fit.parameters[2])
    count = total.size
    within = float(weight @ (residual - mean[own]) ** 2) / max(own.size - count - 4, 1)
    variance = within / total + (np.bincount(own, weight * doubt[fit.kept]) / total) ** 2

    # What a ring is off by is known the less, the fewer of its points were measured.
    few = float(np.bincount(own).max()) / np.bincount(own)

    def pixel(scatter: float) -> tuple[float, float, float]:
        """Change of ln pixel size, its variance, and χ² of the rings about it."""
        use = 1.0 / (variance + scatter * few)
        information = float(use @ radius**2)
        change = -float(use @ (radius * mean)) / information
        return change, 1.0 / information, float(use @ (mean + change * radius) ** 2)

    most = float((mean**2).max()) * count + 1e-12
    found = 0.0
    if count > 1 and pixel(0.0)[2] > count - 1:
        found = float(brentq(lambda t: pixel(t)[2] - (count - 1), 0.0, most))
    scatter = (_BEFOREHAND * expected**2 + (count - 1) * found) / (_BEFOREHAND + count - 1)
    change, spread, _ = pixel(scatter)
    parameters = fit.parameters.copy()
    parameters[2] += change
    covariance = fit.covariance * (within / fit.chi)
    covariance[2], covariance[:, 2] = 0.0, 0.0
    covariance[2, 2] = spread
    moved = fit.residual + change * k * np.exp(-fit.parameters[2])
    adjusted = replace(fit, parameters=parameters, covariance=covariance, residual=moved)
    return adjusted, float(np.sqrt(found))
