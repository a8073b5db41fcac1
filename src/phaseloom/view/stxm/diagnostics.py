"""Diagnostic figures of one stack: drift, energy shift, incident intensity, spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.pages import EDGE, GAP, Row, equal_boxes, letter, page
from phaseloom.view.panels import colour_bar, draw_map, map_aspect, map_height
from phaseloom.view.results import (
    NOT_FITTED,
    energy_shift,
    energy_shift_text,
    has_energy_shift_curve,
    peak_energy,
    phase_names,
    spectra_of,
    thinned,
)
from phaseloom.view.style import (
    OPTICAL_DENSITY_MAP,
    PAGE_WIDTH,
    field_of_view,
    phase_colours,
    publication,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def drift_figure(dataset: xr.Dataset) -> Figure:
    """Drift of every frame against energy, and its path.

    Parameters
    ----------
    dataset
        With ``shift_y``, ``shift_x`` (energy) in pixels.

    Raises
    ------
    InputError
        When the shifts are absent.
    """
    _need(dataset, "shift_y", "shift_x")
    from matplotlib.ticker import MaxNLocator

    shift_y, shift_x = dataset["shift_y"].to_numpy(), dataset["shift_x"].to_numpy()
    energy = dataset["energy"].to_numpy()
    with publication():
        figure, axes = page([Row(boxes=((0.5, 3.7), (4.8, 1.85)), height=1.9, below=0.36)])
        left, right = axes[0]
        left.axhline(0.0, color="#BBBBBB", linewidth=0.6)
        left.plot(energy, shift_x, "o-", color="#0072B2", markersize=2.5, label="x")
        left.plot(energy, shift_y, "s-", color="#D55E00", markersize=2.5, label="y")
        left.legend(ncols=2, loc="best")
        left.set_xlabel("Energy (eV)")
        left.set_ylabel("Shift (px)")
        rms = float(np.sqrt(np.nanmean(shift_x**2 + shift_y**2)))
        left.set_title(f"Drift of the frames, {rms:.2f} px rms", loc="left")
        right.plot(shift_x, shift_y, color="#BBBBBB", linewidth=0.7, zorder=1)
        drawn = right.scatter(shift_x, shift_y, c=energy, cmap="viridis", s=8, zorder=2)
        right.set_aspect("equal", adjustable="datalim")
        right.xaxis.set_major_locator(MaxNLocator(4))
        right.set_xlabel("x (px)")
        right.set_ylabel("y (px)")
        right.set_title("Path", loc="left")
        _side_bar(right, drawn, "Energy (eV)")
        letter(axes[0])
        return figure


def energy_shift_figure(dataset: xr.Dataset) -> Figure:
    """Reduced χ² against the trial energy shift, with the shift found and its uncertainty.

    Parameters
    ----------
    dataset
        With ``energy_shift_trial`` and ``energy_shift_trial_chi2`` (trial), and the attributes
        ``energy_shift``, ``energy_shift_error``, ``energy_shift_applied`` and
        ``energy_shift_fitted`` (when it differs from what was applied). With
        ``phase_energy_shift`` and ``phase_energy_shift_error`` (reference) a second panel shows
        what each phase's own pixels ask for.

    Raises
    ------
    InputError
        When the curve is absent, or empty because no shift was fitted.
    """
    _need(dataset, "energy_shift_trial", "energy_shift_trial_chi2")
    if not has_energy_shift_curve(dataset):
        raise InputError(f"there is no curve to draw: the energy shift was {NOT_FITTED}")
    fitted, error, _ = energy_shift(dataset)
    own = "phase_energy_shift" in dataset and bool(dataset["phase_energy_shift"].notnull().any())
    with publication():
        boxes = ((0.5, 2.9), (4.45, 2.2)) if own else ((0.5, 2.9),)
        figure, axes = page(
            [Row(boxes=boxes, height=1.9, below=0.36)], width=PAGE_WIDTH if own else 3.5
        )
        panel = axes[0][0]
        panel.plot(
            dataset["energy_shift_trial"], dataset["energy_shift_trial_chi2"], color="#0072B2"
        )
        panel.axvline(0.0, color="#BBBBBB", linewidth=0.6, zorder=0)
        panel.set_title(f"Energy shift {energy_shift_text(dataset)}", loc="left")
        panel.set_xlabel("Trial shift (eV)")
        panel.set_ylabel("Reduced χ²")
        for each in axes[0]:
            _mark_shift(each, fitted, error)
        chi2 = dataset["energy_shift_trial_chi2"].to_numpy()
        if np.nanmin(chi2) > 0 and np.nanmax(chi2) > 30 * np.nanmin(chi2):
            panel.set_yscale("log")
        if own:
            _draw_phase_shifts(axes[0][1], dataset)
            letter(axes[0])
        return figure


def _mark_shift(panel: Axes, fitted: float, error: float) -> None:
    if np.isfinite(fitted):
        panel.axvline(fitted, color="#D55E00", linewidth=0.9)
        if np.isfinite(error):
            panel.axvspan(fitted - error, fitted + error, color="#D55E00", alpha=0.25, linewidth=0)


def _draw_phase_shifts(panel: Axes, dataset: xr.Dataset) -> None:
    """The shift that each phase's own pixels ask for, with its standard error."""
    from matplotlib.ticker import MaxNLocator

    names = phase_names(dataset)
    shifts = dataset["phase_energy_shift"].to_numpy()
    errors = dataset["phase_energy_shift_error"].to_numpy()
    for k, colour in enumerate(phase_colours(len(names))):
        if np.isfinite(shifts[k]):
            panel.errorbar(shifts[k], k, xerr=errors[k], fmt="o", color=colour, markersize=3)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.set_xlabel("Shift (eV)")
    panel.set_title("By phase", loc="left")


