from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from phaseloom import InputError
from phaseloom.view.orientation.data import oriented
from phaseloom.view.orientation.patterns import indexed_patterns_figure

MakeOrientation = Callable[..., xr.DataTree]


def artist(axes: object, name: str) -> object:
    (found,) = [a for a in axes.get_children() if a.get_gid() == name]
    return found


def barred(hkl: tuple[int, ...]) -> str:
    return "".join(rf"\overline{{{-i}}}" if i < 0 else str(i) for i in hkl)


@pytest.mark.parametrize("names", [("Au", "LiFePO4"), ("LiFePO4",)])
def test_the_check_is_legible(
    make_orientation: MakeOrientation, legible: Callable[[object], None], names: tuple[str, ...]
) -> None:
    legible(indexed_patterns_figure(oriented(make_orientation((18, 24), names))))


def test_peaks_and_spots_lie_where_they_are_with_y_downwards(
    make_orientation: MakeOrientation,
) -> None:
    tree = make_orientation((18, 24))
    sample = tree["orientation/sample"].to_dataset(inherit=False)
    axes = indexed_patterns_figure(oriented(tree)).axes[0]
    for name in ("peak", "spot"):
        ky, kx = (sample[f"{name}_{k}"][0].to_numpy() for k in ("ky", "kx"))
        there = np.isfinite(ky)
        np.testing.assert_allclose(
            artist(axes, f"{name}s").get_offsets(), np.stack([kx, ky], axis=-1)[there]
        )
    low, high = axes.get_ylim()
    assert low > 0 > high
    assert axes.get_xlim()[0] < 0 < axes.get_xlim()[1]


def test_indices_stand_beside_their_spots(make_orientation: MakeOrientation) -> None:
    tree = make_orientation((18, 24), ("LiFePO4",))
    sample = tree["orientation/sample"].to_dataset(inherit=False)
    for number, axes in enumerate(
        indexed_patterns_figure(oriented(tree)).axes[: sample.sizes["sample"]]
    ):
        spots = {
            tuple(int(i) for i in hkl): (float(kx), float(ky))
            for hkl, kx, ky in zip(
                sample["spot_hkl"][number].to_numpy(),
                sample["spot_kx"][number],
                sample["spot_ky"][number],
                strict=True,
            )
            if np.isfinite(ky)
        }
        labels = [t for t in axes.texts if t.get_gid() == "hkl"]
        assert labels or not spots
        for label in labels:
            name = label.get_text().strip("$ ")
            (place,) = [at for hkl, at in spots.items() if name == barred(hkl)]
            assert label.get_position()[0] == pytest.approx(place[0])
            assert abs(label.get_position()[1] - place[1]) < 0.15


def test_without_a_sample_there_is_no_check(make_orientation: MakeOrientation) -> None:
    bare = make_orientation((18, 24))["orientation"].to_dataset()
    with pytest.raises(InputError, match="no sample patterns"):
        indexed_patterns_figure(oriented(xr.DataTree.from_dict({"/orientation": bare})))
