"""Assembly of the maps of the group ``/orientation`` from the solutions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.compute.execution import Execution
from phaseloom.crystals import to_json
from phaseloom.orientation.calibration.calibrating import Calibrated
from phaseloom.orientation.certainty.explanation import explanation
from phaseloom.orientation.certainty.pairs import Pairs, with_pairs
from phaseloom.orientation.certainty.pseudo_symmetry import pseudo_symmetry
from phaseloom.orientation.certainty.rehearsal import SAMPLE, Rehearsal, rehearse, rehearsed
from phaseloom.orientation.certainty.reliability import posterior, reliability
from phaseloom.orientation.refinement.quality import quality
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.remarks import remarks, scale_sentence

if TYPE_CHECKING:
    import xarray as xr

AMBIGUOUS = 0.05
"""A position is ambiguous if solutions other than the chosen one hold that much probability."""

UNEXPLAINED = 0.5
"""A position is not indexed if the probability that no crystal explains it is so large."""


def orientation_maps(
    calibrated: Calibrated,
    solved: Mapping[str, NDArray[Any]],
    *,
    solutions: int,
    context: bool,
    seed: int,
    execution: Execution | None = None,
) -> xr.Dataset:
    """Group ``/orientation`` of a result.

    Parameters
    ----------
    calibrated
        What was indexed, and with what.
    solved
        ``rotation``, ``crystal``, ``facts`` of all patterns, and those of second crystals.
    solutions
        How many are kept of every position.
    context
        Let neighbours decide between solutions.
    seed
        Of the patterns of known truth by which probabilities are corrected.
    execution
        How patterns are worked on that neighbours have something for.

    Returns
    -------
    xarray.Dataset
        On (y, x): ``phase`` (number of the crystal, −1 unindexed), ``rotation`` (unit quaternion,
        sample to crystal), ``correlation`` (index Q), ``orientation_reliability``,
        ``phase_reliability`` (0–100), ``probability`` (that crystal and, within 3°, orientation are
        right), ``phase_probability``, ``ambiguous``, ``matched`` (paired peaks), ``explained``
        (part of the intensity in them), ``residual`` (their rms distance, Å⁻¹); the same of the
        distinct solutions on (solution, y, x) as ``solution_…``; with context
        ``context_changed`` and ``open_grain`` (number of a patch of which several orientations are
        possible, −1 elsewhere; the attribute ``open_grains`` is a JSON list of these patches,
        see :class:`phaseloom.orientation.certainty.open_grains.OpenGrains`); with overlaps
        ``overlap_phase``, ``overlap_rotation``, ``overlap_weight`` (½ or less but for its error:
        the first is the stronger one), ``overlap_probability`` (of the second),
        ``pair_probability`` (of both). NaN where unindexed.
    """
    import xarray as xr

    refined = Solutions(
        solved["rotation"], solved["crystal"].astype(np.int64), solved["facts"].astype(np.float64)
    )
    library, physics, peaks = calibrated.library, calibrated.physics, calibrated.peaks
    counts = np.diff(calibrated.patterns.offset)
    rarity = calibrated.chance.rarity_of(refined, calibrated.patterns, physics)
    rarity = np.where(counts >= 3, rarity, np.nan)
    rarity = rarity if calibrated.fits else np.full(rarity.shape, np.nan)
    reason = explanation(rarity, quality(refined, calibrated.patterns, physics))
    nothing = reason.nothing
    learnt = _learnt(calibrated, refined, nothing, seed)
    paired = np.zeros(nothing.shape, dtype=bool)
    if "overlap_crystal" in solved:
        paired = solved["overlap_crystal"] >= 0
    changed = patches = None
    if context:
        from phaseloom.orientation.certainty.completion import completed
        from phaseloom.orientation.certainty.context import settled
        from phaseloom.orientation.certainty.open_grains import open_grains

        shows = (refined.crystal[:, 0] >= 0) & (nothing < UNEXPLAINED)
        # Pairs are about the lists as they are.
        refined = completed(
            refined, shows, ~paired, calibrated.patterns, library, physics, peaks.shape, execution
        )
    something = (1.0 - nothing)[:, None]
    likelihood = posterior(refined, calibrated.rivals)
    probability = rehearsed(likelihood, refined, library, learnt, counts) * something
    pairs = None
    if "overlap_crystal" in solved:
        probability, pairs = with_pairs(probability, nothing, solved)
    if context:
        # What is to be compared are likelihoods; the correction is by how much the list lacks.
        lacking = 1.0 - probability.sum(axis=1) / np.maximum(something[:, 0], 1e-300)
        of_pair = probability[paired]
        weight = np.where(paired[:, None], probability, likelihood * something)
        probability, nothing, order, joint = settled(
            refined, weight, nothing, library, peaks.shape, lacking, counts * physics.unexplained
        )
        patches = open_grains(refined, joint, library)
        # Which of two crystals is the stronger, neighbours that have either cannot tell.
        order[paired] = np.arange(order.shape[1])
        probability[paired] = of_pair
        changed = order[:, 0] != 0
        refined = refined.ordered(order)
        probability = np.take_along_axis(probability, order, axis=1)
    certainty = reliability(refined, probability, nothing, library)
    # A pattern that is most likely explained by chance is not indexed; an ambiguous one is.
    indexed = (refined.crystal[:, 0] >= 0) & (nothing < UNEXPLAINED)
    shape = peaks.shape

    def on_map(values: NDArray[Any], missing: float = np.nan) -> NDArray[Any]:
        kept = np.where(indexed, values, missing)
        return kept.reshape(shape)

    def single(values: NDArray[Any]) -> tuple[tuple[str, str], NDArray[np.float32]]:
        return ("y", "x"), on_map(values).astype(np.float32)

    def ranked(values: NDArray[Any]) -> NDArray[Any]:
        """(patterns, n, …) to (solution, y, x, …)."""
        kept = np.moveaxis(values[:, :solutions], 1, 0)
        return kept.reshape(kept.shape[0], *shape, *kept.shape[2:])

    fact = refined.fact
    crystal = refined.crystal
    rotation = np.where(indexed[:, None], refined.rotation[:, 0], np.nan).reshape(*shape, 4)
    phase = on_map(crystal[:, 0], -1).astype(np.int16)
    names = [c.name for c in library.crystals]
    ambiguous = indexed & (certainty.probability < 1.0 - AMBIGUOUS)
    variables: dict[str, Any] = {
        "phase": (("y", "x"), phase, _flags(names)),
        "rotation": (("y", "x", "quaternion"), rotation),
        "correlation": single(fact("correlation")[:, 0]),
        "orientation_reliability": single(certainty.orientation_reliability),
        "phase_reliability": single(certainty.phase_reliability),
        "probability": single(certainty.probability),
        "phase_probability": single(certainty.phase_probability),
        "ambiguous": (("y", "x"), ambiguous.reshape(shape)),
        "matched": (("y", "x"), on_map(fact("matched")[:, 0], -1).astype(np.int16)),
        "explained": single(fact("explained")[:, 0]),
        "residual": (*single(fact("residual")[:, 0]), {"units": "Å⁻¹"}),
        "solution_phase": (("solution", "y", "x"), ranked(crystal).astype(np.int16), _flags(names)),
        "solution_rotation": (("solution", "y", "x", "quaternion"), ranked(refined.rotation)),
        "solution_correlation": (
            ("solution", "y", "x"), ranked(fact("correlation")).astype(np.float32),
        ),
        "solution_probability": (
            ("solution", "y", "x"),
            ranked(np.where(crystal >= 0, certainty.posterior, np.nan)).astype(np.float32),
        ),
    }  # fmt: skip
    if changed is not None:
        variables["context_changed"] = (("y", "x"), (changed & indexed).reshape(shape))
    if patches is not None:
        number = np.where(indexed.reshape(shape), patches.number, -1)
        variables["open_grain"] = (("y", "x"), number.astype(np.int32))
    if pairs is not None:
        variables |= _overlaps(solved, pairs, indexed, shape, names)
    coordinates = {axis: peaks.data[axis] for axis in ("y", "x") if axis in peaks.data.coords}
    twins = pseudo_symmetry(refined, certainty.posterior, library)
    maps = xr.Dataset(
        variables,
        coords={**coordinates, "phase_name": ("crystal", names)},
        attrs={
            "crystals": to_json(library.crystals),
            "voltage": library.voltage,
            "precession_angle": library.precession_angle,
            "thickness": physics.thickness,
            "profile_sharpness": physics.sharpness,
            "intensity_spread": physics.spread,
            "position_error": physics.position,
            "k_min": physics.k_min,
            "k_max": physics.k_max,
            "zone_step": library.zone_step,
            "in_plane_step": library.in_plane_step,
            "zones": library.n_zones,
            "pseudo_symmetry": json.dumps(twins),
            **({} if patches is None else {"open_grains": json.dumps(patches.patches)}),
            "explained_share": reason.share,
            "closely_explained_share": calibrated.close,
            "probability_correction": list(learnt),
            **_calibration(calibrated),
            "indexed_share": float(indexed.mean()),
            "ambiguous_share": float(ambiguous.mean()),
        },
    )
    maps.attrs |= {"scale_found": scale_sentence(maps), "remarks": "\n".join(remarks(maps))}
    return maps


def _learnt(
    calibrated: Calibrated, solutions: Solutions, nothing: NDArray[np.float64], seed: int
) -> Rehearsal:
    """How far probabilities of this scan hold."""
    explained = np.flatnonzero((solutions.crystal[:, 0] >= 0) & (nothing < UNEXPLAINED))
    if explained.size == 0:
        return Rehearsal(0.0, 1.0, 0.0, 0.0)
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(explained, min(explained.size, SAMPLE), replace=False))
    return rehearse(
        calibrated.patterns.take(some), solutions.take(some), calibrated.library,
        calibrated.physics, seed=seed,
    )  # fmt: skip


def _calibration(calibrated: Calibrated) -> dict[str, Any]:
    """Attributes that say what was taken off the peaks' vectors."""
    correction, rivals = calibrated.correction, calibrated.rivals
    return {
        "pixel_size": calibrated.peaks.pixel_size,
        "scale": correction.scale,
        "scale_searched": int(calibrated.searched),
        "scale_error": float(np.hypot(correction.scale_error, correction.scale * rivals.spread)),
        "ellipticity": correction.ellipticity,
        "ellipticity_error": correction.ellipticity_error,
        "ellipse": [float(v) for v in correction.parameters[1:3]],
        "centre_offset": [float(v) for v in correction.centre],
        "centre_offset_error": [float(v) for v in correction.error[3:]],
        "calibration_residual": correction.residual,
        "calibration_patterns": correction.patterns,
        "calibration_spots": correction.spots,
        "rival_scales": [float(v) for v in correction.scale * np.exp(rivals.summits)],
    }


