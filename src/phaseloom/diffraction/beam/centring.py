"""Position of the direct beam at every scan position.

The beam of a sample (:func:`beam_of_sample`) and of all patterns (:func:`beam_plane`). The direct
beam is in every pattern while reflections come and go; it need not be the brightest spot, descan
moves it across the detector, and a beam stop may hide it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.diffraction.beam.beside_gap import BeamProfile, fit_profile, fitted_centres
from phaseloom.diffraction.beam.blobs import binned, blobs, maxima, smooth
from phaseloom.diffraction.beam.centre_of_mass import (
    beam_radius,
    measured_centres,
    window_values,
)
from phaseloom.diffraction.beam.friedel import symmetric_centres, symmetry, symmetry_at
from phaseloom.diffraction.beam.planes import (
    Plane,
    fit_plane,
    refine_plane,
    scatter_about,
    search_planes,
)
from phaseloom.diffraction.beam.radial import has_stop, radial_centre
from phaseloom.diffraction.detector.gaps import gap_half_width
from phaseloom.diffraction.detector.shapes import check_shapes
from phaseloom.errors import InputError, InputWarning

Array = NDArray[np.float64]
Images = NDArray[np.float32]

# larger detectors are binned to about this for the symmetry
_SYMMETRY_SIZE = 128
_CANDIDATES = 8
_HYPOTHESES = 16
# px from the plane within which a measured position is taken for the direct beam
_NEAR = 4.0
# asymmetry (1 − correlation) about another point, relative to the best, that makes a hidden beam
# doubtful
_RIVAL = 1.6
# lead in worth (share of patterns, brightness, symmetry: 5 in all) that makes a beam certain
_MARGIN = 0.35
# half width of a gap, in radii of the beam at half maximum, from which little of it is seen
_MOSTLY = 1.4
# of the sample, for the beam to be believed
_LEAST_SHARE = 0.4


@dataclass(frozen=True)
class Beam:
    """The direct beam's position on the detector as a plane over the scan.

    Parameters
    ----------
    row, column
        Position at scan index (0, 0), px.
    slopes
        ((row per y, column per y), (row per x, column per x)), px per scan step.
    radius
        Radius at half maximum, px (1.177 σ of a Gaussian beam, the radius of a disc); NaN when
        the beam is hidden.
    hidden
        The beam is not seen; its position is from the symmetry of the patterns.
    scatter
        Robust standard deviation (px, per coordinate) of the single patterns about the plane.
    profile
        Of a beam in or beside a gap of the detector, where it is measured by fitting this.
    """

    row: float
    column: float
    slopes: tuple[tuple[float, float], tuple[float, float]]
    radius: float
    hidden: bool
    scatter: float
    profile: BeamProfile | None = None

    def at(self, y: ArrayLike, x: ArrayLike) -> tuple[Array, Array]:
        """Row and column on the detector at scan indices ``y``, ``x``."""
        y, x = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
        (row_y, column_y), (row_x, column_x) = self.slopes
        return (
            np.asarray(self.row + row_y * y + row_x * x),
            np.asarray(self.column + column_y * y + column_x * x),
        )

    def maps(self, shape: tuple[int, int]) -> tuple[Array, Array]:
        """Rows and columns (y, x) for a scan of that shape."""
        y, x = np.indices(shape)
        return self.at(y, x)


def beam_of_sample(
    patterns: ArrayLike,
    positions: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    hidden: bool | None = None,
    seed: int = 0,
) -> Beam:
    """The direct beam from a sample of the scan.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where unusable
        (:func:`phaseloom.diffraction.detector.correction.corrected`).
    positions
        (n, 2), their scan indices (y, x).
    mask
        (ky, kx), True where usable, in addition.
    hidden
        Whether a beam stop hides the beam; None: it does if the patterns are most symmetric about
        a point on unusable pixels.
    seed
        Of the search.

    Returns
    -------
    Beam
        Its plane holds for the whole scan that the sample was taken from.

    Raises
    ------
    InputError
        If shapes do not fit or the patterns are empty.

    Warns
    -----
    InputWarning
        If another spot could as well be the beam; if no spot keeps to a plane in enough patterns
        (the position is then from the symmetry); if the beam is hidden and the patterns are as
        symmetric about another point. One crystal with reflections on one side stronger than on
        the other, in all patterns alike, may not tell.

    Notes
    -----
    Blobs of every pattern are candidates. Planes through candidates of three patterns are drawn
    and ranked by the share of patterns that have a candidate on them. The best of them are told
    apart by that share, by how well patterns agree with their reflections through the point
    (Friedel's law, spots and background together), and by brightness. The chosen one is refined by
    centres of mass of all patterns. A hidden beam is found in the same way among the maxima of
    the symmetry; behind a beam stop, about which the diffuse background is round, it is looked for
    near the centre of that.
    """
    values = np.asarray(patterns, dtype=np.float32)
    places = np.asarray(positions, dtype=np.float64)
    check_shapes(values, places, "positions")
    if mask is not None:
        usable = np.asarray(mask, dtype=bool)
        if usable.shape != values.shape[1:]:
            raise InputError(
                f"the mask is {usable.shape}, the patterns are {values.shape[1:]}",
                "give one value per detector pixel",
            )
        values = np.where(usable, values, np.float32(np.nan))
    # the largest, NaN not counted; no copy, the sample may be large
    lit = np.fmax.reduce(values, axis=(1, 2)) > 0
    if not lit.any():
        raise InputError(
            "all sampled patterns are empty or unusable", "see the detector's mask and saturation"
        )
    if not lit.all():
        values, places = values[lit], places[lit]

    halves, symmetric = _symmetry_planes(values, places, seed=seed)
    every = list(symmetric)

    def asymmetry(plane: Plane) -> float:
        return 1.0 - float(symmetry_at(halves, plane.at(places)).mean())

    behind_stop = _behind_stop(values)
    if behind_stop is not None and hidden is not False:
        return _hidden_by_stop(places, halves, behind_stop)
    covered = [plane for plane in symmetric if _unusable_at(values, plane.at(places))]
    if not hidden:
        plane, share, doubtful = _visible(values, places, halves, symmetric, seed=seed)
        seen = plane is not None and share >= _LEAST_SHARE
        if hidden is None and covered and plane is not None:
            # a reflection next to a beam stop keeps to a plane as well, but is no centre
            seen = seen and asymmetry(plane) <= asymmetry(covered[0])
        if seen and plane is not None:
            if doubtful:
                warnings.warn(
                    "another spot is in as many patterns, as bright and as much a centre of"
                    " symmetry as the one taken for the direct beam; look at a few patterns",
                    InputWarning,
                    stacklevel=2,
                )
            beam = _refined(values, places, plane)
            if not gap_near(values, beam, places):
                return beam
            beside = beam_beside_gap(values, places, beam)
            if beside is not None:
                return beside
        for behind in covered:
            # in a gap, not behind a beam stop
            beside = beam_beside_gap(values, places, _on_plane(behind))
            if beside is not None:
                return beside
        if not covered:
            warnings.warn(
                f"the direct beam shows in only {share:.0%} of the sampled patterns; its position"
                " is taken from the patterns' symmetry",
                InputWarning,
                stacklevel=2,
            )
    # a hidden beam lies behind something
    symmetric = covered or symmetric
    if not symmetric:
        raise InputError(
            "neither a direct beam nor a centre of symmetry is found",
            "give the beam's position, or check the mask",
        )
    plane, *_ = sorted(symmetric, key=asymmetry)
    if any(asymmetry(p) < _RIVAL * asymmetry(plane) for p in every if p is not plane):
        warnings.warn(
            "the patterns are nearly as symmetric about another point as about the one taken for"
            " the hidden direct beam; look at a few patterns",
            InputWarning,
            stacklevel=2,
        )
    for _ in range(2):
        centres = symmetric_centres(halves, plane.at(places))
        errors = np.full(len(centres), 0.3 * halves[1])
        beam = _beam_through(places, centres, errors, plane, radius=np.nan, hidden=True)
        plane = Plane(np.array([(beam.row, beam.column), *beam.slopes]))
    return beam


def beam_beside_gap(patterns: Images, places: Array, beam: Beam) -> Beam | None:
    """A beam in or beside a gap of the detector, from what is seen of it beside the gap.

    Parameters
    ----------
    patterns, places
        As for :func:`beam_of_sample`, NaN where unusable.
    beam
        About where it is.

    Returns
    -------
    Beam
        With its profile; None where there is no gap near it, or no profile fits.
    """
    gap = gap_near(patterns, beam, places)
    expected = np.stack(beam.at(*places.T), axis=1)
    fit = fit_profile(patterns, expected, gap) if gap else None
    if fit is None:
        return None
    profile, offset = fit
    plane = Plane(np.array([(beam.row, beam.column), *beam.slopes]))
    plane.coefficients[0] += offset
    for _ in range(3):
        centres, errors = fitted_centres(patterns, plane.at(places), profile)
        if np.isfinite(errors).mean() < _LEAST_SHARE:
            return None
        found = _beam_through(
            places, centres, errors, plane, radius=profile.half_maximum, hidden=False
        )
        plane = Plane(np.array([(found.row, found.column), *found.slopes]))
    inside = _unusable_at(patterns, np.stack(found.at(*places.T), axis=1))
    if inside and gap > _MOSTLY * profile.half_maximum:
        warnings.warn(
            "most of the direct beam lies in a gap of the detector; its position may be wrong by"
            " some tenths of a px: look at a few patterns",
            InputWarning,
            stacklevel=3,
        )
    return replace(found, profile=profile)


def gap_near(patterns: Images, beam: Beam, places: Array) -> float:
    """Half the width of a gap of the detector that is seen beside the beam, px; 0: none."""
    middle = np.stack(beam.at(*places.T), axis=1).mean(axis=0)
    reach = max(8.0, 3 * beam.radius if np.isfinite(beam.radius) else 0.0)
    usable = np.asarray(np.isfinite(patterns).any(axis=0))
    return gap_half_width(usable, middle, reach)


def beam_plane(
    rows: ArrayLike,
    columns: ArrayLike,
    errors: ArrayLike,
    shape: tuple[int, int],
    *,
    each: bool = False,
) -> tuple[Array, Array, float]:
    """Where the beam is at every scan position, from what was measured pattern by pattern.

    Parameters
    ----------
    rows, columns
        Measured position per scan position, px; NaN where not measured. (y, x) or flat.
    errors
        Their standard errors, px.
    shape
        Scan positions (y, x).
    each
        Keep the measured position where there is one near the plane, for scans whose beam
        wanders; by default the plane is used everywhere.

    Returns
    -------
    centre_y, centre_x : ndarray
        (y, x), px; finite.
    scatter : float
        Robust standard deviation of a measured coordinate about the plane, px.

    Raises
    ------
    InputError
        If no position was measured or the sizes do not fit.

    Warns
    -----
    InputWarning
        If fewer than a tenth of the patterns show a beam near the plane.
    """
    flat = [np.asarray(values, dtype=np.float64).ravel() for values in (rows, columns, errors)]
    if any(values.size != shape[0] * shape[1] for values in flat):
        raise InputError(
            f"{[values.size for values in flat]} measured positions do not fit a scan of {shape}",
            "give one per scan position",
        )
    index = np.indices(shape).reshape(2, -1).T.astype(np.float64)
    values = np.stack(flat[:2], axis=1)
    measured = np.asarray(np.isfinite(values).all(axis=1) & np.isfinite(flat[2]))
    if not measured.any():
        raise InputError("no pattern shows the direct beam", "give its position, or check the mask")
    plane = _consensus(index[measured], values[measured], flat[2][measured])
    away = np.hypot(*(values - plane.at(index)).T)
    near = np.asarray(measured & (away < np.maximum(5 * flat[2], _NEAR)))
    if near.mean() < 0.1:
        warnings.warn(
            f"only {near.mean():.1%} of the patterns show a direct beam near the plane fitted to"
            " it; the centres may be wrong: look at a few patterns",
            InputWarning,
            stacklevel=2,
        )
    scatter = scatter_about(index[near], values[near], plane)
    centre = plane.at(index)
    if each:
        trusted = near & (away < 5 * np.maximum(flat[2], scatter))
        centre[trusted] = values[trusted]
    centre_y, centre_x = centre.T.reshape(2, *shape)
    return centre_y, centre_x, scatter


def _symmetry_planes(
    patterns: Images, places: Array, *, seed: int
) -> tuple[tuple[Images, int], list[Plane]]:
    """Symmetry of the binned patterns (with the factor), and the best planes through its maxima."""
    small, factor = binned(patterns, _SYMMETRY_SIZE)
    seen = np.isfinite(small)
    even = smooth(np.where(seen, np.maximum(small, 0), 0), seen, 1.0)
    maps = symmetry(np.where(seen, np.sqrt(even), np.nan))
    place, height = maxima(maps, _CANDIDATES, 3)
    centres = (place / 2 + 0.5) * factor - 0.5
    planes, _ = search_planes(
        places,
        centres,
        height,
        size=(patterns.shape[1], patterns.shape[2]),
        tolerance=2.0 * factor,
        number=4,
        seed=seed,
    )
    return (maps, factor), planes


def _on_plane(plane: Plane) -> Beam:
    """A beam on a plane, its size not known."""
    (row, column), *slopes = plane.coefficients.tolist()
    return Beam(row, column, (tuple(slopes[0]), tuple(slopes[1])), float("nan"), False, 0.0)


def _behind_stop(patterns: Images) -> Array | None:
    """Where the background is round about a place on unusable pixels as wide as a beam stop."""
    usable = np.asarray(np.isfinite(patterns).any(axis=0))
    if not has_stop(usable):
        return None
    centre = radial_centre(patterns)
    if centre is None:
        return None
    row, column = np.indices(usable.shape)
    near = np.hypot(row - centre[0], column - centre[1]) < 2.0
    return centre if near.any() and not usable[near].any() else None


def _hidden_by_stop(places: Array, halves: tuple[Images, int], centre: Array) -> Beam:
    """The beam behind a beam stop, by the background, and by the symmetry where that agrees."""
    plane = Plane(np.array([centre, (0.0, 0.0), (0.0, 0.0)]))
    measured = symmetric_centres(halves, plane.at(places))
    errors = np.full(len(measured), 0.3 * halves[1])
    found = _beam_through(places, measured, errors, plane, radius=np.nan, hidden=True)
    away = np.hypot(*(np.stack(found.at(*places.T), axis=1) - centre).T)
    spread = max(1.5, 0.75 * halves[1])
    if np.median(away) < spread and found.scatter < spread:
        return found
    warnings.warn(
        "the direct beam is hidden and the patterns are not symmetric enough to tell where it is;"
        " its position, from the diffuse background, may be wrong by some px: give --centre",
        InputWarning,
        stacklevel=3,
    )
    return replace(_on_plane(plane), hidden=True)


def _unusable_at(patterns: Images, centres: Array) -> bool:
    """Whether most patterns have no usable pixels where the beam should be."""
    radius = max(3.0, max(patterns.shape[1:]) / 64)
    *_, weight = window_values(patterns, np.arange(len(patterns)), centres, radius)
    return bool(np.median(weight.sum(axis=(1, 2))) < 0.5 * np.pi * radius**2)


def _visible(
    patterns: Images,
    places: Array,
    halves: tuple[Images, int],
    symmetric: list[Plane],
    *,
    seed: int,
) -> tuple[Plane | None, float, bool]:
    """The plane of the direct beam among those that spots keep to.

    Also its share of the patterns, and whether another plane is about as good.
    """
    candidates, heights = blobs(patterns)
    size = (patterns.shape[1], patterns.shape[2])
    tolerance = max(3.0, max(size) / 80)
    planes, _ = search_planes(
        places,
        candidates,
        (heights > 0).astype(np.float64),
        size=size,
        tolerance=tolerance,
        number=_HYPOTHESES,
        seed=seed,
    )
    planes += symmetric[:1]
    ranked = []
    for plane in planes:
        predicted = plane.at(places)
        away = np.sqrt(((candidates - predicted[:, None]) ** 2).sum(axis=-1))
        on = np.where(away < tolerance, heights, 0).max(axis=1)
        present = float((on > 0).mean())
        worth = 2 * present + float(on.mean()) + 2 * float(symmetry_at(halves, predicted).mean())
        ranked.append((worth, present, predicted, plane))
    if not ranked:
        return None, 0.0, False
    worth, share, predicted, plane = max(ranked, key=lambda entry: entry[0])
    rivals = [
        worth - other < _MARGIN and np.hypot(*(elsewhere - predicted).T).mean() > 2 * tolerance
        for other, _, elsewhere, _ in ranked
    ]
    return plane, share, any(rivals)


def _refined(patterns: Images, places: Array, plane: Plane) -> Beam:
    """The beam from centres of mass about the plane, and its size."""
    for _ in range(3):
        predicted = plane.at(places)
        radius = beam_radius(patterns, predicted)
        centres, errors = measured_centres(patterns, predicted, radius)
        beam = _beam_through(places, centres, errors, plane, radius=radius, hidden=False)
        plane = Plane(np.array([(beam.row, beam.column), *beam.slopes]))
    return beam


def _beam_through(
    places: Array, centres: Array, errors: Array, start: Plane, *, radius: float, hidden: bool
) -> Beam:
    """The beam on a robust plane through measured centres (NaN: not measured)."""
    measured = np.isfinite(centres).all(axis=1) & np.isfinite(errors)
    plane, scatter = start, float("nan")
    if measured.any():
        plane = refine_plane(places[measured], centres[measured], errors[measured], start)
        scatter = scatter_about(places[measured], centres[measured], plane)
    (row, column), *slopes = plane.coefficients.tolist()
    return Beam(row, column, (tuple(slopes[0]), tuple(slopes[1])), float(radius), hidden, scatter)


def _consensus(places: Array, values: Array, errors: Array) -> Plane:
    """The plane through many positions, found on some of them and fitted to all."""
    some = np.linspace(0, len(places) - 1, min(len(places), 1000)).astype(np.intp)
    size = np.ceil(values.max(axis=0) + 1).astype(int)
    planes, _ = search_planes(
        places[some],
        values[some, None],
        np.ones((len(some), 1)),
        size=(int(size[0]), int(size[1])),
        tolerance=max(2.0, 3 * float(np.median(errors))),
        trials=2000,
    )
    start = planes[0] if planes else fit_plane(places, values, np.ones(len(places)))
    return refine_plane(places, values, errors, start)
