"""Compiled parts of the fit of one spot: template, one scoring step of the likelihood, errors.

A spot is ``amplitude · p(|r − centre|)`` over the background, p being 1 in its middle. All
spots of a pattern are fitted together (:mod:`phaseloom.diffraction.spots.joint_fit`): each in turn
on what the others and the background leave. A step is Fisher scoring of the Poisson likelihood,
δ = F⁻¹ Jᵀ W (n − μ) with W = 1/(gain·μ + floor) and F = Jᵀ W J, whose fixed point is the maximum
of the likelihood, and whose F⁻¹ is the Cramér–Rao bound.

Windows are ``LANES``-wide blocks of columns: loops of a fixed length compile to few vector
instructions. They may reach over the detector's edge into the images' margins, where pixels
count as missing.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.diffraction.spots.image_filters import COMPILED

LANES = 16
"""Columns of one block of a window."""

BEYOND = np.float32(-1e30)
"""Stands in the image for a pixel that is masked, saturated, missing or not on the detector."""

_PRESENT = np.float32(-1e29)
_LEAST = np.float32(1e-3)


@njit(**COMPILED)
def corner(y, x, half, blocks):
    """Upper left pixel of the window round a spot."""
    return round(y) - half, round(x) - LANES * blocks // 2


@njit(**COMPILED)
def gaussian_line(centre, start, size, sigma, value):
    """A Gaussian at ``start, start + 1 …``.

    By recurrence: neighbouring values differ by a factor that itself changes by a constant one.
    """
    inverse = 1.0 / (sigma * sigma)
    d = start - centre
    e = math.exp(-0.5 * d * d * inverse)
    ratio = math.exp(-(d + 0.5) * inverse)
    change = math.exp(-inverse)
    for i in range(size):
        value[i] = e
        e *= ratio
        ratio *= change


@njit(**COMPILED)
def window(y, x, y0, x0, blocks, sigma, table, per_square, p, q, across, down):
    """Template and its slope on the window from (y0, x0).

    With r the distance from the centre, dp/dy_centre = q · (y − y_centre) and likewise for x,
    where q = −2 dp/d(r²): all that a radially symmetric template needs.

    Parameters
    ----------
    blocks
        Width of the window in ``LANES`` px.
    sigma
        Of a Gaussian; used when ``table`` is empty.
    table, per_square
        Profile of another radially symmetric template against r², entries per px².
    p, q
        (rows, blocks · LANES), filled.
    across, down
        Scratch as wide and as high as the window.
    """
    rows = p.shape[0]
    if table.size == 0:
        inverse = np.float32(1.0 / (sigma * sigma))
        gaussian_line(x, x0, LANES * blocks, sigma, across)
        gaussian_line(y, y0, rows, sigma, down)
        for j in range(rows):
            e = down[j]
            for block in range(blocks):
                for lane in range(LANES):
                    i = block * LANES + lane
                    value = e * across[i]
                    p[j, i] = value
                    q[j, i] = inverse * value
        return
    last = table.size - 2
    for j in range(rows):
        dy = np.float32(y0 + j - y)
        for i in range(LANES * blocks):
            dx = np.float32(x0 + i - x)
            t = (dy * dy + dx * dx) * per_square
            inside = t < last
            k = int(t) if inside else last
            step = table[k + 1] - table[k] if inside else np.float32(0.0)
            p[j, i] = table[k] + (t - k) * step if inside else np.float32(0.0)
            q[j, i] = np.float32(-2.0) * step * per_square


@njit(**COMPILED)
def add_window(image, base, stride, y0, x0, blocks, p, amplitude):
    """Add a window's template to the image."""
    for j in range(p.shape[0]):
        row = image[base + (y0 + j) * stride + x0 :]
        for block in range(blocks):
            for lane in range(LANES):
                i = block * LANES + lane
                row[i] += amplitude * p[j, i]


@njit(**COMPILED)
def add_tail(image, base, stride, height, width, y, x, amplitude, sigma, rows, blocks, far, line):
    """Add what of a Gaussian lies outside its window, out to ``far`` px from its middle."""
    half = rows // 2
    top, left = corner(y, x, half, blocks)
    right = left + LANES * blocks
    y0 = max(0, round(y) - far)
    y1 = min(height, round(y) + far + 1)
    x0 = max(0, round(x) - far)
    x1 = min(width, round(x) + far + 1)
    gaussian_line(x, x0, x1 - x0, sigma, line)
    inverse = 0.5 / (sigma * sigma)
    for j in range(y0, y1):
        value = np.float32(amplitude * math.exp(-((j - y) ** 2) * inverse))
        row = image[base + j * stride :]
        inside = top <= j < top + rows
        for i in range(x0, x1):
            if not (inside and left <= i < right):
                row[i] += value * line[i - x0]