def _flags(names: list[str]) -> dict[str, Any]:
    return {
        "flag_values": [*range(len(names)), -1],
        "flag_meanings": " ".join([*(n.replace(" ", "_") for n in names), "unindexed"]),
    }


def _overlaps(
    solved: Mapping[str, NDArray[Any]],
    pairs: Pairs,
    indexed: NDArray[np.bool_],
    shape: tuple[int, int],
    names: list[str],
) -> dict[str, Any]:
    """Maps of the second crystals."""
    overlapping = indexed & (solved["overlap_crystal"] >= 0)
    phase = np.where(overlapping, solved["overlap_crystal"], -1).astype(np.int16)
    rotation = np.where(overlapping[:, None], solved["overlap_rotation"], np.nan)
    weight = np.where(overlapping, solved["overlap_weight"], 0.0)

    def on_map(values: NDArray[np.float64]) -> tuple[tuple[str, str], NDArray[np.float32]]:
        return ("y", "x"), np.where(indexed, values, np.nan).reshape(shape).astype(np.float32)

    return {
        "overlap_phase": (("y", "x"), phase.reshape(shape), _flags(names)),
        "overlap_rotation": (("y", "x", "quaternion"), rotation.reshape(*shape, 4)),
        "overlap_weight": on_map(weight),
        "overlap_probability": on_map(pairs.second),
        "pair_probability": on_map(pairs.both),
    }
