"""Simulated peak tables, with the statistics of registered peaks, without images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals import Crystal
from phaseloom.errors import InputError
from phaseloom.simulate.camera import Camera
from phaseloom.simulate.patterns import RADIAL_STEP
from phaseloom.simulate.scans import Simulation
from phaseloom.simulate.spots import Beam

if TYPE_CHECKING:
    import xarray as xr

_LEVEL = 4.9
"""Significance of the weakest peaks: a false one in a hundred patterns of 256² px."""

_RESOLVED = 2.5
"""Spots closer than this many sigma are one peak."""

_CROWDED = 3.0
_TAIL = 0.08
"""A spot with less than this part of its neighbours' counts is not told from their tails.

They are weighted with a Gaussian of ``_CROWDED`` sigma. Set so that the numbers of peaks are those
that registration finds, from lone gold to pairs of LiFePO4.
"""

_LEAST_BACKGROUND = 1e-3
"""Counts per px, as low as registration's own thresholds go."""

_FITTED = 1.1
"""Factor on the position error, as background and neighbours are fitted, too."""


def simulate_peaks(
    sample: xr.Dataset,
    crystals: Sequence[Crystal],
    *,
    beam: Beam | None = None,
    camera: Camera | None = None,
    false_peaks: float = 0.05,
    seed: int = 0,
) -> xr.Dataset:
    """Simulate the peak table of a registered scan, from the statistics of counting.

    The spots are those of :func:`phaseloom.simulate.simulate_scan` with the same arguments, the
    direct beam among them. Spots within 2.5 sigma of a stronger one join it; each holds Poisson
    counts n on λ = 4πσ² b of background (b per px); it is found where the deviance
    2 ((n + λ) ln(1 + n/λ) − n) says 4.9 standard deviations; its place errs by
    1.1 σ √(n + 8πσ² b) / n along each axis (R. E. Thompson et al., Biophys. J. 82, 2775 (2002)).
    As in registration the direct beam's plane over the scan is known and its jitter is not: all
    peaks of a pattern share it. Pixels without fault and a known distortion are taken for
    granted. Numbers of peaks are registration's within 6 %, in crowded patterns (overlapping
    LiFePO4) up to 14 % more.

    Parameters
    ----------
    sample, crystals, beam, camera
        As for :func:`phaseloom.simulate.simulate_scan`; spots must be Gaussian.
    false_peaks
        Expected number per pattern, anywhere on the detector and just significant.
    seed
        Same seed, same peaks.

    Returns
    -------
    xarray.Dataset
        Group ``/peaks``, see :class:`phaseloom.diffraction.peaks.table.Peaks`; ``centre_y`` and
        ``centre_x`` are the direct beam's plane. The truth is the sample.

    Raises
    ------
    InputError
        As :func:`phaseloom.simulate.simulate_scan`, and where spots are disks.
    """
    simulation = Simulation(sample, crystals, beam or Beam(), camera or Camera(), True, seed)
    camera = simulation.camera
    if camera.radius > 0:
        raise InputError("peaks of disks cannot be simulated", "give a camera of radius 0")
    simulation.check()
    plane = camera.beam(simulation.scan_shape)
    rng = np.random.default_rng([seed, 2])
    middles = plane.reshape(-1, 2)
    profile = simulation.beam.dose * camera.radial_profile()
    radii = RADIAL_STEP * np.arange(profile.size)

    def background_of(spots: _Spots) -> NDArray[np.float64]:
        """Background counts beneath a spot."""
        r = np.linalg.norm(spots.place - middles[spots.position], axis=1)
        level = np.maximum(np.interp(r, radii, profile), _LEAST_BACKGROUND)
        counts: NDArray[np.float64] = 4 * np.pi * camera.sigma**2 * level
        return counts

    spots = _resolved(_all_spots(simulation, plane), _RESOLVED * camera.sigma)
    crowd = _neighbours(spots, _CROWDED * camera.sigma)
    spots = spots._replace(counts=rng.poisson(spots.counts).astype(np.float64))
    found = _significance(spots.counts, background_of(spots)) > _LEVEL
    found &= spots.counts > _TAIL * crowd
    spots = spots.take(found)
    extra = np.repeat(np.arange(len(middles)), rng.poisson(false_peaks, len(middles)))
    place = rng.uniform(0, np.array(camera.shape) - 1.0, (extra.size, 2))
    false = _Spots(extra, place, np.zeros(extra.size))
    excess = 1 + 0.1 * rng.exponential(size=extra.size)
    false = false._replace(counts=excess * _least_counts(background_of(false)))
    spots = _Spots(*(np.concatenate(pair) for pair in zip(spots, false, strict=True)))

    background = background_of(spots)
    error = _FITTED * camera.sigma * np.sqrt(spots.counts + 2 * background) / spots.counts
    moved = spots.place + error[:, None] * rng.standard_normal(spots.place.shape)
    order = np.lexsort((moved[:, 0], spots.position))
    spots = spots._replace(place=moved).take(order)
    return _table(simulation, plane, spots, error[order], background[order])


class _Spots(NamedTuple):
    """Position in the scan (n,), row and column on the detector (n, 2) and counts (n,)."""

    position: NDArray[np.int64]
    place: NDArray[np.float64]
    counts: NDArray[np.float64]

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> _Spots:
        return _Spots(self.position[chosen], self.place[chosen], self.counts[chosen])


