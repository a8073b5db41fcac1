"""Spots of every scan position with their expected counts; the electron beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals import Crystal, kinematic_spots

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Beam:
    """Electron beam: voltage, dose, precession, and the crystal thickness.

    Every pattern gets ``dose`` electrons: background and ring take their shares (camera), the
    direct beam its own, the diffracted spots the rest in the ratio of their kinematic
    intensities. So number and ratios of the spots are the crystal's, while the direct beam can
    be made weaker than they are, as dynamic scattering does.

    Parameters
    ----------
    voltage
        Acceleration voltage in kV.
    thickness
        Of the crystal in Å, as in :func:`phaseloom.crystals.kinematic_spots`.
    precession_angle
        In degrees.
    k_max
        Largest 1/d drawn, in Å⁻¹.
    dose
        Electrons per pattern.
    direct
        Part of the dose in the direct beam; where there is no crystal it gets the spots' too.
    intensity_spread
        Standard deviation s of a factor exp(s · normal) on every diffracted spot: what
        kinematic theory gets wrong.
    """

    voltage: float = 200.0
    thickness: float = 120.0
    precession_angle: float = 0.0
    k_max: float = 1.5
    dose: float = 1e5
    direct: float = 0.3
    intensity_spread: float = 0.0


class SpotTable(NamedTuple):
    """Spots of some scan rows, ordered by position (counted from the first of them)."""

    position: NDArray[np.int64]
    ky: NDArray[np.float64]
    kx: NDArray[np.float64]
    counts: NDArray[np.float64]
    hkl: NDArray[np.int64]
    phase_index: NDArray[np.int64]

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> SpotTable:
        """Some of the spots."""
        return SpotTable(**{name: column[chosen] for name, column in self._asdict().items()})


def expected_spots(
    sample: xr.Dataset,
    crystals: Sequence[Crystal],
    beam: Beam,
    share: float,
    streams: Sequence[np.random.Generator],
) -> SpotTable:
    """All spots of the positions, both grains' where two overlap, and the direct beams.

    Parameters
    ----------
    sample
        From :func:`phaseloom.simulate.grain_map`, or some rows of it.
    crystals
        The phases.
    beam
        Dose and geometry.
    share
        Part of the dose that background and ring leave.
    streams
        A random generator for each scan row.

    Returns
    -------
    SpotTable
        Counts are expected, integrated over the spot.
    """
    n = sample["phase"].size
    table = _relative_spots(sample, crystals, beam, n)
    width = sample.sizes["x"]
    per_row = np.bincount(table.position // width, minlength=len(streams))
    deviates = [rng.standard_normal(k) for rng, k in zip(streams, per_row, strict=True)]
    direct = ~table.hkl.any(axis=1)
    relative = table.counts * np.exp(beam.intensity_spread * np.concatenate(deviates))
    relative[direct] = 0.0
    # Counts without a crystal or a reflection stay in the direct beam.
    scattered = (share - beam.direct) * np.bincount(table.position, table.counts, n)
    diffracted = np.bincount(table.position, relative, n)
    relative *= (scattered / np.where(diffracted > 0, diffracted, 1.0))[table.position]
    relative[direct] = share - scattered
    return table._replace(counts=beam.dose * relative)


def _relative_spots(
    sample: xr.Dataset, crystals: Sequence[Crystal], beam: Beam, n: int
) -> SpotTable:
    """Diffracted spots, those of each position in all of weight 1, and direct beams of weight 0."""
    weight = sample["overlap"].to_numpy().ravel()
    zeros = np.zeros(n)
    none = np.zeros((n, 3), dtype=np.int64)
    parts = [SpotTable(np.arange(n), zeros, zeros, zeros, none, np.full(n, -1))]
    for suffix, part in (("", 1.0 - weight), ("_2", weight)):
        phase = sample[f"phase{suffix}"].to_numpy().ravel()
        rotation = sample[f"rotation{suffix}"].to_numpy().reshape(-1, 4)
        for number, crystal in enumerate(crystals):
            positions = np.flatnonzero((phase == number) & (part > 0))
            if positions.size == 0:
                continue
            spots = kinematic_spots(
                crystal,
                rotation[positions],
                voltage=beam.voltage,
                thickness=beam.thickness,
                k_max=beam.k_max,
                precession_angle=beam.precession_angle,
            )
            position = np.repeat(positions, np.diff(spots.offset))
            total = np.bincount(position, spots.intensity, n)
            counts = spots.intensity * part[position] / total[position]
            index = np.full(position.size, number)
            parts.append(SpotTable(position, spots.ky, spots.kx, counts, spots.hkl, index))
    columns = [
        np.concatenate([getattr(table, name) for table in parts]) for name in SpotTable._fields
    ]
    table = SpotTable(*columns)
    return table.take(np.argsort(table.position, kind="stable"))
