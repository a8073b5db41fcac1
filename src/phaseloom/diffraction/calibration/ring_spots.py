"""Calibration on single spots: each given to a ring of the known crystal; likelihood and fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.calibration.geometry import Geometry, fit_geometry, stretch

Array = NDArray[np.float64]


def likelihood(radius: Array, tolerance: Array, rings: Array) -> float:
    """Mean log likelihood of the radii."""
    reach = float(radius.max())
    rings = rings[rings < reach + 3 * float(tolerance.max())]
    away = (radius[:, None] - rings) / tolerance[:, None]
    on = np.exp(-(away**2) / 2).sum(axis=1) / (np.sqrt(2 * np.pi) * tolerance * len(rings))
    return float(np.log(0.1 / reach + 0.9 * on).mean())


def fit_spots(points: Array, errors: Array, k: Array, scale: float) -> Geometry:
    """Give rings to spots and fit, with less and less tolerance."""
    parameters = np.array([0.0, 0.0, -np.log(scale), 0.0, 0.0])
    middle = (k[1:] + k[:-1]) / 2
    fit: Geometry | None = None
    for share in (0.6, 1.0, 1.0, 1.0):
        offset = (points - parameters[:2]) @ stretch(parameters[3], parameters[4])
        radius = np.hypot(*offset.T)
        ring = k[np.searchsorted(middle, radius * np.exp(parameters[2]))]
        # inner spots first: their rings are far apart
        near = radius <= np.quantile(radius, share)
        fit = fit_geometry(points[near], ring[near], errors[near], parameters)
        parameters = fit.parameters
    assert fit is not None
    return fit


def likelihood_of_fit(fit: Geometry, k: Array, reach: float) -> float:
    """Mean log likelihood of all spots after the fit, with the scatter it left."""
    scatter = max(closeness(fit), 0.05)
    in_reach = max(int((k * np.exp(-fit.parameters[2]) < reach + 1).sum()), 1)
    on = np.exp(-((fit.residual / scatter) ** 2) / 2) / (np.sqrt(2 * np.pi) * scatter * in_reach)
    return float(np.log(0.1 / reach + 0.9 * on).mean())


def closeness(fit: Geometry) -> float:
    """Robust distance of all spots from their rings, px."""
    return float(1.4826 * np.median(np.abs(fit.residual)))
