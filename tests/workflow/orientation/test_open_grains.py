"""Grains of which several orientations are possible, in tables and report."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from phaseloom.crystals import gold
from phaseloom.maps.misorientation import multiply
from phaseloom.view.orientation.section import open_grain_text
from phaseloom.workflow.orientation.tables import grains_of, map_tables

A = np.array([1.0, 0.0, 0.0, 0.0])
HALF_TURN = np.array([0.0, 0.6, 0.8, 0.0])
OTHER = np.array([np.cos(0.3), 0.0, 0.0, np.sin(0.3)])


@pytest.fixture
def oriented() -> xr.Dataset:
    """Left a grain whose pixels hold one or the other of two orientations, right another grain."""
    rng = np.random.default_rng(1)
    shape = 6, 8
    first = rng.random(shape) < 0.5
    left = np.broadcast_to(np.arange(8) < 5, shape)
    turned = np.where(first[..., None], A, HALF_TURN)
    second = np.where(first[..., None], HALF_TURN, A)
    small = np.concatenate([np.ones((*shape, 1)), 0.005 * rng.standard_normal((*shape, 3))], -1)
    small /= np.linalg.norm(small, axis=-1, keepdims=True)
    best = multiply(small, np.where(left[..., None], turned, OTHER))
    solutions = np.stack([best, multiply(small, second)])
    image = ("y", "x")
    ones = np.ones(shape, dtype=np.float32)
    patches = [
        {
            "pixels": 30,
            "alternatives": [
                {"phase": 0, "rotation": HALF_TURN.tolist(), "probability": 0.52},
                {"phase": 0, "rotation": A.tolist(), "probability": 0.48},
            ],
        }
    ]
    scores = (
        "probability", "correlation", "orientation_reliability", "phase_reliability", "explained",
        "residual",
    )  # fmt: skip
    return xr.Dataset(
        {
            "phase": (image, np.zeros(shape, dtype=np.int16)),
            "rotation": ((*image, "quaternion"), best),
            "matched": (image, np.full(shape, 9, dtype=np.int16)),
            "solution_phase": (("solution", *image), np.zeros((2, *shape), dtype=np.int16)),
            "solution_rotation": (("solution", *image, "quaternion"), solutions),
            "open_grain": (image, np.where(left, 0, -1).astype(np.int32)),
            **dict.fromkeys(scores, (image, ones)),
        },
        coords={"y": np.arange(6.0), "x": np.arange(8.0)},
        attrs={"open_grains": json.dumps(patches)},
    )


def test_an_open_grain_is_one_grain(oriented: xr.Dataset) -> None:
    grains = grains_of(oriented, [gold()])
    grain = grains["grain"].to_numpy()
    assert (grain[:, :5] == 0).all()
    assert (grain[:, 5:] == 1).all()
    tables = map_tables(oriented, grains, [gold()])
    table = tables["grains"]
    assert table["orientations"].tolist() == [2, 1]
    assert table["orientation_probability"][0] == pytest.approx(0.52)
    assert np.isnan(table["orientation_probability"][1])
    # The spread is that of the pixels about the likelier orientation.
    assert table["spread"][0] < 2.0
    mean = table.loc[0, ["rotation_a", "rotation_b", "rotation_c", "rotation_d"]]
    assert abs(mean.to_numpy(dtype=float) @ HALF_TURN) > np.cos(np.radians(0.5))
    listed = tables["open_grains"]
    assert listed["grain"].tolist() == [0, 0]
    assert listed["probability"].tolist() == [0.52, 0.48]
    assert listed["phase"].tolist() == ["Au", "Au"]
    (entry,) = json.loads(grains.attrs["open_grains"])
    assert open_grain_text(entry) == "grain 0: two orientations, .52 / .48"


def test_without_context_nothing_is_said(oriented: xr.Dataset) -> None:
    plain = oriented.drop_vars("open_grain")
    grains = grains_of(plain, [gold()])
    assert "open_grains" not in grains.attrs
    tables = map_tables(plain, grains, [gold()])
    assert "open_grains" not in tables
    assert (tables["grains"]["orientations"] == 1).all()
    assert len(tables["grains"]) > 2