def _all_spots(simulation: Simulation, plane: NDArray[np.float64]) -> _Spots:
    """Every spot on the detector, with the counts to expect."""
    camera, width = simulation.camera, simulation.scan_shape[1]
    parts = []
    for rows in simulation.rows():
        _, _, table, at = simulation.spots(rows, plane)
        on = np.all((at >= 0) & (at <= np.array(camera.shape) - 1), axis=1)
        parts.append(_Spots(table.position[on] + rows.start * width, at[on], table.counts[on]))
    return _Spots(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _resolved(spots: _Spots, distance: float) -> _Spots:
    """Spots joined with a stronger neighbour: counts added, at their centre of mass."""
    counts = spots.counts
    pairs = _pairs(spots, distance)
    pairs = np.take_along_axis(pairs, np.argsort(counts[pairs], axis=1, kind="stable"), axis=1)
    # The strongest neighbour is written last.
    pairs = pairs[np.argsort(counts[pairs[:, 1]], kind="stable")]
    target = np.arange(counts.size)
    target[pairs[:, 0]] = pairs[:, 1]
    # Chains: a joins b, which joins c.
    while (target[target] != target).any():
        target = target[target]
    total = np.bincount(target, counts, counts.size).astype(np.float64)
    kept = np.flatnonzero((target == np.arange(counts.size)) & (total > 0))
    moments = [np.bincount(target, counts * axis, counts.size)[kept] for axis in spots.place.T]
    place = np.stack(moments, axis=1) / total[kept, None]
    return _Spots(spots.position[kept], place, total[kept])


def _neighbours(spots: _Spots, width: float) -> NDArray[np.float64]:
    """Counts of the other spots of the pattern, weighted with a Gaussian of their distance."""
    first, second = _pairs(spots, 3.0 * width).T
    separation = np.linalg.norm(spots.place[first] - spots.place[second], axis=1)
    weight = np.exp(-0.5 * (separation / width) ** 2)
    n = spots.counts.size
    ends = np.concatenate([first, second])
    weighted = np.tile(weight, 2) * spots.counts[np.concatenate([second, first])]
    return np.bincount(ends, weighted, n).astype(np.float64)


def _pairs(spots: _Spots, distance: float) -> NDArray[np.intp]:
    """(pairs, 2): spots of one pattern that are closer than this."""
    from scipy.spatial import cKDTree

    # Patterns are placed far apart along a third axis: one search for all.
    spacing = 4.0 * (np.ptp(spots.place) + distance)
    tree = cKDTree(np.column_stack([spots.place, spacing * spots.position]))
    pairs: NDArray[np.intp] = tree.query_pairs(distance, output_type="ndarray")
    return pairs


def _significance(counts: NDArray[np.float64], beneath: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations of a Gaussian that ``counts`` over a background amount to."""
    total = counts + beneath
    deviance = 2 * (total * np.log(total / beneath) - counts)
    root: NDArray[np.float64] = np.sqrt(np.maximum(deviance, 0.0))
    return root


def _least_counts(beneath: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts that are just significant, by Newton's method."""
    counts = _LEVEL**2 + _LEVEL * np.sqrt(beneath)
    for _ in range(6):
        slope = 2 * np.log1p(counts / beneath)
        counts = counts - (_significance(counts, beneath) ** 2 - _LEVEL**2) / slope
    return counts


def _table(
    simulation: Simulation,
    plane: NDArray[np.float64],
    spots: _Spots,
    error: NDArray[np.float64],
    beneath: NDArray[np.float64],
) -> xr.Dataset:
    import xarray as xr

    camera, sample = simulation.camera, simulation.sample
    area = 4 * np.pi * camera.sigma**2
    step = camera.pixel_size
    vector = step * (spots.place - plane.reshape(-1, 2)[spots.position]) @ camera.distortion.T
    counted = spots.counts
    number = np.bincount(spots.position, minlength=plane[..., 0].size)
    columns = {
        "ky": (vector[:, 0], "Å⁻¹"),
        "kx": (vector[:, 1], "Å⁻¹"),
        "intensity": (counted, "counts"),
        "ky_error": (step * error, "Å⁻¹"),
        "kx_error": (step * error, "Å⁻¹"),
        "intensity_error": (np.sqrt(counted + beneath), "counts"),
        "peak_prominence": (2 * counted / area, "counts/px"),
        "background": (beneath / area, "counts/px"),
    }
    return xr.Dataset(
        {
            name: ("peak", values.astype(np.float32), {"units": units})
            for name, (values, units) in columns.items()
        }
        | {
            name: (("y", "x"), plane[..., axis].astype(np.float32), {"units": "px"})
            for axis, name in enumerate(("centre_y", "centre_x"))
        }
        | {"offset": ("edge", np.concatenate([[0], np.cumsum(number)]).astype(np.int64))},
        coords={axis: sample[axis] for axis in ("y", "x")},
        attrs={
            "pixel_size": step,
            "pixel_size_units": "Å⁻¹",
            "distortion": [float(v) for v in camera.distortion.ravel()],
            "detector_shape": list(camera.shape),
            "spot_shape": "gaussian",
            "spot_sigma": camera.sigma,
        },
    )
