from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.errors import InputError
from phaseloom.simulate import (
    Beam,
    Camera,
    benchmark_patterns,
    grain_map,
    random_orientations,
    simulate_scan,
    write_scan,
)
from phaseloom.simulate.patterns import add_spots, counting_errors, spot_share

SMALL = Camera(shape=(96, 100), pixel_size=1.5 / 46, sigma=1.5)


def alone(truth: xr.Dataset, distance: float) -> np.ndarray:
    """Spots farther than this from every other and from the edge."""
    offset = truth["offset"].to_numpy()
    at = np.stack([truth["row"], truth["column"]], axis=-1)
    rows, columns = truth.sizes["detector_row"], truth.sizes["detector_column"]
    free = np.all((at > distance) & (at < np.array([rows, columns]) - 1 - distance), axis=1)
    for first, last in pairwise(offset):
        apart = np.linalg.norm(at[first:last, None] - at[first:last], axis=-1)
        np.fill_diagonal(apart, np.inf)
        free[first:last] &= apart.min(axis=1, initial=np.inf) > distance
    return np.flatnonzero(free)


@pytest.mark.parametrize(("sigma", "radius"), [(2.0, 0.0), (0.6, 5.0)])
def test_spots_are_where_the_truth_says_and_hold_its_counts(sigma: float, radius: float) -> None:
    camera = Camera(sigma=sigma, radius=radius, background=0.0, jitter=3.0)
    scan, truth = simulate_scan(
        random_orientations((2, 3)), [gold()], camera=camera, noise=False, seed=5
    )
    patterns = scan["counts"].to_numpy().reshape(-1, 256, 256)
    position = np.repeat(np.arange(6), np.diff(truth["offset"]))
    reach = int(np.ceil(radius + 5 * sigma))
    chosen = alone(truth, 2.0 * reach + 2)
    assert chosen.size > 10
    for i in chosen:
        row, column = float(truth["row"][i]), float(truth["column"][i])
        y, x = round(row), round(column)
        window = patterns[position[i], y - reach : y + reach + 1, x - reach : x + reach + 1]
        rows, columns = np.indices(window.shape)
        total = window.sum()
        assert (rows * window).sum() / total + y - reach == pytest.approx(row, abs=0.02)
        assert (columns * window).sum() / total + x - reach == pytest.approx(column, abs=0.02)
        assert total == pytest.approx(float(truth["counts"][i]), rel=3e-3)


def test_kernel_draws_what_the_formula_says() -> None:
    rng = np.random.default_rng(0)
    row, column = rng.uniform(-2, 40, (2, 7))
    counts = rng.uniform(10, 100, 7)
    rows, columns = np.indices((38, 36))
    for sigma, radius in ((1.3, 0.0), (0.7, 3.0)):
        pattern = np.zeros((1, 38, 36), dtype=np.float32)
        add_spots(pattern, np.array([0, 7]), row, column, counts, sigma, radius)
        expected = sum(
            n * np.vectorize(spot_share.py_func)(np.hypot(rows - r, columns - c), sigma, radius)
            for r, c, n in zip(row, column, counts, strict=True)
        )
        np.testing.assert_allclose(pattern[0], expected, atol=1e-4)


@settings(max_examples=20)
@given(st.floats(2.0, 6.0), st.floats(4.0, 12.0))
def test_a_spot_holds_one(sigma: float, radius: float) -> None:
    rows, columns = np.indices((151, 151)) - 75.3
    distance = np.hypot(rows, columns)
    share = np.vectorize(spot_share.py_func)
    assert share(distance, sigma, 0.0).sum() == pytest.approx(1, abs=1e-6)
    assert share(distance, 0.7, radius).sum() == pytest.approx(1, abs=2e-3)


def test_counts_are_poisson_about_the_expected_and_add_up_to_the_dose() -> None:
    sample, beam = random_orientations((3, 4)), Beam(dose=2e4)
    expected, _ = simulate_scan(sample, [gold()], beam=beam, camera=SMALL, noise=False)
    counts, _ = simulate_scan(sample, [gold()], beam=beam, camera=SMALL)
    assert counts["counts"].dtype == np.uint16
    mean = expected["counts"].to_numpy().astype(float)
    deviation = counts["counts"].to_numpy() - mean
    assert (deviation**2).sum() / mean.sum() == pytest.approx(1, abs=0.03)
    assert abs(deviation.sum()) < 5 * np.sqrt(mean.sum())
    np.testing.assert_allclose(mean.sum(axis=(2, 3)), 2e4, rtol=0.02)


