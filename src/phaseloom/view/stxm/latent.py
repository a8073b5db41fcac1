"""Panels of the latent space: points by phase, ambiguous points, ellipses of the components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.view.style import AMBIGUOUS_COLOUR, paint_labels, phase_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 4000
"""Most points drawn of the confident pixels, and of the ambiguous ones."""


@dataclass(frozen=True, eq=False)
class LatentView:
    """A drawable sample of the latent space in two dimensions.

    Parameters
    ----------
    confident, ambiguous
        (n, 2) points.
    confident_phase, ambiguous_phase
        (n,) final labels; −2 unknown.
    confident_first
        (n,) labels of highest correlation.
    ellipses
        Per phase the outline (m, 2) of its component at two standard deviations.
    n_phases
        Number of phases.
    axis_names
        What the two axes are.
    """

    confident: NDArray[np.float64]
    confident_first: NDArray[np.int64]
    confident_phase: NDArray[np.int64]
    ambiguous: NDArray[np.float64]
    ambiguous_phase: NDArray[np.int64]
    ellipses: tuple[NDArray[np.float64], ...]
    n_phases: int
    axis_names: tuple[str, str]

    def draw(
        self, axes: Axes, stage: Literal["confident", "ambiguous", "final"], *, title: str
    ) -> None:
        """Draw one stage; all stages share the limits of the axes."""
        # Few points are drawn larger: a map of a hundred pixels has to be seen as well.
        size = float(np.clip(6000.0 / (len(self.confident) + len(self.ambiguous)), 1.5, 8.0))
        before = self.confident_phase if stage == "final" else self.confident_first
        _scatter(
            axes, self.confident, paint_labels(before[None], self.n_phases)[0] / 255, size=size
        )
        if stage == "ambiguous":
            _scatter(axes, self.ambiguous, AMBIGUOUS_COLOUR, size=1.5 * size, alpha=0.8)
        elif stage == "final":
            colours = paint_labels(self.ambiguous_phase[None], self.n_phases)[0] / 255
            _scatter(axes, self.ambiguous, colours, size=1.5 * size, alpha=0.8)
        for outline, colour in zip(self.ellipses, phase_colours(self.n_phases), strict=False):
            axes.plot(outline[:, 0], outline[:, 1], color="white", linewidth=1.8, zorder=3)
            axes.plot(outline[:, 0], outline[:, 1], color=colour, linewidth=0.9, zorder=4)
        everything = np.concatenate([self.confident, self.ambiguous])
        low, high = np.percentile(everything, [0.2, 99.8], axis=0)
        margin = 0.06 * np.maximum(high - low, 1e-9)
        axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
        axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(self.axis_names[0])
        axes.set_ylabel(self.axis_names[1])
        axes.set_title(title, loc="left")


def latent_view(
    dataset: xr.Dataset, latent: xr.Dataset | None = None, *, seed: int = 0
) -> LatentView | None:
    """Sample and project the latent coordinates of one stack.

    Parameters
    ----------
    dataset
        Result of one stack; ``latent`` (latent, y, x), NaN where there is no point.
    latent
        ``component_mean`` (phase, latent), ``component_covariance`` (phase, latent, latent),
        both optional.
    seed
        Of the choice of the points drawn.

    Returns
    -------
    LatentView or None
        None when the stack has no latent space of two dimensions or more. Beyond two
        dimensions the plane in which the phases' means lie farthest apart is shown.
    """
    if "latent" not in dataset or dataset.sizes["latent"] < 2:
        return None
    first = dataset["phase_pearson"].to_numpy().ravel()
    final = dataset["phase"].to_numpy().ravel()
    coordinates = dataset["latent"].to_numpy().reshape(dataset.sizes["latent"], -1)
    inside = dataset["mask"].to_numpy().ravel() & np.isfinite(coordinates).all(axis=0)
    unsure = (
        dataset["ambiguous"].to_numpy().ravel() & inside
        if "ambiguous" in dataset
        else np.zeros_like(inside)
    )
    rng = np.random.default_rng(seed)
    confident, ambiguous = _sample(inside & ~unsure, rng), _sample(unsure, rng)
    if confident.size == 0:
        return None
    n_phases = dataset.sizes["reference"]
    points = coordinates[:, confident].T.astype(float)
    centre, plane = _plane(points, first[confident], n_phases)
    axis_names = ("latent 1", "latent 2")
    if coordinates.shape[0] > 2:
        axis_names = ("latent plane 1", "latent plane 2")
    return LatentView(
        confident=(points - centre) @ plane,
        confident_first=first[confident].astype(np.int64),
        confident_phase=final[confident].astype(np.int64),
        ambiguous=(coordinates[:, ambiguous].T.astype(float) - centre) @ plane,
        ambiguous_phase=final[ambiguous].astype(np.int64),
        ellipses=_ellipses(latent, centre, plane),
        n_phases=n_phases,
        axis_names=axis_names,
    )


def _sample(chosen: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """At most ``POINTS`` of the chosen pixels, in random order: no phase hides another."""
    where = np.flatnonzero(chosen)
    return rng.choice(where, min(POINTS, where.size), replace=False)


def _plane(
    points: NDArray[np.float64], labels: NDArray[np.signedinteger], n_phases: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre and two axes (n, 2) of the plane to draw."""
    size = points.shape[1]
    if size == 2:
        return np.zeros(2), np.eye(2)
    centre = points.mean(axis=0)
    present = [points[labels == k].mean(axis=0) for k in range(n_phases) if (labels == k).any()]
    # The points, weighted down, give the second axis when the means lie on a line.
    rows = np.concatenate([np.array(present) - centre, 1e-3 * (points - centre)])
    _, _, axes = np.linalg.svd(rows, full_matrices=False)
    return centre, axes[:2].T


def _ellipses(
    latent: xr.Dataset | None, centre: NDArray[np.float64], plane: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    if latent is None or not {"component_mean", "component_covariance"} <= set(latent.variables):
        return ()
    angle = np.linspace(0, 2 * np.pi, 73)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    outlines = []
    for mean, covariance in zip(
        latent["component_mean"].to_numpy(),
        latent["component_covariance"].to_numpy(),
        strict=True,
    ):
        flat = plane.T @ covariance @ plane
        width, axes = np.linalg.eigh(flat)
        radii = 2 * np.sqrt(np.clip(width, 0, None))
        outlines.append((mean - centre) @ plane + (circle * radii) @ axes.T)
    return tuple(outlines)


def _scatter(
    axes: Axes,
    points: NDArray[np.float64],
    colours: NDArray[np.float64] | str,
    *,
    size: float,
    alpha: float = 0.6,
) -> None:
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=size,
        c=colours,
        alpha=alpha,
        linewidths=0,
        rasterized=True,
        zorder=2,
    )
