"""Registration of a scan: every spot of every pattern, as a table of peaks.

The chain of this hall. A sample of patterns tells what the detector, the direct beam, the spots
and the noise are like; then every pattern is registered, block by block; at last the direct beam's
plane over the scan turns positions on the detector into vectors.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.compute.blocks import Block, load, row_blocks, run_blocks
from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.diffraction.beam.beside_gap import centres_beside_gap
from phaseloom.diffraction.beam.wide_beam import is_wide, wide_beam_centres
from phaseloom.diffraction.detector.correction import Correction, corrected, scan_mean
from phaseloom.diffraction.detector.neighbours import Likeness, added, alike, cells
from phaseloom.diffraction.options import Centring, DetectorCorrection, PeakSelection, SpotSearch
from phaseloom.diffraction.peaks.assembly import finished, vectors
from phaseloom.diffraction.spots.finder import Finder, Found, find_peaks, with_beam
from phaseloom.diffraction.survey import survey_neighbours, survey_sample
from phaseloom.errors import InputError, InputWarning
from phaseloom.io.scan_axes import ROTATION_REMOVED
from phaseloom.io.scan_turning import rotation_removed, to_scan_axes
from phaseloom.io.scans import as_scan

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.beam.centring import Beam


_CARRIED = ("voltage", "precession_angle", "flip", "rotate", ROTATION_REMOVED)
"""Attributes of a scan that its peaks carry on."""

_FEWEST = 2
"""Patterns in most of the sums where averaging is of use."""


@takes_options(
    correction=DetectorCorrection, centring=Centring, search=SpotSearch, selection=PeakSelection
)
def register(
    scan: Any,
    *,
    dark: ArrayLike | None = None,
    gain: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    distortion: ArrayLike | None = None,
    seed: int = 0,
    correction: DetectorCorrection,
    centring: Centring,
    search: SpotSearch,
    selection: PeakSelection,
    execution: Execution,
) -> xr.Dataset:
    """Register every pattern of a scan.

    Parameters
    ----------
    scan
        ``counts`` (y, x, ky, kx) as :func:`phaseloom.read` gives it, or whatever
        :func:`phaseloom.io.as_scan` makes one of: a HyperSpy or pyxem signal, an array. Lazy
        scans are never loaded as a whole.
    dark, gain, mask
        Images (ky, kx): value = (raw − dark) · gain where ``mask`` is true.
    distortion
        2×2 matrix from detector px to corrected px, see
        :mod:`phaseloom.diffraction.calibration.calibration`; none by default.
    seed
        Same seed, same result.
    **options

    Returns
    -------
    xarray.Dataset
        Group ``/peaks``: what :class:`phaseloom.diffraction.peaks.table.Peaks` holds, with the maps
        ``beam_y beam_x`` (measured, NaN where not found), ``bright_field spot_sum spot_count
        noise prominence``. ``spot_count`` is −1 and the others NaN where a pattern had no usable
        pixels. With ``average_neighbours`` also ``averaged``: how many patterns were added at each
        position (intensities and maps are those of one pattern, the errors those of the sum), and
        its median as an attribute.

    Raises
    ------
    InputError
        What is given does not fit the scan, or no pattern can be used.
    """
    scan = as_scan(scan)
    _check_centre(scan, centring.centre)
    images = {
        name: None if image is None else np.asarray(image)
        for name, image in (("dark", dark), ("gain", gain), ("mask", mask))
    }
    measured = fingerprint(
        str(scan.attrs.get("input_fingerprint")),
        list(scan["counts"].shape),
        [part.model_dump(mode="json") for part in (correction, centring, search)],
        seed,
        [image for image in images.values() if image is not None],
        [name for name, image in images.items() if image is not None],
    )
    matrix = None if distortion is None else _distortion(distortion)
    rotation = rotation_removed(scan.attrs)
    if rotation:
        matrix = to_scan_axes(rotation) @ (np.eye(2) if matrix is None else matrix)
    axes = ("y", "x", "ky", "kx")
    coordinates = [scan[axis].to_numpy() for axis in axes]
    units = [str(scan[axis].attrs.get("units", "px")) for axis in axes]

    def compute() -> xr.Dataset:
        detector, beam, finder = survey_sample(
            scan, images, correction=correction, centring=centring, search=search, seed=seed
        )
        likeness, halo = None, int(correction.scan_mean)
        if correction.average_neighbours:
            finder, likeness = survey_neighbours(
                scan, correction.average_neighbours, detector, beam, finder, search
            )
            halo = likeness.radius
        work = partial(
            peaks_of_block, finder=finder, correction=detector, beam=beam,
            mean=correction.scan_mean, prominent=search.threshold == "prominence",
            likeness=likeness,
        )  # fmt: skip
        found = _all_blocks(scan, work, measured, halo=halo, execution=execution)
        if likeness is not None and np.median(found["averaged"]) < _FEWEST:
            warnings.warn(
                "at most positions the counts do not tell which neighbours are of the same grain: "
                "there the patterns are averaged with none",
                InputWarning,
                stacklevel=2,
            )
        peaks = vectors(scan, found, beam, matrix, centring.descan)
        return finished(peaks, found, selection, detector, beam, finder, search.threshold)

    key = fingerprint(measured, selection.model_dump(mode="json"), matrix, coordinates, units)
    data = execution.checkpoints.stage("peaks", "register", key, compute, first=True)
    # What the scan says of beam and detector goes on with its peaks; nothing here depends on it.
    carried = {name: scan.attrs[name] for name in _CARRIED if scan.attrs.get(name) is not None}
    return data.assign_attrs(carried)


def _check_centre(scan: xr.Dataset, centre: str | tuple[float, float]) -> None:
    """Raise InputError where the direct beam would not be on the detector."""
    if isinstance(centre, str):
        return
    sizes = scan.sizes["ky"], scan.sizes["kx"]
    if not all(-0.5 <= c <= n - 0.5 for c, n in zip(centre, sizes, strict=True)):
        raise InputError(
            f"the centre {centre} is not on the detector of {sizes[0]}×{sizes[1]} px",
            "give (row, column) in px, or auto",
        )


def _distortion(values: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.shape != (2, 2) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-3:
        raise InputError(
            "the distortion is no 2×2 matrix that can be inverted",
            "give that of a calibration, from detector px to corrected px",
        )
    return matrix


def peaks_of_block(
    block: Block,
    *,
    finder: Finder,
    correction: Correction,
    beam: Beam,
    mean: bool,
    prominent: bool,
    likeness: Likeness | None = None,
) -> xr.Dataset:
    """Peaks of one block of the scan, in px on the detector.

    Parameters
    ----------
    block
        From :func:`phaseloom.compute.blocks.row_blocks`.
    finder, correction, beam
        As :func:`phaseloom.diffraction.survey.survey_sample` gives them.
    mean
        Take the mean over 3×3 scan positions first.
    prominent
        By prominence, as published, instead of by counts.
    likeness
        Add the patterns of alike neighbours first; nothing is added by default.

    Returns
    -------
    xarray.Dataset
        Columns on ``peak``, maps on ``position``: see
        :class:`phaseloom.diffraction.spots.finder.Found`.
    """
    patterns = load(block)
    raw, detector = patterns[block.inner_y, block.inner_x], correction
    if mean:
        values = corrected(patterns.reshape(-1, *patterns.shape[2:]), correction)
        averaged = scan_mean(
            values.reshape(patterns.shape),
            above=block.inner_y.start > 0,
            below=block.inner_y.stop < patterns.shape[0],
        )
        patterns = averaged[:, block.inner_x]
        correction = Correction(correction.mask)
    number = None
    if likeness is not None:
        values = corrected(patterns.reshape(-1, *patterns.shape[2:]), correction)
        values = values.reshape(patterns.shape)
        inner = block.inner_y, block.inner_x
        # Row by row, which needs no copy of the whole block.
        counts = np.stack([cells(row, likeness.cell, likeness.used) for row in values])
        chosen = alike(counts, likeness, inner)
        patterns, number = added(values, chosen, likeness, inner)
        correction = Correction(correction.mask)
    patterns = patterns.reshape(-1, *patterns.shape[2:])
    y, x = np.mgrid[block.y, block.x]
    places = np.stack(beam.at(y.ravel(), x.ravel()), axis=1)
    search = _search_prominent if prominent else find_peaks
    if number is None:
        found = search(patterns, finder, correction, places)
    else:
        found = _found_in_sums(search, patterns, number.ravel(), finder, correction, places)
    if beam.profile is not None:
        raw = raw.reshape(-1, *raw.shape[2:])
        centres, errors = centres_beside_gap(raw, detector, places, beam.profile)
        found = with_beam(found, places, centres, errors, guard=finder.guard_radius)
    elif is_wide(beam.radius, finder.shape.half_maximum):
        raw = raw.reshape(-1, *raw.shape[2:])
        centres, errors = wide_beam_centres(raw, detector, places, radius=beam.radius)
        found = with_beam(found, places, centres, errors, guard=finder.guard_radius)
    return _part(found)


def _search_prominent(
    patterns: NDArray[Any], finder: Finder, correction: Correction, places: NDArray[np.float64]
) -> Found:
    from phaseloom.diffraction.spots.published import find_prominent

    return find_prominent(patterns, correction, places, max_peaks=min(finder.max_peaks, 150))


_COUNTS = ("intensity", "intensity_error", "prominence", "background", "bright_field", "noise")
"""Columns and maps in counts."""


def _found_in_sums(
    search: Callable[..., Found],
    patterns: NDArray[np.float32],
    number: NDArray[np.int64],
    finder: Finder,
    correction: Correction,
    places: NDArray[np.float64],
) -> Found:
    """Peaks of sums of patterns, with the counts of one pattern.

    A sum of counts is counts with so many times the dose, so it is searched as it is; a floor
    of the noise adds up as well.
    """
    columns: dict[str, list[NDArray[np.float64]]] = {}
    maps: dict[str, NDArray[np.float64]] = {}
    peaks, order = np.zeros(number.size, np.int64), []
    for several in np.unique(number):
        those = np.flatnonzero(number == several)
        summed = replace(
            finder, floor=several * finder.floor, background=several * finder.background
        )
        found = search(patterns[those], summed, correction, places[those])
        peaks[those] = found.number
        order.append(np.repeat(those, np.maximum(found.number, 0)))
        for name, values in found.columns.items():
            scale = several if name in _COUNTS else 1
            columns.setdefault(name, []).append(values / scale)
        for name, values in found.maps.items():
            scale = several if name in _COUNTS else 1
            maps.setdefault(name, np.full(number.size, np.nan))[those] = values / scale
    in_order = np.argsort(np.concatenate(order), kind="stable")
    maps["averaged"] = number.astype(np.float64)
    return Found(
        {name: np.concatenate(values)[in_order] for name, values in columns.items()}, peaks, maps
    )


def _part(found: Found) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset(
        {
            # A map has that name too.
            {"prominence": "prominence_of_peak"}.get(name, name): (
                "peak",
                values.astype(np.float32),
            )
            for name, values in found.columns.items()
        }
        | {name: ("position", values) for name, values in found.maps.items()}
        | {"number": ("position", found.number)}
    )


def _all_blocks(
    scan: xr.Dataset,
    work: Callable[[Block], xr.Dataset],
    key: str,
    *,
    halo: int,
    execution: Execution,
) -> dict[str, NDArray[Any]]:
    """All blocks' peaks, one after the other in the scan's order; finished ones are kept."""
    blocks = row_blocks(scan, halo=halo)
    parts = execution.checkpoints.parts("peaks", "register", key)
    done = {index: parts.load(index) for index in parts.done() if index < len(blocks)}
    todo = [block for block in blocks if block.index not in done]
    results = run_blocks(work, todo, execution)
    sizes = [math.prod(block.shape) for block in todo]
    for at, part in execution.progress.track(
        results, "registering patterns", total=sum(sizes), amount=lambda item: sizes[item[0]]
    ):
        parts.save(todo[at].index, part)
        done[todo[at].index] = part
    ordered = [
        {str(name): values.to_numpy() for name, values in done.pop(block.index).items()}
        for block in blocks
    ]
    # Column by column, each freed as it is joined: a large scan has ten million peaks.
    return {name: np.concatenate([part.pop(name) for part in ordered]) for name in [*ordered[0]]}
