"""Excitation profile (compiled): of a wedge with precession, or sharper; normal tail."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.orientation.quaternions import COMPILED


@njit(**COMPILED)
def profile(error, sweep, thickness, sharpness):
    """P(s) and its relative slope d ln P / ds.

    Without precession P is (1 + u²/κ)^(−κ), u = 2πts: that of a wedge for κ = 1, a Gaussian for
    κ → ∞. With precession, which hides its wings, that of a wedge is averaged over s + v cos φ: the
    real part of ((1 + iu)² + w²)^(−1/2) with w = 2πtv, see
    :func:`phaseloom.crystals.kinematic_spots`.

    Parameters
    ----------
    error
        Excitation error s in Å⁻¹.
    sweep
        v = k sin α: by how much precession changes it, in Å⁻¹.
    thickness
        In Å.
    sharpness
        κ, 1 or more.
    """
    c = 2.0 * math.pi * thickness
    u = c * error
    w = c * sweep
    if w < 0.05:
        root = 1.0 / (1.0 + u * u / sharpness)
        p = root if sharpness == 1.0 else root**sharpness
        return max(p, 1e-30), -2.0 * u * c * root
    # The root Z with a positive real part is the product of two principal roots.
    a, b = u + w, u - w
    ra, rb = math.sqrt(1.0 + a * a), math.sqrt(1.0 + b * b)
    xr, xi = math.sqrt(0.5 * (ra + 1.0)), math.copysign(math.sqrt(0.5 * (ra - 1.0)), a)
    yr, yi = math.sqrt(0.5 * (rb + 1.0)), math.copysign(math.sqrt(0.5 * (rb - 1.0)), b)
    zr, zi = xr * yr - xi * yi, xr * yi + xi * yr
    p = max(zr / (zr * zr + zi * zi), 1e-30)
    # d(1/Z)/du = −i (1 + iu) / Z³
    z2r, z2i = 1.0 - u * u + w * w, 2.0 * u
    z3r, z3i = zr * z2r - zi * z2i, zr * z2i + zi * z2r
    slope = (u * z3r - z3i) / (z3r * z3r + z3i * z3i)
    return p, slope * c / p


@njit(**COMPILED)
def profiles(error, sweep, thickness, sharpness):
    """P(s) of many reflections, ``error`` and ``sweep`` (n,), see :func:`profile`."""
    values = np.empty(error.size)
    for i in range(error.size):
        values[i] = profile(error[i], sweep[i], thickness, sharpness)[0]
    return values


@njit(**COMPILED)
def excitation_of(ratio, sharpness):
    """Square of u = 2πts at which P is 1 / ``ratio``, without precession."""
    if sharpness == 1.0:
        return ratio - 1.0
    return sharpness * (ratio ** (1.0 / sharpness) - 1.0)


@njit(**COMPILED)
def log_below(x):
    """Ln Φ(x) of the normal distribution."""
    if x > -5.0:
        return math.log(0.5 * math.erfc(-x * 0.7071067811865476))
    return -0.5 * x * x - math.log(-x * 2.5066282746310002)
