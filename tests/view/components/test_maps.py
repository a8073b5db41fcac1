from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from component_maps import network_of
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from phaseloom import InputError
from phaseloom.view.components.checks import matched, methods_figure, residual_figure
from phaseloom.view.components.data import (
    BACKGROUND_COLOUR,
    COLOURS,
    component_colours,
    components,
)
from phaseloom.view.components.maps import maps_figure
from phaseloom.view.components.overlaps import network_figure, overlap_figure
from phaseloom.view.components.panels import edges, paint, places, top_of
from phaseloom.view.components.patterns import patterns_figure
from phaseloom.view.components.quality import quality_figure, similarity, worst_pair
from phaseloom.view.components.rank import rank_figure
from phaseloom.view.components.truth import true_components, truth_figure

MakeComponents = Callable[..., xr.DataTree]
Legible = Callable[[Figure], None]

CASES: tuple[dict[str, object], ...] = (
    {"k": 2, "shape": (20, 26)},
    {"k": 6},
    {"k": 20, "shape": (50, 50)},
    {"k": 5, "shape": (12, 90)},
    {"k": 5, "shape": (80, 18)},
    {"k": 3, "shape": (1, 60)},
    {"k": 8, "choose": "published", "patterns": "peaks", "background": False},
)


def every(tree: xr.DataTree) -> list[Figure]:
    """All figures that the result has the data for."""
    result = components(tree)
    drawn = [figure(result) for figure in (maps_figure, quality_figure, patterns_figure)]
    drawn.append(residual_figure(result))
    if "k" in result.data.dims:
        drawn.append(rank_figure(result))
    if bool(result.data["overlap"].any()):
        drawn.append(overlap_figure(result))
    network = network_of(tree)
    if len(network):
        drawn.append(network_figure(result, network))
    if result.others:
        drawn.append(methods_figure(result))
    return [*drawn, truth_figure(result)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"k{case['k']}{case.get('shape', '')}")
def test_all_figures_are_legible_on_one_page(
    make_components: MakeComponents, legible: Legible, case: dict[str, object]
) -> None:
    for figure in every(make_components(size=32, truth=True, **case)):
        assert figure.get_figheight() < 10.0
        legible(figure)


def test_colours_of_components_differ_and_the_background_is_grey() -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    colours = component_colours(21, background=3)
    assert colours[3] == BACKGROUND_COLOUR
    assert len(set(colours)) == 21
    lab = rgb2lab(np.array([[to_rgb(c) for c in (*COLOURS, BACKGROUND_COLOUR, "white")]]))[0]
    assert min(deltaE_ciede2000(a, b) for a, b in combinations(lab, 2)) > 10
    assert component_colours(25)[20:] == list(COLOURS[:5])


def test_an_overlap_has_the_colours_of_both_components() -> None:
    label = np.array([[0, 1], [-1, 0]])
    partner = np.array([[-1, 0], [-1, -1]])
    image = paint(label, ["#FF0000", "#0000FF"], partner=partner)
    fine = image.shape[0] // 2
    assert fine >= 3
    overlap = image[:fine, fine:]
    assert (overlap[0, -1] == (0, 0, 255, 255)).all()
    assert (overlap[-1, 0] == (255, 0, 0, 255)).all()
    assert (image[:fine, :fine, 0] == 255).all()
    assert (image[fine:, :fine, 3] == 0).all()


def test_edges_are_between_different_labels_that_are_something() -> None:
    label = np.array([[0, 0, 1], [-1, 0, 1], [2, 2, 2]])
    pairs, beside = edges(label)
    parted = {frozenset((tuple(a.tolist()), tuple(b.tolist()))) for a, b in pairs}
    assert parted == {
        frozenset(((0, 1), (0, 2))),
        frozenset(((1, 1), (1, 2))),
        frozenset(((1, 1), (2, 1))),
        frozenset(((1, 2), (2, 2))),
    }
    assert beside.sum() == 2


def test_numbers_stand_inside_the_largest_region(make_components: MakeComponents) -> None:
    found = components(make_components())
    for component, (x, y, depth) in places(found, found.label).items():
        column, row = round(x / 5.0), round(y / 5.0)
        assert found.label[row, column] == component
        assert depth >= 0.5


