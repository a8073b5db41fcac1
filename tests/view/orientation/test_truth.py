from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from phaseloom import InputError
from phaseloom.view.orientation.data import oriented
from phaseloom.view.orientation.truth import (
    confusion,
    has_truth,
    true_angles,
    truth_figure,
    verdicts,
)

MakeOrientation = Callable[..., xr.DataTree]


@pytest.mark.parametrize(
    ("shape", "names"), [((18, 24), ("Au", "LiFePO4", "FePO4")), ((60, 5), ("Au",))]
)
def test_the_comparison_is_legible(
    make_orientation: MakeOrientation,
    legible: Callable[[object], None],
    shape: tuple[int, int],
    names: tuple[str, ...],
) -> None:
    legible(truth_figure(oriented(make_orientation(shape, names))))


def test_what_is_right_is_right(make_orientation: MakeOrientation) -> None:
    data = make_orientation((18, 24))["orientation"].to_dataset().copy(deep=True)
    found = oriented(xr.DataTree.from_dict({"/orientation": data}))
    truth = data["true_phase"].to_numpy()
    angle, verdict = true_angles(found), verdicts(found)
    right = (found.phase == truth) & found.indexed
    assert np.isnan(angle[~right]).all()
    # Turned by 0.15°, or by 60° about [111], which is no symmetry of either crystal.
    assert set(np.round(angle[right], 1)) == {0.1, 0.2, 60.0, 59.9, 60.1} & set(
        np.round(angle[right], 1)
    )
    np.testing.assert_array_equal(verdict == 0, np.nan_to_num(angle, nan=99) <= 3)
    np.testing.assert_array_equal(verdict == 2, found.indexed & (truth >= 0) & ~right)
    counts = confusion(found)
    assert counts.sum() == found.phase.size
    assert counts[0, 1] == ((truth == 0) & (found.phase == 1)).sum()
    assert counts[2, 2] == ((truth < 0) & (found.phase < 0)).sum()


def test_missed_and_invented_crystals_are_told_apart(make_orientation: MakeOrientation) -> None:
    data = make_orientation((18, 24))["orientation"].to_dataset().copy(deep=True)
    some = data["true_phase"].to_numpy() >= 0
    y, x = np.argwhere(some)[0]
    data["phase"][y, x] = -1
    data["rotation"][y, x] = np.nan
    v, u = np.argwhere(some)[-1]
    data["true_phase"][v, u] = -1
    verdict = verdicts(oriented(xr.DataTree.from_dict({"/orientation": data})))
    assert verdict[y, x] == 4
    assert verdict[v, u] == 3


def test_a_measured_map_has_no_truth(make_orientation: MakeOrientation) -> None:
    tree = make_orientation((18, 24), truth=False)
    assert not has_truth(oriented(tree))
    with pytest.raises(InputError, match="no ground truth"):
        truth_figure(oriented(tree))
