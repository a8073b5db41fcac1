"""Optical density from counts: incident intensity, thickness, particle mask, baseline.

Optical density is −ln(I / I0): I0 the incident intensity per energy, from the empty part of the
field, a region of it or a file. All functions work frame by frame, so that the memory needed on
top of the stack is a few frames.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError, InputWarning

PARTICLE, THIN, SATURATED, INVALID, LEFT_OUT = 0, 1, 2, 3, 4
"""Values of ``mask_reason``: why a pixel is, or is not, mapped."""

_OFTEN = 0.3
"""Saturated in more than this part of the frames, a pixel tells nothing of the beam."""


def empty_area(
    counts: NDArray[np.float32], saturated: NDArray[np.float32] | None = None
) -> NDArray[np.bool_]:
    """Pixels where the beam meets no particle, from the stack (energy, y, x) alone.

    The brightest mode of the energy-averaged picture: what lies within three of its noise
    widths, measured on its bright side where no particle can be, away from rims.

    Parameters
    ----------
    counts
        (energy, y, x), NaN where there is no reading.
    saturated
        (y, x) part of the frames in which a pixel is beyond the detector's scale: the brightest.

    Raises
    ------
    InputError
        There is no such area of at least 16 pixels, or it is saturated.
    """
    picture = _mean_image(counts)
    if saturated is not None and np.count_nonzero(saturated > _OFTEN) >= 16:
        raise InputError(
            f"no I0 can come from the field: its brightest part is saturated "
            f"({np.count_nonzero(saturated > _OFTEN)} pixels)",
            "give I0 as a file, or a region that is not saturated (--i0 FILE or --i0 y0:y1,x0:x1)",
        )
    level = np.log(np.maximum(picture, 1e-6))
    finite = np.isfinite(level)
    bright = finite & (level > _otsu(level[finite]))
    values = level[bright]
    mode = _mode(values)
    width = float(np.sqrt(np.mean(np.square(values[values >= mode] - mode))))
    chosen = finite & (np.abs(level - mode) <= 3.0 * max(width, 1e-4))
    eroded = ndimage.binary_erosion(chosen, iterations=2)
    if np.count_nonzero(eroded) >= 16:
        chosen = eroded
    if np.count_nonzero(chosen) < 16:
        raise InputError(
            "no empty area for I0 was found in the field",
            "give I0 as a file or a region (--i0 FILE or --i0 y0:y1,x0:x1)",
        )
    return np.asarray(chosen, dtype=bool)


def incident_intensity(counts: NDArray[np.float32], area: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean counts (energy,) over the empty area, outliers beyond four deviations left out.

    Raises
    ------
    InputError
        The intensity is zero or not finite at some energy.
    """
    intensity = np.empty(counts.shape[0])
    for e, frame in enumerate(counts):
        values = frame[area].astype(np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            intensity[e] = np.nan
            continue
        median = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - median))
        intensity[e] = values[np.abs(values - median) <= 4.0 * spread + 1e-12].mean()
    check_incident(intensity)
    return intensity


def check_incident(intensity: NDArray[np.float64]) -> None:
    """Refuse an incident intensity that is zero, negative or missing at any energy."""
    bad = ~(np.isfinite(intensity) & (intensity > 0))
    if np.any(bad):
        raise InputError(
            f"I0 is zero or missing at {np.count_nonzero(bad)} of {bad.size} energies "
            f"(first: frame {int(np.argmax(bad))})",
            "choose another region or file for I0",
        )


def incident_from_spectrum(spectrum: xr.DataArray, energy: xr.DataArray) -> NDArray[np.float64]:
    """I0 (energy,) of a measured spectrum, linearly between its points.

    Raises
    ------
    InputError
        The spectrum does not reach over all energies of the stack, or is not positive.
    """
    grid = spectrum["energy"].to_numpy()
    energies = energy.to_numpy()
    tolerance = 1e-3
    if energies.min() < grid[0] - tolerance or energies.max() > grid[-1] + tolerance:
        raise InputError(
            f"I0 spectrum covers {grid[0]:g}–{grid[-1]:g} eV but the stack needs "
            f"{energies.min():g}–{energies.max():g} eV",
            "give an I0 that covers the stack",
            source=spectrum.attrs.get("source"),
        )
    intensity: NDArray[np.float64] = np.interp(energies, grid, spectrum.to_numpy().astype(float))
    check_incident(intensity)
    return intensity


