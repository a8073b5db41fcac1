"""Style of all figures: colours, fonts, scale bars, legends.

Phase colours follow Okabe and Ito (Color Universal Design, 2008), without its black, grey and
too light tones, which mean something else here; continuous maps are perceptually uniform. Maps
have the aspect of the sample. Those of STXM are drawn with y upwards, as beamline software does;
patterns and scans of 4D-STEM with y downwards, row 0 on top, as the vendors' viewers do:
:func:`y_down` decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

PHASE_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9",
    "#D55E00", "#F0E442", "#332288", "#661100", "#999933",
)  # fmt: skip
AMBIGUOUS_COLOUR = "#636363"
UNKNOWN_COLOUR = "#000000"
OUTSIDE_COLOUR = "#F4F4F4"

OPTICAL_DENSITY_MAP = "gray"
CORRELATION_MAP = "viridis"
VALUE_MAP = "cividis"
RESIDUAL_MAP = "magma"
CONFIDENCE_MAP = "viridis"
COUNTS_MAP = "gray_r"
DENSITY_MAP = "magma"
DISPLACEMENT_MAP = "RdBu_r"
SIGNIFICANCE_MAP = "plasma"

PAGE_WIDTH = 7.2
"""Width of two columns of a journal page, in inches."""

FIGURE_STYLE: dict[str, Any] = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "savefig.dpi": 300,
    "savefig.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.titlepad": 3,
    "axes.labelsize": 7,
    "axes.labelpad": 2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "lines.linewidth": 1.0,
    "lines.markersize": 3,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "image.interpolation": "nearest",
    "image.origin": "lower",
    # Text stays text in vector files, so that it can be edited for a paper.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
}

_LENGTHS_IN_MICROMETRES = {
    "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0,
    "micrometer": 1.0, "micrometre": 1.0, "mm": 1e3, "m": 1e6,
}  # fmt: skip


@contextmanager
def publication() -> Iterator[None]:
    """Context in which figures are drawn and saved with the fonts, lines and resolution here."""
    import matplotlib as mpl

    with mpl.rc_context(FIGURE_STYLE):
        yield


def phase_colours(n_phases: int) -> list[str]:
    """Colours of the phases, in their order.

    Parameters
    ----------
    n_phases
        Number of phases; beyond ten the colours repeat, half as light again.

    Returns
    -------
    list of str
        Hexadecimal RGB.
    """
    from matplotlib.colors import to_hex, to_rgb

    colours = []
    for index in range(n_phases):
        turn, place = divmod(index, len(PHASE_COLOURS))
        rgb = np.asarray(to_rgb(PHASE_COLOURS[place]))
        colours.append(to_hex(1.0 - (1.0 - rgb) * 0.5**turn).upper())
    return colours


def text_colour(colour: str) -> str:
    """The colour, darkened if it would be hard to read as text on white."""
    from matplotlib.colors import to_hex, to_rgb

    rgb = np.asarray(to_rgb(colour))
    return to_hex(rgb * 0.7) if luminance(colour) > 0.5 else colour


def luminance(colour: str) -> float:
    """Relative luminance of a colour, 0 black to 1 white (WCAG 2)."""
    from matplotlib.colors import to_rgb

    rgb = np.asarray(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def paint_labels(
    labels: ArrayLike, n_phases: int, *, ambiguous: ArrayLike | None = None
) -> NDArray[np.uint8]:
    """Colour image of a phase map.

    Parameters
    ----------
    labels
        (y, x) integer: phase index, −1 outside the mask, −2 unknown.
    n_phases
        Number of phases the labels index.
    ambiguous
        (y, x) bool: pixels painted grey whatever their label.

    Returns
    -------
    numpy.ndarray
        (y, x, 3) uint8 RGB, rows in the order of ``labels``.
    """
    from matplotlib.colors import to_rgb

    names = [*phase_colours(n_phases), UNKNOWN_COLOUR, OUTSIDE_COLOUR]
    table = np.rint(255 * np.array([to_rgb(name) for name in names])).astype(np.uint8)
    # −2 and −1 count from the end of the table, where their colours are.
    image: NDArray[np.uint8] = table[np.asarray(labels, dtype=np.intp)]
    if ambiguous is not None:
        grey = np.rint(255 * np.array(to_rgb(AMBIGUOUS_COLOUR)))
        image[np.asarray(ambiguous, dtype=bool)] = grey.astype(np.uint8)
    return image


def spread(values: NDArray[Any], *, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
    """Robust ends of a colour scale: percentiles of the finite values, never equal."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    bottom, top = (float(v) for v in np.percentile(finite, [low, high]))
    return (bottom, top) if top > bottom else (bottom - 0.5, bottom + 0.5)


def y_down(dataset: xr.Dataset) -> bool:
    """Whether y grows downwards on the page: in scans, which say so in the attribute ``kind``.

    Parameters
    ----------
    dataset
        ``attrs["kind"]`` is "scan" in measurements and results of 4D-STEM; everything else is
        drawn with y upwards.
    """
    return dataset.attrs.get("kind") == "scan"


