from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from phaseloom.diffraction.peaks.rendering import render
from phaseloom.diffraction.peaks.spot_images import draw_discs, draw_gaussians
from phaseloom.errors import InputError, InputWarning
from phaseloom.io import read_scan

PIXEL = 0.0123


def _patterns(rendering):
    return np.concatenate([block for _, block in rendering])


def _centre_of_mass(pattern):
    y, x = np.indices(pattern.shape)
    return np.array([(pattern * y).sum(), (pattern * x).sum()]) / pattern.sum()


def _gaussians(shape, offset, rows, columns, counts, sigma):
    """The plain reference: the integral of every spot over every pixel of the pattern."""
    patterns = np.zeros((len(offset) - 1, *shape))
    edges = [np.arange(n + 1) - 0.5 for n in shape]
    for p in range(len(offset) - 1):
        for s in range(offset[p], offset[p + 1]):
            parts = [
                np.diff(0.5 * erf((edge - at) / (np.sqrt(2) * sigma)))
                for edge, at in zip(edges, (rows[s], columns[s]), strict=True)
            ]
            patterns[p] += counts[s] * np.outer(*parts)
    return patterns


def _discs(shape, offset, rows, columns, counts, radius, fine=40):
    """The plain reference: discs sampled on a grid ``fine`` times as dense."""
    y, x = ((np.arange(n * fine) + 0.5) / fine - 0.5 for n in shape)
    patterns = np.zeros((len(offset) - 1, *shape))
    for p in range(len(offset) - 1):
        for s in range(offset[p], offset[p + 1]):
            inside = (y[:, None] - rows[s]) ** 2 + (x - columns[s]) ** 2 < radius**2
            part = inside.reshape(shape[0], fine, shape[1], fine).sum((1, 3))
            patterns[p] += counts[s] * part / (fine**2 * np.pi * radius**2)
    return patterns


def _spots(rng, n, shape):
    offset = np.array([0, n // 3, n // 3, n])
    rows, columns = (rng.uniform(-3, size + 2, n) for size in shape)
    return offset, rows, columns, rng.uniform(10, 1000, n)


def _both(compiled, plain, n, size):
    """The same spots as both draw them."""
    spots = _spots(np.random.default_rng(n), n, (17, 24))
    drawn = np.zeros((3, 17, 24), dtype=np.float32)
    compiled(drawn, *spots, size)
    return drawn, plain((17, 24), *spots, size)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.7])
def test_compiled_gaussians_equal_the_plain_ones(sigma):
    drawn, plain = _both(draw_gaussians, _gaussians, 30, sigma)
    np.testing.assert_allclose(drawn, plain, atol=2e-3, rtol=1e-5)
    assert not drawn[1].any()


@pytest.mark.parametrize("radius", [0.4, 1.3, 3.0])
def test_compiled_discs_equal_the_plain_ones(radius):
    drawn, plain = _both(draw_discs, _discs, 12, radius)
    assert np.abs(drawn - plain).max() < 1000 * 0.03 / (np.pi * radius**2)
    assert np.abs(drawn.sum() - plain.sum()) < 5e-3 * plain.sum()


@given(
    row=st.floats(12, 20),
    column=st.floats(12, 20),
    spot=st.sampled_from([{"sigma": 0.6}, {"sigma": 1.5}, {"radius": 3.0}]),
)
def test_counts_are_conserved_and_the_spot_is_where_it_was_put(row, column, spot):
    at = np.array([[row], [column]])
    draw = draw_gaussians if "sigma" in spot else draw_discs
    drawn = np.zeros((1, 33, 33), dtype=np.float32)
    draw(drawn, np.array([0, 1]), *at, np.array([700.0]), *spot.values())
    assert drawn.sum() == pytest.approx(700, rel=1e-5)
    np.testing.assert_allclose(_centre_of_mass(drawn[0]), at[:, 0], atol=0.01)


def test_counts_of_a_scan_are_conserved(make_peaks):
    peaks = make_peaks((3, 5), 12, seed=3)
    patterns = _patterns(render(peaks))
    assert patterns.shape == (15, 64, 64)
    assert patterns.dtype == np.float32
    total = np.add.reduceat(peaks.data["intensity"].to_numpy(), peaks.offset[:-1])
    np.testing.assert_allclose(patterns.sum((1, 2)), total, rtol=1e-4)


def test_overlapping_spots_are_added(make_table):
    places = [[0.05, 0.02], [0.05, 0.045]]
    one, two, both = (
        _patterns(render(make_table(dict(zip(("ky", "kx"), np.transpose(p), strict=True)), n, s)))
        for p, n, s in (
            (places[:1], [1], (1, 1)),
            (places[1:], [1], (1, 1)),
            (places, [2], (1, 1)),
        )
    )
    np.testing.assert_allclose(both, one + two, atol=1e-7)


