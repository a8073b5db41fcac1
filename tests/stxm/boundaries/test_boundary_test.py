"""Transition pixels at boundaries against what the optics alone would give."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

import phaseloom
from phaseloom.errors import InputWarning
from phaseloom.simulate import nvpf_references, sparse_energies

FINE = 4


def mapped(*, layer: float, seed: int = 0, size: int = 80, field: str = "stripes", **options):
    """Map a disc of two phases in stripes, drawn finer than the pixels, with or without a layer."""
    rng = np.random.default_rng(seed)
    every = nvpf_references()
    references = [every[0], every[2], every[4]]
    n = size * FINE
    y, x = np.mgrid[:n, :n].astype(float)
    first = np.sin((y + 0.4 * x) / (0.1 * n) + seed) > 0
    if field == "one phase":
        first[:] = True
    label = np.where(first, 0, 2)
    if layer > 0:
        away = ndimage.distance_transform_edt(first) + ndimage.distance_transform_edt(~first)
        label[away - 0.5 <= layer * FINE / 2] = 1
    particle = np.hypot(y - n / 2, x - n / 2) < 0.42 * n
    energy = sparse_energies()
    absorption = np.stack([np.interp(energy, r["energy"], r) for r in references])
    frames = []
    for e in range(energy.size):
        transmission = np.exp(-np.where(particle, 0.8 * absorption[label, e], 0.0))
        image = ndimage.gaussian_filter(transmission, 0.7 * FINE)
        expected = 3000 * image.reshape(size, FINE, size, FINE).mean(axis=(1, 3))
        frames.append(rng.poisson(expected))
    axis = np.arange(size) * 0.025
    stack = xr.Dataset(
        {"counts": (("energy", "y", "x"), np.array(frames), {"units": "counts"})},
        coords={
            "energy": ("energy", energy, {"units": "eV"}),
            "y": ("y", axis, {"units": "µm"}),
            "x": ("x", axis, {"units": "µm"}),
        },
        attrs={"kind": "stack", "source": "simulated"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        results = phaseloom.stxm.map_phases(
            stack,
            references,
            resolve="likelihood",
            align=False,
            baseline=False,
            shift=0.0,
            **options,
        )
    return results["stxm/stack"].to_dataset()


@pytest.fixture(scope="module")
def optics_alone() -> xr.Dataset:
    return mapped(layer=0.0)


@pytest.fixture(scope="module")
def real_layer() -> xr.Dataset:
    return mapped(layer=2.0)


def test_optics_alone_explain_blurred_boundaries(optics_alone: xr.Dataset) -> None:
    attrs = optics_alone.attrs
    assert attrs["odds_ratio_relative_low"] <= 1 <= attrs["odds_ratio_relative_high"]
    assert attrs["odds_ratio"] > 20  # transition pixels do sit at the boundary …
    assert "as the optics alone explain" in attrs["boundary_verdict"]
    found = int(optics_alone["boundary_transition"].sum())
    assert int(optics_alone["beyond_optics"].sum()) < 0.05 * found  # … and are explained


def test_a_real_layer_is_more_than_the_optics(real_layer: xr.Dataset) -> None:
    attrs = real_layer.attrs
    assert attrs["odds_ratio_relative_low"] > 1
    assert "more than the optics explain" in attrs["boundary_verdict"]
    beyond = real_layer["beyond_optics"].to_numpy()
    assert beyond.sum() > 0.3 * int(real_layer["boundary_transition"].sum())
    assert np.all(real_layer["boundary_distance"].to_numpy()[beyond] <= 4)


def test_shares_fall_with_distance_and_count_every_tested_pixel(optics_alone: xr.Dataset) -> None:
    share = optics_alone["boundary_share"].to_numpy()
    assert share[0] > share[1] > share[3]
    tested = np.isfinite(optics_alone["boundary_distance"].to_numpy())
    assert int(optics_alone["boundary_pixels"].sum()) == int(tested.sum())
    for name in ("boundary_share", "optics_share"):
        low, middle, high = (optics_alone[f"{name}{end}"] for end in ("_low", "", "_high"))
        assert bool((low <= middle + 1e-12).all()) and bool((middle <= high + 1e-12).all())
    nothing = ~tested
    assert not optics_alone["boundary_transition"].to_numpy()[nothing].any()


def test_one_phase_gives_no_number_and_one_sentence() -> None:
    result = mapped(layer=0.0, field="one phase")
    assert np.isnan(result.attrs["odds_ratio_relative"])
    assert "no boundary to test" in result.attrs["boundary_verdict"]
    assert bool(result["boundary_distance"].isnull().all())
    assert not bool(result["beyond_optics"].any())


def test_too_little_boundary_gives_no_number_and_one_sentence() -> None:
    result = mapped(layer=0.0, size=24)
    assert np.isnan(result.attrs["odds_ratio"])
    assert result.attrs["boundary_verdict"].count(".") == 1


def test_blur_is_taken_in_nanometres() -> None:
    # 0.7 px of 25 nm, times 2.355: the width the stack was blurred with.
    result = mapped(layer=0.0, blur=0.7 * 25 * 2.3548, tails=0.0)
    assert result.attrs["point_spread_width"] == pytest.approx(0.7, rel=1e-3)
    assert result.attrs["odds_ratio_relative_low"] <= 1 <= result.attrs["odds_ratio_relative_high"]


def test_optics_said_to_be_too_sharp_leave_pixels_over(optics_alone: xr.Dataset) -> None:
    sharp = mapped(layer=0.0, blur=5.0, tails=0.0)
    beyond = sharp.attrs["boundary_transitions_beyond"]
    assert beyond > optics_alone.attrs["boundary_transitions_beyond"]
    assert sharp.attrs["odds_ratio_relative"] > 2


def test_same_seed_same_result(optics_alone: xr.Dataset) -> None:
    xr.testing.assert_identical(optics_alone, mapped(layer=0.0))


def test_it_can_be_left_out() -> None:
    result = mapped(layer=0.0, size=40, boundary_test=False)
    assert "boundary_distance" not in result and "boundary_verdict" not in result.attrs
