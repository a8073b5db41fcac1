"""Simulated particles made of grains: phase and thickness of every pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree


def particle(
    phases: Sequence[str],
    fractions: Sequence[float],
    *,
    shape: tuple[int, int] = (512, 512),
    pixel_size: float = 0.02,
    margin: int = 12,
    n_grains: int = 120,
    seed: int = 0,
) -> xr.Dataset:
    """A faceted cathode particle: grains of single phases, transition layers between some.

    Parameters
    ----------
    phases
        Phase labels.
    fractions
        Share of the grains that belongs to each phase; normalised.
    shape
        Field of view (y, x) in pixels; the canvas is larger by ``margin`` on every side so that
        a drifting field still sees the sample.
    pixel_size
        In µm.
    n_grains
        Number of Voronoi grains in the field.

    Returns
    -------
    xarray.Dataset
        ``label`` (y, x) int8, −1 where there is no particle; ``thickness`` (y, x), relative,
        0.25 to 1.2 inside; attrs ``margin``. Coordinates in µm with the origin at the field's
        first pixel.
    """
    rng = np.random.default_rng(seed)
    weights = np.asarray(fractions, dtype=float)
    weights = weights / weights.sum()
    ny, nx = shape[0] + 2 * margin, shape[1] + 2 * margin
    y, x = np.mgrid[:ny, :nx].astype(float)

    inside, height = _outline(y, x, shape, rng)
    grain = _grains(y, x, n_grains, rng)
    phase_of_grain = _shares(weights, grain, inside, rng)
    label = phase_of_grain[grain]
    label = _transition_layers(label, grain, phase_of_grain, rng, width=max(1, shape[0] // 256))

    relief = ndimage.gaussian_filter(rng.standard_normal((ny, nx)), shape[0] / 20)
    relief /= np.abs(relief).max()
    step = rng.uniform(0.85, 1.15, n_grains)[grain]
    thickness = np.clip((0.3 + 0.7 * height) * step * (1 + 0.2 * relief), 0.25, 1.2)
    return xr.Dataset(
        {
            "label": (("y", "x"), np.where(inside, label, -1).astype(np.int8)),
            "thickness": (
                ("y", "x"),
                np.where(inside, thickness, 0.0).astype(np.float32),
                {"units": "1", "long_name": "relative thickness"},
            ),
        },
        coords={
            "y": ("y", (np.arange(ny) - margin) * pixel_size, {"units": "µm"}),
            "x": ("x", (np.arange(nx) - margin) * pixel_size, {"units": "µm"}),
            "reference": list(phases),
        },
        attrs={"margin": margin, "pixel_size": pixel_size},
    )


def _outline(
    y: NDArray[np.float64], x: NDArray[np.float64], shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Inside of a rounded polygon, and a height that is 1 at its middle and 0 at its rim."""
    centre_y, centre_x = (y.shape[0] - 1) / 2, (y.shape[1] - 1) / 2
    dy, dx = (y - centre_y) / shape[0], (x - centre_x) / shape[1]
    angle = np.arctan2(dy, dx)
    order = np.arange(2, 7)
    amplitude = rng.normal(0, 0.05, order.size) / (order - 1)
    offset = rng.uniform(0, 2 * np.pi, order.size)
    radius = 0.38 * (1 + (amplitude * np.cos(order * angle[..., None] + offset)).sum(-1))
    relative = np.hypot(dy, dx) / radius
    return relative < 1, np.sqrt(np.clip(1 - relative**2, 0, 1))


def _grains(
    y: NDArray[np.float64], x: NDArray[np.float64], n_grains: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    seeds = rng.uniform((0, 0), y.shape, (n_grains, 2))
    _, nearest = cKDTree(seeds).query(np.column_stack([y.ravel(), x.ravel()]))
    return np.asarray(nearest, dtype=np.intp).reshape(y.shape)


def _shares(
    weights: NDArray[np.float64],
    grain: NDArray[np.intp],
    inside: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Phases of the grains such that the areas come close to the shares asked for."""
    area = np.bincount(grain[inside], minlength=grain.max() + 1).astype(float)
    missing = weights * area.sum()
    phase = np.zeros(area.size, dtype=np.intp)
    for g in rng.permutation(area.size):
        phase[g] = int(np.argmax(missing + rng.uniform(0, 1e-3, weights.size)))
        missing[phase[g]] -= area[g]
    return phase


def _transition_layers(
    label: NDArray[np.intp],
    grain: NDArray[np.intp],
    phase_of_grain: NDArray[np.intp],
    rng: np.random.Generator,
    *,
    width: int,
) -> NDArray[np.intp]:
    """Between half of the grain pairs two or more phases apart lies a layer of the one between."""
    size = 2 * width + 1
    lowest, highest = ndimage.minimum_filter(grain, size), ndimage.maximum_filter(grain, size)
    first, second = phase_of_grain[lowest], phase_of_grain[highest]
    lucky = rng.random((grain.max() + 1, grain.max() + 1)) < 0.5
    layer = (np.abs(first - second) >= 2) & lucky[lowest, highest]
    return np.where(layer, (first + second) // 2, label)
