"""Diffraction check: peaks and simulated spots of some pixels of an orientation map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.crystals import Crystal
    from phaseloom.diffraction.peaks.table import Peaks

_SHOWN = 6
"""Pixels, from the surest to the least sure of each phase."""

_MOST = 150
"""Simulated spots of a pattern, the strongest."""

_FAINTEST = 1e-3
"""Spots weaker than this part of the pattern's strongest are left out."""

_LARGEST_INDEX = 3
"""Largest index of the zone axes that are named."""


def check_patterns(data: xr.Dataset, peaks: Peaks, crystals: Sequence[Crystal]) -> xr.Dataset:
    """Compute the group ``/orientation/sample``: peaks beside simulated spots of some pixels.

    Parameters
    ----------
    data
        Group ``/orientation``, with an indexed pixel.
    peaks
        That were indexed, in Å⁻¹, before what the map says of scale, distortion and centre was
        taken off.
    crystals
        In the order of their numbers.

    Returns
    -------
    xarray.Dataset
        ``peak_ky``, ``peak_kx``, ``peak_intensity`` (sample, peak), the direct beam left out, their
        vectors corrected as they were indexed;
        ``spot_ky``, ``spot_kx``, ``spot_intensity`` (sample, spot) and ``spot_hkl`` (sample, spot,
        index) of the map's solution; NaN where there are fewer. Indices ``y``, ``x`` of the scan
        position; ``crystal`` its phase; ``zone``, the zone axis near the beam.
    """
    import xarray as xr

    from phaseloom.crystals.kinematic import rotation_matrices
    from phaseloom.orientation.calibration.correction import Correction, corrected_peaks

    peaks = corrected_peaks(peaks, Correction.of_map(data.attrs))
    pixels = chosen_pixels(data)
    rows, columns = np.unravel_index(pixels, data["phase"].shape)
    phases = data["phase"].to_numpy().ravel()[pixels]
    rotation = data["rotation"].transpose("y", "x", "quaternion").to_numpy().reshape(-1, 4)[pixels]
    peaks_shown = [_peaks_at(peaks, pixel, float(data.attrs["k_min"])) for pixel in pixels]
    spots = [
        _spots(crystals[n], quaternion, data)
        for n, quaternion in zip(phases, rotation, strict=True)
    ]
    beams = rotation_matrices(rotation)[:, :, 2]
    zones = [zone_name(crystals[n], beam) for n, beam in zip(phases, beams, strict=True)]
    units = {"units": "Å⁻¹"}
    parts = ("ky", "kx", "intensity")
    table = {
        f"{kind}_{name}": (
            ("sample", kind),
            _padded([p[i] for p in tables]),
            units if i < 2 else {},
        )
        for kind, tables in (("peak", peaks_shown), ("spot", spots))
        for i, name in enumerate(parts)
    }
    hkl = _padded([s[3:].T for s in spots], (3,))
    return xr.Dataset(
        table
        | {
            "spot_hkl": (("sample", "spot", "index"), hkl),
            "y": ("sample", rows.astype(np.int64)),
            "x": ("sample", columns.astype(np.int64)),
            "crystal": ("sample", phases.astype(np.int16)),
        },
        coords={"zone": ("sample", np.array(zones, dtype=str))},
    )


def chosen_pixels(data: xr.Dataset) -> NDArray[np.intp]:
    """Flat indices of the pixels shown, of every phase in turn from the surest to the least sure.

    Parameters
    ----------
    data
        Group ``/orientation``.
    """
    phase = data["phase"].to_numpy().ravel()
    probability = np.nan_to_num(data["probability"].to_numpy().ravel())
    correlation = np.nan_to_num(data["correlation"].to_numpy().ravel())
    numbers, counts = np.unique(phase[phase >= 0], return_counts=True)
    numbers = numbers[np.argsort(-counts, kind="stable")][:_SHOWN]
    share = [_SHOWN // len(numbers) + (i < _SHOWN % len(numbers)) for i in range(len(numbers))]
    chosen = []
    for number, count_shown in zip(numbers, share, strict=True):
        members = np.flatnonzero(phase == number)
        ranked = members[np.lexsort((-correlation[members], -probability[members]))]
        chosen.append(
            ranked[np.unique(np.linspace(0, members.size - 1, count_shown).round().astype(int))]
        )
    return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.intp)


def zone_name(crystal: Crystal, beam: ArrayLike) -> str:
    """The low-index zone axis nearest to the beam, and how far off the beam is.

    Parameters
    ----------
    crystal
        The cell.
    beam
        (3,) its direction in the crystal's Cartesian axes.

    Returns
    -------
    str
        Mathematical text, indices up to 3: "[101]" within half a degree, else "4° off [101]".
    """
    from phaseloom.view.orientation.sectors import indices_text

    indices = np.arange(-_LARGEST_INDEX, _LARGEST_INDEX + 1)
    uvw = np.stack(np.meshgrid(indices, indices, indices), axis=-1).reshape(-1, 3)
    uvw = uvw[np.gcd.reduce(uvw, axis=1) == 1]
    axes = uvw @ crystal.lattice
    cosine = axes @ np.asarray(beam) / np.linalg.norm(axes, axis=1)
    nearest = int(np.argmax(cosine))
    angle = np.degrees(np.arccos(np.clip(cosine[nearest] / np.linalg.norm(beam), -1.0, 1.0)))
    name = indices_text(crystal, uvw[nearest], "[]")
    return name if angle < 0.5 else f"{angle:.0f}° off {name}"


def _peaks_at(peaks: Peaks, pixel: int, k_min: float) -> NDArray[np.float64]:
    """(3, n): ky, kx, intensity of a position's peaks beside the direct beam."""
    rows = slice(*peaks.offset[pixel : pixel + 2])
    columns = np.stack(
        [peaks.data[n].to_numpy()[rows].astype(np.float64) for n in ("ky", "kx", "intensity")]
    )
    return np.asarray(columns[:, np.hypot(columns[0], columns[1]) > k_min])


def _spots(
    crystal: Crystal, rotation: NDArray[np.float64], data: xr.Dataset
) -> NDArray[np.float64]:
    """(6, n): ky, kx, intensity, h, k, l of the strongest spots of a solution."""
    from phaseloom.crystals import kinematic_spots

    spots = kinematic_spots(
        crystal,
        rotation,
        voltage=float(data.attrs["voltage"]),
        precession_angle=float(data.attrs["precession_angle"]),
        thickness=float(data.attrs["thickness"]),
        k_max=float(data.attrs["k_max"]),
    )
    order = np.argsort(-spots.intensity, kind="stable")[:_MOST]
    order = order[spots.intensity[order] >= _FAINTEST * spots.intensity.max(initial=0.0)]
    columns = (spots.ky, spots.kx, spots.intensity, *spots.hkl.T)
    return np.stack([column[order].astype(np.float64) for column in columns])


def _padded(
    columns: Sequence[NDArray[np.float64]], inner: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """Rows of unequal length as one array, NaN at their ends."""
    table = np.full((len(columns), max(map(len, columns), default=0), *inner), np.nan)
    for row, values in zip(table, columns, strict=True):
        row[: len(values)] = values
    return table