def field_of_view(dataset: xr.Dataset) -> tuple[float, float, float, float]:
    """Outer edges of the map (left, right, bottom, top), half a pixel beyond the pixel centres.

    Parameters
    ----------
    dataset
        With ascending coordinates ``y`` and ``x``; an axis of one pixel takes the other's step.
    """
    steps = {
        axis: float(np.ptp(dataset[axis].to_numpy())) / (dataset.sizes[axis] - 1)
        for axis in ("x", "y")
        if dataset.sizes[axis] > 1
    }
    edges = []
    for axis, other in (("x", "y"), ("y", "x")):
        half = 0.5 * (steps.get(axis) or steps.get(other) or 1.0)
        centres = dataset[axis].to_numpy()
        edges += [float(centres[0]) - half, float(centres[-1]) + half]
    left, right, bottom, top = edges
    return left, right, bottom, top


def map_extent(dataset: xr.Dataset) -> dict[str, Any]:
    """``extent`` and ``origin`` with which :meth:`~matplotlib.axes.Axes.imshow` draws a map.

    Row 0 is the lowest row of the picture, or the uppermost where :func:`y_down` says so.
    """
    left, right, low, high = field_of_view(dataset)
    if y_down(dataset):
        return {"extent": (left, right, high, low), "origin": "upper"}
    return {"extent": (left, right, low, high), "origin": "lower"}


def scale_bar_length(width: float, units: str) -> tuple[float, str]:
    """A round length (1, 2 or 5 times a power of ten), about a quarter of the field's width.

    Parameters
    ----------
    width
        Width of the field of view in ``units``.
    units
        "µm", "nm", "px" …; a length is labelled in the unit that makes its number readable.

    Returns
    -------
    length : float
        In ``units``; between 0.13 and 0.33 of the width (pixels: at least one).
    label : str
        For example "500 nm", "2 µm", "20 px".
    """
    target = width / 3.0
    power = 10.0 ** np.floor(np.log10(target))
    length = float(max(step for step in (power, 2 * power, 5 * power) if step <= target * 1.0001))
    scale = _LENGTHS_IN_MICROMETRES.get(units)
    if scale is None:
        name = {"pixel": "px", "pixels": "px", "": "px"}.get(units, units)
        if name == "px":
            length = max(1.0, length)
        return length, f"{length:g} {name}"
    micrometres = length * scale
    if micrometres < 0.9995:
        return length, f"{micrometres * 1e3:.4g} nm"
    if micrometres < 999.5:
        return length, f"{micrometres:.4g} µm"
    return length, f"{micrometres / 1e3:.4g} mm"


def draw_scale_bar(axes: Axes, dataset: xr.Dataset, *, colour: str = "black") -> None:
    """Draw a scale bar in the lower left corner of a map.

    Parameters
    ----------
    axes
        Holds an image drawn in the coordinates of ``dataset``.
    dataset
        Gives the width of the field and the unit of ``x``.
    colour
        Of bar and text; a thin contrasting outline keeps them readable on any ground.
    """
    left, right, _, _ = field_of_view(dataset)
    units = str(dataset["x"].attrs.get("units", "px"))
    draw_bar(axes, (left, right), units=units, colour=colour)


def draw_bar(
    axes: Axes,
    span: tuple[float, float],
    *,
    units: str,
    step: float = 1.0,
    colour: str = "black",
) -> None:
    """Draw a scale bar of a round length in the lower left corner of an image.

    Parameters
    ----------
    axes
        Holds the image.
    span
        Left and right edge of the image, in the coordinates of the axes.
    units
        Unit of the length written at the bar: "nm", "Å⁻¹", "px" …
    step
        How many ``units`` one of the axes' coordinates is: the pixel size of a pattern that is
        drawn in pixels.
    colour
        Of bar and text.
    """
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    left, right = span
    length, label = scale_bar_length((right - left) * step, units)
    start = left + 0.04 * (right - left)
    # True length along x, a fixed distance on paper from the lower edge.
    edge = blended_transform_factory(axes.transData, axes.transAxes)
    inches = axes.figure.dpi_scale_trans
    ground = "white" if colour == "black" else "black"
    (bar,) = axes.plot(
        [start, start + length / step],
        [0.0, 0.0],
        transform=edge + ScaledTranslation(0, 5 / 72, inches),
        color=colour,
        linewidth=2.0,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=3.2, foreground=ground)],
        scalex=False,
        scaley=False,
        zorder=5,
    )
    bar.set_gid("scale-bar")
    axes.text(
        start,
        0.0,
        label,
        transform=edge + ScaledTranslation(0, 7.5 / 72, inches),
        va="bottom",
        fontsize=6,
        color=colour,
        path_effects=[withStroke(linewidth=1.4, foreground=ground)],
        zorder=5,
    )


def phase_handles(
    names: Sequence[str], *, ambiguous: bool = False, unknown: bool = False
) -> list[Any]:
    """Swatches for a legend: the phases in order, then ambiguous and unknown if drawn.

    Parameters
    ----------
    names
        Phase names, in the order of their labels.
    ambiguous, unknown
        Whether the figure shows such pixels.
    """
    from matplotlib.patches import Patch

    pairs = list(zip(names, phase_colours(len(names)), strict=True))
    if ambiguous:
        pairs.append(("ambiguous", AMBIGUOUS_COLOUR))
    if unknown:
        pairs.append(("unknown", UNKNOWN_COLOUR))
    return [Patch(facecolor=colour, edgecolor="none", label=name) for name, colour in pairs]
