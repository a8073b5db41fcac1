"""Demonstration of ``cluster``: a simulated scan of few large grains, scored against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.execution import Execution
from phaseloom.workflow.components.recipe import ComponentsRecipe
from phaseloom.workflow.orientation import demo as orientation_demo
from phaseloom.workflow.outcome import Outcome
from phaseloom.workflow.peaks.demo_scan import demo_shape, write_demo_scan
from phaseloom.workflow.run import run_recipe

_GRAINS = 8
"""Grains of the scan, whatever its size."""

_OVERLAP = 2.5
"""Positions on either side of a boundary that hold both grains."""

_SPREAD = 0.2
"""Degrees: spread of the orientations within a grain."""


def demo_cluster(
    folder: Path, *, size: int, seed: int, execution: Execution, overwrite: bool = False
) -> tuple[Outcome, dict[str, Any]]:
    """Simulate a scan's file, find its components as a user would, index and score them.

    The scan is that of :func:`phaseloom.workflow.peaks.demo_scan.write_demo_scan` with eight
    grains. Intensities are exactly kinematic: errors of the theory would be the same throughout a
    grain, and part of its component. Scores are those of :func:`score`, and ``orientation`` as
    :func:`phaseloom.workflow.orientation.demo.score` has it.
    """
    shape = demo_shape(size)
    scan, truth = write_demo_scan(
        folder, shape, grain=shape[0] * shape[1] // _GRAINS, overlap_width=_OVERLAP,
        spread=_SPREAD, intensity_spread=0.0, seed=seed, progress=execution.progress,
    )  # fmt: skip
    recipe = ComponentsRecipe(
        out=folder,
        seed=seed,
        device=execution.device,
        scan=scan,
        crystal=orientation_demo.demo_crystals(folder),
    )
    outcome = run_recipe(recipe, execution, overwrite=overwrite, truth=truth)
    scores = score(outcome.results["components"].to_dataset(), truth)
    return outcome, scores | {"orientation": orientation_demo.score(outcome.results, truth)}


def score(data: xr.Dataset, truth: xr.Dataset) -> dict[str, Any]:
    """Compare components with the true grains.

    Components and grains are paired one to one so that the weight maps correlate best with the
    shares of the grains.

    Parameters
    ----------
    data
        Group ``/components``.
    truth
        ``grain``, ``grain_2`` (y, x) and ``overlap``, the second's share, as
        :func:`phaseloom.simulate.write_scan` returns them.

    Returns
    -------
    dict
        ``grains`` found and ``true_grains``; ``map_correlation`` and ``worst_map_correlation``
        over the true grains, Pearson's, 0 for a grain without a component; ``right_labels``, the
        share of positions of one grain only whose label is the grain's component; of positions
        that hold a second grain (second share over first at least the attribute ``overlap_ratio``)
        ``overlap_recall``, ``overlap_precision`` and ``overlap_f1`` of those with a partner.
    """
    shares = true_shares(truth)
    weight = data["weight"].transpose("component", "y", "x").to_numpy().astype(np.float64)
    background = int(data.attrs["background"])
    component, correlation = _paired(shares, weight, background)
    owner = np.argmax(shares, axis=0)
    alone = truth["overlap"].to_numpy() == 0
    right = data["label"].to_numpy() == component[owner]
    second = truth["overlap"].to_numpy()
    mixed = second / (1.0 - second) >= float(data.attrs["overlap_ratio"])
    detected = data["partner"].to_numpy() >= 0
    both = int((mixed & detected).sum())
    return {
        "grains": int(data.attrs["grains"]),
        "true_grains": len(shares),
        "map_correlation": float(correlation.mean()),
        "worst_map_correlation": float(correlation.min()),
        "right_labels": float(right[alone].mean()) if alone.any() else float("nan"),
        "overlap_recall": both / max(1, int(mixed.sum())),
        "overlap_precision": both / max(1, int(detected.sum())),
        "overlap_f1": 2 * both / max(1, int(mixed.sum() + detected.sum())),
    }


def true_shares(truth: xr.Dataset) -> NDArray[np.float64]:
    """Share (grain, y, x) of each grain in every position.

    Parameters
    ----------
    truth
        As for :func:`score`.
    """
    first, second = (truth[name].to_numpy() for name in ("grain", "grain_2"))
    overlap = truth["overlap"].to_numpy()
    grains = np.unique(first)
    return np.stack([(first == g) * (1.0 - overlap) + (second == g) * overlap for g in grains])


def _paired(
    shares: NDArray[np.float64], weight: NDArray[np.float64], background: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Component of every grain (−2: none left) and the correlation of their maps."""
    from scipy.optimize import linear_sum_assignment

    maps = [m.reshape(len(m), -1) - m.mean(axis=(1, 2))[:, None] for m in (shares, weight)]
    units = [m / np.maximum(np.linalg.norm(m, axis=1, keepdims=True), 1e-30) for m in maps]
    similarity = units[0] @ units[1].T
    if background >= 0:
        similarity[:, background] = -1.0
    grain, component = linear_sum_assignment(-similarity)
    component_of = np.full(len(shares), -2, dtype=np.intp)
    correlation = np.zeros(len(shares))
    positive = similarity[grain, component] > 0
    component_of[grain[positive]] = component[positive]
    correlation[grain[positive]] = similarity[grain, component][positive]
    return component_of, correlation
