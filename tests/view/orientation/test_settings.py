from __future__ import annotations

import numpy as np
import pytest
from orix.quaternion import Rotation, symmetry

from phaseloom import InputError
from phaseloom.view.orientation.settings import orders, setting

GROUPS = ("Ci", "C2h", "D2h", "C4h", "D4h", "S6", "D3d", "C6h", "D6h", "Th", "Oh")


def proper(name: str) -> np.ndarray:
    return np.asarray(getattr(symmetry, name).laue_proper_subgroup.to_matrix(), dtype=float)


def as_set(matrices: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(m.ravel().round(5) + 0.0) for m in matrices}


@pytest.mark.parametrize("name", GROUPS)
def test_any_setting_is_turned_into_that_of_the_group(name: str) -> None:
    target = proper(name)
    np.testing.assert_allclose(setting(target, target, name), np.eye(3), atol=1e-12)
    # Axes along the body diagonal, as of rhombohedral cells; and anywhere.
    for turn in (
        Rotation.from_axes_angles([1, -1, 0], 54.7356, degrees=True).to_matrix()[0],
        Rotation(np.random.default_rng(7).standard_normal(4)).unit.to_matrix()[0],
    ):
        crystal = turn @ target @ turn.T
        found = setting(crystal, target, name)
        assert np.linalg.det(found) == pytest.approx(1.0)
        assert as_set(found @ crystal @ found.T) == as_set(target)
        # No larger than the way back.
        assert np.trace(found) >= np.trace(turn) - 1e-6


def test_orders_are_those_of_the_axes() -> None:
    assert np.bincount(orders(proper("Oh"))).tolist() == [0, 1, 9, 8, 6]
    assert np.bincount(orders(proper("D6h"))).tolist() == [0, 1, 7, 2, 0, 0, 2]


def test_groups_of_another_class_do_not_fit() -> None:
    with pytest.raises(InputError, match="symmetry of LFP"):
        setting(proper("D2h"), proper("C4h"), "LFP")
