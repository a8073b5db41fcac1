"""Figure of a calibration: the pattern or the density of spots, with the crystal's rings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.view.style import publication

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SIDE = 3.6
_RING_COLOUR = "#D55E00"
_MOST_RINGS = 12


def calibration_figure(
    image: NDArray[np.float64],
    pixel_size: float,
    distortion: tuple[tuple[float, float], tuple[float, float]],
    rings_k: NDArray[np.float64],
    *,
    centre: tuple[float, float],
    quantity: str,
    title: str,
) -> Figure:
    """The pattern in Å⁻¹ with the strongest rings of the crystal where the calibration puts them.

    The right half is left free of rings, so that both can be compared.

    Parameters
    ----------
    image
        (ky, kx): counts of the mean pattern, or spots per pixel; NaN where unusable.
    pixel_size, distortion
        Å⁻¹ per px, and the 2×2 matrix that turns ellipses into circles.
    rings_k
        1/d of the rings to draw, Å⁻¹.
    centre
        (row, column) of the direct beam in the image, px.
    quantity
        What the image holds, with its unit.
    title
        Crystal and number of rings or spots.
    """
    from matplotlib.colors import AsinhNorm
    from matplotlib.figure import Figure

    size = pixel_size
    rows, columns = image.shape
    left, right = (size * (edge - centre[1]) for edge in (-0.5, columns - 0.5))
    top, bottom = (size * (edge - centre[0]) for edge in (-0.5, rows - 0.5))
    finite = image[np.isfinite(image)]
    high = float(np.quantile(finite, 0.999)) if finite.size else 1.0
    norm = AsinhNorm(max(high / 50, 1e-9), vmin=0.0, vmax=max(high, 1e-6))
    with publication():
        figure = Figure(figsize=(_SIDE + 0.9, _SIDE * rows / columns + 0.5), layout="constrained")
        axes = figure.subplots()
        extent = (left, right, bottom, top)
        drawn = axes.imshow(image, extent=extent, cmap="gray_r", norm=norm, interpolation="none")
        turn = np.linspace(0.5 * np.pi, 1.5 * np.pi, 200)
        circle = np.stack([np.sin(turn), np.cos(turn)], axis=1)
        back = np.linalg.inv(np.array(distortion))
        for k in rings_k[:_MOST_RINGS]:
            y, x = (k * circle @ back).T
            axes.plot(x, y, color=_RING_COLOUR, linewidth=0.7)
        axes.plot(0, 0, "+", color=_RING_COLOUR, markersize=5)
        axes.set(
            xlim=(left, right), ylim=(bottom, top), title=title,
            xlabel="$k_x$ (Å$^{-1}$)", ylabel="$k_y$ (Å$^{-1}$)",
        )  # fmt: skip
        figure.colorbar(drawn, ax=axes, label=quantity, shrink=0.85)
        return figure
