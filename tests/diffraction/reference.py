"""The peak finder again in plain numpy: slow, to be read, and what the kernel must equal.

Images are (rows, columns) float64, with nothing around them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import binary_propagation, correlate1d, maximum_filter

from phaseloom.diffraction.detector.correction import corrected
from phaseloom.diffraction.spots import finder as constants
from phaseloom.diffraction.spots import halo, selection
from phaseloom.diffraction.spots import joint_fit as refinement
from phaseloom.diffraction.spots.background import _CLIP as CLIP
from phaseloom.diffraction.spots.false_alarms import (
    LOWEST,
    PER_DECADE,
    gaussian_level,
    least_scores,
)
from phaseloom.diffraction.spots.fitting import LANES
from phaseloom.diffraction.spots.kernel import ROUNDS

# --- images -------------------------------------------------------------------------------


def blur(image, taps):
    """Both axes with the symmetric filter of which ``taps`` are the middle and one half."""
    both = np.concatenate([taps[:0:-1], taps]).astype(float)
    along = correlate1d(np.asarray(image, float), both, axis=0, mode="constant")
    return correlate1d(along, both, axis=1, mode="constant")


def squares(image, side):
    """Sums over whole squares of side² px."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    whole = image[: rows * side, : columns * side].astype(float)
    return whole.reshape(rows, side, columns, side).sum((1, 3))


def interpolated(cells, side, rows, columns):
    """Cells of side² px at these pixels, linear between their middles, constant beyond."""
    for axis, at in enumerate((rows, columns)):
        place = np.clip((np.asarray(at) + 0.5) / side - 0.5, 0, cells.shape[axis] - 1)
        before = np.minimum(place.astype(int), cells.shape[axis] - 2)
        share = np.expand_dims(place - before, 1 - axis)
        cells = (1 - share) * cells.take(before, axis) + share * cells.take(before + 1, axis)
    return cells


def excess(filtered, seen, left, ground, level, gain, floor, wrong):
    expected = seen - left
    noise = level * (gain * np.maximum(expected, 0) + floor)
    return filtered * abs(filtered) - noise - (wrong * np.maximum(expected - ground, 0)) ** 2


def maxima(filtered, above):
    """(n, 3) row, column (by parabolas) and value of the maxima where ``above`` is positive."""
    top = (filtered == maximum_filter(filtered, 3)) & (above > 0)
    top[[0, -1]] = top[:, [0, -1]] = False
    y, x = np.nonzero(top)

    def offset(before, after):
        return 0.5 * (after - before) / (2 * filtered[y, x] - before - after)

    row = y + offset(filtered[y - 1, x], filtered[y + 1, x])
    column = x + offset(filtered[y, x - 1], filtered[y, x + 1])
    return np.stack([row, column, filtered[y, x]], axis=1)


# --- background ---------------------------------------------------------------------------


def distances(shape, y, x, side):
    """Of all cells from a point (px), in cells."""
    v, u = ((c + 0.5) / side - 0.5 for c in (y, x))
    return np.hypot(np.arange(shape[0])[:, None] - v, np.arange(shape[1]) - u)


def rings(distance):
    return np.floor(distance + 0.5).astype(int)


def at_distance(profile, distance):
    return np.interp(distance, np.arange(len(profile)), profile)


def radial_profile(mean, weight, ring, inner, gain, floor, clip, full, length):
    profile, most = np.zeros(length), np.full(length, np.inf)
    for _ in range(3):
        used = np.where(mean <= most[ring], weight, 0)
        total = np.bincount(ring.ravel(), (used * mean).ravel(), minlength=length)
        share = np.bincount(ring.ravel(), used.ravel(), minlength=length)
        last = total[inner] / max(share[inner], 1)
        for k in range(length):
            if share[k] > 0 and k > inner:
                last = total[k] / share[k]
            profile[k] = last
        noise = np.sqrt((gain * np.maximum(profile, 0) + floor) / full)
        most = profile + clip * noise + 0.5 * clip**2 * gain / full
    return profile


