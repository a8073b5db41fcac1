"""quantem's orientation matching (torch): polar correlation, refinement, neighbours, phases.

Mode ``defaults`` has the steps of its own library; all others have those of the other programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from orientation_common import K_MAX, STEP, SWAPPED, VOLTAGE, Matched, Peaks, Structure, main
from quantem.core.datastructures import Vector
from quantem.diffraction import Crystal, OrientationMap, PhaseMap
from quantem.diffraction.rotations import quat_to_matrix

MODES: dict[str, dict[str, Any]] = {
    "matching": {"matches": 1},
    "defaults": {"matches": 1, "refine": True, "rescue": True, "steps": {}},
    "refined": {"matches": 1, "refine": True},
    "rescued": {"matches": 1, "refine": True, "rescue": True},
    "rescued3": {"matches": 3, "refine": True, "rescue": True},
    "phases": {"matches": 1, "refine": True, "fit": True},
}


STEPS = {"angle_step_zone_axis_deg": STEP, "angle_step_in_plane_deg": STEP}


def vectors(peaks: Peaks) -> Vector:
    # Its x runs down the rows of the pattern.
    table = np.stack([peaks.ky, peaks.kx, peaks.intensity], axis=1)
    cells = np.split(table, peaks.offset[1:-1])
    rows, columns = peaks.shape
    return Vector.from_data(
        [cells[row * columns : (row + 1) * columns] for row in range(rows)],
        fields=["qx", "qy", "intensity"],
        dtype=torch.float64,
    )


def build(
    peaks: Peaks, structures: Sequence[Structure], settings: dict[str, Any], threads: int
) -> tuple[list[OrientationMap], int]:
    torch.set_num_threads(threads)
    vector = vectors(peaks)
    maps = []
    for structure in structures:
        crystal = Crystal.from_cif(structure.cif, name=structure.name, verbose=False)
        crystal.calculate_structure_factors(K_MAX, thermal_sigma=structure.root_mean_square)
        one = OrientationMap.from_vectors(vector, crystal, energy_ev=VOLTAGE * 1e3)
        maps.append(
            one.build_plan(**settings.get("steps", STEPS), verbose=False, progress_bar=False)
        )
    return maps, sum(len(one.zone_axes) for one in maps)


def prepare(
    maps: list[OrientationMap], peaks: Peaks, settings: dict[str, Any], threads: int
) -> Any:
    torch.set_num_threads(threads)
    vector = vectors(peaks)
    for one in maps:  # a library that was loaded holds peaks of its own
        one.peaks = vector

    def matched() -> Matched:
        for one in maps:
            one.match_orientations(num_matches=settings["matches"], progress_bar=False)
            if settings.get("refine"):
                one.refine_orientations(
                    neighbor_rescue=bool(settings.get("rescue")), progress_bar=False
                )
        return result(maps, settings)

    return matched


def result(maps: list[OrientationMap], settings: dict[str, Any]) -> Matched:
    """The best match of the better crystal; that of its phase map where one is asked for."""
    score = np.stack([_score(one) for one in maps])
    phase = score.argmax(axis=0)
    reliability = np.stack([one.reliability.numpy().ravel() for one in maps])
    if settings.get("fit"):
        fitted = PhaseMap.from_orientation_maps(maps).fit(progress_bar=False)
        phase = fitted.phase_index.numpy().ravel()
    n = np.arange(len(phase))
    matrix = np.stack([quat_to_matrix(one.quats[..., 0, :]).numpy() for one in maps])
    matrix = np.swapaxes(matrix.reshape(len(maps), -1, 3, 3)[phase, n], 1, 2) @ SWAPPED
    indexed = np.stack([one.computed.numpy().ravel() for one in maps])[phase, n] & (phase >= 0)
    matrix[~indexed] = np.nan
    phase[~indexed] = -1
    return Matched(matrix, score[phase, n], phase, reliability[phase, n])


def _score(one: OrientationMap) -> np.ndarray:
    """Correlation of the best match: after refinement where there was one."""
    best = one.corr[..., 0] if one.score is None else one.score
    return best.numpy().reshape(-1)


if __name__ == "__main__":
    main(build, prepare, MODES, f"quantem {version('quantem')}")
