"""Relative shifts of the images of a stack, on plain arrays.

Coarse: correlation of many pairs of images, solved together by robust least squares, so that a
few wrong pairs do no harm. Fine: each image against a template made from all the *other* images,
Gauss–Newton to a few hundredths of a pixel.

What drives the design is chemistry: between two energies the contrast changes, may even invert in
one phase and not in the other, and a least-squares shift of intensities follows that change.
Edges of grains and particles stay where they are. So the fine step compares the double-angle
gradient (g_x + i g_y)²/|g|: it says how steep the image is and along which line, but not which
side is brighter, and noise averages out of it (a plain gradient magnitude is biased by noise).
A low-rank model fitted freely to every image was tried and is worse: its components soak up the
very shifts that are looked for.

Sign: ``shift[e]`` is where the content at (0, 0) of the common frame lies in image e.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError

Float = NDArray[np.floating[Any]]
Images = NDArray[np.float32]

_COARSE_BAND = (1.0, 4.0)
# Gaussian before the gradient, and the band kept of the double-angle gradient
_FINE_SMOOTHING = 1.3
_FINE_BAND = (0.5, 4.0)
_FINE_BORDER = 11
# a correlation surface of pure noise peaks near 8 times its noise
_NOISE_PEAK = 8.0
_WORKERS = 2
# Distances (in images) between the images of a pair: neighbours look alike, far ones stop the
# errors of the neighbours from adding up.
_DISTANCES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True)
class Shifts:
    """Shifts of the images and how far to trust them.

    Attributes
    ----------
    shift
        (image, 2), y and x, in pixels.
    error
        (image,) standard error of one component of the shift in pixels.
    correlation
        (image,) correlation of each image's edges with those of its template, up to 1.
    significance
        (image,) that correlation in units of its standard error, less what chance gives; blank
        images stay below 5.
    """

    shift: NDArray[np.float64]
    error: NDArray[np.float64]
    correlation: NDArray[np.float64]
    significance: NDArray[np.float64]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which images show structure enough to be placed to half a pixel."""
        return (self.error < 0.5) & (self.significance > 5.0)