@pytest.mark.parametrize("shape", [None, 64, 65, (48, 96), 128])
def test_direct_beam_stands_on_the_stated_pixel(make_table, shape):
    peaks = make_table({"ky": [0], "kx": [0]}, [1], (1, 1), centre=(30.3, 37.8))
    rendering = render(peaks, shape=shape)
    pattern = _patterns(rendering)[0]
    assert rendering.centre == tuple(n // 2 for n in pattern.shape)
    np.testing.assert_allclose(_centre_of_mass(pattern), rendering.centre, atol=1e-4)


def test_another_shape_keeps_the_field_of_view(make_table):
    k = np.array([0.1, -0.2])
    peaks = make_table({"ky": k[:1], "kx": k[1:]}, [1], (1, 1))
    rendering = render(peaks, shape=128)
    assert rendering.pixel_size == pytest.approx(PIXEL / 2)
    assert rendering.units == "Å⁻¹"
    place = (_centre_of_mass(_patterns(rendering)[0]) - rendering.centre) * rendering.pixel_size
    np.testing.assert_allclose(place, k, atol=0.01 * rendering.pixel_size)
    assert render(peaks, shape=(64, 32)).pixel_size == pytest.approx(PIXEL * 2)
    assert render(peaks, shape=100, k_max=0.5).pixel_size == pytest.approx(0.01)


def test_down_is_positive_ky_and_right_positive_kx(make_table):
    peaks = make_table({"ky": [20 * PIXEL], "kx": [5 * PIXEL]}, [1], (1, 1))
    pattern = _patterns(render(peaks))[0]
    assert np.unravel_index(pattern.argmax(), pattern.shape) == (52, 37)


def test_one_scale_for_the_whole_scan(make_peaks):
    peaks = make_peaks((2, 3), 8, seed=5)
    exact = _patterns(render(peaks))
    rendering = render(peaks, dtype=np.uint16)
    stored = _patterns(rendering)
    assert stored.dtype == np.uint16
    free = exact * rendering.scale < 65535
    np.testing.assert_allclose(
        stored[free].astype(float), exact[free] * rendering.scale, atol=0.51, rtol=1e-6
    )
    assert render(peaks, dtype=np.uint8, scale=0.25).scale == 0.25


def test_direct_beam_does_not_take_the_range_of_the_spots(make_table):
    columns = {"ky": [0, 0.1], "kx": [0, 0.1], "intensity": [1e6, 500]}
    stored = _patterns(render(make_table(columns, [2], (1, 1)), dtype=np.uint8))[0]
    assert stored[32, 32] == 255
    assert stored[37:, 37:].max() > 200


def test_root_of_the_intensity(make_table):
    columns = {"ky": [0.1], "kx": [0.1], "intensity": [400]}
    pattern = _patterns(render(make_table(columns, [1], (1, 1)), intensity="root"))
    assert pattern.sum() == pytest.approx(20, rel=1e-5)


def _wide_range(make_table):
    """Spots apart from each other, of intensities over five decades, and their pixels."""
    rng = np.random.default_rng(4)
    places = PIXEL * (9.0 * np.indices((12, 12)).reshape(2, -1) - 50 + rng.uniform(-0.5, 0.5, 144))
    columns = {"ky": places[0], "kx": places[1], "intensity": 10 ** rng.uniform(0.5, 5.5, 144)}
    peaks = make_table(columns, [144], (1, 1), detector=(128, 128))
    at = [64 + peaks.data[c].to_numpy().astype(float) / PIXEL for c in ("ky", "kx")]
    return peaks, (np.zeros(144, int), *np.rint(at).astype(int))


@pytest.mark.parametrize("spot", [{"sigma": 0.7}, {"sigma": 1.5}, {"radius": 1.2}, {"radius": 3}])
def test_no_spot_is_lost_in_whole_numbers(make_table, tmp_path, spot):
    peaks, at = _wide_range(make_table)
    linear = render(peaks, dtype=np.uint8, **spot)
    missing = np.count_nonzero(_patterns(linear)[at] == 0)
    assert missing > 5
    # Of discs smaller than a pixel, and of neighbours, rather too many are said to be lost.
    assert linear.lost == pytest.approx(missing, abs=4)
    drawn = render(peaks, dtype=np.uint8, intensity="auto", **spot)
    assert drawn.intensity == "root"
    assert "square root of the counts" in drawn.scaling
    assert drawn.lost == 0
    assert (_patterns(drawn)[at] > 0).all()
    peaks.data.attrs["voltage"] = 200.0
    path = drawn.write(tmp_path / "clean.blo")
    with pytest.warns(InputWarning, match="square roots of counts"):
        counts = read_scan(path)["counts"].to_numpy()
    assert (counts[0][at] > 0).all()


def test_counts_stay_linear_where_nothing_is_lost(make_table):
    peaks = make_table({"ky": [0.1, -0.2], "intensity": [100, 90]}, [2], (1, 1))
    for dtype in (np.uint8, np.float32):
        drawn = render(peaks, dtype=dtype, intensity="auto")
        assert (drawn.intensity, drawn.lost) == ("integrated", 0)
        assert drawn.scaling.endswith("× the counts")


def test_blocks_follow_the_scan_and_are_bounded(make_peaks, monkeypatch):
    peaks = make_peaks((7, 3), 6, seed=1)
    whole = _patterns(render(peaks))
    monkeypatch.setattr("phaseloom.diffraction.peaks.rendering._BLOCK_BYTES", 2 * 3 * 64 * 64 * 4)
    blocks = list(render(peaks))
    assert [b[0] for b in blocks] == [slice(0, 6), slice(6, 12), slice(12, 18), slice(18, 21)]
    np.testing.assert_array_equal(np.concatenate([b[1] for b in blocks]), whole)
    monkeypatch.setattr("phaseloom.diffraction.peaks.rendering._BLOCK_BYTES", 2 * 64 * 64 * 4)
    blocks = list(render(peaks))
    assert {len(b[1]) for b in blocks} == {2, 1}
    np.testing.assert_array_equal(np.concatenate([b[1] for b in blocks]), whole)
    np.testing.assert_array_equal(render(peaks[2:4]).block(slice(0, 2)), whole[6:8])


def test_what_is_missing_is_not_drawn(make_table):
    columns = {"ky": [np.nan, 0], "kx": [0, 0], "intensity": [1, np.nan]}
    assert not _patterns(render(make_table(columns, [2, 0], (1, 2)))).any()
    nothing = render(make_table({}, [0], (1, 1)), dtype=np.uint8)
    assert nothing.scale == 1
    assert not _patterns(nothing).any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sigma": 1, "radius": 1}, "either"),
        ({"sigma": 0}, "cannot be drawn"),
        ({"radius": np.nan}, "cannot be drawn"),
        ({"dtype": np.int32}, "uint8"),
        ({"shape": 1}, "too small"),
        ({"k_max": -1.0}, "k_max"),
        ({"scale": 0.0}, "scale"),
        ({"intensity": "log"}, "integrated or root"),
    ],
)
def test_what_cannot_be_is_refused(make_peaks, options, said):
    with pytest.raises(InputError, match=said):
        render(make_peaks(), **options)


