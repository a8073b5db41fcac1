"""Maps of phase, orientation (IPF colours), reliability, second solutions and overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from phaseloom.errors import InputError
from phaseloom.view.orientation.data import SURE, Oriented, quaternions
from phaseloom.view.orientation.panels import (
    Panel,
    class_panel,
    ipf_panel,
    keyed_page,
    map_page,
    phase_panel,
    scalar_panel,
)
from phaseloom.view.style import (
    AMBIGUOUS_COLOUR,
    CONFIDENCE_MAP,
    CORRELATION_MAP,
    OUTSIDE_COLOUR,
    RESIDUAL_MAP,
    VALUE_MAP,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SAMPLE_AXES = ("x (right)", "y (down)", "z (along the beam)")

QUALITY = (
    ("probability", "Probability", "Phase and orientation right", CONFIDENCE_MAP, (0.0, 1.0)),
    ("phase_probability", "Phase probability", "Phase right", CONFIDENCE_MAP, (0.0, 1.0)),
    ("correlation", "Correlation index", "Q", CORRELATION_MAP, (0.0, 1.0)),
    (
        "orientation_reliability", "Orientation reliability", "100 (1 − Q$_2$ / Q$_1$)",
        VALUE_MAP, (0.0, 100.0),
    ),
    (
        "phase_reliability", "Phase reliability", "100 (1 − Q$_{other}$ / Q$_1$)",
        VALUE_MAP, (0.0, 100.0),
    ),
    ("explained", "Explained intensity", "Fraction of the peak intensity", VALUE_MAP, (0.0, 1.0)),
    ("matched", "Spots paired with peaks", "Number of spots", VALUE_MAP, None),
    ("residual", "Spot-to-peak distance", "rms (Å⁻¹)", RESIDUAL_MAP, None),
)  # fmt: skip
"""Variable, title, label of the colour bar, colour map, limits (None: of the values)."""

CERTAINTY = (
    (0, f"probability ≥ {SURE:g}", "#0072B2"),
    (1, f"probability < {SURE:g}", "#56B4E9"),
    (2, "ambiguous", AMBIGUOUS_COLOUR),
    (3, "unindexed", OUTSIDE_COLOUR),
)


def ipf_figure(result: Oriented, *, shaded: bool = False) -> Figure:
    """Phases, and the crystal directions along x, y and z of the sample, with their colour keys.

    Parameters
    ----------
    result
        Its grains, where there are any, give the boundaries.
    shaded
        Darken orientations of low ``probability``.

    Returns
    -------
    matplotlib.figure.Figure
        y grows downwards; x, y and z are the scan's axes, z along the beam.
    """
    brightness = result.values("probability") if shaded and result.has("probability") else None
    panels = [phase_panel(result, result.phase, title="Phases")]
    for axis, name in enumerate(SAMPLE_AXES):
        image = result.painted(axis, brightness=brightness)
        panels.append(ipf_panel(result, image, title=f"IPF {name}"))
    return keyed_page(result, panels)


def quality_figure(result: Oriented) -> Figure:
    """Reliability of the map: probability, reliability indices, correlation; what there is.

    Raises
    ------
    InputError
        When it has none of these maps, or no pixel is indexed.
    """
    panels: list[Panel] = []
    if result.has("probability"):
        classes = np.where(result.values("probability") >= SURE, 0, 1)
        if "ambiguous" in result.data:
            classes[result.data["ambiguous"].to_numpy().astype(bool)] = 2
        classes[~result.indexed] = 3
        panels.append(class_panel(result, classes, CERTAINTY, title="Reliability class"))
    single = len(result.crystals) == 1
    panels += [
        scalar_panel(
            result, result.values(name), title=title, label=label, cmap=cmap, limits=limits
        )
        for name, title, label, cmap, limits in QUALITY
        if result.has(name) and not (single and name.startswith("phase_"))
    ]
    if not panels:
        raise InputError(
            "the orientation map has no maps of its reliability", "index the scan again"
        )
    return map_page(result, panels)


def solutions_figure(result: Oriented) -> Figure:
    """The second solution beside that of the map: orientation, phase and probability.

    Parameters
    ----------
    result
        Solutions are in ``solution_rotation`` and ``solution_phase``.

    Raises
    ------
    InputError
        When no pixel has one.
    """
    if not has_second(result):
        raise InputError(
            "no pixel has a second solution", "index with two or more solutions per pixel"
        )
    second = result.data.isel(solution=1)
    return _beside_map(
        result,
        second["solution_phase"],
        second["solution_rotation"],
        titles=("Map", "Solution 2"),
        scalars=[
            ("Solution 2, probability", "Probability", second[name], 1.0)
            for name in ("solution_probability",)
            if name in second
        ],
    )


def overlap_figure(result: Oriented) -> Figure:
    """The overlapping second crystal: orientation, phase, weight and probability.

    Parameters
    ----------
    result
        With ``overlap_weight``, ``overlap_phase`` and ``overlap_rotation``.

    Raises
    ------
    InputError
        When no second crystal was searched or detected.
    """
    if not has_overlaps(result):
        raise InputError("the orientation map has no overlaps", "index with overlaps")
    return _beside_map(
        result,
        result.data["overlap_phase"],
        result.data["overlap_rotation"],
        titles=("First crystal", "Second crystal"),
        scalars=[
            (title, label, result.data[name], highest)
            for name, title, label, highest in (
                ("overlap_weight", "Second crystal, weight", "Fraction of the intensity", 0.5),
                ("overlap_probability", "Second crystal, probability", "Probability", 1.0),
            )
            if name in result.data
        ],
    )


def _beside_map(
    result: Oriented,
    phase: xr.DataArray,
    rotation: xr.DataArray,
    *,
    titles: tuple[str, str],
    scalars: Sequence[tuple[str, str, xr.DataArray, float]],
) -> Figure:
    """Another orientation of every pixel beside that of the map, with its phase and scalars.

    Parameters
    ----------
    phase, rotation
        (y, x), −1 where there is no other, and (y, x, quaternion).
    titles
        Of the map and of the other.
    scalars
        Title, label, values (y, x) and the value at the upper end of the colours.
    """
    numbers = phase.to_numpy().astype(np.int64)
    image = result.painted(2, phase=numbers, rotation=quaternions(rotation))
    panels = [
        ipf_panel(result, result.painted(2), title=f"{titles[0]}, IPF z"),
        ipf_panel(result, image, title=f"{titles[1]}, IPF z", lines=False),
    ]
    if len(result.crystals) > 1:
        panels.append(phase_panel(result, numbers, title=f"{titles[1]}, phase"))
    for title, label, values, highest in scalars:
        shown = np.where(numbers >= 0, values.to_numpy(), np.nan)
        panels.append(
            scalar_panel(
                result, shown, title=title, label=label, cmap=CONFIDENCE_MAP,
                limits=(0.0, highest),
            )
        )  # fmt: skip
    return keyed_page(result, panels)


def has_second(result: Oriented) -> bool:
    """Whether any pixel has a second solution."""
    return (
        result.has("solution_phase", "solution_rotation")
        and result.data.sizes["solution"] > 1
        and bool((result.data["solution_phase"].isel(solution=1) >= 0).any())
    )


def has_overlaps(result: Oriented) -> bool:
    """Whether an overlapping second crystal was detected in any pixel."""
    return result.has("overlap_phase", "overlap_rotation", "overlap_weight") and bool(
        (result.data["overlap_phase"] >= 0).any()
    )
