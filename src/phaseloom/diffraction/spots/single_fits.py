"""Fits of single spots with their size free, many windows at once: what tells the common size.

Every window holds one spot, A · p(|r − centre|), on a plane. The parameters of all windows take
Fisher scoring steps of the Poisson likelihood together; pixels that are NaN do not count. Once the
size is known, :mod:`~phaseloom.diffraction.spots.joint_fit` fits the spots of every pattern.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ROUNDS = 25
_SETTLED = 1e-3
_ROW, _COLUMN, _SIZE, _EDGE = 4, 5, 6, 7


class SpotFits(NamedTuple):
    """Fits of m spots.

    Parameters
    ----------
    centre
        (m, 2), row and column from the middle of the window, in px.
    size
        (m,), sigma of a Gaussian or radius of a disk, in px.
    edge
        (m,), of a disk, in px; NaN for a Gaussian.
    error
        (m,), standard error of log(size); inf where the fit failed.
    deviance
        (m,), 2 · (log-likelihood of the data itself − that of the fit).
    signal
        (m,), height over its standard error.
    """

    centre: Array
    size: Array
    edge: Array
    error: Array
    deviance: Array
    signal: Array


def fit_spots(
    windows: NDArray[np.float32],
    centre: Array,
    size: Array,
    kind: Literal["gaussian", "disk"],
    noise: tuple[float, float],
    *,
    fixed: float | None = None,
) -> SpotFits:
    """Fit each window's spot: plane, height, position, and size (with edge) all free.

    Parameters
    ----------
    windows
        (m, w, w), w odd; NaN is a missing pixel.
    centre
        (m, 2), first positions from the windows' middle, in px.
    size
        (m,), first sigma or radius, in px.
    kind
        What the spots are.
    noise
        (gain, floor): the variance of a pixel is gain · counts + floor.
    fixed
        Edge of a disk, 0 for a Gaussian: sizes and edges stay as they are.
    """
    m, w, _ = windows.shape
    gain, floor = noise
    axis = np.arange(w) - w // 2
    rows, columns = (a.ravel().astype(np.float64) for a in np.meshgrid(axis, axis, indexing="ij"))
    values = windows.reshape(m, -1).astype(np.float64)
    seen = np.isfinite(values)
    values = np.where(seen, values, 0.0)
    parameters = np.zeros((m, 8 if kind == "disk" else 7))
    away = np.hypot(rows - centre[:, :1], columns - centre[:, 1:])
    far = seen & (away > np.minimum(2.0 * size, 0.4 * w)[:, None])
    ground = (values * far).sum(1) / np.maximum(far.sum(1), 1)
    near = seen & (away < np.maximum(0.7 * size, 1.0)[:, None])
    parameters[:, 0] = ground
    parameters[:, 3] = (values * near).sum(1) / np.maximum(near.sum(1), 1) - ground
    parameters[:, _ROW : _COLUMN + 1] = centre
    parameters[:, _SIZE] = np.log(size)
    if kind == "disk":
        parameters[:, _EDGE] = np.log(fixed or np.maximum(0.15 * size, 0.6))
    least = np.maximum(0.2 * ground, 2e-3 * gain)[:, None]
    first = parameters.copy()
    fine = np.asarray((parameters[:, 3] > 0) & (seen.mean(axis=1) > 0.5))
    for _ in range(_ROUNDS):
        expected, slopes = _model(parameters, rows, columns, kind)
        weight = seen / (gain * np.maximum(expected, least) + floor)
        if fixed is not None:
            slopes[:, _SIZE:] = 0.0
        normal, right = _equations(slopes, weight, values - expected)
        step = _solve(normal, right, 1e-3)
        # A step is no longer than a third of the spot: the model is far from linear.
        scale = np.exp(parameters[:, _SIZE])
        for k in (_ROW, _COLUMN):
            step[:, k] = np.clip(step[:, k], -0.3 * scale, 0.3 * scale)
        step[:, _SIZE:] = np.clip(step[:, _SIZE:], -0.3, 0.3)
        if fixed is not None:
            step[:, _SIZE:] = 0.0
        step[~fine] = 0.0
        parameters += step
        parameters[:, _SIZE] = np.clip(parameters[:, _SIZE], np.log(0.25), np.log(w))
        if kind == "disk":
            edge = np.clip(parameters[:, _EDGE], np.log(0.2), parameters[:, _SIZE] + 0.5)
            parameters[:, _EDGE] = edge
        strayed = np.abs(parameters[:, _ROW : _COLUMN + 1] - centre).max(1) > np.maximum(size, 1.5)
        fine &= ~strayed & (parameters[:, 3] > 0)
        parameters[~fine] = first[~fine]
        if np.abs(step[:, _ROW:]).max(initial=0) < _SETTLED:
            break
    expected, slopes = _model(parameters, rows, columns, kind)
    expected = np.maximum(expected, least)
    weight = seen / (gain * expected + floor)
    normal, _ = _equations(slopes, weight, values - expected)
    variance = np.diagonal(np.linalg.pinv(normal, hermitian=True), axis1=1, axis2=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(np.maximum(variance[:, _SIZE], 0))
        signal = parameters[:, 3] / np.sqrt(np.maximum(variance[:, 3], 1e-30))
    good = fine & (error > 0) & np.isfinite(error)
    size = np.exp(parameters[:, _SIZE])
    edge = np.exp(parameters[:, _EDGE]) if kind == "disk" else np.full(m, np.nan)
    return SpotFits(
        parameters[:, _ROW : _COLUMN + 1],
        size,
        edge,
        np.where(good, error, np.inf),
        _deviance(values, expected, seen, gain, floor),
        np.where(good, signal, 0.0),
    )


def _model(
    parameters: Array, rows: Array, columns: Array, kind: str
) -> tuple[Array, NDArray[np.float64]]:
    """Expected counts (m, pixels) and their derivatives (m, parameters, pixels)."""
    ground, slope_y, slope_x, height, y, x, log_size = (
        parameters[:, k, None] for k in range(_SIZE + 1)
    )
    size = np.exp(log_size)
    dy, dx = rows - y, columns - x
    slopes = np.empty((*parameters.shape, rows.size))
    slopes[:, 0] = 1.0
    slopes[:, 1] = rows
    slopes[:, 2] = columns
    if kind == "gaussian":
        square = (dy**2 + dx**2) / size**2
        p = np.exp(-0.5 * square)
        slopes[:, _ROW] = height * p * dy / size**2
        slopes[:, _COLUMN] = height * p * dx / size**2
        slopes[:, _SIZE] = height * p * square
    else:
        from scipy.special import erfc

        edge = np.exp(parameters[:, _EDGE, None])
        r = np.sqrt(dy**2 + dx**2)
        t = (r - size) / edge
        p = 0.5 * erfc(t / np.sqrt(2))
        fall = height * np.exp(-0.5 * t**2) / (np.sqrt(2 * np.pi) * edge)
        slopes[:, _ROW] = fall * dy / np.maximum(r, 1e-6)
        slopes[:, _COLUMN] = fall * dx / np.maximum(r, 1e-6)
        slopes[:, _SIZE] = fall * size
        slopes[:, _EDGE] = fall * (r - size)
    slopes[:, 3] = p
    return ground + slope_y * rows + slope_x * columns + height * p, slopes


def _equations(slopes: Array, weight: Array, difference: Array) -> tuple[Array, Array]:
    """Normal matrices (m, k, k) and right-hand sides (m, k)."""
    weighed = slopes * weight[:, None]
    normal = weighed @ slopes.transpose(0, 2, 1)
    return normal, (weighed @ difference[:, :, None])[:, :, 0]


def _solve(normal: Array, right: Array, damping: float) -> Array:
    """Damped steps; none where the equations have no answer."""
    k = normal.shape[1]
    diagonal = np.diagonal(normal, axis1=1, axis2=2)
    scale = 1 / np.sqrt(np.maximum(diagonal, 1e-30))
    scaled = normal * scale[:, :, None] * scale[:, None] + damping * np.eye(k)
    return np.asarray(np.linalg.solve(scaled, (right * scale)[:, :, None])[:, :, 0] * scale)


def _deviance(
    values: Array, expected: Array, seen: NDArray[np.bool_], gain: float, floor: float
) -> Array:
    """Poisson deviance in units of the gain; a floor counts as counts everywhere."""
    from scipy.special import xlogy

    n = np.maximum(values + floor / gain, 0) / gain
    mu = np.maximum(expected + floor / gain, 1e-6) / gain
    return np.asarray((2 * (xlogy(n, n / mu) - n + mu) * seen).sum(axis=1))