def references_figure(dataset: xr.Dataset) -> Figure:
    """Mean spectrum of the particles against the references mixed to it, and what is missed.

    Parameters
    ----------
    dataset
        From :func:`phaseloom.stxm.assignment.description.spectra_shown`.

    Raises
    ------
    InputError
        When the spectra are absent.
    """
    _need(dataset, "mean_spectrum", "mixture", "mixture_shifted")
    energy, mean = dataset["energy"].to_numpy(), dataset["mean_spectrum"].to_numpy()
    fitted, _, applied = energy_shift(dataset)
    drawn = {
        f"references mixed, {applied:+.2f} eV": ("mixture", "#D55E00", "--"),
        f"… at the best shift, {fitted:+.2f} eV": ("mixture_shifted", "#009E73", "-"),
    }
    with publication():
        figure, axes = page(
            [
                Row(boxes=((0.5, 3.0),), height=1.9, below=0.14),
                Row(boxes=((0.5, 3.0),), height=0.8, below=0.36),
            ],
            width=3.7,
        )
        upper, lower = axes[0][0], axes[1][0]
        upper.plot(energy, mean, "o-", color="black", markersize=2, label="mean of the particles")
        lower.axhline(0.0, color="#BBBBBB", linewidth=0.6)
        for label, (variable, colour, style) in drawn.items():
            mixture = dataset[variable].to_numpy()
            if np.isfinite(mixture).all():
                upper.plot(energy, mixture, style, color=colour, linewidth=0.9, label=label)
                lower.plot(energy, mean - mixture, style, color=colour, linewidth=0.9)
        upper.legend(loc="best")
        upper.set_ylabel("Optical density")
        upper.set_title("References against the stack", loc="left")
        lower.set_ylabel("Missed")
        lower.set_xlabel("Energy (eV)")
        letter([upper, lower])
        return figure


def spectra_figure(dataset: xr.Dataset, *, seed: int = 0) -> Figure:
    """Mean spectrum of each phase found, the spread of its pixels, the reference scaled to it.

    The scale and offset of a reference are those of least squares on the mean spectrum.

    Parameters
    ----------
    dataset
        With ``optical_density``, ``phase`` and ``reference``.
    seed
        Of the choice of pixels when there are more than twenty thousand.
    """
    names = phase_names(dataset)
    colours = phase_colours(len(names))
    pixels = thinned(dataset, seed=seed)
    spectra = spectra_of(dataset, pixels)
    labels = dataset["phase"].to_numpy().ravel()
    total = np.bincount(labels[labels >= 0], minlength=len(names))
    present = np.flatnonzero(total) if total.any() else np.arange(len(names))
    energy = dataset["energy"].to_numpy()
    with publication():
        columns = min(3, len(present))
        boxes = equal_boxes(columns, columns=columns, left=0.5, right=EDGE, gap=0.36)
        height = min(1.5, 0.7 * boxes[0][1])
        rows = []
        for first in range(0, len(present), columns):
            last = first + columns >= len(present)
            rows.append(
                Row(
                    boxes=boxes[: len(present) - first][:columns],
                    height=height,
                    below=0.36 if last else 0.14,
                )
            )
        figure, axes = page(rows, below=0.22)
        panels = [panel for row in axes for panel in row]
        for index, (panel, phase) in enumerate(zip(panels, present, strict=True)):
            chosen = spectra[:, labels[pixels] == phase]
            panel.set_title(f"{names[phase]}, {total[phase]:,} pixels", loc="left")
            if chosen.shape[1]:
                _draw_spectrum(
                    panel,
                    energy,
                    chosen,
                    dataset["reference_spectrum"].to_numpy()[phase],
                    colours[phase],
                )
            if index + columns >= len(panels):
                panel.set_xlabel("Energy (eV)")
            if index % columns == 0:
                panel.set_ylabel("Optical density")
        _spectra_legend(figure)
        letter(panels)
        return figure


