"""Compiled image operations equal their plain numpy references."""

import numpy as np
import pytest
import reference

from phaseloom.diffraction.spots import image_filters as filters
from phaseloom.diffraction.spots.finder import _taps

SIZES = [(32, 48), (37, 50), (50, 35)]


def image(size, seed=0):
    return np.random.default_rng(seed).normal(3, 2, size).astype(np.float32)


def padded(values, margin):
    """Flat image with ``margin`` zeros round it, where its first pixel is, and its stride."""
    flat = np.pad(values, margin).astype(np.float32)
    stride = flat.shape[1]
    room = np.zeros(flat.size + 64, np.float32)
    room[: flat.size] = flat.ravel()
    return room, margin * stride + margin, stride


@pytest.mark.parametrize("sigma", [0.8, 1.2, 2.4, 5.0])
@pytest.mark.parametrize("size", SIZES)
def test_convolution(size, sigma):
    taps = _taps(sigma)
    r = taps.size - 1
    assert taps[0] + 2 * taps[1:].sum() == pytest.approx(1)
    values = image(size)
    room, base, stride = padded(values, r)
    n = size[0] * stride
    half_done, done = np.zeros(n + 2 * r, np.float32), np.zeros(n, np.float32)
    filters.convolve(room[base - r * stride :], stride, taps, half_done[r:], n)
    filters.convolve(half_done, 1, taps, done, n)
    got = done.reshape(size[0], stride)[:, : size[1]]
    np.testing.assert_allclose(got, reference.blur(values, taps), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [1, 2, 4])
@pytest.mark.parametrize("size", SIZES)
def test_sums_over_squares(size, side):
    values = image(size)
    room, base, stride = padded(values, 5)
    rows, columns = size[0] // side, size[1] // side
    out = np.full(rows * (columns + 3) + 7, -1, np.float32)
    line = np.zeros(side * columns, np.float32)
    filters.bin_sums(room, base, stride, side, line, out, 7, columns + 3, rows, columns)
    got = out[7:].reshape(rows, columns + 3)
    np.testing.assert_allclose(got[:, :columns], reference.squares(values, side), rtol=1e-5)
    assert (got[:, columns:] == -1).all() and (out[:7] == -1).all()


@pytest.mark.parametrize("centre", [(31.0, 40.0), (5.0, 70.3)])
def test_radial_profile(centre):
    rng = np.random.default_rng(0)
    ring = reference.rings(reference.distances((16, 22), *centre, 4))
    mean = (rng.poisson(16 * (1 + 20 * np.exp(-ring / 4))) / 16).astype(np.float32)
    mean[3:5, 4:7] += 50
    weight = rng.integers(0, 17, mean.shape).astype(np.float32)
    weight[:, 10:12] = 0
    profile, total, share = np.zeros((3, 60), np.float32)
    filters.radial_profile(
        mean,
        weight,
        ring,
        2,
        np.float32(1),
        np.float32(0),
        np.float32(2.5),
        np.float32(16),
        profile,
        total,
        share,
    )
    expected = reference.radial_profile(mean, weight, ring, 2, 1, 0, 2.5, 16, 60)
    np.testing.assert_allclose(profile, expected, rtol=1e-4)
    assert profile[ring[4, 5]] < mean[4, 5] - 40, "spots do not lift the profile"


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("size", SIZES)
def test_interpolated_cells_are_subtracted(size, side):
    cells = image((size[0] // side, size[1] // side), seed=1)
    values = image(size)
    room, base, stride = padded(values, 4)
    lines = np.zeros((cells.shape[0], size[1]), np.float32)
    filters.expand(cells, side, lines)
    out = np.zeros_like(room)
    filters.subtract(room, lines, side, base, stride, *size, out)
    got = out[: (size[0] + 8) * stride].reshape(-1, stride)[4:-4, 4:-4]
    ground = reference.interpolated(cells, side, np.arange(size[0]), np.arange(size[1]))
    np.testing.assert_allclose(got, values - ground, atol=1e-4)


def test_excess():
    filtered, seen, left, ground = image((4, 200))
    out = np.zeros(200, np.float32)
    arguments = (np.float32(v) for v in (0.7, 1.5, 0.3, 0.1))
    filters.excess(filtered, seen, left, ground, *arguments, out, 200)
    expected = reference.excess(filtered, seen, left, ground, 0.7, 1.5, 0.3, 0.1)
    np.testing.assert_allclose(out, expected, atol=1e-4)


@pytest.mark.parametrize("size", [(20, 150), (33, 40)])
def test_maxima(size):
    values = image(size)
    above = image(size, seed=1) - 3
    found = np.zeros((500, 3))
    count = 0
    for y in range(1, size[0] - 1):
        count = filters.maxima(values.ravel(), above[y], y, size[1], size[1], found, count)
    expected = reference.maxima(values.astype(float), above)
    assert count == len(expected) > 10
    np.testing.assert_allclose(found[:count], expected, rtol=1e-5)


def test_maxima_stop_where_there_is_no_more_room():
    values, above = image((20, 150)), np.ones(150, np.float32)
    found = np.full((6, 3), -1.0)
    count = 0
    for y in range(1, 19):
        count = filters.maxima(values.ravel(), above, y, 150, 150, found[:5], count)
    assert count == 5
    assert (found[5] == -1).all()


def test_of_two_equal_pixels_one_is_the_maximum():
    for pair in [((4, 4), (4, 5)), ((4, 4), (5, 4)), ((4, 4), (5, 5)), ((4, 5), (5, 4))]:
        values = np.zeros((10, 10), np.float32)
        for place in pair:
            values[place] = 1
        found = np.zeros((9, 3))
        count = 0
        for y in range(1, 9):
            above = np.where(values[y] > 0, 1, -1).astype(np.float32)
            count = filters.maxima(values.ravel(), above, y, 10, 10, found, count)
        assert count == 1, pair
