"""The chain of this room: a scan in, every spot of every pattern out.

A sample of patterns tells what the detector, the direct beam, the spots and the noise are like;
then every pattern is registered, block by block; at last the direct beam's plane over the scan
turns places on the detector into vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.compute.blocks import Block, load, row_blocks, run_blocks
from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.diffraction.beam.wide_beam import centred, is_wide
from phaseloom.diffraction.detector.correction import Correction, corrected, scan_mean
from phaseloom.diffraction.peaks.assembly import finished, vectors
from phaseloom.diffraction.spots.finder import Finder, Found, find_peaks
from phaseloom.diffraction.survey import look
from phaseloom.errors import InputError
from phaseloom.io.scans import as_scan

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.beam.centring import Beam


def register(
    scan: Any,
    *,
    dark: ArrayLike | None = None,
    gain: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    saturation: float | None = None,
    hot: bool = True,
    beam_stop: bool = False,
    scan_mean: bool = False,
    distortion: ArrayLike | None = None,
    centre: Literal["auto"] | tuple[float, float] = "auto",
    descan: Literal["plane", "each", "none"] = "plane",
    threshold: Literal["counts", "prominence"] = "counts",
    false_alarms: float = 0.01,
    shape: Literal["auto", "gaussian", "disk"] = "auto",
    sigma: float | None = None,
    radius: float | None = None,
    max_peaks: int = 500,
    k_min: float | None = None,
    k_max: float | None = None,
    intensity_min: float | None = None,
    prominence_min: float | None = None,
    significance_min: float | None = None,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
    keep: Checkpoints | None = None,
    progress: Progress = SILENT,
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
    saturation
        Raw value from which a pixel is saturated.
    hot, beam_stop
        Look for dead and hot pixels, and for the shadow of a beam stop.
    scan_mean
        Mean over 3×3 scan positions first.
    distortion
        2×2 matrix from detector px to corrected px, see
        :mod:`phaseloom.diffraction.calibration.calibration`; none by default.
    centre
        Direct beam (row, column) in px, found when "auto".
    descan
        Over the scan the beam moves like a "plane", is where it was found in "each" pattern, or
        moves not at all ("none").
    threshold
        "counts": peaks stand out of counting noise, with ``false_alarms`` expected false ones
        per pattern. "prominence": as published (Folastre et al., Sci. Rep. 2024).
    shape, sigma, radius
        Of the spots, in px; from the data when not given.
    max_peaks
        Of a pattern, the strongest.
    k_min, k_max, intensity_min, prominence_min, significance_min
        Peaks to keep, see :func:`phaseloom.diffraction.peaks.filtering.filter_peaks`.
    seed
        Same seed, same result.
    workers, scheduler
        Threads, or the address of a dask.distributed cluster.
    keep
        Where finished blocks and the result are kept.
    progress
        Where long work is reported.

    Returns
    -------
    xarray.Dataset
        Group ``/peaks``: what :class:`phaseloom.diffraction.peaks.table.Peaks` holds, with the maps
        ``beam_y beam_x`` (measured, NaN where not found), ``bright_field spot_sum spot_count
        noise prominence``. ``spot_count`` is −1 and the others NaN where a pattern had no usable
        pixels.

    Raises
    ------
    InputError
        What is given does not fit the scan, or no pattern can be used.
    """
    scan = as_scan(scan)
    _check_options(
        scan, centre=centre, descan=descan, threshold=threshold, shape=shape,
        max_peaks=max_peaks, workers=workers,
    )  # fmt: skip
    keep = keep or Checkpoints()
    options = {
        "saturation": saturation, "hot": hot, "beam_stop": beam_stop, "scan_mean": scan_mean,
        "centre": centre, "descan": descan, "threshold": threshold,
        "false_alarms": false_alarms, "shape": shape, "sigma": sigma, "radius": radius,
        "max_peaks": max_peaks, "seed": seed,
    }  # fmt: skip
    images = {
        name: None if image is None else np.asarray(image)
        for name, image in (("dark", dark), ("gain", gain), ("mask", mask))
    }
    scene = fingerprint(
        str(scan.attrs.get("input_fingerprint")),
        list(scan["counts"].shape),
        options,
        [image for image in images.values() if image is not None],
        [name for name, image in images.items() if image is not None],
    )
    cut = {
        "k_min": k_min, "k_max": k_max, "intensity_min": intensity_min,
        "prominence_min": prominence_min, "significance_min": significance_min,
    }  # fmt: skip
    turn = None if distortion is None else _distortion(distortion)
    coordinates = [scan[axis].to_numpy() for axis in ("y", "x", "ky", "kx")]
    units = [str(scan[axis].attrs.get("units", "px")) for axis in ("y", "x", "ky", "kx")]

    def compute() -> xr.Dataset:
        correction, beam, finder = look(
            scan, images, saturation=saturation, hot=hot, beam_stop=beam_stop, mean=scan_mean,
            centre=centre, descan=descan, shape=shape, sigma=sigma, radius=radius,
            false_alarms=false_alarms, max_peaks=max_peaks, seed=seed,
        )  # fmt: skip
        work = partial(
            peaks_of_block, finder=finder, correction=correction, beam=beam, mean=scan_mean,
            prominent=threshold == "prominence",
        )  # fmt: skip
        found = _all_blocks(
            scan, work, scene, halo=int(scan_mean), workers=workers, scheduler=scheduler,
            keep=keep, progress=progress,
        )  # fmt: skip
        peaks = vectors(scan, found, beam, turn, descan)
        return finished(peaks, found, cut, correction, beam, finder, threshold)

    key = fingerprint(scene, cut, turn, coordinates, units)
    return keep.stage("peaks", "register", key, compute, first=True)


