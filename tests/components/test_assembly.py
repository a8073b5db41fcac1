"""Factors as maps and patterns: what the group of components holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from component_cases import Case, diffraction, in_blocks

from phaseloom.components import choose_rank, cluster, factorise, matrix_of
from phaseloom.components.assembly import _overlap_examples, component_maps
from phaseloom.components.choice.image_quality import METRICS
from phaseloom.components.choice.rank import Rank
from phaseloom.components.factors.compression import Compressed, compress
from phaseloom.components.factors.factorisation import Factors
from phaseloom.components.overlap import THRESHOLDS, label_and_partner
from phaseloom.components.patterns.matrix import Prepared

K = 4
SHAPE = (14, 16)
CPU: dict[str, Any] = {"device": "cpu", "workers": 1}


@pytest.fixture(scope="module")
def true() -> Case:
    """Grains with wide boundaries, and vacuum."""
    return diffraction(K, blur=1.2, vacuum=True)


@pytest.fixture(scope="module")
def prepared(true: Case) -> Prepared:
    """Without the direct beam, in blocks of any size."""
    y, x = np.indices((32, 32)) - 16
    return in_blocks(matrix_of(true.counts, np.hypot(y, x) > 4), 5)


@pytest.fixture(scope="module")
def few(prepared: Prepared) -> Compressed:
    return compress(prepared, held_out=28, **CPU)


@pytest.fixture(scope="module")
def factors(prepared: Prepared, few: Compressed) -> Factors:
    return factorise(prepared, K, compressed=few, **CPU)


@pytest.fixture(scope="module")
def rank(few: Compressed) -> Rank:
    return choose_rank(few, SHAPE, components_max=5, seeds=2, device="cpu")


@pytest.fixture(scope="module")
def maps(prepared: Prepared, factors: Factors, few: Compressed, rank: Rank) -> xr.Dataset:
    return component_maps(prepared, factors, few, rank, workers=2)


def rows(prepared: Prepared) -> np.ndarray:
    return np.concatenate([block.load() for block in prepared.blocks])


def test_what_there_is(maps: xr.Dataset) -> None:
    expected = {
        "pattern": (("component", "ky", "kx"), "float32"),
        "weight": (("component", "y", "x"), "float32"),
        "label": (("y", "x"), "int16"),
        "partner": (("y", "x"), "int16"),
        "overlap": (("threshold", "y", "x"), "int8"),
        "overlap_error": (("y", "x"), "float32"),
        "variation": (("component",), "float64"),
        "shared_variation": (("component",), "float64"),
        "residual": (("y", "x"), "float32"),
        "mean_pattern": (("component", "ky", "kx"), "float32"),
        "brightest_pattern": (("component", "ky", "kx"), "float32"),
        "similarity": (("metric", "component", "component_2"), "float32"),
        "agreement": (("metric", "component"), "float32"),
        "loss": (("k",), "float64"),
        "held_out": (("k",), "float64"),
        "held_out_error": (("k",), "float64"),
        "stability": (("k",), "float64"),
        "redundancy": (("k",), "float64"),
        "found": (("k",), "float64"),
        "quality": (("metric", "k"), "float32"),
        "overlap_example": (("example", "ky", "kx"), "float32"),
    }
    assert {str(n): (v.dims, str(v.dtype)) for n, v in maps.data_vars.items()} == expected
    np.testing.assert_array_equal(maps["component"], np.arange(K))
    np.testing.assert_array_equal(maps["component_2"], np.arange(K))
    np.testing.assert_array_equal(maps["threshold"], THRESHOLDS)
    np.testing.assert_array_equal(maps["k"], np.arange(1, 6))
    assert tuple(maps["metric"].to_numpy()) == METRICS
    np.testing.assert_array_equal(maps["ky"], np.arange(32) - 16)
    assert maps["ky"].attrs["units"] == maps["x"].attrs["units"] == "px"
    for name in ("pattern", "mean_pattern", "brightest_pattern", "overlap_example"):
        assert maps[name].attrs["units"] == "counts"


def test_attributes_can_be_written(maps: xr.Dataset, rank: Rank, tmp_path: Any) -> None:
    expected = {
        "k": int, "grains": int, "background": int, "reason": str, "choose": str, "error": float,
        "noise_floor": float, "iterations": int, "converged": int, "background_ratio": float,
        "overlap_ratio": float, "redundancy_limit": float, "stability_limit": float,
        "variation_limit": float, "shared_variation_limit": float, "varying": str,
    }  # fmt: skip
    assert {name: type(value) for name, value in maps.attrs.items()} == expected
    assert maps.attrs["reason"] == rank.reason and maps.attrs["choose"] == "sound"
    maps.drop_vars("metric").to_zarr(tmp_path / "out.zarr", consolidated=False)
    assert xr.open_zarr(tmp_path / "out.zarr", consolidated=False).attrs == maps.attrs


def test_pixels_that_are_not_used_are_missing(maps: xr.Dataset, prepared: Prepared) -> None:
    for name in ("pattern", "mean_pattern", "brightest_pattern", "overlap_example"):
        missing = np.isnan(maps[name].to_numpy())
        np.testing.assert_array_equal(missing, np.tile(~prepared.pixels, (len(missing), 1, 1)))


def test_labels_are_the_truth_within_grains(maps: xr.Dataset, true: Case) -> None:
    inside = true.weight.max(axis=1) > 0.8
    assert inside.sum() > 60
    label, grain = maps["label"].to_numpy().ravel()[inside], true.weight.argmax(axis=1)[inside]
    number = [int(np.bincount(label[grain == g]).argmax()) for g in range(K)]
    assert sorted(number) == list(range(K))
    np.testing.assert_array_equal(label, np.array(number)[grain])
    # Vacuum was the last that was made.
    assert maps.attrs["background"] == number[-1] and maps.attrs["grains"] == K - 1
    meanings = maps["label"].attrs["flag_meanings"].split()
    assert maps["label"].attrs["flag_values"] == list(range(-1, K))
    assert meanings[0] == "nothing" and meanings[1 + number[-1]] == "background"
    assert [m for m in meanings[1:] if m != "background"] == [
        f"component_{c}" for c in range(K) if c != number[-1]
    ]


def test_mean_patterns_are_means(maps: xr.Dataset, prepared: Prepared) -> None:
    label, matrix = maps["label"].to_numpy().ravel(), rows(prepared).astype(float)
    for component in range(K):
        mean = matrix[label == component].mean(axis=0)
        found = maps["mean_pattern"].to_numpy()[component][prepared.pixels]
        np.testing.assert_allclose(found, mean, rtol=1e-5)


def test_brightest_patterns_are_those_of_the_largest_weight(
    maps: xr.Dataset, prepared: Prepared, factors: Factors
) -> None:
    matrix = rows(prepared)
    for component in range(K):
        found = maps["brightest_pattern"].to_numpy()[component][prepared.pixels]
        np.testing.assert_array_equal(found, matrix[factors.weight[:, component].argmax()])


def test_examples_lie_on_overlaps(maps: xr.Dataset, prepared: Prepared) -> None:
    matrix, scan = rows(prepared), maps["partner"].to_numpy()
    assert 1 <= maps.sizes["example"] <= 4
    pairs = set()
    for example in maps.transpose("example", ...)["overlap_example"]:
        y, x = int(example["example_y"]), int(example["example_x"])
        assert scan[y, x] == example["example_partner"] >= 0
        assert maps["label"].to_numpy()[y, x] == example["example_component"]
        shown = example.to_numpy()[prepared.pixels]
        np.testing.assert_array_equal(shown, matrix[y * SHAPE[1] + x])
        pairs.add(frozenset((int(example["example_component"]), int(example["example_partner"]))))
    assert len(pairs) == maps.sizes["example"]
    # The pair that overlaps most comes first.
    label = maps["label"].to_numpy()
    both = np.sort(np.stack([label[scan >= 0], scan[scan >= 0]]), axis=0)
    names, counts = np.unique(both, axis=1, return_counts=True)
    first = {int(maps["example_component"][0]), int(maps["example_partner"][0])}
    frequent = [set(names[:, i].tolist()) for i in np.flatnonzero(counts == counts.max())]
    assert first in frequent


def test_maps_are_in_the_order_of_the_scan(maps: xr.Dataset, factors: Factors) -> None:
    np.testing.assert_array_equal(maps["weight"][:, 3, 5], factors.weight[3 * SHAPE[1] + 5])
    np.testing.assert_array_equal(maps["residual"][3, 5], factors.residual[3 * SHAPE[1] + 5])
    named = label_and_partner(maps["weight"], maps.attrs["background"])
    np.testing.assert_array_equal(maps["partner"], named.partner)
    np.testing.assert_array_equal(maps["overlap"][0], named.partner >= 0)


def test_the_noise_floor_is_the_error_of_counting(
    maps: xr.Dataset, true: Case, prepared: Prepared
) -> None:
    expected = (true.weight @ true.pattern)[:, prepared.pixels.ravel()]
    matrix = rows(prepared).astype(float)
    noise = np.linalg.norm(matrix - expected) / np.linalg.norm(matrix)
    assert maps.attrs["noise_floor"] == pytest.approx(noise, rel=0.02)
    # Fitted to the noise as well, factors are a little nearer than the truth.
    assert 0.9 * noise < maps.attrs["error"] < 1.05 * noise


def test_the_background_can_be_named_or_left_out(
    prepared: Prepared, factors: Factors, few: Compressed
) -> None:
    named = component_maps(prepared, factors, few, None, background=1, workers=1)
    assert (named.attrs["background"], named.attrs["grains"]) == (1, 3)
    assert not (named["partner"] == 1).any()
    none = component_maps(prepared, factors, few, None, background="none", workers=1)
    assert (none.attrs["background"], none.attrs["grains"]) == (-1, 4)
    assert "background" not in none["label"].attrs["flag_meanings"]
    assert none.attrs["reason"] == "k = 4 was asked for"
    assert "k" not in none.dims and "held_out" not in none


def test_a_component_without_positions_has_no_mean(
    prepared: Prepared, factors: Factors, few: Compressed
) -> None:
    # Another is stronger at every position.
    weight = factors.weight.copy()
    weight[:, 2] = 0.01 * weight[:, [0, 1, 3]].max(axis=1)
    weak = component_maps(
        prepared, factors._replace(weight=weight), few, None, background="none", workers=1
    )
    assert not (weak["label"] == 2).any()
    assert np.isnan(weak["mean_pattern"][2]).all() and np.isfinite(weak["pattern"][2]).any()
    assert np.isnan(weak["agreement"][:, 2]).all()


def test_empty_positions_have_no_label(true: Case) -> None:
    counts = true.counts.copy()
    counts[4, 5:8] = 0
    prepared = matrix_of(counts)
    few = compress(prepared, **CPU)
    maps = component_maps(prepared, factorise(prepared, 3, compressed=few, **CPU), few, None)
    assert np.isnan(maps["residual"][4, 5:8]).all()
    assert (maps["label"][4, 5:8] == -1).all() and (maps["partner"][4, 5:8] == -1).all()
    assert int((maps["label"] == -1).sum()) == 3


def test_a_scan_without_overlaps_has_no_examples() -> None:
    sharp = diffraction(2, blur=0.0)
    found = cluster(sharp.counts, k=2, patterns="raw", size=32, seeds=1, background="none", **CPU)
    assert not (found["partner"] >= 0).any()
    assert "overlap_example" not in found and "example" not in found.dims


def test_examples_of_overlaps_are_seen_well() -> None:
    weight = np.zeros((3, 1, 4), dtype=np.float32)
    weight[0], weight[1], weight[2] = [[1, 0.5, 0.01, 0]], [[0, 0.4, 0, 1]], [[0, 0, 0.009, 0]]
    label, partner = (np.array([row], np.int16) for row in ([0, 0, 0, 1], [-1, 1, 2, -1]))
    assert _overlap_examples(weight, label, partner).tolist() == [1]
    none = _overlap_examples(weight / 100, label, partner)
    assert (none.size, none.dtype) == (0, np.intp)
