"""Demonstration of ``peaks``: a simulated scan of LiFePO₄ and FePO₄, scored against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.execution import Execution
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.workflow.outcome import Outcome
from phaseloom.workflow.peaks.demo_scan import write_demo_scan
from phaseloom.workflow.peaks.recipe import PeaksRecipe
from phaseloom.workflow.run import run_recipe

_RADIUS = 3.0
"""Largest distance of a peak from its spot, in px."""

_GRAIN = 40
"""Positions of a grain, on average."""

Points = NDArray[np.float64]


def demo_peaks(
    folder: Path, *, size: int, seed: int, execution: Execution, overwrite: bool = False
) -> tuple[Outcome, dict[str, Any]]:
    """Simulate a scan's file, register it as a user would, and score the peaks.

    The scan is that of :func:`phaseloom.workflow.peaks.demo_scan.write_demo_scan`, a square of
    ``size`` positions along a side; the scores are those of :func:`score`.
    """
    scan, truth = write_demo_scan(
        folder, (size, size), grain=_GRAIN, seed=seed, progress=execution.progress
    )
    recipe = PeaksRecipe(out=folder, seed=seed, scan=scan)
    outcome = run_recipe(recipe, execution, overwrite=overwrite)
    return outcome, score(outcome.results["peaks"].to_dataset(), truth)


def score(data: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """Compare registered peaks with simulated spots.

    Peaks and visible spots of a pattern are paired one to one within 3 px: as many pairs as
    possible, then the smallest sum of distances. A peak left over is true when a spot too weak
    to be called visible pairs with it, and false otherwise.

    Parameters
    ----------
    data
        Group ``peaks`` of the results.
    truth
        From :func:`phaseloom.simulate.write_scan`.

    Returns
    -------
    dict
        ``recall`` (of the visible spots), ``precision``, ``false_per_pattern``, ``rms_px`` (of
        the distances, both axes together), ``pull_sigma`` and ``intensity_pull_sigma`` (half the
        central 68 % of error over stated standard error; 1 when these are right),
        ``centre_error_px`` (rms distance of the direct beam from the true one).
    """
    peaks = Peaks(data)
    places = np.stack(peaks.on_detector(), axis=-1)
    spots = np.stack([truth[n].to_numpy() for n in ("row", "column")], axis=-1)
    visible, counts = truth["visible"].to_numpy(), truth["counts"].to_numpy()
    spot_offset = truth["offset"].to_numpy()
    spot_of = np.full(len(peaks), -1)
    true = np.zeros(len(peaks), dtype=bool)
    for i in range(peaks.offset.size - 1):
        peak_rows = np.arange(peaks.offset[i], peaks.offset[i + 1])
        spot_rows = np.arange(spot_offset[i], spot_offset[i + 1])
        a, b = _paired(places[peak_rows], spots[spot_rows[visible[spot_rows]]])
        spot_of[peak_rows[a]] = spot_rows[visible[spot_rows]][b]
        unpaired = peak_rows[spot_of[peak_rows] < 0]
        weak = spot_rows[~visible[spot_rows] & (counts[spot_rows] > 0)]
        true[unpaired[_paired(places[unpaired], spots[weak])[0]]] = True
    matched = spot_of >= 0
    true |= matched
    offset = places[matched] - spots[spot_of[matched]]
    errors = [data[f"{axis}_error"].to_numpy()[matched] / peaks.pixel_size for axis in ("ky", "kx")]
    excess = data["intensity"].to_numpy()[matched] - counts[spot_of[matched]]
    centre = [(data[f"centre_{a}"] - truth[f"centre_{a}"].to_numpy()).to_numpy() for a in "yx"]
    return {
        "recall": float(matched.sum() / max(1, visible.sum())),
        "precision": float(true.mean()) if true.size else float("nan"),
        "false_per_pattern": float((~true).sum() / (peaks.offset.size - 1)),
        "rms_px": float(np.sqrt(np.mean(np.sum(offset**2, axis=1)))) if offset.size else np.nan,
        "pull_sigma": _spread((offset / np.stack(errors, axis=-1)).ravel()),
        "intensity_pull_sigma": _spread(excess / data["intensity_error"].to_numpy()[matched]),
        "centre_error_px": float(np.sqrt(np.nanmean(centre[0] ** 2 + centre[1] ** 2))),
    }


def _paired(first: Points, second: Points) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the pairs of points within the radius."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    distance = cdist(first, second)
    near = distance <= _RADIUS
    a, b = linear_sum_assignment(np.where(near, distance, 1e6))
    within = near[a, b]
    return a[within], b[within]


def _spread(pulls: NDArray[np.floating]) -> float:
    finite = pulls[np.isfinite(pulls)]
    if not finite.size:
        return float("nan")
    low, high = np.quantile(finite, [0.1587, 0.8413])
    return float(high - low) / 2