@pytest.mark.parametrize("extension", ["blo", "hspy", "zspy", "tif"])
def test_written_patterns_are_calibrated(make_peaks, tmp_path, extension):
    from importlib import import_module

    peaks = make_peaks((4, 3), 8)
    for axis, step in (("y", 5.0), ("x", 2.5)):
        values = 100 + step * np.arange(peaks.data.sizes[axis])
        peaks.data.coords[axis] = (axis, values, {"units": "nm"})
    peaks.data.attrs["voltage"] = 200.0
    rendering = render(peaks, dtype=np.uint8)
    path = rendering.write(tmp_path / f"clean.{extension}")
    names = {"blo": "blockfile", "tif": "tiff"}
    reader = import_module(f"rsciio.{names.get(extension, extension)}")
    (found,) = reader.file_reader(str(path))
    np.testing.assert_array_equal(
        np.asarray(found["data"]).reshape(-1, 64, 64), _patterns(rendering)
    )
    axes = found["axes"]
    if extension != "tif":
        assert [a["scale"] for a in axes[:2]] == [5.0, 2.5]
    if extension != "blo":
        assert axes[-1]["scale"] == pytest.approx(PIXEL, rel=1e-6)
        assert axes[-1]["offset"] == pytest.approx(-32 * PIXEL)


def test_a_line_and_an_uncalibrated_scan_are_written(make_peaks, tmp_path):
    from rsciio.hspy import file_reader

    (found,) = file_reader(str(render(make_peaks((1, 3), 4)).write(tmp_path / "a.hspy")))
    assert [(a["scale"], a["units"]) for a in found["axes"][:2]] == [(1, "px")] * 2
    line = make_peaks((1, 3), 4)
    line.data.coords["y"] = ("y", [0.0], {"units": "nm"})
    line.data.coords["x"] = ("x", [0.0, 4.0, 8.0], {"units": "nm"})
    (found,) = file_reader(str(render(line).write(tmp_path / "b.hspy")))
    assert [(a["scale"], a["units"]) for a in found["axes"][:2]] == [(4, "nm")] * 2