def _check_options(
    scan: xr.Dataset,
    *,
    centre: str | tuple[float, float],
    max_peaks: int,
    workers: int | None,
    **words: str,
) -> None:
    """Raise InputError for what cannot be, before anything is read."""
    known = {
        "descan": ("plane", "each", "none"),
        "threshold": ("counts", "prominence"),
        "shape": ("auto", "gaussian", "disk"),
    }
    for name, word in words.items():
        if word not in known[name]:
            raise InputError(f"there is no {name} {word!r}", f"take {', '.join(known[name])}")
    for name, number in (("max_peaks", max_peaks), ("workers", workers)):
        if number is not None and number < 1:
            raise InputError(f"{name} cannot be {number}", "give at least 1")
    if centre == "auto":
        return
    sizes = scan.sizes["ky"], scan.sizes["kx"]
    if not all(-0.5 <= c <= n - 0.5 for c, n in zip(np.asarray(centre, float), sizes, strict=True)):
        raise InputError(
            f"the centre {centre} is not on the detector of {sizes[0]}×{sizes[1]} px",
            "give (row, column) in px, or auto",
        )


def _distortion(matrix: ArrayLike) -> NDArray[np.float64]:
    turn = np.asarray(matrix, dtype=np.float64)
    if turn.shape != (2, 2) or not np.isfinite(turn).all() or abs(np.linalg.det(turn)) < 1e-3:
        raise InputError(
            "the distortion is no 2×2 matrix that can be inverted",
            "give that of a calibration, from detector px to corrected px",
        )
    return turn


def peaks_of_block(
    block: Block,
    *,
    finder: Finder,
    correction: Correction,
    beam: Beam,
    mean: bool,
    prominent: bool,
) -> xr.Dataset:
    """Peaks of one block of the scan, in px on the detector.

    Parameters
    ----------
    block
        From :func:`phaseloom.compute.blocks.row_blocks`.
    finder, correction, beam
        What :func:`phaseloom.diffraction.survey.look` found out.
    mean
        Take the mean over 3×3 scan positions first.
    prominent
        By prominence, as published, instead of by counts.

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
    patterns = patterns.reshape(-1, *patterns.shape[2:])
    y, x = np.mgrid[block.y, block.x]
    places = np.stack(beam.at(y.ravel(), x.ravel()), axis=1)
    if prominent:
        from phaseloom.diffraction.spots.published import find_prominent

        found = find_prominent(patterns, correction, places, max_peaks=min(finder.max_peaks, 150))
    else:
        found = find_peaks(patterns, finder, correction, places)
    if is_wide(beam.radius, finder):
        raw = raw.reshape(-1, *raw.shape[2:])
        found = centred(found, raw, detector, places, radius=beam.radius, guard=finder.guard_radius)
    return _part(found)


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
    workers: int | None,
    scheduler: str | None,
    keep: Checkpoints,
    progress: Progress,
) -> dict[str, NDArray[Any]]:
    """All blocks' peaks, one after the other in the scan's order; finished ones are kept."""
    blocks = row_blocks(scan, halo=halo)
    parts = keep.parts("peaks", "register", key)
    done = {index: parts.load(index) for index in parts.done() if index < len(blocks)}
    todo = [block for block in blocks if block.index not in done]
    results = run_blocks(work, todo, Execution(workers=workers, scheduler=scheduler))
    sizes = [math.prod(block.shape) for block in todo]
    for at, part in progress.track(
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
