"""How right maps of orientations are, and whether their probabilities hold.

Right: the right crystal and within 3° of the truth, under the proper rotations of the Laue class.
Expected calibration errors are over indexed positions; others are reported as a share.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import norm

from independent_samples import KINDS
from independent_truth import Truth

RIGHT = 3.0  # degrees
SURE = 0.95
BINS = 10
DRAWS = 100

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def misorientation(found: Floats, true: Floats, turns: Floats) -> Floats:
    """Smallest angle in degrees between quaternions (n, 4), NaN where one is.

    Parameters
    ----------
    found, true
        Sample to crystal, scalar first.
    turns
        (m, 3, 3), rotations of the crystal that are not told apart.
    """
    angle = np.full(len(found), np.nan)
    known = np.isfinite(found).all(axis=1) & np.isfinite(true).all(axis=1)
    if known.any():
        a = Rotation.from_quat(found[known], scalar_first=True).as_matrix()
        b = Rotation.from_quat(true[known], scalar_first=True).as_matrix()
        # |A − S B|² = 8 sin²(angle / 2): exact for small angles.
        apart = np.stack([((a - turn @ b) ** 2).sum(axis=(1, 2)) for turn in turns])
        sine = np.sqrt(np.clip(apart.min(axis=0) / 8, 0, 1))
        angle[known] = np.degrees(2 * np.arcsin(sine))
    return angle


def agree(
    phase: NDArray[np.int64], rotation: Floats, true_phase: NDArray[np.int64],
    true_rotation: Floats, turns: tuple[Floats, ...],
) -> Flags:  # fmt: skip
    """Where crystal and orientation are the true ones."""
    right = np.zeros(phase.size, dtype=bool)
    for number, symmetry in enumerate(turns):
        here = (phase == number) & (true_phase == number)
        right[here] = misorientation(rotation[here], true_rotation[here], symmetry) <= RIGHT
    return right


def calibration_errors(probability: Floats, right: Flags) -> tuple[float, float]:
    """Expected calibration error with ten bins of equal counts, and of equal width.

    Σ (share of the positions in the bin) · |share right − mean probability|; NaN of none.
    """
    n = probability.size
    if n == 0:
        return float("nan"), float("nan")
    order = np.empty(n, dtype=np.int64)
    order[np.argsort(probability, kind="stable")] = np.arange(n)
    errors = []
    for bin_of in (order * BINS // n, np.minimum((probability * BINS).astype(int), BINS - 1)):
        excess = np.bincount(bin_of, weights=right - probability, minlength=BINS)
        errors.append(float(np.abs(excess).sum() / n))
    return errors[0], errors[1]


def chance_error(probability: Floats) -> float:
    """Mean error in bins of equal count of so many positions whose probabilities hold exactly."""
    if probability.size == 0:
        return float("nan")
    drawn = np.random.default_rng(0).random((DRAWS, probability.size)) < probability
    return float(np.mean([calibration_errors(probability, right)[0] for right in drawn]))


class Positions(NamedTuple):
    """What is pooled over sets: probability (NaN unindexed), whether right, kind; (n,) each."""

    probability: Floats
    right: Flags
    kind: NDArray[np.int64]


def positions(truth: Truth, maps: xr.Dataset) -> Positions:
    """Of one set."""
    phase, rotation, probability = _flat(maps, "phase", "rotation", "probability")
    right = agree(phase.astype(np.int64), rotation, truth.phase, truth.rotation, truth.turns)
    return Positions(probability, right, truth.kind)


def pooled(sets: list[Positions]) -> dict[str, Any]:
    """The first figures of :func:`score` over several sets, of maps by kind of position."""
    probability, right, kind = (np.concatenate(c) for c in zip(*sets, strict=True))
    figures: dict[str, Any] = certainty(probability, right)
    if kind.any():
        for name, number in KINDS.items():
            figures[name] = certainty(probability[kind == number], right[kind == number])
    return figures


def certainty(probability: Floats, right: Flags) -> dict[str, float]:
    """Figures of the indexed positions of a group; shares right are of all."""
    indexed = np.isfinite(probability)
    p, r = probability[indexed], right[indexed]
    sure = p > SURE
    equal_count, equal_width = calibration_errors(p, r)
    return {
        "n": int(right.size),
        "indexed": _share(indexed),
        "right": _share(right),
        "right_of_indexed": _share(r),
        "probability": float(p.mean()) if p.size else float("nan"),
        "ece": equal_count,
        "ece_width": equal_width,
        "ece_chance": chance_error(p),
        "sure": float(sure.sum() / max(right.size, 1)),
        "sure_right": _share(r[sure]),
    }


def _share(values: Flags) -> float:
    return float(values.mean()) if values.size else float("nan")


def phase_bound(truth: Truth) -> float:
    """Share of right phases that two crystals alike but for their size allow at best.

    With spots k of known orientation and scale, the cells differ by the distances ε k, told apart
    with d² = Σ (ε k / error)²: the best decision is right in Φ(d / 2). An unknown in-plane angle
    moves spots across k and takes nothing away; intensities are no help, as they are alike.
    """
    data = truth.peaks.data
    ky, kx, error = (data[c].to_numpy().astype(np.float64) for c in ("ky", "kx", "ky_error"))
    apart = (truth.difference * np.hypot(ky, kx) / error) ** 2
    d = np.sqrt(np.bincount(truth.peaks.position, apart, truth.phase.size))
    return float(norm.cdf(d / 2).mean())


def score(truth: Truth, maps: xr.Dataset) -> dict[str, Any]:
    """All figures of a set.

    ``right`` asks for the stronger one of two crystals.

    Returns
    -------
    dict
        ``n``, ``indexed``, ``right`` (of all), ``right_of_indexed``, ``probability`` (mean),
        ``ece``, ``ece_width`` (bins of equal count, of equal width), ``ece_chance`` (what chance
        alone makes of the first), ``sure`` (share above .95),
        ``sure_right`` (of these). The same of ``phase_…``;
        ``phase_bound``. Of patterns of crystals that are not offered: ``foreign_indexed``, and
        ``known``, the first figures of the others. With second crystals: of lone
        positions ``false_second`` (share that claims one) and ``false_second_sure`` (at more than
        ½); of pairs ``either`` (the first is one of the two), ``either_ece``, ``second`` (both
        are right), ``second_claimed``, ``second_right`` (both, of the claimed), ``second_ece``,
        ``stronger`` (of those with both right, the one said to be stronger is). Of maps, by kind
        of position (``grain``, ``boundary``, ``small``, ``lamella``): the first figures again.
    """
    phase, rotation, probability = _flat(maps, "phase", "rotation", "probability")
    phase = phase.astype(np.int64)
    right = agree(phase, rotation, truth.phase, truth.rotation, truth.turns)
    lone = truth.share == 0
    partner = agree(phase, rotation, truth.second_phase, truth.second_rotation, truth.turns)
    figures: dict[str, Any] = certainty(probability, right)
    angles = [
        misorientation(rotation[right & (phase == i)], truth.rotation[right & (phase == i)], t)
        for i, t in enumerate(truth.turns)
    ]
    together = np.concatenate(angles)
    if (truth.phase < 0).any() and (truth.phase >= 0).any():
        known = truth.phase >= 0
        figures |= {
            "foreign_indexed": _share((phase >= 0)[~known]),
            "known": certainty(probability[known], right[known]),
        }
    figures["median_angle"] = float(np.median(together)) if together.size else float("nan")
    if truth.difference:
        figures["phase_bound"] = phase_bound(truth)
    if len(truth.offered) > 1:
        (sureness,) = _flat(maps, "phase_probability")
        figures |= {
            f"phase_{k}": v
            for k, v in certainty(sureness, phase == truth.phase).items()
            if k not in ("n", "indexed", "right_of_indexed")
        }
    if not lone.all():
        figures |= _either(probability, right | partner, ~lone)
    if "overlap_phase" in maps:
        figures |= _second(truth, maps, right, partner, lone)
    if truth.kind.any():
        for name, kind in KINDS.items():
            here = truth.kind == kind
            figures[name] = certainty(probability[here], right[here])
            if not lone[here].all():
                figures[name] |= _either(probability, right | partner, ~lone & here)
        figures["grains"] = [
            {"positions": int(here.sum()), "phase": int(truth.phase[here][0])}
            | certainty(probability[here], right[here])
            for here in (truth.grain == g for g in np.unique(truth.grain))
        ]
    return figures


def _either(probability: Floats, one_of_two: Flags, paired: Flags) -> dict[str, float]:
    """Figures of positions with two crystals, where either counts as right."""
    figures = certainty(probability[paired], one_of_two[paired])
    return {"either": figures["right"], "either_ece": figures["ece"]}


def _second(
    truth: Truth, maps: xr.Dataset, right: Flags, partner: Flags, lone: Flags
) -> dict[str, float]:
    """Figures of second crystals."""
    phase, rotation, probability, weight = _flat(
        maps, "overlap_phase", "overlap_rotation", "overlap_probability", "overlap_weight"
    )
    claimed = phase >= 0
    figures = {}
    if lone.any():
        figures |= {
            "false_second": _share(claimed[lone]),
            "false_second_sure": _share((claimed & (probability > 0.5))[lone]),
        }
    if (~lone).any():
        number = phase.astype(np.int64)
        is_first = agree(number, rotation, truth.phase, truth.rotation, truth.turns)
        is_second = agree(number, rotation, truth.second_phase, truth.second_rotation, truth.turns)
        found = ((right & is_second) | (partner & is_first)) & ~lone
        told_second = weight > 0.5  # the second named is said to be the stronger one
        here = claimed & ~lone
        equal_count, equal_width = calibration_errors(probability[here], found[here])
        figures |= {
            "second": _share(found[~lone]),
            "second_claimed": _share(claimed[~lone]),
            "second_right": _share(found[here]),
            "second_probability": float(probability[here].mean()) if here.any() else float("nan"),
            "second_ece": equal_count,
            "second_ece_width": equal_width,
            "stronger": _share((right ^ told_second)[found]),
        }
    return figures


def _flat(maps: xr.Dataset, *names: str) -> list[Floats]:
    arrays = [maps[name].to_numpy().astype(np.float64) for name in names]
    return [a.reshape(-1, *a.shape[2:]) for a in arrays]
