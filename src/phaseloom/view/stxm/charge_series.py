"""Figures of a charge series: maps side by side, phase fractions against the charge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.pages import EDGE, Row, equal_boxes, letter, page
from phaseloom.view.panels import (
    colour_bar,
    draw_map,
    draw_phases,
    legend_room,
    map_aspect,
    map_columns,
    map_height,
    phase_legend,
)
from phaseloom.view.results import (
    phase_names,
    pixel_counts,
    state_of_charge,
    stxm_stacks,
    value_label,
    value_limits,
    value_map,
)
from phaseloom.view.style import (
    PAGE_WIDTH,
    UNKNOWN_COLOUR,
    VALUE_MAP,
    luminance,
    phase_colours,
    publication,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def comparison_figure(tree: xr.DataTree) -> Figure:
    """Final maps of all stacks side by side, their value maps, their phase fractions.

    Parameters
    ----------
    tree
        Result with one group per stack under ``/stxm``. Stacks are drawn in order of their
        attribute ``state_of_charge`` when all have one, else in the order of the tree.

    Returns
    -------
    matplotlib.figure.Figure
        Every map has its own scale bar; the value maps share one colour scale.

    Raises
    ------
    InputError
        When the tree holds no stack.
    """
    stacks, names = _some_stacks(tree)
    with publication():
        aspect = min(map_aspect(dataset) for dataset in stacks.values())
        columns = min(max(3, len(stacks)), map_columns(aspect) + 1)
        columns = (
            -(-len(stacks) // -(-len(stacks) // columns)) if len(stacks) > columns else columns
        )
        unknown = any(bool((dataset["phase"] == -2).any()) for dataset in stacks.values())
        with_value = any(value_map(dataset) is not None for dataset in stacks.values())

        boxes = equal_boxes(columns, columns=columns)
        height = map_height(boxes[0][1], aspect)
        blocks = [list(stacks)[first : first + columns] for first in range(0, len(stacks), columns)]
        rows = []
        for number, block in enumerate(blocks):
            last = number == len(blocks) - 1
            rows.append(Row(boxes=boxes[: len(block)], height=height, below=0.02))
            if with_value:
                rows.append(
                    Row(
                        boxes=boxes[: len(block)],
                        height=height,
                        above=0.06,
                        below=0.4 if last else 0.04,
                    )
                )
        indent = EDGE + min(2.2, 0.1 + 0.06 * max(len(_title(n, d)) for n, d in stacks.items()))
        rows.append(
            Row(
                boxes=((indent, PAGE_WIDTH - indent - EDGE),),
                height=0.19 * len(stacks) + 0.1,
                above=0.28,
                below=0.36,
            )
        )
        figure, axes = page(rows, below=legend_room(names, unknown=unknown))

        limits = value_limits(list(stacks.values()))
        per_block = 2 if with_value else 1
        heads = []
        for number, block in enumerate(blocks):
            for place, name in enumerate(block):
                dataset = stacks[name]
                top = axes[number * per_block][place]
                draw_phases(top, dataset["phase"], dataset, title=_title(name, dataset))
                heads.append(top)
                if with_value:
                    _draw_value(axes[number * per_block + 1][place], dataset, limits)
        if with_value:
            first = axes[len(blocks) * per_block - 1][0]
            dataset = next(d for d in stacks.values() if value_map(d) is not None)
            drawn = first.images[0]
            colour_bar(first, drawn, value_label(dataset), width=min(2.4, boxes[0][1] * 1.5))
        _draw_bars(axes[-1][0], stacks)
        letter([*heads, axes[-1][0]])
        phase_legend(figure, names, unknown=unknown)
        return figure


def fractions_figure(tree: xr.DataTree, table: pd.DataFrame | None = None) -> Figure:
    """Phase fractions against the state of charge, or against the order of the stacks.

    Parameters
    ----------
    tree
        Result with one group per stack under ``/stxm``.
    table
        Phase fractions with their intervals: columns ``stack``, ``phase``, ``fraction`` and,
        for error bars, ``fraction_low`` and ``fraction_high``. None: pixels are counted, and
        there are no error bars.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        When the tree holds no stack.
    """
    stacks, names = _some_stacks(tree)
    charges = [state_of_charge(dataset) for dataset in stacks.values()]
    known_charges = [charge for charge in charges if charge is not None]
    by_charge = len(known_charges) == len(charges)
    place = np.array(known_charges) if by_charge else np.arange(len(stacks), dtype=float)
    with publication():
        figure, axes = page(
            [Row(boxes=((0.5, 3.3),), height=2.2, above=0.12, below=0.4 if by_charge else 0.7)],
            width=4.3 + 0.06 * max(len(name) for name in [*names, "unknown"]),
        )
        panel = axes[0][0]
        shares = _shares(stacks)
        errors = None
        if table is not None:
            shares[:, : len(names)], errors = _from_table(table, list(stacks), names)
        for index, colour in enumerate(phase_colours(len(names))):
            panel.errorbar(
                place,
                100 * shares[:, index],
                yerr=None if errors is None else 100 * errors[:, :, index],
                color=colour,
                marker="os^Dv<>p"[index % 8],
                markersize=4,
                capsize=2,
                elinewidth=0.8,
                label=names[index],
            )
        if shares[:, -1].any():
            panel.errorbar(
                place, 100 * shares[:, -1], color=UNKNOWN_COLOUR, linestyle=":", label="unknown"
            )
        panel.set_ylabel("Phase fraction (% of particle pixels)")
        panel.set_ylim(0, None)
        if by_charge:
            panel.set_xlabel("State of charge")
        else:
            panel.set_xticks(place, list(stacks), rotation=20, ha="right")
        panel.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)
        return figure


def _some_stacks(tree: xr.DataTree) -> tuple[dict[str, xr.Dataset], list[str]]:
    """Stacks by name, and the names of their phases."""
    stacks = stxm_stacks(tree)
    if not stacks:
        raise InputError("the result holds no STXM phase map", "map at least one stack first")
    return stacks, phase_names(next(iter(stacks.values())))


def _title(name: str, dataset: xr.Dataset) -> str:
    charge = state_of_charge(dataset)
    return name if charge is None else f"{name} (SOC {charge:.4g})"


def _shares(stacks: dict[str, xr.Dataset]) -> NDArray[np.float64]:
    """(stack, phase + 1): shares of the pixels in the mask, the unknown ones last."""
    rows = []
    for dataset in stacks.values():
        counts, unknown = pixel_counts(dataset)
        row = np.append(counts, unknown).astype(float)
        rows.append(row / max(1.0, row.sum()))
    return np.array(rows)


def _from_table(
    table: pd.DataFrame, stacks: Sequence[str], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Fractions (stack, phase) and, when the table has them, distances to the interval's ends."""

    def column(name: str) -> NDArray[np.float64]:
        square = table.pivot_table(index="stack", columns="phase", values=name, dropna=False)
        square = square.reindex(index=list(stacks), columns=list(names))
        return np.asarray(square, dtype=float)

    fraction = column("fraction")
    if not {"fraction_low", "fraction_high"} <= set(table.columns):
        return fraction, None
    low, high = column("fraction_low"), column("fraction_high")
    return fraction, np.clip(np.stack([fraction - low, high - fraction]), 0.0, None)


