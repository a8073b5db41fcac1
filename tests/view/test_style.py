from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from phaseloom.view.pages import Row, page
from phaseloom.view.panels import draw_map, draw_phases
from phaseloom.view.style import (
    AMBIGUOUS_COLOUR,
    OUTSIDE_COLOUR,
    UNKNOWN_COLOUR,
    draw_bar,
    draw_scale_bar,
    field_of_view,
    luminance,
    map_extent,
    paint_labels,
    phase_colours,
    phase_handles,
    scale_bar_length,
    text_colour,
    y_down,
)

# Machado, Oliveira, Fernandes (2009), severity 1, on linear RGB.
SIGHT = {
    "common": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def rgb(colour: str) -> tuple[int, int, int]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def lab(colour: str, sight: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    value = np.array(rgb(colour)) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = np.clip(sight @ linear, 0, 1)
    display = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    return rgb2lab(display[None, None])[0, 0]


def frame(values: np.ndarray, **coords: object) -> xr.Dataset:
    ny, nx = values.shape
    axes = {
        "y": ("y", np.arange(ny) * 0.5, {"units": "µm"}),
        "x": ("x", np.arange(nx) * 0.5, {"units": "µm"}),
    }
    return xr.Dataset(
        {"correlation": (("reference", "y", "x"), np.zeros((3, ny, nx)))}, coords={**axes, **coords}
    )


@pytest.mark.parametrize("sight", SIGHT)
def test_eight_phases_and_grey_black_light_are_told_apart_by_every_eye(sight: str) -> None:
    colours = [*phase_colours(8), AMBIGUOUS_COLOUR, UNKNOWN_COLOUR, OUTSIDE_COLOUR]
    seen = [lab(colour, SIGHT[sight]) for colour in colours]
    closest = min(np.linalg.norm(a - b) for a, b in combinations(seen, 2))
    assert closest > 15.0  # CIE 1976; 2.3 is just noticeable


def test_many_phases_still_have_distinct_colours() -> None:
    assert len(set(phase_colours(20))) == 20


def test_names_are_readable_on_white() -> None:
    assert all((1.05 / (luminance(text_colour(c)) + 0.05)) > 2.0 for c in phase_colours(10))


def test_labels_get_the_colours_of_the_legend() -> None:
    labels = np.array([[0, 1, 2], [-1, -2, 2]])
    image = paint_labels(labels, 3, ambiguous=labels == 1)
    phases = [rgb(colour) for colour in phase_colours(3)]
    assert tuple(image[0, 0]) == phases[0]
    assert tuple(image[0, 1]) == rgb(AMBIGUOUS_COLOUR)
    assert tuple(image[0, 2]) == tuple(image[1, 2]) == phases[2]
    assert tuple(image[1, 0]) == rgb(OUTSIDE_COLOUR)
    assert tuple(image[1, 1]) == rgb(UNKNOWN_COLOUR)


def test_legend_names_phases_in_order_with_their_colours() -> None:
    from matplotlib.colors import to_hex

    handles = phase_handles(["A", "B"], ambiguous=True, unknown=True)
    assert [h.get_label() for h in handles] == ["A", "B", "ambiguous", "unknown"]
    assert [to_hex(h.get_facecolor()).upper() for h in handles] == [
        *phase_colours(2),
        AMBIGUOUS_COLOUR,
        UNKNOWN_COLOUR,
    ]


@pytest.mark.parametrize(
    ("width", "units", "length", "label"),
    [
        (10.0, "µm", 2.0, "2 µm"),
        (10.0, "um", 2.0, "2 µm"),
        (1.28, "µm", 0.2, "200 nm"),
        (3.0, "µm", 1.0, "1 µm"),
        (2560.0, "nm", 500.0, "500 nm"),
        (30000.0, "nm", 10000.0, "10 µm"),
        (6000.0, "µm", 2000.0, "2 mm"),
        (512.0, "px", 100.0, "100 px"),
        (2.0, "px", 1.0, "1 px"),
        (40.0, "furlong", 10.0, "10 furlong"),
        (3.1, "Å⁻¹", 1.0, "1 Å⁻¹"),
        (0.8, "Å⁻¹", 0.2, "0.2 Å⁻¹"),
    ],
)
def test_scale_bars_are_round_and_readable(
    width: float, units: str, length: float, label: str
) -> None:
    found, text = scale_bar_length(width, units)
    assert found == pytest.approx(length)
    assert text == label


@given(st.floats(1e-3, 1e5))
def test_a_scale_bar_is_1_2_or_5_and_a_fraction_of_any_field(width: float) -> None:
    length, label = scale_bar_length(width, "µm")
    assert 0.13 * width < length < 0.334 * width
    number, unit = label.split()
    assert float(number) * {"nm": 1e-3, "µm": 1.0, "mm": 1e3}[unit] == pytest.approx(length)
    assert f"{length:e}"[0] in "125"
    assert float(number) < 1000


def test_the_drawn_bar_has_the_length_it_says() -> None:
    from matplotlib.figure import Figure

    dataset = frame(np.zeros((10, 20)))
    axes = Figure().add_subplot()
    axes.imshow(np.zeros((10, 20)), extent=field_of_view(dataset))
    draw_scale_bar(axes, dataset)
    (bar,) = [line for line in axes.lines if line.get_gid() == "scale-bar"]
    start, end = bar.get_xdata()
    assert end - start == 2.0  # of 10 µm
    assert [text.get_text() for text in axes.texts] == ["2 µm"]


def test_field_of_view_reaches_half_a_pixel_beyond_the_centres() -> None:
    assert field_of_view(frame(np.zeros((3, 5)))) == (-0.25, 2.25, -0.25, 1.25)
    assert field_of_view(frame(np.zeros((1, 5)))) == (-0.25, 2.25, -0.25, 0.25)
    assert field_of_view(frame(np.zeros((1, 1)))) == (-0.5, 0.5, -0.5, 0.5)


def test_y_points_upwards_and_x_to_the_right() -> None:
    labels = np.full((6, 9), -1)
    labels[0, :] = 0  # smallest y: the lowest row of the picture
    labels[4:, 0] = 1  # large y, small x: upper left
    figure, axes = page([Row(boxes=((1.0, 4.5),), height=3.0)])
    draw_phases(axes[0][0], labels, frame(labels), title="")
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    height = picture.shape[0]

    def at(column: int, row: int) -> tuple[int, ...]:
        x, y = axes[0][0].transData.transform((column * 0.5, row * 0.5))
        return tuple(int(v) for v in picture[height - 1 - round(y), round(x)])

    first, second, _ = (rgb(colour) for colour in phase_colours(3))
    assert at(8, 0) == first
    assert at(0, 5) == second
    assert at(8, 5) == rgb(OUTSIDE_COLOUR)
    lowest = np.argwhere((picture == first).all(axis=-1))[:, 0].mean()
    upper = np.argwhere((picture == second).all(axis=-1))[:, 0].mean()
    assert upper < lowest  # rows of a picture count from its top


def test_scans_are_drawn_y_down_and_nothing_else() -> None:
    values = np.zeros((4, 6))
    values[0, 1] = 1.0  # first row, second column
    for kind, down in (("scan", True), ("stack", False), (None, False)):
        dataset = frame(values)
        dataset.attrs = {} if kind is None else {"kind": kind}
        assert y_down(dataset) is down
        figure, axes = page([Row(boxes=((1.0, 3.0),), height=2.0)])
        panel = axes[0][0]
        draw_map(panel, values, dataset, title="", cmap="gray", limits=(0, 1), bar_colour=None)
        figure.canvas.draw()
        picture = np.asarray(figure.canvas.buffer_rgba())[..., 0].astype(int)
        # The coordinates of the axes are those of the sample either way.
        across, up = panel.transData.transform((0.5, 0.0))
        assert picture[picture.shape[0] - 1 - round(up), round(across)] == 255
        box = panel.get_window_extent()
        assert bool(up > box.y0 + 0.5 * box.height) is down
        assert across < box.x0 + 0.5 * box.width
        assert map_extent(dataset)["origin"] == ("upper" if down else "lower")


def test_a_reciprocal_bar_on_pixels_has_the_length_it_says() -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    axes.imshow(np.zeros((128, 256)))
    draw_bar(axes, (-0.5, 255.5), units="Å⁻¹", step=0.0123)
    (bar,) = axes.lines
    assert [text.get_text() for text in axes.texts] == ["1 Å⁻¹"]
    assert np.ptp(bar.get_xdata()) == pytest.approx(1 / 0.0123)
