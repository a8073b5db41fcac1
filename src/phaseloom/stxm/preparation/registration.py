"""Fine image registration: shifts to a few hundredths of a pixel, on plain arrays.

Starts from rough shifts (:mod:`phaseloom.stxm.preparation.placement`), then each image against a
template made from all the *other* images, by Gauss–Newton.

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

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from threadpoolctl import threadpool_limits

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError
from phaseloom.stxm.preparation.placement import (
    COARSE_BAND,
    Images,
    band_pass,
    bin_image,
    coarse_shifts,
    frequencies,
    low_pass,
)

# Gaussian before the gradient, and the band kept of the double-angle gradient
_FINE_SMOOTHING = 1.3
_FINE_BAND = (0.5, 4.0)
_FINE_BORDER = 11


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
    def located(self) -> NDArray[np.bool_]:
        """Which images show structure enough to be placed to half a pixel."""
        return (self.error < 0.5) & (self.significance > 5.0)


def register(
    images: Images, valid: NDArray[np.bool_] | None = None, *, progress: Progress = SILENT
) -> Shifts:
    """Shifts of images: coarse on small images, then fine on all.

    Parameters
    ----------
    images
        (image, y, x) finite optical densities (or −ln counts), at least two.
    valid
        (image, y, x), False where a pixel must not count; None: all count.
    progress
        What to report to.

    Returns
    -------
    Shifts
        With a common frame of its own; see :func:`refine_shifts`.

    Raises
    ------
    InputError
        The images have no field in common that is large enough to compare.
    """
    factor = max(1, min(images.shape[1:]) // 128)
    small = np.stack([bin_image(image, factor) for image in images])
    inside = np.ones(small.shape, dtype=bool)
    if valid is not None:
        inside = np.stack([bin_image(v.astype(np.float32), factor) > 0.99 for v in valid])
    # threads of the BLAS wait for each other far longer than these thin products take
    with threadpool_limits(1, user_api="blas"):
        start = coarse_shifts(small, inside)
        if factor == 1:
            return _with_faint(images, start, valid, progress)
        rough = _with_faint(small, start, inside)
        return _with_faint(images, rough.shift * factor, valid, progress)


def _with_faint(
    images: Images,
    start: NDArray[np.float64],
    valid: NDArray[np.bool_] | None,
    progress: Progress = SILENT,
) -> Shifts:
    """Fine shifts by edges; images too faint for that by intensity, from where neighbours are."""
    fine = refine_shifts(images, start, valid, progress=progress)
    faint = ~fine.located
    if not faint.any() or faint.sum() > len(faint) - 2:
        return fine
    guess = interpolated(fine.shift, ~faint)
    by_intensity = refine_shifts(images, guess, valid, faint=True, iterations=8)
    # both have their own mean; what the sure images say ties them
    offset = np.mean((fine.shift - by_intensity.shift)[~faint], axis=0)
    shift = np.where(
        faint[:, None],
        np.where(by_intensity.located[:, None], by_intensity.shift + offset, guess),
        fine.shift,
    )
    return Shifts(
        shift,
        np.where(faint, by_intensity.error, fine.error),
        np.where(faint, by_intensity.correlation, fine.correlation),
        np.where(faint, by_intensity.significance, fine.significance),
    )


def interpolated(shift: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Shifts (image, 2) with those not ``known`` (image,) interpolated along the stack."""
    along = np.arange(len(shift))
    return np.column_stack([np.interp(along, along[known], by[known]) for by in shift.T])


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
    smooth = fft.irfft2(fft.rfft2(mean) * low_pass(shape, 3.0), s=shape)
    transmission = np.exp(-(smooth - np.median(smooth))).clip(0.02, 10.0).astype(np.float32)
    feature = _intensity if faint else _double_angle
    spectra = np.stack([feature(image) for image in images])

    state = Shifts(start - start.mean(axis=0), np.full(n, np.inf), np.zeros(n), np.zeros(n))
    for _ in progress.track(range(iterations), "Aligning"):
        # Beyond the border filters see what the transform wraps round; a narrow field, or one with
        # gaps, has to bear some of that.
        border = _FINE_BORDER
        if min(shape) < 2 * _FINE_BORDER + 16 or valid is not None:
            border = int(np.clip((min(shape) - 8) // 4, 2, _FINE_BORDER))
        field = common_field(state.shift, shape, border=border)
        least = min(8, min(shape) // 2)
        if field is None or min(part.stop - part.start for part in field) < least:
            raise InputError(
                "the images share no field that could be compared",
                "check that they show the same place, or go on with --no-align",
            )
        state, step = _gauss_newton(spectra, state.shift, transmission, field, shape, valid, faint)
        if state.located.any() and np.abs(step[state.located]).max() < 0.01:
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
        aligned[e] = fft.irfft2(moved, s=shape)[:, field[0], field[1]]
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
    low = fft.rfft2(image - image.mean()) * low_pass((ny, nx), _FINE_SMOOTHING)
    gy, gx = np.gradient(fft.irfft2(low, s=(ny, nx)))
    steepness = np.hypot(gy, gx) + np.float32(1e-12)
    parts = np.stack([(gx * gx - gy * gy) / steepness, 2 * gx * gy / steepness])
    return np.asarray(fft.rfft2(parts) * band_pass((ny, nx), *_FINE_BAND))


def _intensity(image: Images) -> NDArray[np.complex64]:
    """Spectrum (1, y, x) of the band-passed image."""
    spectrum = fft.rfft2(image - image.mean())
    return np.asarray(spectrum * band_pass(image.shape, *COARSE_BAND))[None]


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


def _ramp(shape: tuple[int, int], shift: NDArray[np.float64]) -> NDArray[np.complex64]:
    wy, wx = frequencies(shape)
    along_y = np.exp(1j * wy * shift[0]).astype(np.complex64)
    return np.asarray(along_y * np.exp(1j * wx * shift[1]).astype(np.complex64))
