"""Template matching of images (compiled): the image is read where a template has its spots.

The image is resampled in polar form, its angles sorted so that all in-plane angles of a template
are neighbours in memory: a template is then compared at all of them by one sum of short rows per
spot. A template turned by α has its spots at ϑ + α, one mirrored before at α − ϑ.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.orientation.matching.voting import best_angles, join
from phaseloom.orientation.quaternions import COMPILED

FINE = 4
"""The image is read at so many angles per in-plane step."""

_LIST = 400
"""Zones and angles that are held before solutions that are too alike are joined."""


@njit(**COMPILED)
def read_polar(image, row, column, bins, polar):
    """Resample an image about its direct beam, one row per px of radius.

    Parameters
    ----------
    image
        (rows, columns) float32.
    row, column
        Of the direct beam, px.
    bins
        In-plane angles of a turn.
    polar
        Output (radii, FINE, 2 · bins): [r, f, b] is at the angle b + f / FINE in in-plane steps,
        from x towards y; the second turn repeats the first. 0 outside the image.
    """
    height, width = image.shape
    step = 2.0 * math.pi / bins
    for f in range(FINE):
        for b in range(bins):
            angle = (b + f / FINE) * step
            sine, cosine = math.sin(angle), math.cos(angle)
            for r in range(polar.shape[0]):
                y, x = row + r * sine, column + r * cosine
                value = np.float32(0.0)
                if 0.0 <= y < height - 1 and 0.0 <= x < width - 1:
                    i, j = int(y), int(x)
                    v, u = y - i, x - j
                    top = image[i, j] * (1.0 - u) + image[i, j + 1] * u
                    bottom = image[i + 1, j] * (1.0 - u) + image[i + 1, j + 1] * u
                    value = np.float32(top * (1.0 - v) + bottom * v)
                polar[r, f, b] = value
                polar[r, f, b + bins] = value


@njit(**COMPILED)
def template_norms(offset, radius, angle, weight, bins, sigma, norm):
    """Norm of every template drawn with Gaussian spots of unit sum: √ΣT² over the pixels.

    Parameters
    ----------
    offset, radius, angle, weight
        Spots of the templates: px, in-plane steps, intensity.
    bins
        In-plane angles of a turn.
    sigma
        Of the spots, px.
    norm
        Output.
    """
    step = 2.0 * math.pi / bins
    for z in range(norm.size):
        total = 0.0
        for i in range(offset[z], offset[z + 1]):
            for j in range(offset[z], i + 1):
                square = radius[i] ** 2 + radius[j] ** 2
                square -= 2.0 * radius[i] * radius[j] * math.cos(step * (angle[i] - angle[j]))
                overlap = math.exp(-0.25 * max(square, 0.0) / sigma**2)
                total += weight[i] * weight[j] * overlap * (1.0 if i == j else 2.0)
        norm[z] = math.sqrt(total / (4.0 * math.pi * sigma**2))


@njit(**COMPILED)
def read_template(polar, row, place, weight, votes):
    """Σ P·T at all in-plane angles: (2, angles + 1), as it is and mirrored.

    Parameters
    ----------
    polar
        From :func:`read_polar`.
    row, place, weight
        Spots: radius in px and angle in fine steps, rounded, and intensity.
    votes
        Output.
    """
    bins = votes.shape[1] - 1
    turn = FINE * bins
    votes[:] = 0.0
    for i in range(row.size):
        w = weight[i]
        for mirror in range(2):
            at = (turn - place[i]) % turn if mirror else place[i]
            line = polar[row[i], at % FINE]
            first = at // FINE
            sums = votes[mirror]
            for b in range(bins):
                sums[b] += w * line[first + b]


@njit(**COMPILED)
def match_read(
    images, norms, beam, offset, row, place, weight, t_norm, crystal_offset, zone_rotation,
    symmetry_offset, symmetry, radii, bins, apart, rotation, correlation,
):  # fmt: skip
    """Distinct solutions of every image for every crystal, best first.

    Parameters
    ----------
    images
        (n, rows, columns) float32, convolved with a template's spot.
    norms
        √ΣP² of every image before that.
    beam
        (n, 2), direct beam, px.
    offset, row, place, weight, t_norm
        Spots of the templates, as in :func:`read_template`, and the templates' norms.
    crystal_offset, zone_rotation, symmetry_offset, symmetry
        Of the library.
    radii
        Rows of the polar form.
    bins
        In-plane angles of a turn.
    apart
        Radians between distinct solutions.
    rotation, correlation
        Outputs (n, crystals, solutions, 4) and (n, crystals, solutions), NaN at the start.
    """
    polar = np.empty((radii, FINE, 2 * bins), dtype=np.float32)
    votes = np.empty((2, bins + 1), dtype=np.float32)
    best = np.empty(_LIST, dtype=np.float32)
    which = np.empty((_LIST, 3), dtype=np.int32)
    for p in range(images.shape[0]):
        if not norms[p] > 0.0:
            continue
        read_polar(images[p], beam[p, 0], beam[p, 1], bins, polar)
        for c in range(crystal_offset.size - 1):
            best[:] = 0.0
            for z in range(crystal_offset[c], crystal_offset[c + 1]):
                if not t_norm[z] > 0.0:
                    continue
                t = slice(offset[z], offset[z + 1])
                read_template(polar, row[t], place[t], weight[t], votes)
                votes *= np.float32(1.0 / (norms[p] * t_norm[z]))
                best_angles(votes, z, best, which)
            own = symmetry[symmetry_offset[c] : symmetry_offset[c + 1]]
            join(best, which, zone_rotation, bins, own, apart, rotation[p, c], correlation[p, c])