def test_same_seed_same_scan_and_written_in_blocks_the_same(tmp_path: Path) -> None:
    sample = grain_map((30, 16), [1, 1], n_grains=6, overlap_width=2.0)
    crystals = [gold(), lithium_iron_phosphate()]
    camera = Camera(shape=(64, 64), pixel_size=1.5 / 30, sigma=1.2, jitter=0.5, gain_spread=0.02)
    beam = Beam(intensity_spread=0.2, k_max=1.0)
    scan, truth = simulate_scan(sample, crystals, beam=beam, camera=camera, seed=4)
    written = write_scan(tmp_path / "scan.npy", sample, crystals, beam=beam, camera=camera, seed=4)
    stored = np.load(tmp_path / "scan.npy", mmap_mode="r")
    np.testing.assert_array_equal(stored, scan["counts"])
    xr.testing.assert_identical(truth, written)
    # The first rows alone are the same as in the whole.
    part, _ = simulate_scan(sample.isel(y=slice(3)), crystals, beam=beam, camera=camera, seed=4)
    np.testing.assert_array_equal(part["counts"], scan["counts"][:3])
    other, _ = simulate_scan(sample, crystals, beam=beam, camera=camera, seed=5)
    assert (other["counts"] != scan["counts"]).any()
    with pytest.raises(InputError, match="npy"):
        write_scan(tmp_path / "scan.mrc", sample, crystals)


def test_vectors_are_the_corrected_positions_from_the_direct_beam() -> None:
    camera = Camera(
        shape=(128, 128),
        pixel_size=0.02,
        sigma=1.5,
        centre=(60.0, 66.0),
        descan=((8.0, -2.0), (1.0, 5.0)),
        ellipticity=1.05,
        ellipse_angle=30.0,
    )
    scan, truth = simulate_scan(random_orientations((5, 3)), [gold()], camera=camera)
    position = np.repeat(np.arange(15), np.diff(truth["offset"]))
    centre = np.stack([truth["centre_y"], truth["centre_x"]], axis=-1).reshape(-1, 2)
    matrix = np.reshape(truth.attrs["distortion"], (2, 2))
    assert np.linalg.det(matrix) == pytest.approx(1)
    away = np.stack([truth["row"], truth["column"]], axis=-1) - centre[position]
    k = truth.attrs["pixel_size"] * away @ matrix.T
    np.testing.assert_allclose(k, np.stack([truth["ky"], truth["kx"]], axis=-1), atol=1e-9)
    # A ring is seen long along 30° from +x towards +y (down).
    angle = np.radians(30)
    long, short = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])
    assert np.linalg.norm(matrix @ short) / np.linalg.norm(matrix @ long) == pytest.approx(1.05)
    # Descan: 8 px down and 2 px left over the rows, 1 down and 5 right over the columns.
    np.testing.assert_allclose(centre.reshape(5, 3, 2)[2, 1], (60, 66))
    np.testing.assert_allclose(np.ptp(centre.reshape(5, 3, 2)[:, 0], axis=0), (8, 2))
    np.testing.assert_allclose(np.ptp(centre.reshape(5, 3, 2)[0], axis=0), (1, 5))
    assert scan["ky"].attrs["units"] == "Å⁻¹"
    assert float(scan["ky"][60]) == pytest.approx(0, abs=1e-12)
    assert float(scan["kx"][66]) == pytest.approx(0, abs=1e-12)
    assert scan.attrs["voltage"] == 200


def test_pixels_that_lie_are_known() -> None:
    camera = Camera(
        shape=(64, 64),
        pixel_size=1.5 / 30,
        sigma=1.5,
        gain_spread=0.1,
        hot=5,
        dead=7,
        beam_stop=6.0,
        saturation=5000,
    )
    scan, truth = simulate_scan(random_orientations((20, 20)), [gold()], camera=camera)
    counts = scan["counts"].to_numpy().astype(float)
    usable = np.isfinite(truth["gain"].to_numpy())
    assert scan.attrs["saturation"] == counts.max() == 5000
    silent = counts.max(axis=(0, 1)) == 0
    loud = counts.min(axis=(0, 1)) > 500
    assert loud.sum() <= 5
    assert not (usable & (silent | loud)).any()
    rows, columns = np.indices((64, 64))
    assert silent[np.hypot(rows - 31.5, columns - 31.5) < 5].mean() > 0.9
    # The direct beam is under its stop.
    direct = ~truth["hkl"].to_numpy().any(axis=1)
    assert direct.sum() == 400
    # Corrected with the gain, a flat part of the mean pattern is flat.
    flat, _ = simulate_scan(
        random_orientations((20, 20)),
        [gold()],
        camera=replace(camera, gain_spread=0.0, saturation=None),
        noise=False,
    )
    even = flat["counts"].to_numpy().mean(axis=(0, 1))
    quiet = usable & (np.hypot(rows - 31.5, columns - 31.5) > 12)
    ratio = (counts.mean(axis=(0, 1)) * truth["gain"].to_numpy())[quiet] / even[quiet]
    assert abs(np.median(ratio) - 1) < 0.02
    raw = counts.mean(axis=(0, 1))[quiet] / even[quiet]
    assert ratio.std() < 0.8 * raw.std()