def smooth(values, weight, taps):
    """Weighted mean over neighbours, carried along its slope to where these lie on one side."""
    mean = blur(values * weight, taps) / np.maximum(blur(weight, taps), 1e-6)
    out = mean.copy()
    both = np.concatenate([taps[:0:-1], taps]).astype(float)
    for axis, n in enumerate(values.shape):
        place = np.arange(n, dtype=float)
        middle = correlate1d(place, both, mode="constant")
        middle /= correlate1d(np.ones(n), both, mode="constant")
        before, after = np.maximum(np.arange(n) - 1, 0), np.minimum(np.arange(n) + 1, n - 1)
        lever = (place - middle) / (middle[after] - middle[before])
        lever = np.expand_dims(np.where(abs(lever) > 0.02, lever, 0), 1 - axis)
        out += lever * (mean.take(after, axis) - mean.take(before, axis))
    return out


def first_background(sums, weight, full, distance, inner, gain, floor, taps, length, crest=None):
    """Radial profile and the whole; ``crest`` is the radial part where that was taken off."""
    w = np.maximum(weight, 1)
    mean = sums / w
    profile = np.zeros(length)
    if crest is None:
        ring = rings(distance)
        profile = radial_profile(mean, weight, ring, inner, gain, floor, CLIP, full, length)
        there = np.bincount(ring.ravel(), weight.ravel(), minlength=length) > 0
        first = inner + int(np.argmax(there[inner:]))
        profile[:first] = profile[first]
    radial = at_distance(profile, distance)
    most = radial if crest is None else crest
    noise = np.sqrt((gain * np.maximum(most, 0) + floor) / w)
    local = np.minimum(mean - radial, 2 * noise + 2 * gain / w)
    return profile, radial + smooth(local, weight, taps)


