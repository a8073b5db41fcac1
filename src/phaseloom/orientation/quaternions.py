"""Quaternion algebra (compiled), scalar first; products follow those of the matrices."""

from __future__ import annotations

import math

from numba import njit

COMPILED = {"nogil": True, "cache": True, "fastmath": {"contract", "arcp", "nsz", "reassoc"}}
"""How kernels of this hall are compiled: sums may be reordered, NaN and infinity are respected."""


@njit(**COMPILED)
def product(p, q, out):
    """Out = p q: first the rotation q, then p."""
    a = p[0] * q[0] - p[1] * q[1] - p[2] * q[2] - p[3] * q[3]
    b = p[0] * q[1] + p[1] * q[0] + p[2] * q[3] - p[3] * q[2]
    c = p[0] * q[2] - p[1] * q[3] + p[2] * q[0] + p[3] * q[1]
    d = p[0] * q[3] + p[1] * q[2] - p[2] * q[1] + p[3] * q[0]
    out[0], out[1], out[2], out[3] = a, b, c, d


@njit(**COMPILED)
def to_matrix(q, out):
    """The matrix of a unit quaternion."""
    a, b, c, d = q[0], q[1], q[2], q[3]
    out[0, 0] = a * a + b * b - c * c - d * d
    out[0, 1] = 2 * (b * c - a * d)
    out[0, 2] = 2 * (b * d + a * c)
    out[1, 0] = 2 * (b * c + a * d)
    out[1, 1] = a * a - b * b + c * c - d * d
    out[1, 2] = 2 * (c * d - a * b)
    out[2, 0] = 2 * (b * d - a * c)
    out[2, 1] = 2 * (c * d + a * b)
    out[2, 2] = a * a - b * b - c * c + d * d


@njit(**COMPILED)
def nearest_copy(p, q, symmetry):
    """The symmetry operation S that brings S q nearest to p, and |cos| of half the angle left.

    Parameters
    ----------
    p, q
        Rotations, sample to crystal.
    symmetry
        (n, 4): proper rotations of the Laue class.
    """
    # ⟨p, S q⟩ = ⟨p q⁻¹, S⟩
    a = p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3]
    b = -p[0] * q[1] + p[1] * q[0] - p[2] * q[3] + p[3] * q[2]
    c = -p[0] * q[2] + p[1] * q[3] + p[2] * q[0] - p[3] * q[1]
    d = -p[0] * q[3] - p[1] * q[2] + p[2] * q[1] + p[3] * q[0]
    best, which = -1.0, 0
    for i in range(symmetry.shape[0]):
        s = symmetry[i]
        close = abs(a * s[0] + b * s[1] + c * s[2] + d * s[3])
        if close > best:
            best, which = close, i
    return which, best


@njit(**COMPILED)
def turned(q, x, y, z, out):
    """Q after the crystal has turned by a small vector (radians, sample frame).

    Positions become k + ω × k, so the rotation sample to crystal is q · exp(−ω/2).
    """
    angle = math.sqrt(x * x + y * y + z * z)
    scale = -0.5 if angle < 1e-12 else -math.sin(0.5 * angle) / angle
    a, b, c, d = math.cos(0.5 * angle), scale * x, scale * y, scale * z
    e = q[0] * a - q[1] * b - q[2] * c - q[3] * d
    f = q[0] * b + q[1] * a + q[2] * d - q[3] * c
    g = q[0] * c - q[1] * d + q[2] * a + q[3] * b
    h = q[0] * d + q[1] * c - q[2] * b + q[3] * a
    n = 1.0 / math.sqrt(e * e + f * f + g * g + h * h)
    out[0], out[1], out[2], out[3] = e * n, f * n, g * n, h * n
