"""Patterns made ready for factorisation."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from phaseloom.components import Prepared, prepare
from phaseloom.components.patterns.binning import add_areas
from phaseloom.components.patterns.pattern_blocks import canvas_of, detector_of
from phaseloom.diffraction import Peaks, register, render
from phaseloom.diffraction.detector.correction import Correction
from phaseloom.errors import InputError, InputWarning
from phaseloom.io import as_scan

# Two crystals, (row, column, counts) of spots about the direct beam: nothing is symmetric.
SPOTS = (
    ((-9.0, 4.0, 500.0), (3.0, 12.0, 300.0), (11.0, -5.0, 200.0)),
    ((-4.0, -13.0, 400.0), (8.0, 9.0, 250.0), (-12.0, 7.0, 350.0)),
)


def spot(shape: tuple[int, int], row: Any, column: Any, counts: float) -> NDArray[np.float64]:
    """Gaussian spots (…, ky, kx) of sigma 1.2 px."""
    y, x = np.indices(shape)
    row, column = np.asarray(row)[..., None, None], np.asarray(column)[..., None, None]
    away = (y - row) ** 2 + (x - column) ** 2
    picture: NDArray[np.float64] = counts / (2 * np.pi * 1.44) * np.exp(-away / 2.88)
    return picture


def two_crystals(
    shape: tuple[int, int] = (40, 40), *, descan: float = 0.0, seed: int = 0
) -> NDArray[np.uint16]:
    """Scan of 8×10 positions, the left half one crystal, the right half another."""
    y, x = np.mgrid[:8, :10]
    row = (shape[0] - 1) / 2 + descan * (y / 7 - 0.5)
    column = (shape[1] - 1) / 2 - descan * (x / 9 - 0.5)
    patterns = spot(shape, row, column, 4000.0) + 0.3
    for crystal, spots in enumerate(SPOTS):
        for down, right, counts in spots:
            here = ((x >= 5) == crystal)[..., None, None]
            patterns += here * spot(shape, row + down, column + right, counts)
    return np.random.default_rng(seed).poisson(patterns).astype(np.uint16)


def matrix(prepared: Prepared) -> NDArray[np.float32]:
    """All rows; blocks follow each other and have the columns that the matrix says."""
    rows, end = [], 0
    for block in prepared.blocks:
        assert block.rows.start == end
        rows.append(block.load())
        end = block.rows.stop
        assert rows[-1].dtype == np.float32
        assert rows[-1].shape == (end - block.rows.start, prepared.shape[1])
    assert end == prepared.shape[0]
    return np.concatenate(rows)


def calibrated(patterns: NDArray[Any], pixel_size: float = 0.02) -> xr.Dataset:
    """A scan with known axes."""
    n_ky, n_kx = patterns.shape[2:]
    axes = {
        "y": ("y", 5.0 * np.arange(patterns.shape[0]), {"units": "nm"}),
        "x": ("x", 5.0 * np.arange(patterns.shape[1]), {"units": "nm"}),
        "ky": ("ky", pixel_size * (np.arange(n_ky) - n_ky // 2), {"units": "Å⁻¹"}),
        "kx": ("kx", pixel_size * (np.arange(n_kx) - n_kx // 2), {"units": "Å⁻¹"}),
    }
    array = xr.DataArray(patterns, dims=("y", "x", "ky", "kx"), coords=axes)
    return as_scan(array.assign_attrs(voltage=200.0, precession_angle=0.8))


@pytest.fixture(scope="module")
def scan() -> NDArray[np.uint16]:
    return two_crystals()


@pytest.fixture(scope="module")
def peaks(scan: NDArray[np.uint16]) -> xr.Dataset:
    return register(calibrated(scan))


def test_raw_patterns_of_unchanged_size_are_the_counts(scan: NDArray[np.uint16]) -> None:
    prepared = prepare(scan, patterns="raw", mask_radius=0)
    assert prepared.pixels.all() and prepared.scan_shape == (8, 10)
    np.testing.assert_array_equal(matrix(prepared), scan.reshape(80, -1))
    assert prepared.attrs["patterns"] == "raw"
    assert prepared.attrs["aligned"] == 0
    assert prepared.attrs["size"] == 40
    np.testing.assert_allclose(prepared.attrs["centre"], (19.5, 19.5), atol=0.05)


def test_halving_sums_four_pixels_and_turns_nothing(scan: NDArray[np.uint16]) -> None:
    prepared = prepare(scan, patterns="raw", size=20, mask_radius=0)
    expected = scan.reshape(8, 10, 20, 2, 20, 2).sum((3, 5))
    np.testing.assert_array_equal(prepared.image(matrix(prepared)), expected.reshape(80, 20, 20))


@given(
    shape=st.tuples(st.integers(8, 23), st.integers(8, 23)),
    size=st.integers(8, 30),
    seed=st.integers(0, 99),
)
def test_resizing_conserves_counts_and_centre_of_mass(
    shape: tuple[int, int], size: int, seed: int
) -> None:
    patterns = np.random.default_rng(seed).poisson(3.0, (2, *shape)).astype(np.float32)
    canvas = canvas_of(shape, size)
    assert max(canvas.shape) == min(size, max(shape))
    binned = detector_of(Correction(np.ones(shape, bool)), canvas).binned(
        patterns, np.full((2, 2), -0.5)
    )
    assert (binned >= 0).all()
    np.testing.assert_allclose(binned.sum((1, 2)), patterns.sum((1, 2)), rtol=1e-5)
    for axis in (1, 2):
        # The middle of a shared pixel's parts is not its own, but each is in the right pixel.
        profile = patterns.sum(axis=3 - axis, dtype=np.float64)
        edges = np.concatenate([np.zeros((2, 1)), np.cumsum(profile, axis=1)], axis=1)
        at = np.minimum(np.arange(binned.shape[axis] + 1) * canvas.factor, shape[axis - 1])
        sums = [np.diff(np.interp(at, np.arange(shape[axis - 1] + 1), e)) for e in edges]
        np.testing.assert_allclose(binned.sum(axis=3 - axis), sums, rtol=1e-4, atol=1e-3)


def test_a_shift_by_part_of_a_pixel_is_linear() -> None:
    pattern = np.zeros((1, 9, 9), np.float32)
    pattern[0, 4, 6] = 8
    shifted = np.zeros_like(pattern)
    add_areas(pattern, np.array([[-0.5 + 0.25, -0.5 - 1.0]]), 1.0, shifted)
    expected = np.zeros((9, 9))
    expected[4, 7], expected[3, 7] = 6, 2
    np.testing.assert_allclose(shifted[0], expected, atol=1e-6)


def test_mean_is_that_of_neighbours_also_at_the_rim(scan: NDArray[np.uint16]) -> None:
    prepared = prepare(scan, patterns="mean", mask_radius=0)
    mean = prepared.map(matrix(prepared).T).transpose(1, 2, 0).reshape(scan.shape)
    inside = uniform_filter(scan.astype(float), size=(3, 3, 1, 1))[1:-1, 1:-1]
    np.testing.assert_allclose(mean[1:-1, 1:-1], inside, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mean[0, 0], scan[:2, :2].mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(mean[7, 4], scan[6:, 3:6].mean((0, 1)), rtol=1e-5)


@pytest.mark.parametrize("patterns", ["raw", "mean", "registered"])
def test_blocks_are_the_whole(
    scan: NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch, patterns: Any
) -> None:
    source: Any = da.from_array(scan, chunks=(3, 4, 40, 40))
    whole = prepare(source, patterns=patterns, size=24)
    monkeypatch.setattr("phaseloom.components.patterns.pattern_blocks.BYTES", 20_000)
    parts = prepare(source, patterns=patterns, size=24)
    assert len(parts.blocks) > 7 > len(whole.blocks)
    np.testing.assert_array_equal(matrix(parts), matrix(whole))


@pytest.mark.parametrize("patterns", ["mean", "registered"])
def test_blocks_go_to_other_processes(
    scan: NDArray[np.uint16], peaks: xr.Dataset, patterns: Any
) -> None:
    prepared = prepare(peaks if patterns == "registered" else scan, patterns=patterns, size=20)
    sent = pickle.loads(pickle.dumps(list(prepared.blocks)))
    for block, other in zip(prepared.blocks, sent, strict=True):
        assert block.rows == other.rows
        np.testing.assert_array_equal(block.load(), other.load())


def test_descan_is_taken_out() -> None:
    still = prepare(two_crystals((48, 48)), patterns="raw", size=24)
    moving = prepare(two_crystals((48, 48), descan=6.0), patterns="raw", size=24)
    assert still.attrs["aligned"] == 0 and moving.attrs["aligned"] == 1
    # What leaves the detector for some positions is used for none.
    rim = np.zeros((24, 24), bool)
    rim[2:-2, 2:-2] = True
    np.testing.assert_array_equal(moving.pixels & rim, still.pixels & rim)
    assert not moving.pixels[0].any() and not moving.pixels[:, -1].any()
    assert still.pixels[0].all()
    left, right = (moving.image(matrix(moving).reshape(8, 10, -1)[:, s].mean((0, 1))) for s in
                   (slice(0, 5), slice(5, 10)))  # fmt: skip
    for picture, spots in ((left, SPOTS[0]), (right, SPOTS[1])):
        for down, across, counts in spots:
            row, column = np.rint(np.add(moving.attrs["centre"], (down / 2, across / 2))).astype(
                int
            )
            near = picture[row - 2 : row + 3, column - 2 : column + 3]
            assert near.sum() == pytest.approx(counts + 0.3 * 100, rel=0.05)
    # One place for all positions: two patterns of a crystal are as alike as noise lets them be.
    first, last = matrix(moving)[0], matrix(moving)[74]
    assert np.corrcoef(first, last)[0, 1] > 0.95


def test_drawn_patterns_are_those_of_the_renderer(peaks: xr.Dataset) -> None:
    prepared = prepare(peaks, size=20, mask_radius=4)
    table = Peaks(peaks)
    beside = np.hypot(peaks["ky"], peaks["kx"]).to_numpy() > 4 * 0.02
    drawn = render(table.select(beside), shape=20, sigma=prepared.attrs["sigma"])
    rows = prepared.image(matrix(prepared))
    used = prepared.pixels
    np.testing.assert_allclose(rows[:, used], drawn.block(slice(None))[:, used], rtol=1e-6)
    assert prepared.attrs["centre"] == drawn.centre == (10, 10)
    assert prepared.attrs["pixel_size"] == pytest.approx(0.04) == drawn.pixel_size
    assert prepared.attrs["sigma"] >= 1.5
    assert prepared.attrs["reciprocal_units"] == "Å⁻¹"
    assert prepared.attrs["length_units"] == "nm"
    assert prepared.ky[10] == 0
    # The strongest spot of the left crystal: up and to the right, where it was put.
    brightest = np.unravel_index(np.nanargmax(rows[0]), (20, 20))
    assert prepared.ky[brightest[0]] == pytest.approx(-9 * 0.02, abs=0.021)
    assert prepared.kx[brightest[1]] == pytest.approx(4 * 0.02, abs=0.021)


def test_counts_are_taken_of_a_scan_and_drawings_of_peaks(
    scan: NDArray[np.uint16], peaks: xr.Dataset
) -> None:
    assert prepare(scan).attrs["patterns"] == "raw"
    np.testing.assert_array_equal(matrix(prepare(scan)), matrix(prepare(scan, patterns="raw")))
    for alone in (peaks, Peaks(peaks)):
        assert prepare(alone).attrs["patterns"] == "registered"


def test_a_scan_and_its_peaks_give_the_same_drawing(
    scan: NDArray[np.uint16], peaks: xr.Dataset
) -> None:
    one = prepare(calibrated(scan), patterns="registered", size=20)
    other = prepare(peaks, size=20)
    np.testing.assert_array_equal(matrix(one), matrix(other))
    assert one.attrs == {**other.attrs, "voltage": 200.0, "precession_angle": 0.8}


def test_peak_pixels_hold_the_counts_and_the_spots(scan: NDArray[np.uint16]) -> None:
    raw = prepare(scan, patterns="raw", mask_radius=5)
    chosen = prepare(scan, patterns="peaks", mask_radius=5)
    assert chosen.shape[1] < raw.shape[1] / 5
    assert not (chosen.pixels & ~raw.pixels).any()
    where = chosen.pixels[raw.pixels]
    np.testing.assert_array_equal(matrix(chosen), matrix(raw)[:, where])
    for down, right, _ in SPOTS[0] + SPOTS[1]:
        assert chosen.pixels[round(19.5 + down), round(19.5 + right)]


def test_the_direct_beam_is_masked_as_wide_as_it_is(scan: NDArray[np.uint16]) -> None:
    measured = prepare(scan, patterns="raw")
    drawn = prepare(scan, patterns="registered")
    for prepared in (measured, drawn):
        # Three sigmas of 1.2 px and no reflection (the nearest is at 9.8 px).
        assert 3 <= prepared.attrs["mask_radius"] <= 6
        row, column = np.rint(prepared.attrs["centre"]).astype(int)
        assert not prepared.pixels[row - 2 : row + 3, column - 2 : column + 3].any()
        assert prepared.pixels[row - 9, column + 4]
    assert matrix(measured).max() < 100
    assert np.nanmax(matrix(prepare(scan, patterns="registered", mask_radius=0))) > 100


def test_coordinates_are_zero_at_the_direct_beam(scan: NDArray[np.uint16]) -> None:
    plain = prepare(scan, patterns="raw", size=20)
    assert plain.attrs["reciprocal_units"] == plain.attrs["length_units"] == "px"
    assert "pixel_size" not in plain.attrs
    row, _ = plain.attrs["centre"]
    np.testing.assert_allclose(plain.ky, np.arange(20) - row)
    known = prepare(calibrated(scan), patterns="raw", size=20)
    np.testing.assert_allclose(known.kx, 0.04 * plain.kx)
    np.testing.assert_allclose(known.x, 5.0 * np.arange(10))
    assert known.attrs["pixel_size"] == pytest.approx(0.04)
    assert known.attrs["voltage"] == 200.0 and known.attrs["precession_angle"] == 0.8


def test_longer_side_decides_and_pixels_stay_square() -> None:
    wide = two_crystals((36, 50))
    prepared = prepare(wide, patterns="raw", size=24, mask_radius=0)
    assert prepared.pixels.shape == (18, 24)
    np.testing.assert_allclose(matrix(prepared).sum(1), wide.sum((2, 3)).ravel(), rtol=1e-5)
    assert prepare(wide, size=24).pixels.shape == (18, 24)
    # The brightest pixel is where the beam is said to be.
    brightest = np.unravel_index(np.argmax(prepared.image(matrix(prepared))[0]), (18, 24))
    np.testing.assert_allclose(brightest, prepared.attrs["centre"], atol=0.51)


def test_hot_and_dead_pixels_are_filled_in(scan: NDArray[np.uint16]) -> None:
    scan = scan + np.uint16(20)
    damaged = scan.copy()
    damaged[:, :, 5, 30] = 3000
    damaged[:, :, 30, 6] = 0
    prepared = prepare(damaged, patterns="raw", mask_radius=0)
    rows = prepared.image(matrix(prepared))
    neighbours = scan[:, :, 4:7, 29:32].reshape(80, 9)[:, [0, 1, 2, 3, 5, 6, 7, 8]].mean(1)
    np.testing.assert_allclose(rows[:, 5, 30], neighbours, rtol=1e-5)
    assert rows[:, 30, 6].mean() == pytest.approx(20.3, rel=0.05)
    good = np.ones((40, 40), bool)
    good[5, 30] = good[30, 6] = False
    np.testing.assert_array_equal(rows[:, good], scan.reshape(80, 40, 40)[:, good])


def test_gaps_between_modules_are_no_columns(scan: NDArray[np.uint16]) -> None:
    gap = scan.astype(np.uint32)
    gap[:, :, 28:33] = np.iinfo(np.uint32).max
    prepared = prepare(gap, patterns="raw", mask_radius=0)
    # What stands next to three measured pixels is filled in.
    used = np.ones((40, 40), bool)
    used[29:32] = False
    used[[28, 28, 32, 32], [0, -1, 0, -1]] = False
    np.testing.assert_array_equal(prepared.pixels, used)
    assert matrix(prepared).max() < 2000
    # Halved, a pixel with a part of the gap is used, for it is the same part at all positions.
    assert prepare(gap, patterns="raw", mask_radius=0, size=20).pixels.sum() == 19 * 20


@pytest.mark.parametrize("patterns", ["raw", "mean"])
@pytest.mark.parametrize(("value", "message"), [(-2.0, "negative"), (np.nan, "not a number")])
def test_intensities_that_are_no_counts(
    scan: NDArray[np.uint16], patterns: Any, value: float, message: str
) -> None:
    wrong = scan.astype(np.float32)
    wrong[3, 7, 12, 12] = value
    prepared = prepare(wrong, patterns=patterns)
    with pytest.raises(InputError, match=f"position 37 holds an intensity that is {message}"):
        matrix(prepared)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (np.zeros_like, "empty or flat"),
        (lambda s: np.full_like(s, 7), "empty or flat"),
        (lambda s: np.broadcast_to(s[:1, :1], s.shape).copy(), "all the same"),
        (lambda s: s[:1, :3], "1×3 positions is too small"),
        (lambda s: s[0, 0], "1×1 positions is too small"),
        (lambda s: s[..., :10], "40×10 px are too small"),
        (lambda s: np.full(s.shape, np.nan), "no usable pixel|holds a count"),
        (lambda s: -s.astype(np.float32) - 1, "holds a count"),
    ],
)
@pytest.mark.parametrize("patterns", ["raw", "registered"])
def test_scans_without_anything_to_find(
    scan: NDArray[np.uint16], damage: Any, message: str, patterns: Any
) -> None:
    with pytest.raises(InputError, match=message), warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        prepare(damage(scan), patterns=patterns)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patterns": "best"}, "patterns must be .* or 'peaks', not 'best'"),
        ({"size": 10}, "size must be greater than or equal to 11, not 10"),
        ({"mask_radius": -1.0}, "mask_radius must be greater than or equal to 0, not -1.0"),
        ({"mask_radius": float("nan")}, "mask_radius must be a finite number, not nan"),
        ({"mask_radius": 60.0}, "leaves no pixel"),
        ({"mask_radius": 17.0, "patterns": "registered"}, "no pattern has a peak beside"),
    ],
)
def test_options_that_cannot_be(
    scan: NDArray[np.uint16], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        prepare(scan, **options)


def test_patterns_that_become_too_narrow(scan: NDArray[np.uint16]) -> None:
    with pytest.raises(InputError, match="40×20 px are too small when resized to 20×10"):
        prepare(scan[..., 10:30], size=20)


def test_peaks_alone_hold_no_measured_patterns(peaks: xr.Dataset) -> None:
    for name in ("raw", "mean", "peaks"):
        with pytest.raises(InputError, match="cannot be made of peaks alone"):
            prepare(Peaks(peaks), patterns=name)
    none = Peaks(peaks).select(np.zeros(peaks.sizes["peak"], bool))
    with pytest.raises(InputError, match="no pattern has a peak beside the direct beam"):
        prepare(none)