def bin_image(image: Images, factor: int) -> Images:
    """Mean over blocks of ``factor`` × ``factor`` pixels; a remainder at the end is left out."""
    ny, nx = image.shape[0] // factor, image.shape[1] // factor
    if factor == 1:
        return image
    blocks = image[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def without_spikes(image: Images, *, limit: float = 8.0) -> Images:
    """Replace pixels that stand out from their four neighbours by the neighbours' median.

    ``limit`` is in robust standard deviations of that difference over the image; the noise has to
    be alike over the image (counts: pass their square root).
    """
    padded = np.pad(image, 1, mode="reflect")
    up, down = padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    highest = np.maximum(np.maximum(up, down), np.maximum(left, right))
    lowest = np.minimum(np.minimum(up, down), np.minimum(left, right))
    middle = (up + down + left + right - highest - lowest) / 2
    deviation = np.abs(image - middle)
    scale = 1.4826 * float(np.median(deviation[::3, ::3]))
    return np.where(deviation > limit * scale, middle, image)


def coarse_shifts(images: Images, valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Shifts to about a quarter of a pixel from the correlation of pairs of images.

    Parameters
    ----------
    images
        (image, y, x), finite.
    valid
        (image, y, x), False where a pixel must not count.

    Returns
    -------
    ndarray
        (image, 2) shifts with mean 0. Images without structure follow their neighbours.

    Notes
    -----
    Two correlations per pair: of the band-passed images (taken by magnitude, a phase may go from
    bright to dark across an edge) and of the gradient magnitudes (the same whichever way the
    contrast goes). Each is divided by its own noise, then they are added.
    """
    n, ny, nx = images.shape
    spectra = _features(images, valid)
    first, second = (
        np.concatenate(side)
        for side in zip(
            *((np.arange(n - d), np.arange(d, n)) for d in _DISTANCES if d < n), strict=True
        )
    )
    offset = np.empty((first.size, 2))
    strength = np.empty(first.size)
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        crosses = [feature[j] * np.conj(feature[i]) for feature in spectra]
        offset[pair], strength[pair] = _peak(_surface(crosses, (ny, nx)))
    return _solve_graph(n, first, second, offset, strength)


def _surface(crosses: Sequence[NDArray[Any]], shape: tuple[int, int]) -> Images:
    """Sum of the correlations of both features, each in units of its noise."""
    image, steepness = (fft.irfft2(cross, s=shape, workers=_WORKERS) for cross in crosses)
    parts = (np.abs(image), steepness)
    noise = (1.4826 * float(np.median(np.abs(part))) for part in parts)
    return np.asarray(sum(part / max(by, 1e-12) for part, by in zip(parts, noise, strict=True)))


def _features(images: Images, valid: NDArray[np.bool_]) -> list[NDArray[Any]]:
    """Half-whitened spectra of the band-passed images and of their gradient magnitudes."""
    _, ny, nx = images.shape
    window = np.hanning(ny + 2)[1:-1, None] * np.hanning(nx + 2)[None, 1:-1]
    window = (window * valid).astype(np.float32)
    transform = fft.rfft2(_centred(images), workers=_WORKERS)
    passed = fft.irfft2(transform * _band((ny, nx), *_COARSE_BAND), s=(ny, nx), workers=_WORKERS)
    smooth = fft.irfft2(transform * _low((ny, nx), _COARSE_BAND[0]), s=(ny, nx), workers=_WORKERS)
    steepness = np.hypot(*np.gradient(smooth, axis=(1, 2)))
    # the steepest pixels (spikes, dust) must not speak for all
    steepness = np.minimum(steepness, np.quantile(steepness, 0.995, axis=(1, 2), keepdims=True))
    features = []
    for feature in (passed, _centred(steepness)):
        spectrum = fft.rfft2(_centred(feature * window), workers=_WORKERS)
        # between cross-correlation (blunt) and phase correlation (all noise): root whitening
        spectrum /= np.sqrt(np.abs(spectrum) + 1e-12)
        features.append(spectrum)
    return features


def _centred(images: NDArray[Any]) -> Images:
    return np.asarray(images - images.mean(axis=(1, 2), keepdims=True), dtype=np.float32)


def _peak(surface: Images) -> tuple[tuple[float, float], float]:
    """Place of the highest point, to a part of a pixel (parabola), and its height."""
    top = np.unravel_index(int(np.argmax(surface)), surface.shape)
    height = float(surface[top])
    place = []
    for axis, size in enumerate(surface.shape):
        before, after = list(top), list(top)
        before[axis], after[axis] = (top[axis] - 1) % size, (top[axis] + 1) % size
        low, high = float(surface[tuple(before)]), float(surface[tuple(after)])
        curvature = low - 2 * height + high
        part = 0.5 * (low - high) / curvature if curvature < 0 else 0.0
        place.append((int(top[axis]) + size // 2) % size - size // 2 + part)
    return (place[0], place[1]), height


def _solve_graph(
    n: int,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    offset: NDArray[np.float64],
    strength: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Shifts from offsets of pairs; iteratively re-weighted, a wrong pair loses its weight."""
    pairs = np.arange(first.size)
    difference = np.zeros((first.size + n, n))
    difference[pairs, second], difference[pairs, first] = 1.0, -1.0
    # weak ties between neighbours carry an image that no pair could place; last row: the gauge
    ties = np.arange(n - 1)
    difference[first.size + ties, ties + 1], difference[first.size + ties, ties] = 1.0, -1.0
    difference[-1] = 1.0
    target = np.concatenate([offset, np.zeros((n, 2))])
    given = np.concatenate(
        [np.maximum(strength - _NOISE_PEAK, 0.05) ** 2, np.full(n - 1, 1e-3), [1.0]]
    )
    weight = given
    shift = np.zeros((n, 2))
    for scale in (8.0, 4.0, 2.0, *[1.0] * 6, *[0.5] * 6):
        root = np.sqrt(weight)[:, None]
        shift = np.linalg.lstsq(difference * root, target * root, rcond=None)[0]
        residual = np.hypot(*(target - difference @ shift).T)
        weight = given / (1.0 + (residual / scale) ** 2) ** 2
        weight[-n:] = given[-n:]
    return np.asarray(shift - shift.mean(axis=0))


def refine_shifts(
    images: Images,
    start: NDArray[np.float64],
    valid: NDArray[np.bool_] | None = None,
    *,
    faint: bool = False,
    iterations: int = 4,
    progress: Progress = SILENT,
) -> Shifts:
    """Shifts to a few hundredths of a pixel, each image against a template of the others.

    Parameters
    ----------
    images
        (image, y, x) finite optical densities (or −ln counts).
    start
        (image, 2) shifts good to about 1.5 px.
    valid
        (image, y, x), False where a pixel must not count; None: all count.
    faint
        Compare band-passed intensities instead of edges, with the pattern most images share: sees
        fainter images, but follows changes of contrast.
    iterations
        At most so many; stops when no shift moves by more than 0.01 px.

    Returns
    -------
    Shifts
        With mean shift 0. The error comes from the scatter of the evidence between tiles of the
        image, so it holds noise and chemistry alike; an image without structure gets a large one.

    Raises
    ------
    InputError
        The images have no field in common that is large enough to compare.

    Notes
    -----
    With A the images sampled at the present shifts and ρ their correlation, the template of image
    e is M = Σ_{j≠e} ρ_ej A_j/|A_j|. Then A_e ≈ b M + g·∇A_e is solved for b and g, with M and ∇M as
    instruments, and the shift moves by −g. Pixels weigh by their mean transmission: the variance of
    −ln(counts) is 1/counts.
    """
    n, ny, nx = images.shape
    shape = (ny, nx)
    mean = images.mean(axis=0)
    smooth = fft.irfft2(fft.rfft2(mean) * _low(shape, 3.0), s=shape)
    transmission = np.exp(-(smooth - np.median(smooth))).clip(0.02, 10.0).astype(np.float32)
    feature = _intensity if faint else _double_angle
    spectra = np.stack([feature(image) for image in images])

    state = Shifts(start - start.mean(axis=0), np.full(n, np.inf), np.zeros(n), np.zeros(n))
    for _ in progress.track(range(iterations), "Aligning"):
        field = common_field(state.shift, shape, border=_FINE_BORDER)
        if field is None or min(part.stop - part.start for part in field) < 8:
            raise InputError(
                "the images share no field that could be compared",
                "check that they show the same place, or align fewer of them",
            )
        state, step = _gauss_newton(spectra, state.shift, transmission, field, shape, valid, faint)
        if state.found.any() and np.abs(step[state.found]).max() < 0.01:
            break
    return state


def common_field(
    shift: NDArray[np.float64], shape: Sequence[int], *, border: int = 0
) -> tuple[slice, slice] | None:
    """Pixels of the common frame that lie inside every image, ``border`` px from its rim.

    None when there are none.
    """
    field = []
    for size, along in zip(shape, shift.T, strict=True):
        start = int(np.ceil(max(0.0, -along.min()) - 1e-6)) + border
        stop = int(np.floor(size - 1 - max(0.0, along.max()) + 1e-6)) + 1 - border
        if stop - start < 1:
            return None
        field.append(slice(start, stop))
    return field[0], field[1]


def _gauss_newton(
    spectra: NDArray[np.complex64],
    shift: NDArray[np.float64],
    transmission: Images,
    field: tuple[slice, slice],
    shape: tuple[int, int],
    valid: NDArray[np.bool_] | None,
    faint: bool,
) -> tuple[Shifts, NDArray[np.float64]]:
    """One step for all images."""
    n = len(shift)
    height, width = field[0].stop - field[0].start, field[1].stop - field[1].start
    aligned = np.empty((n, spectra.shape[1], height, width), dtype=np.float32)
    for e in range(n):
        moved = spectra[e] * _ramp(shape, shift[e])
        aligned[e] = fft.irfft2(moved, s=shape, workers=_WORKERS)[:, field[0], field[1]]
        if valid is not None:
            aligned[e] *= _cut(valid[e], field, shift[e])
    weight = transmission[field]
    gram = _gram(aligned, weight)
    norm = np.sqrt(np.maximum(np.diag(gram), 1e-30))
    alike = gram / norm / norm[:, None]
    mixing = (_leading(alike) if faint else alike) / norm
    np.fill_diagonal(mixing, 0.0)
    mixing /= np.maximum(np.linalg.norm(mixing, axis=1, keepdims=True), 1e-30)
    # weights taken from the image's own correlations agree with it by chance as well
    chance = 0.0 if faint else np.sqrt(n - 1)

    new, error = shift.copy(), np.full(n, np.inf)
    correlation, significance = np.zeros(n), np.zeros(n)
    for e, template in enumerate(_mixtures(mixing, aligned)):
        inside = weight
        if valid is not None:
            inside = inside * _cut(valid[e], field, shift[e])
        probe = np.stack([template, *np.gradient(template, axis=(1, 2))]) * inside
        # Slopes of the image itself, whose noise the template does not share: with the template's
        # own slopes its noise would count as structure and the error come out too small.
        slopes = np.stack([template, *np.gradient(aligned[e], axis=(1, 2))])
        # einsum: products this thin only wait for each other in a threaded BLAS
        normal = np.einsum("icyx,jcyx->ij", probe, slopes, dtype=np.float64)
        evidence = np.einsum("icyx,cyx->i", probe, aligned[e], dtype=np.float64)
        if evidence[0] == 0 or np.linalg.cond(normal) > 1e12:
            continue
        solution = np.linalg.solve(normal, evidence)
        residual = aligned[e] - np.einsum("i,icyx->cyx", solution.astype(np.float32), slopes)
        scores = _tile_sums(probe * residual)
        covariance = scores @ scores.T
        inverse = np.linalg.inv(normal[1:, 1:])
        error[e] = np.sqrt(np.trace(inverse @ covariance[1:, 1:] @ inverse.T) / 2)
        correlation[e] = abs(evidence[0]) / np.sqrt(normal[0, 0] * gram[e, e])
        significance[e] = abs(evidence[0]) / np.sqrt(covariance[0, 0]) - chance
        new[e] -= np.clip(solution[1:], -1.5, 1.5)
    new -= new.mean(axis=0)
    return Shifts(new, error, correlation, significance), new - shift


def _gram(aligned: Images, weight: Images, rows: int = 256) -> NDArray[np.float64]:
    """Weighted products of all pairs of images, a strip of rows at a time."""
    n = len(aligned)
    gram = np.zeros((n, n))
    for begin in range(0, weight.shape[0], rows):
        part = aligned[:, :, begin : begin + rows]
        weighted = part * weight[begin : begin + rows]
        gram += weighted.reshape(n, -1) @ part.reshape(n, -1).T
    return gram


def _mixtures(mixing: NDArray[np.float64], aligned: Images, block: int = 8) -> Iterator[Images]:
    """Sums of the images, one by one: entry e has the weights of row e."""
    flat = aligned.reshape(len(aligned), -1)
    for begin in range(0, len(mixing), block):
        sums = mixing[begin : begin + block].astype(np.float32) @ flat
        yield from sums.reshape(-1, *aligned.shape[1:])


def _leading(alike: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each image the leading eigenvector of the others' correlations (row; 0 for itself)."""
    n = len(alike)
    rows = np.zeros((n, n))
    for e in range(n):
        others = np.delete(np.arange(n), e)
        rows[e, others] = np.linalg.eigh(alike[np.ix_(others, others)])[1][:, -1]
    return rows


def _double_angle(image: Images) -> NDArray[np.complex64]:
    """Spectra (2, y, x) of the double-angle gradient: its cosine and its sine part."""
    ny, nx = image.shape
    low = fft.rfft2(image - image.mean(), workers=_WORKERS) * _low((ny, nx), _FINE_SMOOTHING)
    gy, gx = np.gradient(fft.irfft2(low, s=(ny, nx), workers=_WORKERS))
    steepness = np.hypot(gy, gx) + np.float32(1e-12)
    parts = np.stack([(gx * gx - gy * gy) / steepness, 2 * gx * gy / steepness])
    return np.asarray(fft.rfft2(parts, workers=_WORKERS) * _band((ny, nx), *_FINE_BAND))


def _intensity(image: Images) -> NDArray[np.complex64]:
    """Spectrum (1, y, x) of the band-passed image."""
    spectrum = fft.rfft2(image - image.mean(), workers=_WORKERS)
    return np.asarray(spectrum * _band(image.shape, *_COARSE_BAND))[None]


def _tile_sums(maps: Images, tile: int = 8) -> NDArray[np.float64]:
    """Sums of maps (map, part, y, x) over parts and tiles, (map, tile)."""
    summed = maps.sum(axis=1)
    rows, columns = np.arange(0, maps.shape[2], tile), np.arange(0, maps.shape[3], tile)
    sums = np.add.reduceat(np.add.reduceat(summed, rows, axis=1), columns, axis=2)
    return sums.reshape(len(maps), -1).astype(np.float64)


def _cut(
    valid: NDArray[np.bool_], field: tuple[slice, slice], shift: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """The field cut out of an image's validity at its shift rounded to pixels."""
    rows, columns = (
        np.clip(np.arange(part.start, part.stop) + round(float(by)), 0, size - 1)
        for part, by, size in zip(field, shift, valid.shape, strict=True)
    )
    return np.asarray(valid[np.ix_(rows, columns)])


def _frequencies(shape: tuple[int, int]) -> tuple[Images, Images]:
    """Angular frequencies (y, 1) and (1, x) of a real transform."""
    wy = 2 * np.pi * fft.fftfreq(shape[0])[:, None]
    wx = 2 * np.pi * fft.rfftfreq(shape[1])[None, :]
    return wy.astype(np.float32), wx.astype(np.float32)


def _low(shape: tuple[int, int], sigma: float) -> Images:
    wy, wx = _frequencies(shape)
    return np.asarray(np.exp(-(wy**2 + wx**2) * sigma**2 / 2), dtype=np.float32)


def _band(shape: tuple[int, int], fine: float, wide: float) -> Images:
    """Difference of two Gaussians given by their standard deviations in pixels.

    Both are local, so what the transform wraps round stays within a few σ of the rim.
    """
    return np.asarray(_low(shape, fine) - _low(shape, wide), dtype=np.float32)


def _ramp(shape: tuple[int, int], shift: NDArray[np.float64]) -> NDArray[np.complex64]:
    wy, wx = _frequencies(shape)
    along_y = np.exp(1j * wy * shift[0]).astype(np.complex64)
    return np.asarray(along_y * np.exp(1j * wx * shift[1]).astype(np.complex64))