def test_least_error_of_the_counts_is_reached_by_the_best_estimator() -> None:
    rng = np.random.default_rng(0)
    sigma, counts, background = 2.0, 400.0, 3.0
    expected = np.full((1, 41, 41), background, dtype=np.float32)
    row, column = np.array([20.3]), np.array([19.6])
    spots = np.array([0, 1]), row, column
    share = np.zeros_like(expected)
    add_spots(share, *spots, np.array([1.0]), sigma, 0.0)
    expected += counts * share
    error = counting_errors(expected, np.ones((41, 41), bool), *spots, sigma, 0.0)[0]
    draws = rng.poisson(expected, (4000, 41, 41)) - background
    weight = share[0] / expected[0]
    estimates = (draws * weight).sum(axis=(1, 2)) / (share[0] * weight).sum()
    assert estimates.mean() == pytest.approx(counts, rel=0.01)
    assert estimates.std() == pytest.approx(error, rel=0.04)


def test_direct_beam_need_not_be_the_brightest() -> None:
    beam = Beam(direct=0.02)
    _, truth = simulate_scan(random_orientations((4, 4)), [gold()], beam=beam, camera=SMALL)
    direct = ~truth["hkl"].to_numpy().any(axis=1)
    assert truth["counts"].to_numpy()[~direct].max() > 2 * truth["counts"].to_numpy()[direct].max()


def test_where_two_grains_overlap_both_diffract_by_their_shares() -> None:
    sample = grain_map((12, 12), [1, 1], n_grains=4, overlap_width=4.0, seed=2)
    _, truth = simulate_scan(sample, [gold(), lithium_iron_phosphate()], camera=SMALL)
    position = np.repeat(np.arange(144), np.diff(truth["offset"]))
    of = truth["phase_index"].to_numpy()
    assert (of[~truth["hkl"].to_numpy().any(axis=1)] == -1).all()
    different = (sample["phase"] != sample["phase_2"]).to_numpy().ravel()
    overlap = sample["overlap"].to_numpy().ravel()
    chosen = np.flatnonzero(different & (overlap > 0.1))
    assert chosen.size > 0
    for i in chosen:
        here = (position == i) & (of >= 0)
        second = here & (of == sample["phase_2"].to_numpy().ravel()[i])
        counts = truth["counts"].to_numpy()
        # Spots off the detector are missing from the sums.
        assert counts[second].sum() / counts[here].sum() == pytest.approx(overlap[i], abs=0.15)


def test_no_crystal_no_spots() -> None:
    sample = grain_map((10, 10), [1], n_grains=8, empty=0.5)
    empty = sample["phase"].to_numpy().ravel() < 0
    assert 0 < empty.sum() < 100
    _, truth = simulate_scan(sample, [gold()], camera=SMALL)
    assert (np.diff(truth["offset"])[empty] == 1).all()
    direct = ~truth["hkl"].to_numpy().any(axis=1)
    assert truth["counts"].to_numpy()[direct][empty] == pytest.approx(8e4)


def test_what_cannot_be_simulated_is_said() -> None:
    with pytest.raises(InputError, match="phase 1"):
        simulate_scan(grain_map((4, 4), [1, 1], n_grains=4), [gold()])
    with pytest.raises(InputError, match="of the dose"):
        simulate_scan(random_orientations((2, 2)), [gold()], beam=Beam(direct=0.9))
    with pytest.raises(InputError, match="grains"):
        grain_map((4, 4), [1], n_grains=1)
    with pytest.raises(InputError, match="benchmark"):
        benchmark_patterns("cu")


@pytest.mark.parametrize(("kind", "visible"), [("au", 11.1), ("lfp", 40.5)])
def test_benchmark_patterns_are_those_of_the_comparison(kind: str, visible: float) -> None:
    scan, truth = benchmark_patterns(kind, 64)
    assert scan["counts"].shape == (8, 8, 256, 256)
    assert int(truth["visible"].sum()) / 64 == pytest.approx(visible, rel=0.12)
    ratio = (truth["counts"] / truth["counting_error"]).to_numpy()
    assert ratio[truth["visible"].to_numpy()].min() >= 10
    middle = np.stack([truth["centre_y"], truth["centre_x"]])
    assert np.abs(middle - 127.5).max() < 3
