"""Rims of an intermediate phase between two others, which are the two others in one pixel.

Where two phases meet, the optics and the pixel mix them, and the mixture often looks like a third
phase between them: a map then shows a rim, one pixel wide, of a phase that is not there. A pixel
of such a rim is given to the larger share of the two, when their mixture explains its spectrum as
well as anything that holds the third phase does. It is a pixel of transition. A layer two or
more pixels wide stays what it is, whatever could be mixed from its neighbours, and so does a
thinner one that no mixture of its neighbours explains.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]

_AS_WELL = 4.0
"""χ², in units of the noise or of the best fit's reduced χ², that a mixture may be worse."""

_AROUND, _MOSTLY = 5, 0.5
"""Of the same phase within so many pixels round a pixel of a rim, this part is thin too."""

_ROUNDS = 3
"""Between unlike phases several rims lie side by side: each round takes one off."""


def without_rims(
    maps: xr.Dataset,
    optical_density: xr.DataArray,
    *,
    baseline: NDArray[np.floating],
    counts: NDArray[np.float64],
) -> xr.Dataset:
    """Maps in which the pixels of rims belong to the two phases that meet there.

    Parameters
    ----------
    maps
        ``phase`` and ``transition`` (y, x), ``posterior`` and ``abundance`` (reference, y, x),
        ``reference_spectrum`` (reference, energy).
    optical_density
        (energy, y, x).
    baseline
        (y, x) already subtracted from the optical density.
    counts
        (energy,) in the empty beam, of which the readings have the noise.

    Returns
    -------
    xarray.Dataset
        ``phase``: the larger share of the two. ``posterior`` and ``abundance``: the third phase's
        part goes to the two by their shares. ``transition``: true there. ``rim`` (y, x): where.
    """
    phase = maps["phase"].to_numpy().copy()
    posterior, abundance = maps["posterior"].to_numpy().copy(), maps["abundance"].to_numpy().copy()
    references = maps["reference_spectrum"].to_numpy()
    rim = np.zeros(phase.shape, dtype=bool)
    for _ in range(_ROUNDS):
        y, x, sides = _thin(phase)
        density = np.stack([frame.to_numpy()[y, x] for frame in optical_density]).astype(float)
        weight = counts[:, None] * np.exp(-density - baseline[y, x])
        between, share = _mixed(density, weight, references, phase[y, x], sides)
        y, x, sides, share = y[between], x[between], sides[:, between], share[between]
        if not y.size:
            break
        third = phase[y, x]
        for parts in (posterior, abundance):
            moved = parts[third, y, x]
            parts[third, y, x] = 0.0
            parts[sides[0], y, x] += (share * moved).astype(parts.dtype)
            parts[sides[1], y, x] += ((1 - share) * moved).astype(parts.dtype)
        phase[y, x] = np.where(share >= 0.5, sides[0], sides[1])
        rim[y, x] = True
    return xr.Dataset(
        {
            "phase": (("y", "x"), phase),
            "posterior": (("reference", "y", "x"), posterior),
            "abundance": (("reference", "y", "x"), abundance),
            "transition": (("y", "x"), maps["transition"].to_numpy() | rim),
            "rim": (("y", "x"), rim),
        }
    )


def _thin(
    phase: NDArray[np.int8],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int8]]:
    """Pixels (y, x) that lie thinly between two other phases, and these (2, pixel).

    Thin is one pixel between the two along a row or a column, or two along both (a rim that runs
    along a diagonal).
    """
    padded = np.pad(phase, 2, constant_values=-1)
    one_row, two_row, row_sides = _between(padded)
    one_column, two_column, column_sides = (a.swapaxes(-1, -2) for a in _between(padded.T))
    diagonal = two_row & two_column
    thin = one_row | one_column | diagonal
    # A layer that noise has narrowed here and there is no rim.
    around = np.zeros(phase.shape)
    for label in np.unique(phase[thin]):
        own = phase == label
        near = ndimage.uniform_filter((thin & own).astype(float), _AROUND, mode="constant")
        of = ndimage.uniform_filter(own.astype(float), _AROUND, mode="constant")
        around[own] = near[own] / of[own]
    y, x = np.nonzero(thin & (around >= _MOSTLY))
    by_row = (one_row | (diagonal & ~one_column))[y, x]
    return y, x, np.where(by_row, row_sides[:, y, x], column_sides[:, y, x])


def _between(
    padded: NDArray[np.int8],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int8]]:
    """Along rows: where one pixel, or at most two, lie between two phases; these (2, y, x)."""
    rows = slice(2, -2)
    here, left, right = padded[rows, 2:-2], padded[rows, 1:-3], padded[rows, 3:-1]
    alike_left, alike_right = left == here, right == here
    low = np.where(alike_left, padded[rows, :-4], left)
    high = np.where(alike_right, padded[rows, 4:], right)
    flanked = (here >= 0) & (low >= 0) & (high >= 0) & (low != high)
    flanked &= (low != here) & (high != here)
    width = 1 + alike_left.astype(int) + alike_right
    return flanked & (width == 1), flanked & (width <= 2), np.stack([low, high])


def _mixed(
    density: Array,
    counts: Array,
    references: Array,
    phase: NDArray[np.int8],
    sides: NDArray[np.int8],
) -> tuple[NDArray[np.bool_], Array]:
    """Whether the two sides explain spectra (energy, pixel) as well, and the first one's share."""
    usable = np.isfinite(density) & np.isfinite(counts)
    weight = np.sqrt(np.where(usable, counts, 0.0))
    data = np.where(usable, density, 0.0) * weight
    total = np.maximum((weight**2).sum(axis=0), 1e-300)

    def centred(values: Array) -> Array:
        return np.asarray(values - weight * (values * weight).sum(axis=0) / total)

    spectra = [centred(references[p].T * weight) for p in (phase, *sides)]
    own, first, second = spectra
    target = centred(data)
    mixture, a, b = _fit(target, first, second)
    with_own = np.minimum(_fit(target, own, first)[0], _fit(target, own, second)[0])
    free = np.maximum(usable.sum(axis=0) - 3, 1)
    best = np.minimum(mixture, with_own)
    as_well = mixture - with_own <= _AS_WELL * np.maximum(best / free, 1.0)
    share = a / np.maximum(a + b, 1e-300)
    return as_well & (a > 0) & (b > 0), share


def _fit(target: Array, first: Array, second: Array) -> tuple[Array, Array, Array]:
    """Smallest χ² (pixel,) with amounts ≥ 0 of two spectra (energy, pixel), and the amounts."""
    square, of_first, of_second = ((v**2).sum(axis=0) for v in (target, first, second))
    shared = (first * second).sum(axis=0)
    cross_first, cross_second = (target * first).sum(axis=0), (target * second).sum(axis=0)
    determinant = np.maximum(of_first * of_second - shared**2, 1e-300)
    a = (of_second * cross_first - shared * cross_second) / determinant
    b = (of_first * cross_second - shared * cross_first) / determinant
    both = square - a * cross_first - b * cross_second
    only_first = square - np.maximum(cross_first, 0.0) ** 2 / np.maximum(of_first, 1e-300)
    only_second = square - np.maximum(cross_second, 0.0) ** 2 / np.maximum(of_second, 1e-300)
    allowed = (a >= 0) & (b >= 0)
    chi2 = np.where(allowed, both, np.minimum(only_first, only_second))
    one = only_first <= only_second
    a = np.where(allowed, a, np.where(one, 1.0, 0.0))
    b = np.where(allowed, b, np.where(one, 0.0, 1.0))
    return chi2, a, b