def to_optical_density(
    counts: NDArray[np.float32],
    intensity: NDArray[np.float64],
    *,
    progress: Progress = SILENT,
) -> NDArray[np.int32]:
    """Turn counts (energy, y, x) into −ln(counts / I0), in place; NaN where counts are not > 0.

    Returns
    -------
    ndarray of int32
        (y, x) at how many energies there was a reading, but of no counts: the pixel is opaque.
    """
    opaque = np.zeros(counts.shape[1:], dtype=np.int32)
    for e, frame in enumerate(progress.track(counts, "optical density")):
        opaque += frame <= 0
        frame[~(frame > 0)] = np.nan
        np.divide(frame, np.float32(intensity[e]), out=frame)
        np.log(frame, out=frame)
        np.negative(frame, out=frame)
    return opaque


def relative_thickness(
    optical_density: NDArray[np.float32],
    intensity: NDArray[np.float64] | None,
    beam: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thickness of each pixel relative to the median particle, and its noise, (y, x) each.

    The projection of a pixel's spectrum on the mean spectrum of the absorbing part of the field,
    both centred, so that what has no edge (membrane, an I0 off by a factor) does not count. 1 is
    the median of the pixels that stand out of the noise. Spectra divided by it are normalised.
    Missing readings are left out of a pixel's projection.

    Parameters
    ----------
    optical_density
        (energy, y, x), NaN where nothing was transmitted or read.
    intensity
        I0 in counts (energy,): gives the noise. None where counts are not known: neighbouring
        thin pixels say by how much the thickness scatters.
    beam
        (y, x) part of I0 that lights each pixel; all alike by default.

    Raises
    ------
    InputError
        No pixel has enough readings, or the particles' spectrum is flat.
    """
    shape = optical_density.shape[1:]
    readings, total = np.zeros(shape, dtype=np.int32), np.zeros(shape)
    for frame in optical_density:
        there = np.isfinite(frame)
        readings += there
        total += np.where(there, frame, 0.0)
    enough = readings >= enough_readings(len(optical_density))
    if not np.any(enough):
        raise InputError("no pixel has a reading at every energy", "check the stack and I0")
    mean = np.where(enough, total / np.maximum(readings, 1), np.nan)
    absorbing = enough & (mean >= _otsu(mean[enough]))
    template = np.array([float(np.nanmean(frame[absorbing], dtype=np.float64))
                         for frame in optical_density])  # fmt: skip
    if not np.isfinite(template).all():
        raise InputError("the particles have no reading at some energy", "leave it out")
    template -= template.mean()
    if float(template @ template) < 1e-12:
        raise InputError("the spectrum of the particles is flat", "check the energies and I0")
    first, second, with_density = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for t, frame in zip(template, optical_density, strict=True):
        there = np.isfinite(frame)
        first += t * there
        second += t**2 * there
        with_density += t * np.where(there, frame, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.where(enough, first / readings, np.nan)
        norm = second - readings * centre**2
        norm[~(norm > 0.05 * float(template @ template))] = np.nan
        projection = (with_density - centre * total) / norm
    if intensity is None:
        noise = np.full(shape, _scatter(projection, enough & ~absorbing & np.isfinite(projection)))
    else:
        variance = np.zeros(shape)
        for t, i0, frame in zip(template, intensity, optical_density, strict=True):
            of_reading = np.exp(np.minimum(frame, 20.0)) / max(float(i0), 1e-12)
            variance += np.where(np.isfinite(frame), (t - centre) ** 2 * of_reading, 0.0)
        if beam is not None:
            variance /= beam
        noise = np.sqrt(variance) / norm
    with np.errstate(invalid="ignore"):
        absorbs = projection > 3.0 * noise
    scale = float(np.median(projection[absorbs])) if np.any(absorbs) else 1.0
    return projection / scale, noise / scale


def enough_readings(energies: int) -> int:
    """Fewest readings that a pixel needs of so many energies: half of them, and five."""
    return min(energies, max(5, -(-energies // 2)))


def absorbing_spectrum(counts: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Optical density (energy,) of the dark part of the field against its bright part.

    None where there are no two parts.
    """
    picture = _mean_image(counts)
    finite = np.isfinite(picture) & (picture > 0)
    if np.count_nonzero(finite) < 32:
        return None
    dark = finite & (picture < np.exp(_otsu(np.log(picture[finite]))))
    with np.errstate(invalid="ignore", divide="ignore"):
        density = np.array(
            [float(np.log(np.nanmean(f[finite & ~dark]) / np.nanmean(f[dark]))) for f in counts]
        )
    return density if np.isfinite(density).all() and dark.any() else None


def particle_mask(
    optical_density: NDArray[np.float32],
    thickness: NDArray[np.float64],
    noise: NDArray[np.float64],
    *,
    thin: float = 0.1,
    thick: float = 3.0,
    opaque: NDArray[np.int32] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.int8]:
    """Particle mask, with the reason why a pixel is left out (``mask_reason``).

    Parameters
    ----------
    optical_density
        (energy, y, x), NaN where nothing was transmitted.
    thickness, noise
        From :func:`relative_thickness`.
    thin
        Pixels below this relative thickness, or below three standard deviations of its noise,
        are too thin.
    thick
        Pixels whose optical density exceeds this at any energy are saturated: stray light and
        higher orders, not the particle, set their spectrum.
    opaque
        (y, x) at how many energies a pixel transmitted nothing, see :func:`to_optical_density`.
        Other missing readings cost a pixel nothing as long as it keeps
        :func:`enough_readings`. None: all missing readings are of opaque pixels.
    allowed
        (y, x) pixels that may be mapped; all by default.

    Returns
    -------
    ndarray of int8
        0 particle, 1 too thin or empty, 2 saturated, 3 too few valid readings, 4 left out.

    Raises
    ------
    InputError
        No pixel is left.
    """
    n = len(optical_density)
    with np.errstate(invalid="ignore"):
        highest = _frame_reduce(optical_density, np.fmax)
        reason = np.full(thickness.shape, PARTICLE, dtype=np.int8)
        reason[~(thickness >= np.maximum(thin, 3.0 * noise))] = THIN
        missing = np.zeros(thickness.shape, dtype=np.int32)
        for frame in optical_density:
            missing += np.isnan(frame)
        dense = highest > thick
    opaque = missing if opaque is None else opaque
    few = n - missing < enough_readings(n)
    reason[dense | ((opaque > 0) & (missing < n) & (highest > 1.0))] = SATURATED
    reason[missing == n] = INVALID
    reason[((opaque > 0) | few) & (reason != SATURATED)] = INVALID
    if allowed is not None:
        reason[~allowed] = LEFT_OUT
    particle = reason == PARTICLE
    labels, n = ndimage.label(particle, structure=np.ones((3, 3)))
    size = np.bincount(labels.ravel(), minlength=n + 1)
    specks = particle & (size[labels] < 9)
    reason[specks] = THIN
    if not np.any(reason == PARTICLE):
        raise InputError(
            "the particle mask is empty: no pixel shows an absorption edge above the noise",
            "check I0 and the energies, or lower --thin / raise --thick",
        )
    return reason


def pre_edge(spectrum: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which energies lie before the edge of a mean spectrum (energy,).

    Those before the first rise above 8 % of the spectrum's range over its first value.
    """
    rise = spectrum - spectrum[0]
    above = np.flatnonzero(rise > 0.08 * np.ptp(spectrum))
    before = np.zeros(spectrum.size, dtype=bool)
    if above.size and np.all(np.abs(rise[: above[0]]) <= 0.08 * np.ptp(spectrum)):
        before[: above[0]] = True
    return before


def subtract_baseline(
    optical_density: NDArray[np.float32], before: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Take each pixel's mean pre-edge optical density off, in place; returns it as (y, x).

    Of the readings there are; a pixel without any keeps its optical density (the fits have an
    offset of their own).
    """
    baseline = np.zeros(optical_density.shape[1:], dtype=np.float32)
    readings = np.zeros(optical_density.shape[1:], dtype=np.int32)
    for e in np.flatnonzero(before):
        there = np.isfinite(optical_density[e])
        baseline[there] += optical_density[e][there]
        readings += there
    baseline /= np.maximum(readings, 1).astype(np.float32)
    optical_density -= baseline
    return baseline


def warn_if_not_empty(
    intensity: NDArray[np.float64], optical_density: NDArray[np.float64], source: str
) -> None:
    """Warn when I0 dips where the particle absorbs: the area was not empty.

    What a cubic over the frames cannot follow of −ln I0 is compared with what it cannot follow
    of the particles' spectrum. On simulated stacks whose incident intensity drifts by 2 to 5 %
    this finds two of five areas with a tenth of the particles' thickness in them, three of four
    with a fifth, and no empty one. Fewer than twelve energies cannot tell.

    Parameters
    ----------
    intensity
        I0 (energy,) found in the field.
    optical_density
        Mean optical density of the particles (energy,).
    """
    if intensity.size < 12:
        return
    place = np.linspace(-1.0, 1.0, intensity.size)
    dip, spectrum = (
        curve - np.polyval(np.polyfit(place, curve, 3), place)
        for curve in (-np.log(intensity), optical_density)
    )
    similarity = float(dip @ spectrum / np.sqrt((dip @ dip) * (spectrum @ spectrum)))
    part = float(dip @ spectrum / (spectrum @ spectrum))
    if similarity > 0.65 and part > 0.05:
        warnings.warn(
            f"{source}: I0 taken from the field dips where the particles absorb "
            f"(correlation {similarity:.2f}): the brightest area may not be empty; "
            "give I0 as a file or a region if there is one",
            InputWarning,
            stacklevel=2,
        )


def _mean_image(counts: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean over energies of the frames, each scaled to its own median; NaN without a reading.

    Missing readings are left out; a pixel that lacks more than half of them is missing.
    """
    total = np.zeros(counts.shape[1:])
    readings = np.zeros(counts.shape[1:], dtype=np.int32)
    for frame in counts:
        there = np.isfinite(frame)
        if not there.any():
            continue
        total += np.where(there, frame, 0.0) / max(float(np.median(frame[there])), 1e-12)
        readings += there
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(readings > 0.5 * len(counts), total / readings, np.nan)


def _scatter(picture: NDArray[np.float64], area: NDArray[np.bool_]) -> float:
    """Standard deviation of the noise in an area, from pixels one apart in a row or column.

    At least 0.001 (the picture is 1 where there are particles): no detector is better.
    """
    steps = np.concatenate(
        [
            (picture[:, 2:] - picture[:, :-2])[area[:, 2:] & area[:, :-2]],
            (picture[2:] - picture[:-2])[area[2:] & area[:-2]],
        ]
    )
    if not steps.size:
        return 1e-3
    return max(1e-3, 1.4826 * float(np.median(np.abs(steps))) / math.sqrt(2.0))


def _frame_reduce(stack: NDArray[np.float32], ufunc: np.ufunc) -> NDArray[np.float64]:
    result: NDArray[np.float64] = stack[0].astype(np.float64)
    for frame in stack[1:]:
        ufunc(result, frame, out=result)
    return result


def _otsu(values: NDArray[np.float64]) -> float:
    from skimage.filters import threshold_otsu

    low, high = np.percentile(values, [0.1, 99.9])
    if high <= low:
        return float(low)
    return float(threshold_otsu(np.clip(values, low, high)))


def _mode(values: NDArray[np.float64]) -> float:
    """Position of the highest point of a smoothed histogram."""
    bins = int(np.clip(np.sqrt(values.size), 16, 256))
    density, edges = np.histogram(values, bins=bins)
    smooth = ndimage.gaussian_filter1d(density.astype(float), 1.5)
    peak = int(np.argmax(smooth))
    return float(0.5 * (edges[peak] + edges[peak + 1]))
