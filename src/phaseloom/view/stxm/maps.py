"""Workflow figure of one phase map: from optical density to the final map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from phaseloom.view.pages import EDGE, GAP, Row, equal_boxes, letter, page
from phaseloom.view.panels import (
    colour_bar,
    draw_confidence,
    draw_map,
    draw_phases,
    draw_value,
    legend_room,
    map_aspect,
    map_columns,
    map_height,
    phase_legend,
)
from phaseloom.view.results import energy_shift, peak_energy, phase_names, value_map
from phaseloom.view.stxm.charge_series import comparison_figure, fractions_figure
from phaseloom.view.stxm.diagnostics import (
    drift_figure,
    energy_shift_figure,
    i0_figure,
    spectra_figure,
)
from phaseloom.view.stxm.edge import edge_figure
from phaseloom.view.stxm.latent import latent_view
from phaseloom.view.stxm.quality import quality_figure
from phaseloom.view.style import (
    CORRELATION_MAP,
    OPTICAL_DENSITY_MAP,
    PAGE_WIDTH,
    phase_colours,
    publication,
    spread,
    text_colour,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "comparison_figure",
    "drift_figure",
    "edge_figure",
    "energy_shift_figure",
    "fractions_figure",
    "i0_figure",
    "quality_figure",
    "spectra_figure",
    "workflow_figure",
]


@dataclass(frozen=True)
class Step:
    """A panel of the workflow: what draws it, and the room it needs below, in inches."""

    draw: Callable[[Axes], Any]
    below: float = 0.08


def workflow_figure(
    dataset: xr.Dataset,
    latent: xr.Dataset | None = None,
    *,
    references: Sequence[xr.DataArray] = (),
) -> Figure:
    """All steps of one stack: optical density, correlation, ambiguity, latent space, map.

    Panels whose variables are absent are left out (no latent space when the ambiguous pixels
    were resolved another way, no value map when no reference has a value).

    Parameters
    ----------
    dataset
        Result of one stack, as in the group ``/stxm/NAME``.
    latent
        The shared latent space: ``component_mean`` (phase, latent) and
        ``component_covariance`` (phase, latent, latent) are drawn as ellipses of two standard
        deviations.
    references
        References on their own grids, drawn as lines (moved by the energy shift applied) under
        the dots at the stack's energies; without them the dots are joined.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with publication():
        aspect = map_aspect(dataset)
        columns = map_columns(aspect)
        names = phase_names(dataset)
        boxes = equal_boxes(columns, columns=columns)
        width = boxes[0][1]
        height = map_height(width, aspect)

        correlation_columns = _correlation_columns(len(names), columns)
        small = equal_boxes(correlation_columns, columns=correlation_columns)
        small_rows = -(-len(names) // correlation_columns)
        flow = _flow(dataset, latent, columns=columns)
        extra = {
            "ambiguous": "ambiguous" in dataset,
            "unknown": bool((dataset["phase"] == -2).any()),
        }

        start = 2 * EDGE + width + GAP + 0.12
        rows = [
            Row(
                boxes=(boxes[0], (start, PAGE_WIDTH - start - EDGE)),
                height=max(height, 1.55),
                below=0.4,
            )
        ]
        for row in range(small_rows):
            count = min(correlation_columns, len(names) - row * correlation_columns)
            last = row == small_rows - 1
            rows.append(
                Row(
                    boxes=small[:count],
                    height=map_height(small[0][1], aspect),
                    below=0.4 if last else 0.06,
                )
            )
        for first in range(0, len(flow), columns):
            rows.append(Row(boxes=boxes[: len(flow) - first][:columns], height=height, below=0.36))
        figure, axes = page(rows, below=legend_room(names, **extra))

        _draw_density(axes[0][0], dataset)
        _draw_references(axes[0][1], dataset, references)
        maps = [panel for row in axes[1 : 1 + small_rows] for panel in row]
        _draw_correlation(maps, dataset, names, columns=correlation_columns)
        panels = [panel for row in axes[1 + small_rows :] for panel in row]
        for panel, step in zip(panels, flow, strict=True):
            step.draw(panel)
        letter([*axes[0], maps[0], *panels])
        phase_legend(figure, names, **extra)
        return figure


def _correlation_columns(n_phases: int, columns: int) -> int:
    most = {4: 6, 3: 4, 2: 3}[columns]
    return max(columns, -(-n_phases // -(-n_phases // most)))


def _draw_density(axes: Axes, dataset: xr.Dataset) -> None:
    index = peak_energy(dataset)
    energy = float(dataset["energy"][index])
    density = dataset["optical_density"].isel(energy=index).to_numpy()
    drawn = draw_map(
        axes,
        density,
        dataset,
        title=f"Optical density, {energy:.1f} eV",
        cmap=OPTICAL_DENSITY_MAP,
        bar_colour="white",
    )
    colour_bar(axes, drawn, "Optical density")


def _draw_references(axes: Axes, dataset: xr.Dataset, references: Sequence[xr.DataArray]) -> None:
    """References one above the other, each scaled to its range on the stack's energies."""
    energy = dataset["energy"].to_numpy()
    _, _, shift = energy_shift(dataset)
    sampled = dataset["reference_spectrum"].to_numpy()
    names = phase_names(dataset)
    step = 0.45
    dots = len(energy) <= 60
    # Names stand where the lines end, on the average: at equal distances they never collide.
    ends = float(
        np.median(
            (sampled[:, -1] - sampled.min(axis=1)) / np.maximum(np.ptp(sampled, axis=1), 1e-9)
        )
    )
    for index, (name, colour) in enumerate(zip(names, phase_colours(len(names)), strict=True)):
        low, high = spread(sampled[index], low=0, high=100)
        base = (len(names) - 1 - index) * step
        full = references[index] if index < len(references) else None
        # The stack reads too high by the shift: so stand the references in its energies.
        line = (energy, sampled[index]) if full is None else (full["energy"] + shift, full)
        axes.plot(line[0], (line[1] - low) / (high - low) + base, color=colour, zorder=2)
        if dots:
            scaled = (sampled[index] - low) / (high - low) + base
            axes.plot(energy, scaled, ".", color=colour, markersize=3, zorder=3)
        axes.annotate(
            name,
            (1.0, ends + base),
            xycoords=axes.get_yaxis_transform(),
            xytext=(2, 0),
            textcoords="offset points",
            color=text_colour(colour),
            va="center",
            annotation_clip=False,
        )
    axes.vlines(
        energy, 0, 0.05, transform=axes.get_xaxis_transform(), color="#444444", linewidth=0.6
    )
    if dots:
        for value in energy:
            axes.axvline(value, color="#DDDDDD", linewidth=0.4, zorder=0)
    margin = 0.03 * float(np.ptp(energy)) or 1.0
    axes.set_xlim(float(energy[0]) - margin, float(energy[-1]) + margin)
    axes.set_ylim(-0.12, 1.08 + step * (len(names) - 1))
    axes.set_yticks([])
    axes.set_xlabel("Energy (eV)")
    axes.set_ylabel("Absorption (scaled, offset)")
    axes.set_title(f"References at the {energy.size} energies of the stack", loc="left")
    # Room for the names at the right of the lines.
    box = axes.get_position()
    room = (0.08 + 0.06 * max(len(name) for name in names)) / PAGE_WIDTH
    axes.set_position((box.x0, box.y0, box.width - min(room, 0.4 * box.width), box.height))


def _draw_correlation(
    maps: Sequence[Axes], dataset: xr.Dataset, names: Sequence[str], *, columns: int
) -> None:
    correlation = dataset["correlation"].to_numpy()
    mask = dataset["mask"].to_numpy()
    inside = correlation[:, mask]
    limits = spread(inside, low=5.0, high=100.0)
    for index, (axes, name) in enumerate(zip(maps, names, strict=True)):
        drawn = draw_map(
            axes,
            correlation[index],
            dataset,
            title=name,
            cmap=CORRELATION_MAP,
            limits=limits,
            mask=mask,
            bar_colour="black" if index == 0 else None,
        )
        if index == len(maps) - 1:
            first = maps[columns * (index // columns)]
            colour_bar(first, drawn, "Pearson correlation", width=2.4, extend="min")


def _flow(dataset: xr.Dataset, latent: xr.Dataset | None, *, columns: int) -> list[Step]:
    """What is drawn after the correlation maps, in the order of the work."""
    mask = dataset["mask"].to_numpy()
    first = dataset["phase_pearson"].to_numpy()
    steps = [Step(lambda axes: draw_phases(axes, first, dataset, title="Highest correlation"))]
    if "ambiguous" in dataset:
        grey = dataset["ambiguous"].to_numpy() & mask
        title = f"Ambiguous: {100.0 * grey.sum() / max(1, mask.sum()):.1f} %"
        steps.append(
            Step(lambda axes: draw_phases(axes, first, dataset, title=title, ambiguous=grey))
        )
    maps = [Step(lambda axes: draw_phases(axes, dataset["phase"], dataset, title="Final phases"))]
    if value_map(dataset) is not None:
        maps.append(Step(lambda axes: draw_value(axes, dataset), 0.36))
    view = latent_view(dataset, latent)
    if view is not None:
        space = [
            Step(lambda axes: view.draw(axes, "confident", title="Latent space, confident"), 0.16),
            Step(lambda axes: view.draw(axes, "ambiguous", title="with ambiguous pixels"), 0.16),
            Step(lambda axes: view.draw(axes, "final", title="after their assignment"), 0.16),
        ]
        # In four columns the maps fill one row and the latent space the next.
        steps += [*maps, *space] if columns == 4 else [*space, *maps]
    else:
        steps += maps
    # The quality figure shows it too: it gets no row of its own here.
    if "posterior" in dataset and len(steps) % columns:
        steps.append(Step(lambda axes: draw_confidence(axes, dataset), 0.36))
    return steps