def test_row_zero_is_on_top_and_unused_pixels_are_grey(make_components: MakeComponents) -> None:
    tree = make_components()
    figure = maps_figure(components(tree))
    low, high = figure.axes[0].get_ylim()
    assert low > high
    pattern = figure.axes[2].images[0]
    assert pattern.origin == "upper"
    assert pattern.get_array().mask[32, 32]
    assert pattern.cmap.get_bad()[:3] == pytest.approx(to_rgb("#8F8F8F"), abs=0.01)
    held = np.array([np.nan, 0.0, 3.0])
    assert top_of(held) == pytest.approx(3.0, rel=1e-2)
    assert top_of(np.full(3, np.nan)) == 1.0


def test_the_rank_figure_marks_the_choice_and_says_why(make_components: MakeComponents) -> None:
    tree = make_components()
    figure = rank_figure(components(tree))
    assert figure.texts[0].get_text().replace("\n", " ") == tree["components"].attrs["reason"]
    titles = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert titles.count("k = 8") == 4
    assert {"limit 0.25", "limit 0.5"} <= set(titles)
    published = rank_figure(components(make_components(choose="published")))
    legends = [axes.get_legend() for axes in published.axes if axes.get_legend()]
    words = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert words == ["knee, 7 ± 4", "PSNR", "SSIM", "GMSD", "MDSI"]
    votes = [bar.get_height() for bar in published.axes[1].patches]
    assert sum(votes) == 4
    with pytest.raises(InputError, match="was given"):
        rank_figure(components(make_components(choose="given")))


def test_the_most_alike_are_found_whichever_way_a_measure_goes(
    make_components: MakeComponents,
) -> None:
    found = components(make_components())
    pairs = {name: worst_pair(found, name) for name in ("psnr", "ssim", "gmsd", "mdsi")}
    # The simulated measures all follow one likeness.
    assert len({pair[:2] for pair in pairs.values() if pair}) == 1
    assert pairs["ssim"] is not None
    assert pairs["ssim"][2] == pytest.approx(np.nanmax(similarity(found, "ssim")))
    assert pairs["gmsd"] is not None
    assert pairs["gmsd"][2] == pytest.approx(np.nanmin(similarity(found, "gmsd")))


def test_labels_of_other_methods_take_the_numbers_they_share_most_with() -> None:
    reference = np.array([[0, 0, 1, 1, 2, -1]])
    assert matched(np.array([[4, 4, 0, 0, 2, -1]]), reference, 3).tolist() == [[0, 0, 1, 1, 2, -1]]
    more = matched(np.array([[0, 1, 2, 2, 3, 3]]), reference, 3)
    assert sorted(np.unique(more).tolist()) == [0, 1, 2, 3]
    assert more[0, 2] == 1
    nothing = np.full((1, 6), -1)
    assert matched(nothing, reference, 3).tolist() == nothing.tolist()


def test_true_grains_take_the_numbers_of_their_components(make_components: MakeComponents) -> None:
    found = components(make_components(truth=True))
    crystal = (found.label >= 0) & (found.label != found.background)
    assert (true_components(found)[crystal] == found.label[crystal]).all()
    figure = truth_figure(components(make_components(truth=True)))
    said = figure.axes[2].get_legend().get_texts()[0].get_text()
    assert said.startswith("same, 9")
    with pytest.raises(InputError, match="true grains of the scan are not known"):
        truth_figure(components(make_components()))


def test_what_is_not_there_is_told(make_components: MakeComponents) -> None:
    tree = make_components(k=1, choose="given", compared=False)
    with pytest.raises(InputError, match="no position holds overlapping"):
        overlap_figure(components(tree))
    with pytest.raises(InputError, match="no two components are adjacent"):
        network_figure(components(tree), network_of(tree))
    with pytest.raises(InputError, match="no labels of other methods"):
        methods_figure(components(tree))
    with pytest.raises(InputError, match="holds no components"):
        components(xr.DataTree())
    bare = tree["components"].to_dataset()[["pattern", "weight", "label"]]
    part = xr.DataTree.from_dict({"/components": bare})
    with pytest.raises(InputError, match="no similarities"):
        quality_figure(components(part))
    with pytest.raises(InputError, match="no patterns to compare"):
        patterns_figure(components(part))
    maps_figure(components(part))
    residual_figure(components(part))