def _draw_value(axes: Axes, dataset: xr.Dataset, limits: tuple[float, float]) -> None:
    values = value_map(dataset)
    image: Any = np.full(dataset["mask"].shape, np.nan) if values is None else values
    draw_map(
        axes,
        image,
        dataset,
        title="",
        cmap=VALUE_MAP,
        limits=limits,
        mask=dataset["mask"],
        bar_colour=None,
    )


def _draw_bars(axes: Axes, stacks: dict[str, xr.Dataset]) -> None:
    shares = 100 * _shares(stacks)
    colours = [*phase_colours(shares.shape[1] - 1), UNKNOWN_COLOUR]
    place = np.arange(len(stacks))
    start = np.zeros(len(stacks))
    for index, colour in enumerate(colours):
        axes.barh(
            place,
            shares[:, index],
            left=start,
            height=0.72,
            color=colour,
            edgecolor="white",
            linewidth=0.5,
        )
        for row in np.flatnonzero(shares[:, index] >= 6.0).tolist():
            axes.text(
                start[row] + shares[row, index] / 2,
                row,
                f"{shares[row, index]:.0f}",
                ha="center",
                va="center",
                fontsize=6,
                color="black" if luminance(colour) > 0.18 else "white",
            )
        start += shares[:, index]
    axes.set_yticks(place, [_title(name, dataset) for name, dataset in stacks.items()])
    axes.tick_params(axis="y", length=0, labelsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("Share of the particle's pixels (%)")
    axes.set_title("Phase fractions", loc="left")