def i0_figure(dataset: xr.Dataset) -> Figure:
    """The incident spectrum, and where it and the particle were taken from the field.

    Parameters
    ----------
    dataset
        With ``i0`` (energy), ``mask`` and, when I0 comes from the stack, ``i0_area`` (y, x).

    Raises
    ------
    InputError
        When ``i0`` is absent.
    """
    _need(dataset, "i0", "mask")
    with publication():
        aspect = map_aspect(dataset)
        width = 2.1 if aspect < 1.8 else 3.2
        height = map_height(width, aspect)
        start = EDGE + width + GAP + 0.5
        figure, axes = page(
            [
                Row(
                    boxes=((EDGE, width), (start, PAGE_WIDTH - start - EDGE)),
                    height=max(1.6, height),
                    below=0.4,
                )
            ]
        )
        left, right = axes[0]
        index = peak_energy(dataset)
        drawn = draw_map(
            left,
            dataset["optical_density"].isel(energy=index),
            dataset,
            title="Particle (orange) and I0 (blue) areas",
            cmap=OPTICAL_DENSITY_MAP,
            bar_colour="white",
        )
        colour_bar(left, drawn, f"Optical density, {float(dataset['energy'][index]):.1f} eV")
        _outline(left, dataset["mask"], dataset, "#E69F00")
        if "i0_area" in dataset:
            _tint(left, dataset["i0_area"], dataset, "#0072B2")
        else:
            left.set_title("Particle outline", loc="left")
        right.plot(dataset["energy"], dataset["i0"], "o-", color="#0072B2", markersize=2.5)
        right.set_xlabel("Energy (eV)")
        right.set_ylabel("Incident intensity I0 (counts)")
        right.set_ylim(0, 1.08 * float(dataset["i0"].max()))
        right.set_title("Incident spectrum", loc="left")
        letter(axes[0])
        return figure


def _need(dataset: xr.Dataset, *names: str) -> None:
    for name in names:
        if name not in dataset:
            raise InputError(f"the result has no {name!r}", "map the stack again")


def _side_bar(axes: Axes, drawn: Any, label: str) -> None:
    box = axes.get_position()
    bar = axes.figure.add_axes((box.x1 + 0.012, box.y0, 0.009, box.height))
    axes.figure.colorbar(drawn, cax=bar, label=label)
    bar.tick_params(length=1.5, pad=1)


def _draw_spectrum(
    axes: Axes,
    energy: NDArray[np.float64],
    spectra: NDArray[np.float64],
    reference: NDArray[np.float64],
    colour: str,
) -> None:
    mean, deviation = np.nanmean(spectra, axis=1), np.nanstd(spectra, axis=1)
    axes.fill_between(
        energy, mean - deviation, mean + deviation, color=colour, alpha=0.25, linewidth=0,
    )  # fmt: skip
    axes.plot(energy, mean, "o-", color=colour, markersize=2)
    usable = np.isfinite(mean) & np.isfinite(reference)
    design = np.column_stack([reference[usable], np.ones(int(usable.sum()))])
    scale, *_ = np.linalg.lstsq(design, mean[usable], rcond=None)
    axes.plot(
        energy[usable],
        design @ scale,
        "--",
        color="black",
        linewidth=0.8,
        label="reference, scaled",
    )


def _spectra_legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure.legend(
        handles=[
            Line2D([], [], color="#666666", marker="o", markersize=2, label="mean of the pixels"),
            Patch(facecolor="#CCCCCC", label="± 1 standard deviation of the pixels"),
            Line2D([], [], color="black", linestyle="--", linewidth=0.8, label="reference, scaled"),
        ],
        loc="lower center",
        ncols=3,
        borderaxespad=0.2,
    )


def _tint(axes: Axes, area: xr.DataArray, dataset: xr.Dataset, colour: str) -> None:
    """Lay a colour over an area: one of scattered pixels has no readable outline."""
    from matplotlib.colors import to_rgb

    layer = np.zeros((*area.shape, 4))
    layer[area.to_numpy()] = (*to_rgb(colour), 0.55)
    axes.imshow(layer, extent=field_of_view(dataset), interpolation="nearest")


def _outline(axes: Axes, area: xr.DataArray, dataset: xr.Dataset, colour: str) -> None:
    """Draw the outline of an area, closed where it touches the edge of the field."""
    left, right, bottom, top = field_of_view(dataset)
    rows, columns = area.shape
    half_x, half_y = (right - left) / columns / 2, (top - bottom) / rows / 2
    x = np.linspace(left - half_x, right + half_x, columns + 2)
    y = np.linspace(bottom - half_y, top + half_y, rows + 2)
    padded = np.pad(area.to_numpy().astype(float), 1)
    axes.contour(x, y, padded, levels=[0.5], colors=[colour], linewidths=0.9)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