def profile_between(mean, ground, share, ring, inner, gain, floor, before):
    """Mean over as many rings as are alike; the profile before, where there is nothing to see."""
    total = np.bincount(ring.ravel(), (share * mean).ravel(), minlength=len(before))
    weight = np.bincount(ring.ravel(), share.ravel(), minlength=len(before))
    level = np.bincount(ring.ravel(), (share * ground).ravel(), minlength=len(before))
    level /= np.maximum(weight, 1e-9)
    profile = before.copy()
    for k in range(len(profile)):
        for wide in range(k // 6 + 1, -1, -1):
            near = slice(max(inner, k - wide), k + wide + 1)
            there = weight[near].sum()
            profile[k] = total[near].sum() / there if there > 1 else profile[max(k - 1, 0)]
            if weight[k] <= 1 or level[k] * weight[k] <= 1e4 * gain:
                break
            noise = 9 * (gain * level[k] + floor) / weight[k] + (0.05 * level[k]) ** 2
            if (total[k] / weight[k] - profile[k]) ** 2 < noise:
                break
    first = inner + int(np.argmax(weight[inner:] > 1))
    profile[:first] = profile[first]
    return profile


def better_background(
    seen, left, weight, distance, inner, gain, floor, taps, profile, cells, crest=0
):
    """The background, and what the cells count for."""
    w, ground = np.maximum(weight, 1), np.maximum(cells + crest, 1e-6)
    expected = np.maximum((seen - left) / w, ground)
    limit = 3 * np.sqrt((gain * ground + floor) / w)
    value = np.clip(left / w, -limit, limit + 4 * gain / w) + cells
    share = weight * (ground / expected) ** 2
    ring = rings(distance)
    profile = profile_between(value, ground, share, ring, inner, gain, floor, profile)
    radial = at_distance(profile, distance)
    return radial + smooth(value - radial, share, taps), share


def misfit_between(left, weight, share, change, cells, gain, floor, taps, number, crest=0):
    """Variance between the spots over that of counting."""
    w = np.maximum(weight, 1)
    variance = (gain * np.maximum(cells + crest, 1e-3 * gain) + floor) / w
    misfit = smooth(np.minimum((left / w - change) ** 2 / variance, 50), share, taps)
    counts = np.maximum(cells * weight / gain, 1e-2)
    return np.maximum(1, misfit - 2 * np.sqrt((2 + 1 / counts) / number))


# --- rings finer than cells -----------------------------------------------------------------


@dataclass
class Rings:
    """Ring of every bin, and the rings' levels, once rings were found in a pattern."""

    distance: np.ndarray
    inner: int
    level: np.ndarray
    crest: np.ndarray
    side: int

    def take_off(self, rest, profile):
        """Subtract a profile, and remember its mean over the cells."""
        drawn = np.interp(self.distance, np.arange(len(profile)), profile)
        self.crest += squares(drawn, self.side)[: self.crest.shape[0], : self.crest.shape[1]] / (
            self.side**2
        )
        return rest - drawn


def shrunk(deviation, weight, inner, doubt):
    """James and Stein, over each ring and its neighbours; the largest mean square."""
    profile, most = np.zeros(len(deviation)), 0.0
    for k in np.flatnonzero(weight > 0):
        near = np.arange(max(inner, k - 2), min(len(weight), k + 3))
        near = near[weight[near] > 0]
        square = (deviation[near] ** 2 * weight[near]).mean()
        most = max(most, square)
        profile[k] = max(0, 1 - doubt / max(square, 1e-9)) * deviation[k]
    return profile, most


def smoothed(level, number, inner, reach, curved):
    out = level.copy()
    for k in range(len(level)):
        far = min(reach, k - inner, len(level) - 1 - k)
        if far < 2:
            continue
        near = np.arange(k - far, k + far + 1)
        near = near[number[near] > 0]
        square = ((near - k) / (far + 1)) ** 2
        if curved and near.size > 2:
            basis = np.stack([np.ones(near.size), square], axis=1)
            normal = basis.T * (1 - square) @ basis
            out[k] = max(np.linalg.solve(normal, basis.T @ ((1 - square) * level[near]))[0], 0)
        elif near.size and not curved:
            out[k] = np.average(level[near], weights=1 - square)
    return out


def without_rings(values, beam, guard, gain, floor, side, cells, length):
    """The pattern without its radial profile and the rings, if it has fine ones (else None)."""
    y, x = (c[:, None] if i == 0 else c for i, c in enumerate(map(np.arange, values.shape)))
    down, across = y - beam[0] + 0 * x, x - beam[1] + 0 * y
    distance = np.hypot(down, across)
    ring = np.floor(distance + 0.5).astype(int)
    less, more = np.minimum(abs(down), abs(across)), np.maximum(abs(down), abs(across))
    sector = (down > 0) + 2 * (across > 0) + 4 * (abs(down) > abs(across))
    sector = sector + 8 * (less > 0.41 * more)
    usable = np.isfinite(values)
    most = np.full(length, np.inf)
    for _ in range(halo._ROUNDS):
        used = usable & (np.nan_to_num(values) <= most[ring])
        place = (ring * 16 + sector)[used]
        total = np.bincount(place, values[used], minlength=16 * length).reshape(length, 16)
        count = np.bincount(place, minlength=16 * length).reshape(length, 16)
        number = count.sum(1)
        level, low, high = np.zeros((3, length))
        for k in np.flatnonzero(number):
            there = count[k] > 0
            few = total[k].sum() <= halo._MANY * gain
            means = total[k, there] / count[k, there]
            level[k] = total[k].sum() / number[k] if few else np.median(means)
            low[k], high[k] = np.sort(means)[[means.size // 3, 2 * means.size // 3]]
        spread = np.sqrt(gain * np.maximum(level, 1e-3) + floor)
        most = level + CLIP * spread + 0.5 * CLIP**2 * gain
    inner = int(guard) + 1
    for curved in (True, False):
        seen, reach_ = (low, halo._COARSE * side) if curved else (level, side)
        fewest = 2 * halo._MANY if curved else halo._FEWEST
        smooth = smoothed(seen, number, inner, reach_, curved)
        enough = (np.arange(length) >= inner) & (smooth * number > fewest * gain)
        variance = halo._MEDIAN * (gain * smooth + floor)
        weight = np.where(enough, number / np.where(enough, variance, 1), 0)
        if curved:
            spread = np.sqrt((gain * np.maximum(level, 1e-3) + floor) * 16 / np.maximum(number, 1))
            weight[high - low > halo._EVEN * spread] = 0
        profile, square = shrunk(seen - smooth, weight, inner, halo._DOUBT)
        if curved and square < halo._SURE:
            return values, None
    profile += smooth
    bend = np.diff(profile, 2)[inner:]
    profile[inner + 1 : -1] = np.maximum(profile[inner + 1 : -1] - bend / 8, 0)
    profile[:inner] = profile[inner]
    rings = Rings(distance, inner, level, np.zeros(cells), side)
    return rings.take_off(values, profile), rings


def without_rings_left(values, rest, rings, gain, floor):
    """What a model with spots leaves, without rings in it."""
    ring = np.floor(rings.distance + 0.5).astype(int)
    usable, length = np.isfinite(values), len(rings.level)
    expected = np.maximum(np.fmax(values - rest, rings.level[ring]), 1e-3)
    share = np.where(usable, 1 / (gain * expected + floor), 0)
    weight = np.bincount(ring.ravel(), share.ravel(), minlength=length)
    total = np.bincount(ring.ravel(), (share * rest).ravel(), minlength=length)
    deviation = total / np.where(weight > 0, weight, 1)
    weight = np.where(np.arange(length) >= rings.inner, weight, 0)
    profile, most = shrunk(deviation, weight, rings.inner, halo._DOUBT_LATER)
    return rings.take_off(rest, profile) if most > halo._DOUBT_LATER else rest


# --- fits ---------------------------------------------------------------------------------


@dataclass
class Spot:
    y: float
    x: float
    amplitude: float
    far: int = 0
    settled: bool = False
    errors: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    score: float = 0.0
    wrong: float = 0.0
    background: float = math.nan
    prominence: float = math.nan


def template(shape, y, x, rows, columns):
    """Template about (y, x) on a grid of these rows and columns, and its two derivatives."""

    def at(v, u):
        distance = np.hypot(rows[:, None] - v, columns - u)
        value = shape.profile(distance)
        if shape.kind == "disk":
            value[distance > shape.radius + 4 * shape.edge] = 0
        return value

    h = 1e-4
    return (
        at(y, x),
        (at(y + h, x) - at(y - h, x)) / (2 * h),
        (at(y, x + h) - at(y, x - h)) / (2 * h),
    )


def window(shape, y, x, size):
    """Slices of the window round a spot, cut to an image of this size, and the template on it."""
    wide = LANES * -(-(2 * shape.half + 1) // LANES)
    top, left = round(y) - shape.half, round(x) - wide // 2
    rows = np.arange(max(top, 0), min(top + 2 * shape.half + 1, size[0]))
    columns = np.arange(max(left, 0), min(left + wide, size[1]))
    there = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return there, template(shape, y, x, rows, columns)


def draw(image, shape, spot, amplitude):
    """Add a spot of this amplitude to the image: its window, and as far as it shows."""
    there, (p, _, _) = window(shape, spot.y, spot.x, image.shape)
    drawn = np.zeros_like(image)
    if spot.far > 0:
        y, x = np.arange(image.shape[0]), np.arange(image.shape[1])
        within = abs(y - round(spot.y))[:, None] <= spot.far
        within = within & (abs(x - round(spot.x)) <= spot.far)
        drawn += within * shape.profile(np.hypot(y[:, None] - spot.y, x - spot.x))
    drawn[there] = p
    image += amplitude * drawn


def weights(values, rest, gain, floor):
    """One over the variance that the model expects; 0 where a pixel is missing (NaN)."""
    expected = values - rest
    return np.where(np.isnan(values), 0, 1 / (gain * np.fmax(expected, 1e-3) + floor))


def scoring_step(p, py, px, difference, weight, amplitude):
    """Step in (height, y, x) and the covariance of the three."""
    jacobian = np.stack([p, amplitude * py, amplitude * px]).reshape(3, -1)
    information = (jacobian * weight.ravel()) @ jacobian.T
    return np.linalg.solve(information, jacobian @ (weight * difference).ravel()), np.linalg.inv(
        information
    )


def score(p, values, rest, amplitude, gain, floor):
    """Signal-to-noise ratio of a spot, its misfit and the spread of that, what is wrong with it.

    The last is the root of what of the mean square of the residuals chance does not explain.
    """
    there = ~np.isnan(values)
    p, rest, expected = p[there], rest[there], (values - rest)[there]
    w = p / (gain * np.maximum(expected - amplitude * p, 1e-3) + floor)
    signal = (w * (rest + amplitude * p)).sum() / np.sqrt((w * p).sum())
    variance = gain * np.maximum(expected, 1e-3) + floor
    spread = np.sqrt(2 * (p**2).sum()) / p.sum()
    by_chance = (1 + 2 * spread) * np.average(variance, weights=p)
    return (
        signal,
        np.average(rest**2 / variance, weights=p),
        spread,
        np.sqrt(max(np.average(rest**2, weights=p) - by_chance, 0)),
    )


def reach(shape, amplitude, tall):
    if shape.kind == "disk" or amplitude <= tall:
        return 0
    far = math.ceil(shape.sigma * math.sqrt(2 * math.log(amplitude / tall)))
    return far if far > shape.half else 0


def fit(values, rest, shape, gain, floor, spots, rounds, tall):
    """Every spot in turn on what the others leave; ``rest`` and ``spots`` follow."""
    sigma, size = shape.filter_sigma, values.shape
    for _ in range(rounds):
        for spot in spots:
            if spot.settled:
                continue
            there, grid = window(shape, spot.y, spot.x, size)
            weight = weights(values[there], rest[there], gain, floor)
            step, covariance = scoring_step(*grid, rest[there], weight, spot.amplitude)
            dy, dx = np.clip(step[1:], -0.3 * sigma, 0.3 * sigma)
            variances = np.diag(covariance)
            spot.errors = tuple(np.sqrt(variances))
            moved = max((dy**2 + dx**2) / variances[1:].max(), step[0] ** 2 / variances[0])
            spot.settled = bool(moved < refinement._LAST)
            if moved < refinement._NONE:
                continue
            draw(rest, shape, spot, spot.amplitude)
            spot.y = min(max(spot.y + dy, 0), size[0] - 1)
            spot.x = min(max(spot.x + dx, 0), size[1] - 1)
            spot.amplitude = max(0.3 * spot.amplitude, spot.amplitude + step[0])
            spot.far = reach(shape, spot.amplitude, tall)
            draw(rest, shape, spot, -spot.amplitude)


# --- which of them count ------------------------------------------------------------------


def only_strongest(found, spots, near):
    """Of the new candidates beside a spot that was there before, the strongest."""
    value = found[:, 2].copy()
    for spot in spots:
        beside = np.hypot(found[:, 0] - spot.y, found[:, 1] - spot.x) < near
        if beside.any():
            beside[np.where(beside, value, -np.inf).argmax()] = False
            value[beside] = -1
    return found[value > 0]


def keep(spots, least, beam, guard, apart):
    """The spots that count, and which of them is the direct beam (None)."""
    near = [k for k, s in enumerate(spots) if math.hypot(s.y - beam[0], s.x - beam[1]) < guard]
    brightest = max(near, key=lambda k: spots[k].amplitude, default=None)
    kept = {
        k
        for k, s in enumerate(spots)
        if s.amplitude >= 2 * s.errors[0]
        and s.score >= least(s.background)
        and (k not in near or k == brightest)
    }

    def part_of(spot, other):
        away = math.hypot(spot.y - other.y, spot.x - other.x)
        left_over = spot.amplitude < selection._OF_WRONG * other.wrong
        return other.amplitude > spot.amplitude and (
            away < apart or (left_over and away < selection._BESIDE * apart)
        )

    for k, s in enumerate(spots):
        if k in kept and any(part_of(s, spots[m]) for m in kept):
            kept.remove(k)
    return [spots[k] for k in sorted(kept)], spots[brightest] if brightest in kept else None


def prominence(spot, spots, shape):
    """Height over the highest of the saddles, on straight lines, to brighter spots in reach."""
    heights = [spot.amplitude]
    for other in spots:
        d = math.hypot(other.y - spot.y, other.x - spot.x)
        if other.amplitude > spot.amplitude and d <= 2 * shape.half:
            s = d * np.arange(16) / 16
            line = spot.amplitude * shape.profile(s) + other.amplitude * shape.profile(d - s)
            heights.append(line[0] - line.min())
    return min(heights)


# --- the whole pass -----------------------------------------------------------------------


def filled_in(pattern, correction):
    """Corrected counts, 0 where unusable; full pixels as full as they are if others beside are.

    From pixels beside which it is a quarter as bright it goes on to all full ones next to them.
    """
    raw = np.asarray(pattern, float)
    full = (raw >= correction.saturation) & (raw < np.inf) & correction.mask
    clipped = np.where(full, correction.saturation, raw)
    much = np.nan_to_num(corrected(clipped[None], replace(correction, saturation=np.inf))[0])
    usable = np.where(full, 0, much)
    bright = full & (maximum_filter(usable, 3) > 0.25 * much)
    grown = binary_propagation(bright, mask=full, structure=np.ones((3, 3)))
    return np.where(grown, much, usable)


def least_known(pattern, correction, side):
    """Sums of the bins that are unusable because a pixel is saturated; 0 of all others.

    Of several unusable pixels in a bin the first says why, masked ones being before the others.
    """
    filled = filled_in(pattern, correction)
    full = np.isnan(corrected(pattern[None], correction)[0]) & (filled > 0)
    sums = squares(filled, side)
    order = np.arange(pattern.size).reshape(pattern.shape) + 1.0
    order[np.isfinite(corrected(pattern[None], correction)[0])] = np.inf
    order[~correction.mask] = 0
    (rows, columns), tiles = sums.shape, []
    for values in (order, full):
        whole = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
        tiles.append(whole.transpose(0, 2, 1, 3).reshape(rows, columns, -1))
    first = tiles[0].argmin(2)[..., None]
    return np.where(np.take_along_axis(tiles[1], first, 2)[..., 0], sums, 0)


def register(pattern, finder, correction, beam):
    """Spots of one raw pattern, in order of their rows, and the direct beam (None).

    All of it on bins of side² px. Amplitudes are returned as integrated counts.
    """
    side = finder.shape.bin_side
    shape, gain, floor = finder.shape.binned(side), finder.gain, finder.floor * side**2
    sigma, guard = shape.filter_sigma, finder.guard_radius / side
    beam = [(c + 0.5) / side - 0.5 for c in beam]
    values = squares(corrected(pattern[None], correction)[0], side)
    usable, size = np.isfinite(values), values.shape
    at_least = least_known(pattern, correction, side)
    y, x = np.arange(size[0]), np.arange(size[1])
    whole = shape.template()
    area = (squares(~correction.mask, side) == 0).sum()
    level = gaussian_level(whole, area, finder.false_alarms)
    table = least_scores(whole, level)

    def least(background):
        b = max(background / gain, 1e-6)
        place = (math.log10((b + floor / gain**2) ** 3 / b**2) - LOWEST) * PER_DECADE
        return np.interp(place, np.arange(table.size), table)

    taps = constants._taps(sigma)
    both = np.concatenate([taps[:0:-1], taps]).astype(float)
    axis = np.arange(1 - taps.size, taps.size)
    response = (shape.profile(np.hypot(axis[:, None], axis)) * both[:, None] * both).sum()
    limit = (constants._CANDIDATE_LEVEL * level) ** 2 * (both**2).sum() ** 2
    counts = max(finder.background * side**2 / gain, 1e-4)
    wide = max(math.sqrt(constants._KNOWN_TO / (4 * math.pi * counts)), 3.3 * sigma)
    cell = constants._CELL if side == 1 else constants._CELL // 2
    cell_taps = constants._taps(min(wide, 10 * sigma) / cell)
    number = 4 * math.pi * (min(wide, 10 * sigma) / cell) ** 2

    full, weight = np.where(usable, values, 0), squares(usable, cell)
    length = 2 * math.ceil(math.hypot(*weight.shape)) + 8
    inner = min(int(guard / cell) + 1, length - 1)
    distance = distances(weight.shape, *beam, cell)
    long = 2 * math.ceil(math.hypot(*size)) + 8
    clear, rings_ = without_rings(values, beam, guard, gain, floor, cell, weight.shape, long)
    crest = None if rings_ is None else rings_.crest
    rest = np.where(usable, clear, 0)
    profile, cells = first_background(
        squares(rest, cell), weight, cell**2, distance, inner, gain, floor, cell_taps, length, crest
    )
    sums = squares(full, cell)
    change = cells
    spots: list[Spot] = []
    for turn in range(2):
        rest = np.where(usable, rest - interpolated(change, cell, y, x), 0)
        if turn > 0 and rings_ is not None:
            rest = np.where(usable, without_rings_left(values, rest, rings_, gain, floor), 0)
        if turn == 0:
            known = np.maximum(at_least - interpolated(cells, cell, y, x), 0)
            rest = np.where(at_least > 0, known, rest)
            ground = full - rest
        filtered = blur(rest, taps)
        above = excess(filtered, full, rest, ground, limit, gain, floor, constants._WRONG)
        middle = interpolated(cells, cell, [size[0] / 2], [size[1] / 2])[0, 0]
        tall = 0.1 * math.sqrt(gain * max(middle, 0.05 * gain) + floor)
        found = maxima(filtered, above)
        if turn > 0:
            found = only_strongest(found, spots, 3 * sigma)
        for v, u, height in found:
            spot = Spot(v, u, height / response)
            spot.far = reach(shape, spot.amplitude, tall)
            draw(rest, shape, spot, -spot.amplitude)
            spots.append(spot)
        for spot in spots:
            spot.settled = False
        fit(values, rest, shape, gain, floor, spots, ROUNDS[turn], tall)
        if turn == 0:
            rest[~usable] = 0
            left = squares(rest, cell)
            better, share = better_background(
                sums, left, weight, distance, inner, gain, floor, cell_taps, profile, cells,
                0 if crest is None else crest,
            )  # fmt: skip
            cells, change = better, better - cells
            misfits = misfit_between(
                left, weight, share, change, cells, gain, floor, cell_taps, number,
                0 if crest is None else crest,
            )  # fmt: skip
    if crest is not None:
        cells = cells + crest
    for spot in spots:
        spot.background = interpolated(cells, cell, [spot.y], [spot.x])[0, 0]
        there, (p, _, _) = window(shape, spot.y, spot.x, size)
        spot.score, misfit, spread, spot.wrong = score(
            p, values[there], rest[there], spot.amplitude, gain, floor
        )
        spot.score /= math.sqrt(interpolated(misfits, cell, [spot.y], [spot.x])[0, 0])
        spot.errors = tuple(np.array(spot.errors) * math.sqrt(max(1, misfit - 2 * spread)))
    kept, brightest = keep(spots, least, beam, guard, sigma)
    for spot in kept:
        spot.prominence = prominence(spot, kept, shape) * shape.volume / finder.shape.volume
    for spot in kept:
        spot.y, spot.x = ((c + 0.5) * side - 0.5 for c in (spot.y, spot.x))
        spot.amplitude *= shape.volume
        spot.errors = tuple(np.array(spot.errors) * [shape.volume, side, side])
        spot.background /= side**2
    kept.sort(key=lambda s: -s.amplitude)
    return sorted(kept[: finder.max_peaks], key=lambda s: s.y), brightest
