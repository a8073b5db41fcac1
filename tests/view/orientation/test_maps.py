from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb

from phaseloom import InputError
from phaseloom.view.orientation import maps as draw
from phaseloom.view.orientation.data import DARKEST, Oriented, oriented
from phaseloom.view.orientation.poles import poles_figure
from phaseloom.view.orientation.statistics import grain_sizes, statistics_figure
from phaseloom.view.style import OUTSIDE_COLOUR, paint_labels

MakeOrientation = Callable[..., xr.DataTree]
Legible = Callable[[object], None]
Draw = Callable[[Oriented], object]

FIGURES = (
    draw.ipf_figure,
    draw.quality_figure,
    draw.solutions_figure,
    draw.overlap_figure,
    poles_figure,
    statistics_figure,
)


AREAS = [((18, 24), ("Au", "LiFePO4")), ((5, 75), ("Au", "LiFePO4", "FePO4"))]
STRIPES = [((60, 5), ("Au",)), ((1, 40), ("LiFePO4",))]


@pytest.mark.parametrize(
    ("figure", "scan"), [*product(FIGURES, AREAS), *product(FIGURES[:2], STRIPES)]
)
def test_figures_of_maps_of_any_shape_are_legible(
    make_orientation: MakeOrientation,
    legible: Legible,
    figure: Draw,
    scan: tuple[tuple[int, int], tuple[str, ...]],
) -> None:
    made = figure(oriented(make_orientation(*scan)))
    legible(made)
    box = made.axes[0].get_window_extent()
    assert min(box.width, box.height) > 0.2 * made.dpi  # a line of pixels can be seen


def test_maps_are_drawn_row_0_on_top_in_their_colours(make_orientation: MakeOrientation) -> None:
    tree = make_orientation((18, 24))
    found = oriented(tree)
    figure = draw.ipf_figure(oriented(tree))
    images = [axes.images[0] for axes in figure.axes[:4]]
    np.testing.assert_array_equal(images[0].get_array(), paint_labels(found.phase, 2))
    for axis, image in enumerate(images[1:]):
        np.testing.assert_array_equal(image.get_array(), found.painted(axis))
        assert image.origin == "upper"
        left, right, bottom, top = image.get_extent()
        assert (left, right, bottom, top) == (-2.5, 117.5, 87.5, -2.5)  # nm, y downwards


def test_a_cube_axis_along_the_beam_is_red_and_unindexed_is_neutral(
    make_orientation: MakeOrientation,
) -> None:
    found = oriented(make_orientation((18, 24)))
    rotation = np.full((1, 4, 4), np.nan)
    half = np.sqrt(0.5)
    rotation[0, 0] = [1, 0, 0, 0]
    rotation[0, 1] = [half, half, 0, 0]  # 90° about x: still a cube axis along z
    rotation[0, 2] = [np.cos(np.pi / 8), np.sin(np.pi / 8), 0, 0]  # 45°: [011] along z
    image = found.painted(2, phase=np.array([[0, 0, 0, -1]]), rotation=rotation)[0]
    np.testing.assert_array_equal(image[0], [255, 0, 0])
    np.testing.assert_array_equal(image[1], [255, 0, 0])
    np.testing.assert_allclose(image[2], [0, 255, 0], atol=3)
    np.testing.assert_allclose(image[3] / 255, to_rgb(OUTSIDE_COLOUR), atol=0.01)
    # x stays [100] when the crystal is turned about x; y does not.
    across = [
        found.painted(axis, phase=np.zeros((1, 4), int), rotation=rotation)[0, 2] for axis in (0, 1)
    ]
    np.testing.assert_array_equal(across[0], [255, 0, 0])
    np.testing.assert_allclose(across[1], [0, 255, 0], atol=3)


def test_improbable_pixels_are_dark_when_shaded(make_orientation: MakeOrientation) -> None:
    found = oriented(make_orientation((18, 24)))
    plain = found.painted(2).astype(float)
    shaded = found.painted(2, brightness=np.zeros(found.shape)).astype(float)
    np.testing.assert_allclose(shaded[found.indexed], DARKEST * plain[found.indexed], atol=1)
    np.testing.assert_array_equal(shaded[~found.indexed], plain[~found.indexed])
    assert draw.ipf_figure(oriented(make_orientation((18, 24))), shaded=True).axes


def test_scales_of_probabilities_and_reliabilities_are_fixed(
    make_orientation: MakeOrientation,
) -> None:
    figure = draw.quality_figure(oriented(make_orientation((18, 24))))
    limits = {
        title: axes.images[0].get_clim()
        for axes in figure.axes
        for title in (t.get_text() for t in axes.texts if t.get_gid() == "title")
        if axes.images[0].get_array().ndim == 2
    }
    assert limits["Probability"] == limits["Correlation index"] == (0.0, 1.0)
    assert limits["Orientation reliability"] == limits["Phase reliability"] == (0.0, 100.0)
    single = draw.quality_figure(oriented(make_orientation((18, 24), ("Au",))))
    assert "Phase reliability" not in {t.get_text() for axes in single.axes for t in axes.texts}


def test_diameters_are_those_of_circles_of_the_grains_areas(
    make_orientation: MakeOrientation,
) -> None:
    found = oriented(make_orientation((18, 24)))
    grain = np.full(found.shape, -1)
    grain[:4, :5] = 7
    diameter, phase, units = grain_sizes(found, grain)
    assert diameter.tolist() == pytest.approx([np.sqrt(4 * 20 * 25 / np.pi)])
    assert phase.tolist() == [found.phase[0, 0]]
    assert units == "nm"


def test_what_is_not_there_is_said(make_orientation: MakeOrientation) -> None:
    tree = make_orientation((18, 24), overlaps=False)
    with pytest.raises(InputError, match="no overlaps"):
        draw.overlap_figure(oriented(tree))
    first = tree["orientation"].to_dataset().isel(solution=slice(0, 1))
    with pytest.raises(InputError, match="no pixel has a second solution"):
        draw.solutions_figure(oriented(xr.DataTree.from_dict({"/orientation": first})))
    with pytest.raises(InputError, match="no orientation map"):
        oriented(xr.DataTree())
    bare = first.copy()
    bare.attrs = {}
    with pytest.raises(InputError, match="which crystals"):
        oriented(xr.DataTree.from_dict({"/orientation": bare}))
    with pytest.raises(InputError, match="no maps of its reliability"):
        draw.quality_figure(
            oriented(xr.DataTree.from_dict({"/orientation": first[["phase", "rotation"]]}))
        )
