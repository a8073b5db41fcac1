"""Patterns of components beside measured ones: mean of the label, largest weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.components.data import METRICS, Components
from phaseloom.view.components.panels import (
    INSIDE,
    colour_frame,
    counts_bar,
    draw_pattern,
    pattern_aspect,
    pattern_bar,
    short,
    top_of,
)
from phaseloom.view.pages import EDGE, Row, grid, page
from phaseloom.view.style import publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_PAGE = 10
"""Components per figure."""

AGREEMENTS = ("ssim", "gmsd")
"""Measures of similarity shown beside every component."""

NAMES = ("", "mean of its label", "largest weight")
"""Titles of the three patterns; the first shows the scale."""

_BETWEEN, _WITHIN = 0.3, 0.05


def patterns_figure(result: Components, first: int = 0) -> Figure:
    """Components beside the mean pattern of their label and the pattern of their largest weight.

    Parameters
    ----------
    first
        The component that the figure starts with; it holds ``PER_PAGE`` at most.

    Returns
    -------
    matplotlib.figure.Figure
        The three patterns of a component have one scale, up to the number over the first.

    Raises
    ------
    InputError
        When the result holds no patterns to compare with.
    """
    if not has_measured(result):
        raise InputError("the result has no patterns to compare components with", "cluster again")
    shown = range(first, min(result.k, first + PER_PAGE))
    triples = [
        [result.pattern(name, c) for name in ("pattern", "mean_pattern", "brightest_pattern")]
        for c in shown
    ]
    with publication():
        figure, axes = page(triple_rows(result, len(shown), above=0.38), below=0.36)
        drawn: Any = None
        for panels, component, images in zip(triple_panels(axes), shown, triples, strict=True):
            drawn = draw_triple(panels, images, names=NAMES)
            _name(panels[0], result, component)
            colour_frame(panels[0], result.colours[component])
        pattern_bar(axes[0][0], result)
        counts_bar(axes[-1][0], drawn)
        return figure


def has_measured(result: Components) -> bool:
    """Whether the result holds measured patterns to compare with."""
    return {"mean_pattern", "brightest_pattern"} <= set(result.data.data_vars)


def triple_rows(result: Components, count: int, *, above: float = 0.24) -> list[Row]:
    """Rows of panels for ``count`` triples of patterns, two in a row."""
    cell = (INSIDE - _BETWEEN) / 2
    width = (cell - 2 * _WITHIN) / 3
    boxes = tuple(
        (EDGE + column * (cell + _BETWEEN) + place * (width + _WITHIN), width)
        for column in range(2)
        for place in range(3)
    )
    height = min(1.6 * width, width / pattern_aspect(result))
    return grid(3 * count, boxes, height=height, above=above)


def triple_panels(axes: Sequence[Sequence[Axes]]) -> list[Sequence[Axes]]:
    """The panels of rows, three by three."""
    return [row[start : start + 3] for row in axes for start in range(0, len(row), 3)]


def draw_triple(
    panels: Sequence[Axes],
    images: Sequence[NDArray[np.float64]],
    *,
    names: Sequence[str],
) -> Any:
    """Draw three patterns on one scale, that of the brightest of them.

    Returns
    -------
    matplotlib.image.AxesImage
        The last of them.
    """
    top = max(top_of(image) for image in images)
    drawn: Any = None
    for index, (axes, image, name) in enumerate(zip(panels, images, names, strict=True)):
        title = f"{name} ≤ {short(top)}".strip() if index == 0 else name
        drawn = draw_pattern(axes, image, title=title, top=top)
    return drawn


def _name(axes: Axes, result: Components, component: int) -> None:
    """Above the first pattern of a component: its number, and its similarity to the mean."""
    heading = f"{component}" + " background" * (component == result.background)
    axes.annotate(
        heading, (0.0, 1.0), xycoords="axes fraction", xytext=(0, 13), textcoords="offset points",
        fontweight="bold", annotation_clip=False,
    )  # fmt: skip
    if "agreement" not in result.data:
        return
    values = result.data["agreement"].isel(component=component)
    parts = [
        f"{METRICS[name][0]} {float(values.sel(metric=name)):.2f}"
        for name in AGREEMENTS
        if name in result.metrics and np.isfinite(float(values.sel(metric=name)))
    ]
    if parts:
        axes.annotate(
            "to the mean: " + ", ".join(parts), (0.0, 1.0), xycoords="axes fraction",
            xytext=(74, 13), textcoords="offset points", fontsize=6, annotation_clip=False,
        )  # fmt: skip