@njit(**COMPILED)
def information(image, rest, base, stride, y, x, y0, x0, blocks, gain, floor, p, q, out):
    """Sums of the normal equations for (height, y, x) with unit amplitude.

    Every pixel counts with one over the variance that the whole model expects there, those
    marked as missing not at all.

    Parameters
    ----------
    image, rest
        The pattern, and what the model leaves of it.
    p, q
        From :func:`window`.
    out
        Filled with Σw pp, pp_y, pp_x, p_y², p_y p_x, p_x², and with Σw r times p, p_y, p_x.
    """
    for k in range(9):
        out[k] = 0.0
    for j in range(p.shape[0]):
        at = base + (y0 + j) * stride + x0
        seen = image[at:]
        left = rest[at:]
        pp = np.float32(0.0)
        pq = np.float32(0.0)
        pqx = np.float32(0.0)
        qq = np.float32(0.0)
        qqx = np.float32(0.0)
        qqxx = np.float32(0.0)
        pr = np.float32(0.0)
        qr = np.float32(0.0)
        qrx = np.float32(0.0)
        start = np.float32(x0 - x)
        for block in range(blocks):
            for lane in range(LANES):
                i = block * LANES + lane
                expected = seen[i] - left[i]
                w = np.float32(1.0) / (gain * max(expected, _LEAST) + floor)
                w = w if expected > _PRESENT else np.float32(0.0)
                dx = start + np.float32(i)
                wp = w * p[j, i]
                wq = w * q[j, i]
                wqx = wq * dx
                pp += wp * p[j, i]
                pq += wp * q[j, i]
                pqx += wp * q[j, i] * dx
                qq += wq * q[j, i]
                qqx += wqx * q[j, i]
                qqxx += wqx * q[j, i] * dx
                pr += wp * left[i]
                qr += wq * left[i]
                qrx += wqx * left[i]
        dy = np.float32(y0 + j - y)
        out[0] += pp
        out[1] += dy * pq
        out[2] += pqx
        out[3] += dy * dy * qq
        out[4] += dy * qqx
        out[5] += qqxx
        out[6] += pr
        out[7] += dy * qr
        out[8] += qrx


@njit(**COMPILED)
def solve(sums, amplitude, step):
    """Step (height, y, x) and variances of the three; False when the equations have no answer."""
    a = np.float64(amplitude)
    s00 = np.float64(sums[0])
    s01 = a * sums[1]
    s02 = a * sums[2]
    s11 = a * a * sums[3]
    s12 = a * a * sums[4]
    s22 = a * a * sums[5]
    r0 = np.float64(sums[6])
    r1 = a * sums[7]
    r2 = a * sums[8]
    c00 = s11 * s22 - s12 * s12
    c01 = s02 * s12 - s01 * s22
    c02 = s01 * s12 - s02 * s11
    determinant = s00 * c00 + s01 * c01 + s02 * c02
    if not determinant > 1e-9 * s00 * s11 * s22:
        return False
    inverse = 1.0 / determinant
    c11 = s00 * s22 - s02 * s02
    c12 = s01 * s02 - s00 * s12
    c22 = s00 * s11 - s01 * s01
    step[0] = (c00 * r0 + c01 * r1 + c02 * r2) * inverse
    step[1] = (c01 * r0 + c11 * r1 + c12 * r2) * inverse
    step[2] = (c02 * r0 + c12 * r1 + c22 * r2) * inverse
    step[3] = c00 * inverse
    step[4] = c11 * inverse
    step[5] = c22 * inverse
    return True


@njit(**COMPILED)
def score(image, rest, base, stride, y0, x0, blocks, gain, floor, p, amplitude):
    """Matched-filter signal-to-noise ratio of one spot against everything but itself; misfit.

    Returns
    -------
    score : float
        Σ w p (n − μ₀) / √Σ w p² with μ₀ the model without this spot and w = 1/(gain·μ₀ + floor).
    misfit : float
        Mean of (n − μ)²/variance under the spot, weighted with p: 1 when the model is right.
    spread : float
        Standard deviation of the misfit when the model is right.
    wrong : float
        What the template is wrong by under the spot, counts per pixel (root mean square), as far
        as chance does not explain it.
    """
    signal = np.float32(0.0)
    noise = np.float32(0.0)
    total = np.float32(0.0)
    squares = np.float32(0.0)
    misfit = np.float32(0.0)
    rough = np.float32(0.0)
    expect = np.float32(0.0)
    height = np.float32(amplitude)
    for j in range(p.shape[0]):
        at = base + (y0 + j) * stride + x0
        seen = image[at:]
        left = rest[at:]
        for block in range(blocks):
            for lane in range(LANES):
                i = block * LANES + lane
                own = height * p[j, i]
                expected = seen[i] - left[i]
                present = expected > _PRESENT
                w = np.float32(1.0) / (gain * max(expected - own, _LEAST) + floor)
                w = w * p[j, i] if present else np.float32(0.0)
                signal += w * (left[i] + own)
                noise += w * p[j, i]
                share = p[j, i] if present else np.float32(0.0)
                total += share
                squares += share * share
                variance = gain * max(expected, _LEAST) + floor
                misfit += share * left[i] * left[i] / variance
                rough += share * left[i] * left[i]
                expect += share * variance
    if not noise > 0:
        return np.float32(0.0), np.float32(1.0), np.float32(0.0), np.float32(0.0)
    spread = math.sqrt(2 * squares) / total
    wrong = math.sqrt(max(rough - (1 + 2 * spread) * expect, np.float32(0.0)) / total)
    return signal / math.sqrt(noise), misfit / total, spread, wrong
