from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import LogNorm
from reading import titles

from phaseloom import InputError
from phaseloom.view.peaks import maps as draw
from phaseloom.view.peaks.data import registered
from phaseloom.view.peaks.uncertainty import medians
from phaseloom.view.scales import FEWEST_COUNTS, count_ticks, counts_norm
from phaseloom.view.style import publication

MakeScan = Callable[..., xr.DataTree]
Legible = Callable[[object], None]


def gid(axes: object, name: str) -> list[object]:
    return [artist for artist in axes.get_children() if artist.get_gid() == name]


@pytest.mark.parametrize("name", draw.__all__)
@pytest.mark.parametrize("shape", [(5, 7), (1, 9), (4, 40)])
def test_every_figure_is_legible(
    make_scan: MakeScan, legible: Legible, name: str, shape: tuple[int, int]
) -> None:
    legible(getattr(draw, name)(registered(make_scan(shape))))


def test_spots_lie_on_the_detector_where_the_distortion_put_them(make_scan: MakeScan) -> None:
    scan = registered(make_scan())
    spots = scan.spots(2, 3)
    centre = scan.centre(2, 3)
    np.testing.assert_allclose(spots["row"] - centre[0], [-7.3, 4.1, 6.6], atol=1e-5)
    np.testing.assert_allclose(spots["column"] - centre[1], [2.4, 11.7, -8.2], atol=1e-5)
    assert scan.spots(0, 0)["row"].size == 0
    np.testing.assert_array_equal(scan.count, [[0] + [3] * 6] + [[3] * 7] * 4)


def test_patterns_are_drawn_row_0_on_top_with_circles_on_their_spots(make_scan: MakeScan) -> None:
    figure = draw.pattern_figure(registered(make_scan()))
    panel = figure.axes[0]
    (place,) = [t for t in titles(figure) if t.endswith("3 peaks")][:1]
    y, x = (int(part.split()[-1]) for part in place.split(":")[0].split(","))
    scan = registered(make_scan())
    (image,) = panel.images
    pattern = scan.sample["pattern"].sel(sample=(scan.sample.y == y) & (scan.sample.x == x))
    np.testing.assert_array_equal(image.get_array(), pattern[0])
    with publication():
        figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float)

    def darkness(row: float, column: float) -> float:
        across, up = panel.transData.transform((column, row))
        down = round(picture.shape[0] - up)
        return 255 - picture[down - 3 : down + 4, round(across) - 3 : round(across) + 4].mean()

    spots, (row, column) = scan.spots(y, x), scan.centre(y, x)
    (circles,) = gid(panel, "peaks")
    np.testing.assert_allclose(
        circles.get_offsets(), np.column_stack([spots["column"], spots["row"]])
    )
    for at, away in zip(spots["row"][:2] - row, spots["column"][:2] - column, strict=True):
        assert darkness(row + at, column + away) > 80
        assert darkness(row - at, column + away) < 40  # mirrored up and down there is none
    (cross,) = gid(panel, "direct-beam")
    np.testing.assert_allclose((cross.get_ydata()[0], cross.get_xdata()[0]), (row, column))
    lower, upper = panel.get_ylim()
    assert (lower, upper) == (31.5, -0.5)


def test_circles_leave_their_spots_free(make_scan: MakeScan) -> None:
    panel = draw.pattern_figure(registered(make_scan())).axes[0]
    (circles,) = gid(panel, "peaks")
    assert circles._widths.min() / 2 * 2 >= 2.5 * 1.5  # radii are kept halved
    assert all(colour[3] == 0 for colour in circles.get_facecolor())


def test_reciprocal_scale_bar_has_the_length_it_says(make_scan: MakeScan) -> None:
    for units, step in (("Å⁻¹", 0.02), ("px", 1.0)):
        panel = draw.pattern_figure(registered(make_scan(pixel_size=step, units=units))).axes[0]
        (bar,) = gid(panel, "scale-bar")
        label = next(t.get_text() for t in panel.texts if t.get_text().endswith(units))
        assert np.ptp(bar.get_xdata()) * step == pytest.approx(float(label.split()[0]))


