"""Components handed over to the indexing, and their orientation map."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr

from phaseloom.components.patterns.preparation import prepare
from phaseloom.crystals import gold, iron_phosphate, lithium_iron_phosphate
from phaseloom.errors import InputError
from phaseloom.simulate import Beam, Camera, grain_map, simulate_scan
from phaseloom.workflow.components.orientations import (
    component_orientations,
    component_peaks,
    orientation_map,
)
from phaseloom.workflow.orientation.demo import score
from phaseloom.workflow.orientation.tables import grains_of, map_tables

CRYSTALS = (lithium_iron_phosphate(), iron_phosphate())


class Known(NamedTuple):
    """Components that are the grains of a simulated scan, and its truth."""

    data: xr.Dataset
    truth: xr.Dataset


@pytest.fixture(scope="module")
def known() -> Known:
    """Four grains and a background; their true shares as weights, the patterns that these give."""
    sample = grain_map((10, 8), (0.5, 0.5), n_grains=4, overlap_width=2.0, spread=0.2, seed=2)
    camera = Camera(shape=(192, 192), pixel_size=0.016, sigma=1.8, background=0.2)
    beam = Beam(dose=2e5, precession_angle=0.8)
    scan, truth = simulate_scan(sample, CRYSTALS, beam=beam, camera=camera, seed=2)
    prepared = prepare(scan, patterns="raw", size=128)
    matrix = np.concatenate([block.load() for block in prepared.blocks])
    first, second, overlap = (truth[n].to_numpy() for n in ("grain", "grain_2", "overlap"))
    grains = np.arange(4)[:, None, None]
    weight = (first == grains) * (1 - overlap) + (second == grains) * overlap
    pattern = np.linalg.lstsq(weight.reshape(4, -1).T, matrix, rcond=None)[0].clip(0)
    # A fifth that is background: in the first corner, without spots.
    weight = np.concatenate([weight, np.zeros((1, 10, 8))])
    label = first.astype(np.int16).copy()
    label[0, 0], label[0, 1] = 4, -1
    flat = np.full((1, pattern.shape[1]), pattern.mean())
    partner = np.where(overlap / (1 - overlap) > 0.75, second, -1).astype(np.int16)
    data = xr.Dataset(
        {
            "pattern": (("component", "ky", "kx"), prepared.image(np.vstack([pattern, flat]))),
            "weight": (("component", "y", "x"), weight),
            "label": (("y", "x"), label),
            "partner": (("y", "x"), partner),
        },
        coords={
            "ky": ("ky", prepared.ky, {"units": "Å⁻¹"}),
            "kx": ("kx", prepared.kx, {"units": "Å⁻¹"}),
            "y": truth["y"],
            "x": truth["x"],
        },
        attrs={"background": 4},
    )
    return Known(data, truth)


@pytest.fixture(scope="module")
def found(known: Known) -> tuple[xr.Dataset, xr.Dataset]:
    return component_orientations(known.data, CRYSTALS, voltage=200.0, precession_angle=0.8)


def test_spots_of_components_lie_where_the_crystals_put_them(known: Known) -> None:
    peaks = component_peaks(known.data.isel(component=slice(4)))
    assert peaks.shape == (4, 1)
    assert peaks.units == "Å⁻¹"
    truth = known.truth
    alone = [np.flatnonzero((truth["grain"] == g) & (truth["overlap"] == 0)) for g in range(4)]
    assert sum(positions.size > 0 for positions in alone) > 1
    for grain, positions in enumerate(alone):
        if not positions.size:
            continue
        position = int(positions[0])
        rows = slice(*truth["offset"].to_numpy()[position : position + 2])
        spots, bright = (
            np.stack([truth[a].to_numpy()[rows] for a in names], axis=-1)
            for names in (("ky", "kx"), ("counts",))
        )
        beside = np.hypot(*spots.T) > 0.1
        strong = spots[beside][np.argsort(-bright[beside, 0])[:12]]
        mine = slice(*peaks.offset[grain : grain + 2])
        seen = np.stack([peaks.data[a].to_numpy()[mine] for a in ("ky", "kx")], axis=-1)
        apart = np.linalg.norm(strong[:, None] - seen[None], axis=-1).min(axis=1)
        assert np.median(apart) < 0.005, "a fifth of a pixel, and a grain spreads by 0.2°"


def test_orientations_are_those_of_the_truth(
    known: Known, found: tuple[xr.Dataset, xr.Dataset]
) -> None:
    data, _ = found
    truth = known.truth
    beside = data.assign(
        true_phase=truth["phase"].variable, true_rotation=truth["rotation"].variable
    )
    scored = score(xr.DataTree.from_dict({"/orientation": beside}), truth)["pixels"]
    assert scored["within grains"]["within_3_degrees"] > 0.95
    assert scored["within grains"]["median_misorientation"] < 0.6, "grains spread by 0.2°"


def test_maps_are_those_of_the_contract(known: Known, found: tuple[xr.Dataset, xr.Dataset]) -> None:
    data, _ = found
    label = known.data["label"].to_numpy()
    phase = data["phase"].to_numpy()
    assert phase.dtype == data["matched"].dtype == np.int16
    assert data["ambiguous"].dtype == bool
    assert data["rotation"].dims == ("y", "x", "quaternion")
    assert data["solution_rotation"].dims == ("solution", "y", "x", "quaternion")
    assert (phase[0, :2] == -1).all(), "background, and no label"
    assert np.isnan(data["rotation"].to_numpy()[0, :2]).all()
    assert (data["matched"].to_numpy()[0, :2] == -1).all()
    for component in range(4):
        turns = data["rotation"].to_numpy()[label == component]
        assert (turns == turns[0]).all()
    assert data["phase_name"].to_numpy().tolist() == ["LiFePO4", "FePO4"]
    assert data.attrs["of_components"] == 4
    assert data.attrs["indexed_share"] == pytest.approx((phase >= 0).mean())
    grains = grains_of(data, CRYSTALS)
    assert int(grains["grain"].max()) + 1 >= 4
    assert len(map_tables(data, grains, CRYSTALS)["grains"]) >= 4


def test_a_partner_is_the_second_crystal(
    known: Known, found: tuple[xr.Dataset, xr.Dataset]
) -> None:
    data, _ = found
    label, partner = (known.data[n].to_numpy() for n in ("label", "partner"))
    mixed = (partner >= 0) & (label >= 0) & (label < 4)
    assert mixed.any()
    for y, x in np.argwhere(mixed):
        like = np.argwhere(label == partner[y, x])[0]
        assert data["overlap_phase"][y, x] == data["phase"][*like]
        np.testing.assert_array_equal(data["overlap_rotation"][y, x], data["rotation"][*like])
    weight = data["overlap_weight"].to_numpy()
    assert (weight[(data["phase"].to_numpy() >= 0) & ~mixed] == 0).all()
    assert np.abs(weight[mixed] - 0.5).max() < 0.2
    assert np.isnan(weight[0, 0])


def test_the_sample_shows_components_where_they_are_strongest(
    known: Known, found: tuple[xr.Dataset, xr.Dataset]
) -> None:
    data, sample = found
    weight = known.data["weight"].to_numpy()
    for y, x, component, crystal in zip(
        *(sample[n].to_numpy() for n in ("y", "x", "component", "crystal")), strict=True
    ):
        assert weight[component, y, x] == weight[component].max()
        where = np.argwhere(known.data["label"].to_numpy() == component)[0]
        assert data["phase"][*where] == crystal


def test_painting_leaves_out_what_has_no_component() -> None:
    data = xr.Dataset(
        {
            "pattern": (("component", "ky", "kx"), np.ones((3, 2, 2))),
            "weight": (("component", "y", "x"), np.ones((3, 1, 4))),
            "label": (("y", "x"), np.array([[2, 0, 1, -1]], dtype=np.int16)),
            "partner": (("y", "x"), np.array([[0, -1, 2, -1]], dtype=np.int16)),
        },
        coords={"y": [0.0], "x": np.arange(4.0)},
    )
    column = ("y", "x")
    found = xr.Dataset(
        {
            "phase": (column, np.array([[1], [0]], dtype=np.int16)),
            "rotation": ((*column, "quaternion"), np.eye(2, 4)[:, None]),
            "probability": (column, np.array([[0.9], [0.5]], dtype=np.float32)),
            "ambiguous": (column, np.array([[False], [True]])),
        },
        coords={"phase_name": ("crystal", ["a", "b"])},
    )
    made = orientation_map(data, found, np.array([0, 2]))
    assert made["phase"].to_numpy().tolist() == [[0, 1, -1, -1]]
    assert made["ambiguous"].to_numpy().tolist() == [[True, False, False, False]]
    assert made["overlap_phase"].to_numpy().tolist() == [[1, -1, -1, -1]]
    np.testing.assert_allclose(made["probability"], [[0.5, 0.9, np.nan, np.nan]])
    np.testing.assert_allclose(made["overlap_weight"], [[0.5, 0, np.nan, np.nan]])


def test_what_cannot_be_indexed_is_told(known: Known) -> None:
    nothing = known.data.isel(component=[4]).assign_attrs(background=0)
    with pytest.raises(InputError, match="there is no component but background"):
        component_orientations(nothing, [gold()], voltage=200.0)
    flat: Any = known.data.isel(component=[4]).assign_attrs(background=-1)
    with pytest.raises(InputError, match=r"components: .* three peaks"):
        component_orientations(flat, [gold()], voltage=200.0)
