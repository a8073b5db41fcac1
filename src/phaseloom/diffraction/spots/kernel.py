"""Compiled search of one pattern, step by step: background, candidates, joint fit, selection.

1. Background: :mod:`phaseloom.diffraction.spots.background`; rings finer than its cells:
   :mod:`phaseloom.diffraction.spots.halo`.
2. Candidates: local maxima of the background-free pattern, filtered with a Gaussian of the
   spots' size (the matched filter), where they stand out of the counting noise.
3. Fit: every spot in turn on what the others leave (:mod:`phaseloom.diffraction.spots.joint_fit`).
4. Again on what is left: spots hidden in the flanks of brighter ones show once those are gone.
5. Selection: what stays is unlikely to be noise, on the background where it stands.

All of this works on squares of ``side``² pixels ("bins"), as large as the spots' size allows: a
spot of sigma 1.1 bins is known to within a few per cent as well as with infinitely small ones,
and there are ``side``² times fewer. Only :func:`register_block` and
:mod:`phaseloom.diffraction.spots.loading` know of pixels.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.diffraction.spots.background import (
    better_background,
    cells_at,
    first_background,
    misfit_between,
    rings_about,
    usable_in_cells,
)
from phaseloom.diffraction.spots.fitting import BEYOND
from phaseloom.diffraction.spots.halo import places, without_rings, without_rings_left
from phaseloom.diffraction.spots.image_filters import (
    COMPILED,
    bin_sums,
    convolve,
    excess,
    expand,
    maxima,
    subtract,
)
from phaseloom.diffraction.spots.joint_fit import (
    AMPLITUDE,
    BACKGROUND,
    COLUMNS,
    FAR,
    PROMINENCE,
    SETTLED,
    X_ERROR,
    Y_ERROR,
    X,
    Y,
    fit,
    place,
    score_spots,
    tail_reach,
)
from phaseloom.diffraction.spots.loading import fill, into_bins, load, spread_outside, sum_within
from phaseloom.diffraction.spots.selection import (
    least_score,
    only_strongest,
    prominences,
    select_spots,
    sort_by_row,
    weakest_of,
)

ROUNDS = (1, 4)
"""Most rounds of fitting in the first and in the second turn."""


@njit(**COMPILED)
def candidates(search, filter_taps, level, noise, wrong, images, found):
    """Local maxima of the filtered residual that counting noise does not explain.

    Parameters
    ----------
    search
        (rows, columns, stride, base) of the padded images.
    level
        (standard deviations)² · Σ taps².
    images
        seen, left, ground, half_done, filtered, above: padded images.

    Returns
    -------
    int
        Number of rows filled in ``found``: (row, column, value).
    """
    rows, columns, stride, base = search
    seen, left, ground, half_done, filtered, above = images
    gain, floor = noise
    r = filter_taps.size - 1
    n = rows * stride
    start = base - r * stride
    convolve(left[start:], stride, filter_taps, half_done[r:], n)
    convolve(half_done, 1, filter_taps, filtered, n)
    excess(filtered, seen[base:], left[base:], ground[base:], level, gain, floor, wrong, above, n)
    count = 0
    for y in range(1, rows - 1):
        count = maxima(filtered, above[y * stride :], y, stride, columns, found, count)
    return count


@njit(**COMPILED)
def register(
    image, rest, frame, shape, noise, limits, beam, bad, at_least, n_bad, masked_count, search,
    cell_images, halo, spots, work,
):  # fmt: skip
    """Find and fit the spots of one loaded pattern.

    Parameters
    ----------
    image, rest
        Padded: the counts of the bins, those with an unusable pixel 0; scratch.
    limits
        (level of candidates, wrong part of a spot's shape, table of least scores).
    beam
        (row, column, radius round it in which only the beam itself counts).
    search
        Grid, filter, what the filter makes of a spot of height 1 in its middle, binned images,
        and room for the candidates.
    cell_images
        Usable px of the cells by the mask, filter of the background, and images of the cells.
    halo
        Distances of the bins from the beam, profile and scratch of the rings; what these are on
        the cells.

    Returns
    -------
    kept, brightest : int
        How many spots stand in ``spots``, and which is the direct beam (−1: none).
    """
    height, width, stride, base = frame
    grid, filter_taps, response, images, found = search
    _, _, tight, start = grid
    half, _, sigma, table, _ = shape
    gain, floor = noise
    level, wrong, thresholds = limits
    (
        static, cell_taps, sums, cells_left, share, radial, cells, spare, weight, ring, lines, row,
        profiles, scratch, middles, cell_side, number, beyond,
    ) = cell_images  # fmt: skip
    seen, left, ground = images[0], images[1], images[2]
    cell_rows, cell_columns = cells.shape
    usable_in_cells(static, masked_count, bad, n_bad, base, stride, cell_side, weight)
    bin_sums(image, base, stride, 1, row, seen, start, tight, height, width)
    rings, crest = halo[:9], halo[9]
    crest[:] = 0.0
    for y in range(height):
        at = base + y * stride
        rest[at : at + width] = image[at : at + width]
    for i in range(n_bad):
        image[bad[i]] = BEYOND
    rings_seen = without_rings(image, rest, frame, beam, noise, rings, cell_side, crest)
    for i in range(n_bad):
        rest[bad[i]] = 0.0
    bin_sums(rest, base, stride, 1, row, left, start, tight, height, width)
    flat = sums.reshape(sums.size)
    bin_sums(left, start, tight, cell_side, row, flat, 0, cell_columns, cell_rows, cell_columns)
    inner = min(int(beam[2] / cell_side) + 1, profiles.shape[1] - 1)
    full = np.float32(cell_side * cell_side)
    first_background(
        sums,
        weight,
        full,
        ring,
        beyond,
        inner,
        gain,
        floor,
        cell_taps,
        profiles,
        middles,
        scratch,
        radial,
        cells,
        crest,
        rings_seen,
        spare,
    )
    bin_sums(seen, start, tight, cell_side, row, flat, 0, cell_columns, cell_rows, cell_columns)
    source, change = rest, cells
    count = 0
    for turn in range(2):
        expand(change, cell_side, lines)
        subtract(source, lines, cell_side, base, stride, height, width, rest)
        if turn > 0 and rings_seen:
            without_rings_left(image, rest, frame, beam, noise, rings, cell_side, crest)
        for i in range(n_bad):
            rest[bad[i]] = 0.0
            if turn == 0 and at_least[i] > 0:
                y, x = divmod(bad[i] - base, stride)
                rest[bad[i]] = max(at_least[i] - cells_at(cells, cell_side, y, x), np.float32(0.0))
        bin_sums(rest, base, stride, 1, row, left, start, tight, height, width)
        if turn == 0:
            for i in range(ground.size):
                ground[i] = seen[i] - left[i]
        n = candidates(grid, filter_taps, level, noise, wrong, images, found)
        middle = max(cells_at(cells, cell_side, 0.5 * height, 0.5 * width), np.float32(0.05) * gain)
        tall = 0.1 * math.sqrt(gain * middle + floor)
        if turn > 0:
            n = only_strongest(found, n, spots, count, 3 * sigma)
        old = count
        for k in range(min(n, spots.shape[0] - old)):
            spot = spots[count]
            spot[Y] = found[k, 0]
            spot[X] = found[k, 1]
            spot[AMPLITUDE] = found[k, 2] / response
            spot[FAR] = tail_reach(spot[AMPLITUDE], sigma, tall, half, table)
            place(rest, frame, shape, work, count, spot)
            count += 1
        for k in range(count):
            spots[k, SETTLED] = 0
        fit(image, rest, frame, shape, noise, work, spots, count, ROUNDS[turn], tall)
        if turn == 0:
            for i in range(n_bad):
                rest[bad[i]] = 0.0
            bin_sums(rest, base, stride, 1, row, left, start, tight, height, width)
            flat = cells_left.reshape(cells_left.size)
            bin_sums(
                left, start, tight, cell_side, row, flat, 0, cell_columns, cell_rows, cell_columns
            )
            better_background(
                sums, cells_left, weight, ring, beyond, inner, gain, floor, cell_taps, profiles,
                middles, scratch, radial, cells, crest, share, spare,
            )  # fmt: skip
            misfit_between(
                cells_left, weight, share, spare, cells, crest, gain, floor, cell_taps, middles,
                number, scratch, radial,
            )  # fmt: skip
            source, change = rest, spare
    for i in range(cell_rows):
        for j in range(cell_columns):
            cells[i, j] += crest[i, j]
    # The radial part has done its duty: the misfit between the spots stands there now.
    score_spots(image, rest, frame, shape, noise, work, spots, count, cells, radial, cell_side)
    kept, brightest = select_spots(spots, count, noise, thresholds, beam, sigma)
    prominences(spots, kept, shape)
    return kept, brightest


@njit(**COMPILED)
def register_block(
    patterns, check, beams, padded, settings, search, cell_images, halo, work, out, count, maps,
    max_peaks,
):  # fmt: skip
    """Peaks of some patterns, one after the other in ``out``; places in px.

    Parameters
    ----------
    out
        Room for ``max_peaks`` of every pattern.
    count, maps
        (n,) and (n, 6), filled.

    Returns
    -------
    int
        Rows of ``out`` in use.
    """
    full, frame, bad, image, bins, rest, bad_bins, at_least, masked_bins, side = padded
    shape, noise, limits, dark, gain_map, saturation, masked, guard, ends, squares, tall = settings
    spots = np.empty((search[4].shape[0], COLUMNS))
    cells, ring, row = cell_images[6], cell_images[9], cell_images[11]
    gain, floor = noise
    area = 1.0 / (side * side)
    ring_y, ring_x = np.inf, np.inf
    filled = 0
    for i in range(patterns.shape[0]):
        n_bad = load(
            patterns[i], dark, gain_map, saturation, check, masked, full, frame[3], frame[2], bad
        )
        if n_bad > 0.9 * frame[0] * frame[1]:
            count[i] = -1
            continue
        if n_bad > masked.size:
            fill(patterns[i], dark, gain_map, saturation, full, frame, bad, masked.size, n_bad)
        maps[i, 3] = sum_within(full, frame, beams[i, 0], beams[i, 1], guard)
        maps[i, 4] = spread_outside(full, frame, ends, bad, n_bad)
        n_bad = into_bins(full, frame, bad, n_bad, side, row, image, bins, bad_bins, at_least)
        y = (beams[i, 0] + 0.5) / side - 0.5
        x = (beams[i, 1] + 0.5) / side - 0.5
        if abs(y - ring_y) > 0.5 or abs(x - ring_x) > 0.5:
            rings_about(y, x, cell_images[15], ring, cell_images[17])
            ring_y, ring_x = y, x
        places(bins, y, x, halo[0])
        kept, brightest = register(
            image, rest, bins, shape, noise, limits, (y, x, guard / side), bad_bins, at_least,
            n_bad,
            masked_bins, search, cell_images, halo, spots, work,
        )  # fmt: skip
        total = 0.0
        for j in range(cells.shape[0]):
            for k in range(cells.shape[1]):
                total += cells[j, k]
        mean = max(total / cells.size, 0.0)
        least = least_score(mean, noise, limits[2])
        maps[i, 5] = tall * least * math.sqrt((gain * max(mean, 1e-3) + floor) / squares)
        for k in range(kept):
            spot = spots[k]
            spot[Y] = (spot[Y] + 0.5) * side - 0.5
            spot[X] = (spot[X] + 0.5) * side - 0.5
            spot[Y_ERROR] *= side
            spot[X_ERROR] *= side
            spot[BACKGROUND] *= area
            spot[PROMINENCE] *= tall
        if brightest >= 0:
            maps[i, 0] = spots[brightest, Y]
            maps[i, 1] = spots[brightest, X]
            maps[i, 2] = max(spots[brightest, Y_ERROR], spots[brightest, X_ERROR])
        kept = weakest_of(spots, kept, max_peaks)
        sort_by_row(spots, kept)
        for k in range(kept):
            for c in range(COLUMNS):
                out[filled, c] = spots[k, c]
            filled += 1
        count[i] = kept
    return filled