def test_close_ups_show_the_position_and_its_errors(make_scan: MakeScan) -> None:
    figure = draw.pattern_figure(registered(make_scan()))
    close = [axes for axes in figure.axes if "px" in axes.get_xlabel()]
    assert len(close) == 3
    scan = registered(make_scan())
    place = titles(figure)[0]
    y, x = (int(part.split()[-1]) for part in place.split(":")[0].split(","))
    spots = scan.spots(y, x)
    first = int(np.argmax(spots["significance"]))
    ((_, _, (across, down)),) = close[0].containers
    middle = (spots["row"][first], spots["column"][first])
    along = [np.ptp(part.get_segments()[0], axis=0) for part in (across, down)]
    assert along[0][0] == pytest.approx(2 * spots["column_error"][first])
    assert along[1][1] == pytest.approx(2 * spots["row_error"][first])
    assert spots["column_error"][first] > 1.5 * spots["row_error"][first]
    low, high = sorted(close[0].get_ylim())
    assert low < middle[0] < high
    assert high - low < 14  # pixels: tenths of one can be seen
    assert close[0].get_ylim()[0] > close[0].get_ylim()[1]


def test_letters_of_close_ups_stay_inside_the_pattern(make_scan: MakeScan) -> None:
    tree = make_scan()
    for row, column in ((1.0, 1.0), (1.0, 38.0), (30.0, 38.0)):
        data = tree["peaks"].to_dataset()
        data["centre_y"], data["centre_x"] = (
            data["centre_y"] * 0 + row,
            data["centre_x"] * 0 + column,
        )
        data["ky"], data["kx"] = data["ky"] * 0.05, data["kx"] * 0.05
        data.attrs["spot_sigma"] = 0.01
        moved = xr.DataTree.from_dict(
            {"/peaks": data, "/peaks/sample": tree["peaks/sample"].to_dataset(inherit=False)}
        )
        figure = draw.pattern_figure(registered(moved))
        with publication():
            figure.canvas.draw()
        panel = figure.axes[0]
        letters = gid(panel, "close-up")
        assert letters
        box = panel.get_window_extent()
        for text in letters:
            inner = text.get_window_extent()
            assert box.x0 - 1 <= inner.x0 <= inner.x1 <= box.x1 + 1
            assert box.y0 - 1 <= inner.y0 <= inner.y1 <= box.y1 + 1


def test_few_counts_are_not_stretched() -> None:
    rng = np.random.default_rng(0)
    norm = counts_norm(rng.poisson(0.05, (2, 64, 64)).astype(float))
    assert norm.vmin == 0.0
    assert norm.vmax == FEWEST_COUNTS
    assert float(norm(2.0)) < 0.55
    bright = counts_norm(rng.poisson(400.0, (2, 64, 64)) + np.eye(64) * 1e4)
    assert 300 < bright.vmin < 400  # an even pedestal is not drawn black
    assert float(bright(450.0)) < 0.5 < float(bright(5e3))
    for scale in (norm, bright):
        ticks = count_ticks(scale)
        assert 3 <= len(ticks) <= 6
        assert (np.diff(scale(ticks)) > 0.1).all()
    assert np.isfinite(counts_norm(np.full((1, 4, 4), np.nan)).vmax)


