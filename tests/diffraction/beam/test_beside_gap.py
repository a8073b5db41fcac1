"""A direct beam in or beside a gap of the detector."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from phaseloom import InputWarning
from phaseloom.crystals import gold
from phaseloom.diffraction import register
from phaseloom.simulate import Camera, random_orientations, simulate_scan

KINDS = {
    "2 px cross": ((64.0, 64.0), slice(63, 65), "yx"),
    "4 px cross": ((64.0, 64.0), slice(62, 66), "yx"),
    "4 px cross, off its middle": ((65.2, 62.7), slice(62, 66), "yx"),
    "4 px, rows only": ((64.0, 64.0), slice(62, 66), "y"),
    "6 px, rows only": ((64.0, 64.0), slice(61, 67), "y"),
    "beside 6 px": ((68.5, 64.0), slice(61, 67), "y"),
    "beside one arm": ((64.0, 58.0), slice(61, 65), "yx"),
}


def scan_with_gap(centre: tuple[float, float], gap: slice, axes: str, sigma: float) -> np.ndarray:
    camera = Camera(shape=(128, 128), pixel_size=0.025, sigma=sigma, centre=centre)
    scan, _ = simulate_scan(random_orientations((5, 6)), [gold()], camera=camera, seed=3)
    counts = scan["counts"].to_numpy().copy()
    if "y" in axes:
        counts[:, :, gap] = 0
    if "x" in axes:
        counts[..., gap] = 0
    return counts


def centre_of(peaks: xr.Dataset) -> tuple[float, float]:
    return float(peaks["centre_y"].mean()), float(peaks["centre_x"].mean())


@pytest.mark.filterwarnings("ignore:most of the direct beam")
@pytest.mark.parametrize("kind", KINDS)
def test_the_centre_is_found_from_what_is_seen_around_the_gap(kind: str) -> None:
    centre, gap, axes = KINDS[kind]
    peaks = register(scan_with_gap(centre, gap, axes, 1.5))
    assert centre_of(peaks) == pytest.approx(centre, abs=0.1)
    assert not peaks.attrs["beam_hidden"]
    assert peaks.attrs["beam_radius"] == pytest.approx(1.5 * 1.177, rel=0.15)
    lines = 128 * (gap.stop - gap.start)
    crossing = (gap.stop - gap.start) ** 2
    assert peaks.attrs["masked_pixels"] == lines * len(axes) - crossing * (len(axes) - 1)


@pytest.mark.parametrize("centre", [(64.0, 64.0), (66.3, 61.7)])
def test_a_wide_cross_over_a_wide_beam(centre: tuple[float, float]) -> None:
    peaks = register(scan_with_gap(centre, slice(61, 67), "yx", 2.5))
    assert centre_of(peaks) == pytest.approx(centre, abs=0.15)


def test_where_hardly_anything_of_the_beam_is_seen_a_warning_says_so() -> None:
    with pytest.warns(InputWarning, match="most of the direct beam lies in a gap"):
        peaks = register(scan_with_gap((66.3, 61.7), slice(61, 67), "yx", 1.5))
    assert centre_of(peaks) == pytest.approx((66.3, 61.7), abs=0.5)


def test_a_beam_given_by_hand_is_measured_beside_the_gap() -> None:
    peaks = register(scan_with_gap((64.0, 64.0), slice(62, 66), "yx", 1.5), centre=(63, 65))
    assert centre_of(peaks) == pytest.approx((64, 64), abs=0.1)


def test_a_quad_detector(cases: Path) -> None:
    with np.load(cases / "diffraction" / "cross_gap" / "cross4.npz") as stored:
        counts = stored["arr_0"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        peaks = register(counts)
    assert centre_of(peaks) == pytest.approx((128, 128), abs=0.2)
    assert peaks.attrs["masked_pixels"] == 2 * 4 * 256 - 16
