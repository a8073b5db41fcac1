"""py4DSTEM's orientation matching (ACOM): sparse polar correlation with a library.

All numbers are its defaults, which its tutorials state again. Modes: ``matching`` as called, which
is one core, and ``matching2``: the same in one process per thread, which a user must arrange.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import py4DSTEM
from common import Processes
from emdfile import PointList
from orientation_common import K_MAX, STEP, SWAPPED, VOLTAGE, Matched, Peaks, Structure, main
from py4DSTEM.process.diffraction import Crystal

MODES = {"matching": {"processes": False}, "matching2": {"processes": True}}


def build(
    _peaks: Peaks, structures: Sequence[Structure], _settings: dict[str, Any], _threads: int
) -> tuple[Crystal, int]:
    (structure,) = structures
    crystal = Crystal(structure.positions, structure.numbers, structure.cell)
    crystal.calculate_structure_factors(K_MAX)
    crystal.orientation_plan(
        zone_axis_range=np.array(structure.zone_axes[1:]),
        angle_step_zone_axis=STEP,
        angle_step_in_plane=STEP,
        accel_voltage=VOLTAGE * 1e3,
        progress_bar=False,
    )
    return crystal, int(crystal.orientation_num_zones)


def prepare(crystal: Crystal, peaks: Peaks, settings: dict[str, Any], threads: int) -> Any:
    lists = []
    for i in range(len(peaks)):
        rows = peaks.pattern(i)
        data = np.zeros(rows.stop - rows.start, [("qx", "f8"), ("qy", "f8"), ("intensity", "f8")])
        # Its x runs down the rows of the pattern.
        data["qx"], data["qy"] = peaks.ky[rows], peaks.kx[rows]
        data["intensity"] = peaks.intensity[rows]
        lists.append(PointList(data))

    def match(numbers: np.ndarray) -> list[Any]:
        return [crystal.match_single_pattern(lists[i]) for i in numbers]

    numbers = np.arange(len(peaks))
    run = Processes(match, numbers, threads) if settings["processes"] else lambda: match(numbers)

    def matched() -> Matched:
        found = run()
        # Columns of its matrix: the axes of its frame in the crystal's.
        rotation = np.stack([one.matrix[0] for one in found]) @ SWAPPED
        score = np.array([one.corr[0] for one in found])
        rotation[~rotation.any((1, 2))] = np.nan
        return Matched(rotation, score)

    return matched


if __name__ == "__main__":
    main(build, prepare, MODES, f"py4DSTEM {py4DSTEM.__version__}")
