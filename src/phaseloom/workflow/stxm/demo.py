"""Demonstration of ``stxm``: simulated stacks of a charge series, scored against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.execution import Execution
from phaseloom.simulate.beamtime import write_beamtime
from phaseloom.stxm.options import PhaseMapping
from phaseloom.workflow.outcome import Outcome
from phaseloom.workflow.run import run_recipe
from phaseloom.workflow.stxm.recipe import Reference, SpectrumRequest, Stack, StackFile, StxmRecipe
from phaseloom.workflow.stxm.references import write_spectrum


def demo_stxm(
    folder: Path, *, size: int, seed: int, execution: Execution, overwrite: bool = False
) -> tuple[Outcome, dict[str, Any]]:
    """Simulate a beamtime's files, map them as a user would, and score the maps.

    The references come from pure areas of the dense stacks, the maps from the sparse stacks,
    both from their files. Scores are those of :func:`score`, by the name of the stack.
    """
    beamtime = write_beamtime(
        folder / "beamtime", size=size, seed=seed, progress=execution.progress
    )
    references = []
    for area in beamtime.pure_areas:
        target = folder / "references" / f"{area.label}.csv"
        target.parent.mkdir(exist_ok=True)
        request = SpectrumRequest(
            stack=StackFile(file=area.file),
            region=area.region,
            label=area.label,
            value=area.value,
            out=target,
        )
        write_spectrum(request, progress=execution.progress)
        references.append(Reference(file=target, label=area.label))
    recipe = StxmRecipe(
        out=folder,
        seed=seed,
        device=execution.device,
        stack=tuple(
            Stack(file=file, name=name, state_of_charge=beamtime.state_of_charge[name])
            for name, file in beamtime.sparse.items()
        ),
        reference=tuple(references),
        mapping=PhaseMapping(value_name="sodium content x"),
    )
    outcome = run_recipe(recipe, execution, overwrite=overwrite)
    scores = {
        name: score(outcome.results[f"stxm/{name}"].to_dataset(), truth)
        for name, truth in beamtime.truth.items()
    }
    return outcome, scores


def score(result: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """Compare the result of one stack with its truth, over the pixels both hold.

    Parameters
    ----------
    result
        Group ``stxm/NAME`` of the results.
    truth
        From :func:`phaseloom.simulate.measure`.

    Returns
    -------
    dict
        Accuracy of the phases ``all``, ``ambiguous`` (Pearson's two best within the margin) and
        ``mixed`` (no phase has 90 %), the same for Pearson alone (``pearson_…``), ``value_rmse``
        of the posterior-mean value, ``energy_shift_error`` in eV, ``drift_rms`` in px.
    """
    residual = {
        a: (result[f"shift_{a}"] - truth[f"shift_{a}"]).to_numpy()
        if f"shift_{a}" in result
        else -truth[f"shift_{a}"].to_numpy()
        for a in ("y", "x")
    }
    truth_at = truth.isel(
        {a: _nearest(result, truth, a, float(r.mean())) for a, r in residual.items()}
    )
    right = truth_at["phase"].to_numpy()
    counted = result["mask"].to_numpy() & (right >= 0)
    groups = {
        "all": counted,
        "ambiguous": counted & result["ambiguous"].to_numpy(),
        "mixed": counted & truth_at["mixed"].to_numpy(),
    }
    scores = {}
    for prefix, name in (("", "phase"), ("pearson_", "phase_pearson")):
        agrees = result[name].to_numpy() == right
        for group, where in groups.items():
            scores[prefix + group] = float(agrees[where].mean()) if where.any() else float("nan")
    value = np.tensordot(result["phase_value"].to_numpy(), truth_at["abundance"].to_numpy(), axes=1)
    error = (result["value_mean"].to_numpy() - value)[counted]
    scores["value_rmse"] = float(np.sqrt(np.nanmean(error**2)))
    scores["energy_shift_error"] = result.attrs["energy_shift"] - truth.attrs["energy_shift"]
    scores["drift_rms"] = float(np.sqrt(np.mean([r.var() for r in residual.values()])))
    return scores


def _nearest(result: xr.Dataset, truth: xr.Dataset, axis: str, offset: float) -> NDArray[np.intp]:
    """Index of the true pixel nearest to each of the result's; the frames differ by an offset."""
    true_places = truth[axis].to_numpy()
    places = result[axis].to_numpy() + offset * (true_places[1] - true_places[0])
    return np.asarray(np.abs(true_places[None] - places[:, None]).argmin(axis=1))
