"""Compiled image operations of the search: convolution, bins, radial profile, local maxima.

Images are flat float32 arrays whose rows lie ``stride`` apart, with a margin between and around
them, so that one loop serves a whole image and no edge needs a special case. Every function
here has a plain numpy reference in the tests.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

COMPILED: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "fastmath": True,
    "boundscheck": False,
    "error_model": "numpy",
}
"""How the kernels are compiled: they release the GIL, and see finite numbers only."""


@njit(**COMPILED)
def _first_taps(out, z, a, b, c, d, e, f, g, h, t, t0, t1, t2, t3, n):
    for i in range(n):
        out[i] = (
            t * z[i]
            + t0 * (a[i] + b[i])
            + t1 * (c[i] + d[i])
            + t2 * (e[i] + f[i])
            + t3 * (g[i] + h[i])
        )


@njit(**COMPILED)
def _more_taps(out, a, b, c, d, e, f, g, h, t0, t1, t2, t3, n):
    for i in range(n):
        out[i] += t0 * (a[i] + b[i]) + t1 * (c[i] + d[i]) + t2 * (e[i] + f[i]) + t3 * (g[i] + h[i])


@njit(**COMPILED)
def convolve(image, step, taps, out, n):
    """Symmetric convolution along one axis: ``out[i] = Σ_k taps[|k|] · image[i + (r + k)·step]``.

    Parameters
    ----------
    image
        Flat, at least ``n + 2·r·step`` long with r = ``taps.size − 1``, a multiple of four.
    step
        1 along rows, the stride along columns.
    """
    r = taps.size - 1
    c = r * step
    s = step
    _first_taps(
        out, image[c:], image[c - s :], image[c + s :], image[c - 2 * s :], image[c + 2 * s :],
        image[c - 3 * s :], image[c + 3 * s :], image[c - 4 * s :], image[c + 4 * s :],
        taps[0], taps[1], taps[2], taps[3], taps[4], n,
    )  # fmt: skip
    for k in range(5, r + 1, 4):
        a, b, d, e = k * s, (k + 1) * s, (k + 2) * s, (k + 3) * s
        _more_taps(
            out, image[c - a :], image[c + a :], image[c - b :], image[c + b :],
            image[c - d :], image[c + d :], image[c - e :], image[c + e :],
            taps[k], taps[k + 1], taps[k + 2], taps[k + 3], n,
        )  # fmt: skip


@njit(**COMPILED)
def _add_rows(image, other, n, out):
    for i in range(n):
        out[i] = image[i] + other[i]


@njit(**COMPILED)
def _add_row(image, n, out):
    for i in range(n):
        out[i] += image[i]


@njit(**COMPILED)
def bin_sums(image, base, stride, side, row, out, out_base, out_stride, rows, columns):
    """Sums over squares of ``side``² px of a padded image, into another padded image.

    Parameters
    ----------
    base, out_base
        Where row 0 begins in each.
    row
        Scratch of ``side`` × ``columns``.
    rows, columns
        Whole squares to fill.
    """
    width = side * columns
    for y in range(rows):
        at = base + y * side * stride
        to = out[out_base + y * out_stride :]
        if side == 1:
            source = image[at:]
            for x in range(columns):
                to[x] = source[x]
            continue
        _add_rows(image[at:], image[at + stride :], width, row)
        for k in range(2, side):
            _add_row(image[at + k * stride :], width, row)
        if side == 2:
            for x in range(columns):
                to[x] = row[2 * x] + row[2 * x + 1]
        else:
            for x in range(columns):
                total = row[side * x]
                for k in range(1, side):
                    total += row[side * x + k]
                to[x] = total


@njit(**COMPILED)
def radial_profile(mean, weight, ring, inner, gain, floor, clip, full, profile, total, share):
    """Clipped mean of cells by their distance from the direct beam.

    Cells more than ``clip`` standard deviations of counting noise above the profile (and a
    little more, few counts being skewed) are left out in a second and a third round: spots do
    not lift it.

    Parameters
    ----------
    mean, weight
        (rows, columns): mean counts per px of the cells, and usable px in them.
    ring
        Distance of the cells' centres from the beam, in cells, rounded.
    full
        Pixels of a whole cell.
    inner
        Distance within which there is little but the beam: the profile beyond is carried on.
    profile
        Filled: the profile at whole distances, carried on where there are no cells.
    total, share
        Scratch of the profile's length.
    """
    n = profile.size
    for turn in range(3):
        for k in range(n):
            total[k] = 0.0
            share[k] = 0.0
            # The most a cell may hold; infinite at first.
            noise = math.sqrt((gain * max(profile[k], np.float32(0.0)) + floor) / full)
            most = profile[k] + clip * noise + np.float32(0.5) * clip * clip * gain / full
            profile[k] = most if turn > 0 else np.float32(3e38)
        for y in range(mean.shape[0]):
            for x in range(mean.shape[1]):
                k = ring[y, x]
                value = mean[y, x]
                w = weight[y, x] if value <= profile[k] else np.float32(0.0)
                total[k] += w * value
                share[k] += w
        last = total[inner] / max(share[inner], np.float32(1.0))
        for k in range(n):
            if share[k] > 0.0 and k > inner:
                last = total[k] / share[k]
            profile[k] = last


@njit(**COMPILED)
def expand(cells, side, lines):
    """Cells (rows, columns) interpolated along the rows to px: ``lines`` (rows, width).

    Beyond the first and the last cell's middle their values are carried on.
    """
    last = cells.shape[1] - 1
    half = side // 2
    for cy in range(cells.shape[0]):
        for i in range(half):
            lines[cy, i] = cells[cy, 0]
        if side == 2:
            for cx in range(last):
                slope = np.float32(0.25) * (cells[cy, cx + 1] - cells[cy, cx])
                lines[cy, 2 * cx + 1] = cells[cy, cx] + slope
                lines[cy, 2 * cx + 2] = cells[cy, cx + 1] - slope
        else:
            for cx in range(last):
                value = cells[cy, cx]
                slope = (cells[cy, cx + 1] - value) / side
                i = side * cx + half
                for k in range(side):
                    lines[cy, i + k] = value + (np.float32(k) + np.float32(0.5)) * slope
        for i in range(side * last + half, lines.shape[1]):
            lines[cy, i] = cells[cy, last]


@njit(**COMPILED)
def between(y, side, rows):
    """The two lines of cells a row of px lies between, and its share of the second."""
    v = (y + 0.5) / side - 0.5
    k = math.floor(v)
    if k < 0:
        return 0, 0, np.float32(0.0)
    if k >= rows - 1:
        return rows - 1, rows - 1, np.float32(0.0)
    return k, k + 1, np.float32(v - k)


@njit(**COMPILED)
def _subtract_row(image, line, other, share, out, n):
    for i in range(n):
        out[i] = image[i] - (line[i] + share * (other[i] - line[i]))


@njit(**COMPILED)
def subtract(image, lines, side, base, stride, height, width, out):
    """``out = image −`` background, given as lines of cells expanded along the rows."""
    for y in range(height):
        a, b, share = between(y, side, lines.shape[0])
        at = base + y * stride
        _subtract_row(image[at:], lines[a], lines[b], share, out[at:], width)


@njit(**COMPILED)
def excess(filtered, seen, left, ground, level, gain, floor, wrong, out, n):
    """How far the square of the filtered image lies above what noise and misfit can make.

    Parameters
    ----------
    filtered
        The residual, filtered.
    seen, left, ground
        Counts, what the model leaves of them, and those of the background: the variance is that
        of all the model expects, ``seen − left``; what of it lies above the background are
        spots, of which the part ``wrong`` may be left over.
    level
        Square of the number of standard deviations, times Σ taps² of the filter.
    """
    for i in range(n):
        expected = seen[i] - left[i]
        d = filtered[i]
        spots = wrong * max(expected - ground[i], np.float32(0.0))
        noise = level * (gain * max(expected, np.float32(0.0)) + floor)
        out[i] = d * abs(d) - noise - spots * spots


@njit(**COMPILED)
def _largest(values, n):
    most = values[0]
    for i in range(n):
        most = max(most, values[i])
    return most


@njit(**COMPILED)
def maxima(filtered, above, row, stride, width, found, count):
    """Local maxima (8 neighbours) of one row where ``above`` is positive.

    Appends (row, column, value), the place to a fraction of a pixel by parabolas, to ``found``
    from ``count`` on; returns the new count. The outermost columns are left out.
    """
    at = row * stride
    for start in range(0, width, 64):
        end = min(width, start + 64)
        if _largest(above[start:], end - start) <= 0:
            continue
        for x in range(max(1, start), min(width - 1, end)):
            if above[x] <= 0:
                continue
            i = at + x
            d = filtered[i]
            if (
                d > filtered[i - 1]
                and d >= filtered[i + 1]
                and d > filtered[i - stride]
                and d >= filtered[i + stride]
                and d > filtered[i - stride - 1]
                and d >= filtered[i + stride + 1]
                and d > filtered[i - stride + 1]
                and d >= filtered[i + stride - 1]
                and count < found.shape[0]
            ):
                up, down = filtered[i - stride], filtered[i + stride]
                found[count, 0] = row + 0.5 * (down - up) / (2 * d - down - up)
                up, down = filtered[i - 1], filtered[i + 1]
                found[count, 1] = x + 0.5 * (down - up) / (2 * d - down - up)
                found[count, 2] = d
                count += 1
    return count
