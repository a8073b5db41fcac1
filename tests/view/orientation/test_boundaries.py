from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from orix.quaternion import Rotation

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.view.orientation.boundaries import draw_boundaries, line_handles, neighbours
from phaseloom.view.orientation.data import Oriented
from phaseloom.view.panels import draw_map


def turns(angles: list[list[float]]) -> np.ndarray:
    flat = Rotation.from_axes_angles([0, 0, 1], np.ravel(angles), degrees=True)
    return flat.data.reshape(*np.shape(angles), 4)


@pytest.fixture
def found() -> Oriented:
    """Three columns, two rows: 0°, 10° and 30° of gold; one pixel of another phase, one empty."""
    phase = np.array([[0, 0, 0], [0, 1, -1]], dtype="int16")
    rotation = turns([[0, 10, 30], [0, 0, 0]])
    rotation[phase < 0] = np.nan
    data = xr.Dataset(
        {
            "phase": (("y", "x"), phase),
            "rotation": (
                ("y", "x", "quaternion"),
                np.where(phase[..., None] < 0, np.nan, rotation),
            ),
        },
        coords={"y": ("y", [0.0, 5.0], {"units": "nm"}), "x": ("x", [0.0, 5.0, 10.0])},
        attrs={"kind": "scan"},
    )
    return Oriented(data, [gold(), lithium_iron_phosphate()])


def test_angles_between_neighbours_are_those_of_the_crystals(found: Oriented) -> None:
    pairs = neighbours(found)
    angle = {
        (tuple(a), tuple(b)): t
        for a, b, t in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.angle, strict=True)
    }
    assert angle.keys() == {
        ((0, 0), (0, 1)), ((0, 1), (0, 2)), ((1, 0), (1, 1)), ((0, 0), (1, 0)), ((0, 1), (1, 1)),
    }  # fmt: skip
    assert angle[(0, 0), (0, 1)] == pytest.approx(10.0)
    assert angle[(0, 1), (0, 2)] == pytest.approx(20.0)
    assert angle[(0, 0), (1, 0)] == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(angle[(0, 1), (1, 1)])
    assert pairs.parted.tolist() == [True, True, True, False, True]


def test_lines_run_between_the_pixels_they_part(found: Oriented) -> None:
    """Every pixel of the map is now a block of three by three: a grain large enough."""
    blocks = np.repeat(np.arange(3), 3)
    data = found.data.isel(y=blocks[:6], x=blocks).assign_coords(
        y=5.0 * np.arange(6), x=5.0 * np.arange(9)
    )
    large = Oriented(data, found.crystals)
    axes = Figure().add_subplot()
    draw_map(axes, large.phase.astype(float), data, title="")
    draw_boundaries(axes, large)
    lines = {c.get_gid(): [s.tolist() for s in c.get_segments()] for c in axes.collections}
    assert lines["boundary-low"] == [
        [[12.5, -2.5 + 5 * row], [12.5, 2.5 + 5 * row]] for row in range(3)
    ]
    high = lines["boundary-high"]
    assert [[27.5, -2.5], [27.5, 2.5]] in high  # 20°
    assert [[12.5, 12.5], [12.5, 17.5]] in high  # two phases, side by side
    assert [[12.5, 12.5], [17.5, 12.5]] in high  # and above each other
    assert len(high) == 9
    assert len(line_handles(large)) == 2
    small = neighbours(found)
    assert small.parted.any()
    assert not small.outlined.any()


def test_boundaries_are_those_of_the_grains_where_there_are_any(found: Oriented) -> None:
    grain = xr.Dataset({"grain": (("y", "x"), [[0, 0, 2], [0, 1, -1]])})
    pairs = neighbours(Oriented(found.data, found.crystals, grains=grain))
    assert pairs.parted.tolist() == [False, True, True, False, True]