def test_density_has_ky_downwards_and_a_logarithmic_scale(make_scan: MakeScan) -> None:
    tree = make_scan()
    figure = draw.density_figure(registered(tree))
    panel = figure.axes[0]
    (image,) = panel.images
    assert isinstance(image.norm, LogNorm)
    lower, upper = panel.get_ylim()
    assert lower > upper
    left, right, bottom, top = image.get_extent()
    values = image.get_array()
    row, column = np.unravel_index(np.ma.argmax(values[: values.shape[0] // 2]), values.shape)
    ky = top + (row + 0.5) * (bottom - top) / values.shape[0]
    kx = left + (column + 0.5) * (right - left) / values.shape[1]
    # The only spot above the beam: 7.3 px up, 2.4 px right, distorted.
    wanted = 0.02 * np.array([[1.02, 0.01], [0.01, 0.98]]) @ [-7.3, 2.4]
    np.testing.assert_allclose((ky, kx), wanted, atol=0.011)
    assert panel.get_xlabel() == "kx (Å⁻¹)"
    assert "Peaks per bin" in [axes.get_ylabel() for axes in figure.axes]
    assert f"{len(tree['peaks']['ky']):,} peaks" in titles(figure)[0]
    alone = tree.copy()
    alone["peaks/density"] = xr.DataTree(tree["peaks/density"].to_dataset().drop_vars("radial"))
    assert not [
        a for a in draw.density_figure(registered(alone)).axes if a.get_xlabel().startswith("k (")
    ]


def test_scan_maps_have_row_0_on_top(make_scan: MakeScan) -> None:
    tree = make_scan()
    virtual = xr.Dataset({"d": (("y", "x"), np.ones((5, 7)), {"long_name": "Ring at 0.3 Å⁻¹"})})
    tree["peaks/virtual"] = xr.DataTree(virtual)
    tree["peaks"]["averaged"] = 9 + 0 * tree["peaks"]["spot_count"]
    figure = draw.maps_figure(registered(tree))
    shown = [title for _, title, _, _ in draw.MAPS]
    assert titles(figure) == [*shown, "Ring at 0.3 Å⁻¹"]
    panel = figure.axes[0]
    lower, upper = panel.get_ylim()
    assert (lower, upper) == (18.0, -2.0)
    assert panel.images[0].origin == "upper"
    bright = panel.images[0].get_array()
    assert bright[0].mean() > bright[-1].mean()
    assert any(text.get_text() == "5 nm" for text in panel.texts)


def test_maps_show_what_there_is_and_lines_are_curves(make_scan: MakeScan) -> None:
    tree = make_scan()
    tree["peaks"] = xr.DataTree(tree["peaks"].to_dataset().drop_vars(["noise", "bright_field"]))
    assert titles(draw.maps_figure(registered(tree))) == [
        "Sum of all spots", "Number of spots", "Adaptive prominence",
    ]  # fmt: skip
    line = draw.maps_figure(registered(make_scan((1, 9))))
    np.testing.assert_allclose(line.axes[0].lines[0].get_ydata(), 1e4)
    assert line.axes[0].get_xlabel() == "x (nm)"
    with pytest.raises(InputError, match="no maps"):
        draw.maps_figure(registered(make_scan((1, 1))))


def test_beam_shows_the_descan_and_what_scatters_about_it(make_scan: MakeScan) -> None:
    tree = make_scan()
    # Kept rounded to 1/1024 px, positions on a plane are still that.
    for name in ("centre_y", "centre_x"):
        tree["peaks"][name] = np.rint(tree["peaks"][name] * 1024) / 1024
    figure = draw.beam_figure(registered(tree))
    assert titles(figure) == ["Direct beam, down (y)", "Direct beam, right (x)"]
    drawn = figure.axes[1].images[0].get_array()
    np.testing.assert_allclose(np.diff(drawn, axis=1), -0.15, atol=1e-3)
    data = tree["peaks"].to_dataset()
    shake = np.random.default_rng(1).normal(0, 0.1, (2, 5, 7))
    for name, used, by in (("beam_y", "centre_y", 0), ("beam_x", "centre_x", 1)):
        data[name] = data[used] + shake[by]
    tree["peaks"] = xr.DataTree(data)
    figure = draw.beam_figure(registered(tree))
    (points,) = figure.axes[2].collections
    np.testing.assert_allclose(
        points.get_offsets(), np.stack([shake[1], shake[0]]).reshape(2, -1).T, atol=1e-5
    )
    rms = np.sqrt((shake**2).mean(axis=(1, 2)).sum())
    assert titles(figure)[2] == f"Residual, rms {rms:.2g} px"


def test_uncertainty_shows_errors_in_pixels_and_the_limit(make_scan: MakeScan) -> None:
    tree = make_scan()
    figure = draw.uncertainty_figure(registered(tree))
    error = registered(tree).position_error()
    data = tree["peaks"]
    expected = np.sqrt((1 + 4) / 2) * 1.5 / np.sqrt(data["intensity"])
    np.testing.assert_allclose(error, expected, rtol=1e-5)
    assert titles(figure)[0] == f"Position error, median {np.median(error):.2g} px"
    (line,) = gid(figure.axes[3], "threshold")
    assert line.get_xdata()[0] == 1.0
    total = sum(patch.get_height() for patch in figure.axes[1].patches)
    assert total == pytest.approx(data.sizes["peak"], abs=2)
    tree["peaks"] = xr.DataTree(data.to_dataset().drop_vars("prominence"))
    assert len(titles(draw.uncertainty_figure(registered(tree)))) == 3


def test_medians_are_those_of_numpy() -> None:
    rng = np.random.default_rng(2)
    of, values = rng.uniform(0, 4, 400), rng.normal(size=400)
    edges = np.array([0.0, 1.0, 2.5, 2.501, 4.0])
    expected = [np.median(values[(of >= a) & (of < b)]) for a, b in ((0.0, 1.0), (1.0, 2.5))]
    found = medians(values, of, edges)
    np.testing.assert_allclose(found[:2], expected)
    assert np.isnan(found[2])


def test_figures_of_what_is_absent_are_refused(make_scan: MakeScan) -> None:
    whole = make_scan()
    bare = whole["peaks"].to_dataset()[["ky", "kx", "offset", "spot_count"]].drop_vars("spot_count")
    bare.attrs = {}
    tree = xr.DataTree.from_dict({"/peaks": bare})
    for name in draw.__all__:
        with pytest.raises(InputError, match="the result has no"):
            getattr(draw, name)(registered(tree))
    with pytest.raises(InputError, match="no diffraction peaks"):
        registered(xr.DataTree())
