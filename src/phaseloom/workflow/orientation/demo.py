"""Demonstration of ``index``: a simulated scan of LiFePO₄ and FePO₄, scored against the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.execution import Execution
from phaseloom.orientation.options import Matching
from phaseloom.workflow.orientation.recipe import CrystalFile, OrientationRecipe
from phaseloom.workflow.outcome import Outcome
from phaseloom.workflow.peaks.demo_scan import demo_shape, write_demo_scan
from phaseloom.workflow.run import run_recipe

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

_GRAIN = 80
"""Pixels of a grain, on average."""

_MIXED = 0.1
"""Least share of a second crystal in a pattern that counts in the score of both crystals."""

_CLASSES = 10
"""Classes of probability that are compared with the share of right pixels."""


def demo_index(
    folder: Path, *, size: int, seed: int, execution: Execution, overwrite: bool = False
) -> tuple[Outcome, dict[str, Any]]:
    """Simulate a scan's file and the CIFs of its crystals, map it as a user would, and score it.

    The scan is that of :func:`phaseloom.workflow.peaks.demo_scan.write_demo_scan`, the scores are
    those of :func:`score`.
    """
    scan, truth = write_demo_scan(
        folder, demo_shape(size), grain=_GRAIN, seed=seed, progress=execution.progress
    )
    recipe = OrientationRecipe(
        out=folder,
        seed=seed,
        device=execution.device,
        scan=scan,
        matching=Matching(overlaps=True, context=True),
        crystal=demo_crystals(folder),
    )
    outcome = run_recipe(recipe, execution, overwrite=overwrite, truth=truth)
    return outcome, score(outcome.results, truth)


def demo_crystals(folder: Path) -> tuple[CrystalFile, ...]:
    """The crystals of the demonstrations' scan, written as CIFs into a folder."""
    from phaseloom.crystals import iron_phosphate, lithium_iron_phosphate

    crystals = lithium_iron_phosphate(), iron_phosphate()
    files = [write_cif(folder / f"{crystal.name}.cif", crystal) for crystal in crystals]
    return tuple(CrystalFile(file=file) for file in files)


def score(results: xr.DataTree, truth: xr.Dataset) -> dict[str, Any]:
    """Compare an orientation map with the truth in its group.

    Parameters
    ----------
    results
        With ``/orientation``, its ``true_phase`` and ``true_rotation``.
    truth
        From :func:`phaseloom.simulate.write_scan`: ``overlap`` is the part of a second crystal,
        ``phase_2`` and ``rotation_2``.

    Returns
    -------
    dict
        ``pixels``: of ``all`` crystalline pixels, those ``within grains`` and ``at boundaries``
        the number ``pixels``, the shares ``within_3_degrees`` (of the right phase), ``either``
        (that, or the second crystal's), ``both`` (of the pixels in which the second has a tenth or
        more) and ``phase`` (right), ``median_misorientation`` (degrees, where the phase is right),
        ``probability`` (mean) and ``calibration_error``: |probability − right share| averaged
        over ten classes of probability, weighted by their pixels (``…_either``: when the second
        crystal is right, too). ``confusion``: pixels of every true phase by the phases ``found``.
    """
    from phaseloom.view.orientation.data import oriented
    from phaseloom.view.orientation.truth import RIGHT_WITHIN, confusion, true_angles

    result = oriented(results)
    angle = true_angles(result)
    right = angle <= RIGHT_WITHIN
    boundary = truth["overlap"].to_numpy() > 0
    second_truth = {f"true_{name}": truth[f"{name}_2"].variable for name in ("phase", "rotation")}
    second_right = boundary & (
        true_angles(replace(result, data=result.data.assign(second_truth))) <= RIGHT_WITHIN
    )
    either = right | second_right
    both = np.full(right.shape, np.nan)
    if "overlap_phase" in result.data:
        second = {name: result.data[f"overlap_{name}"].variable for name in ("phase", "rotation")}
        data = result.data.assign(second)
        swapped = true_angles(replace(result, data=data)) <= RIGHT_WITHIN
        along = true_angles(replace(result, data=data.assign(second_truth))) <= RIGHT_WITHIN
        mixed = truth["overlap"].to_numpy() >= _MIXED
        both[mixed] = ((right & along) | (second_right & swapped))[mixed]
    probability = np.nan_to_num(result.data["probability"].to_numpy().astype(np.float64))
    crystalline = result.data["true_phase"].to_numpy() >= 0
    groups = {
        "all": crystalline,
        "within grains": crystalline & ~boundary,
        "at boundaries": crystalline & boundary,
    }
    counts = confusion(result)
    return {
        "pixels": {
            name: {
                "pixels": int(chosen.sum()),
                "within_3_degrees": _mean(right[chosen]),
                "either": _mean(either[chosen]),
                "both": _mean(both[chosen & np.isfinite(both)]),
                "median_misorientation": _median(angle[chosen]),
                "phase": _mean(np.isfinite(angle[chosen])),
                "probability": _mean(probability[chosen]),
                "calibration_error": calibration_error(probability[chosen], right[chosen]),
                "calibration_error_either": calibration_error(probability[chosen], either[chosen]),
            }
            for name, chosen in groups.items()
        },
        "found": [*result.names, "none"],
        "confusion": {
            name: [int(n) for n in row]
            for name, row in zip([*result.names, "none"], counts, strict=True)
            if row.any()
        },
    }


def calibration_error(probability: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean difference of probability and share of right ones, over classes of probability.

    Parameters
    ----------
    probability, right
        (n,) probabilities, and whether the solutions are right.
    """
    if not probability.size:
        return float("nan")
    number = np.minimum((probability * _CLASSES).astype(int), _CLASSES - 1)
    excess = np.bincount(number, weights=probability - right, minlength=_CLASSES)
    return float(np.abs(excess).sum() / probability.size)


def write_cif(path: Path, crystal: Crystal) -> Path:
    """Write a crystal in the standard setting of its space group as CIF: one atom of each kind.

    Parameters
    ----------
    path
        ``.cif``.
    crystal
        The cell.
    """
    from phaseloom.crystals.symmetry import standard_name, standard_operations

    turns, shifts = standard_operations(crystal.space_group)
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [
        f"data_{crystal.name}",
        f"_symmetry_space_group_name_H-M '{standard_name(crystal.space_group)}'",
        f"_symmetry_Int_Tables_number {crystal.space_group}",
        *(f"_cell_{n} {v:.6f}" for n, v in zip(names, crystal.cell, strict=True)),
        "loop_",
        *(f"_atom_site_{n}" for n in ("label", "type_symbol", "fract_x", "fract_y", "fract_z")),
        *(f"_atom_site_{n}" for n in ("occupancy", "U_iso_or_equiv")),
    ]
    remaining = np.ones(len(crystal.elements), dtype=bool)
    for atom, element in enumerate(crystal.elements):
        if not remaining[atom]:
            continue
        position = crystal.positions[atom]
        copies = turns @ position + shifts
        apart = copies[:, None] - crystal.positions[None]
        equivalent = (np.abs(apart - np.round(apart)).max(axis=2) < 1e-3).any(axis=0)
        remaining &= ~(equivalent & (np.array(crystal.elements) == element))
        place = " ".join(f"{x:.6f}" for x in position)
        facts = f"{crystal.occupancies[atom]:.6g} {crystal.displacements[atom]:.6g}"
        lines.append(f"{element}{atom} {element} {place} {facts}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _median(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
