"""How right orientations are, and how well a program knows it.

Orientations that differ by a proper rotation of the crystal's Laue class are one. Right: within
``RIGHT`` and of the right phase. Patterns that a program gave no orientation are wrong, with the
lowest score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import rankdata

RIGHT = 3.0  # degrees
CLOSE = 2.0  # degrees: a step of the templates
HALF_TURN = np.array([0.0, 0.0, 0.0, 1.0])  # about the beam

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """Figures of one run over a workload."""

    right: float  # share
    close: float  # share within CLOSE and of the right phase
    median: float  # degrees, over all patterns
    median_right: float  # degrees, over the right ones
    twins: float  # share that is right but for half a turn about the beam
    phase: float  # share of right phases
    auc_score: float
    auc_reliability: float


def product(a: Floats, b: Floats) -> Floats:
    """Product of quaternions (..., 4), scalar first."""
    r, u = a[..., :1], a[..., 1:]
    s, v = b[..., :1], b[..., 1:]
    scalar = r * s - (u * v).sum(axis=-1, keepdims=True)
    return np.concatenate([scalar, r * v + s * u + np.cross(u, v)], axis=-1)


def misorientation(found: Floats, true: Floats, laue_rotations: Floats) -> Floats:
    """Smallest angle in degrees between orientations (n, 4), crystal symmetry considered.

    Parameters
    ----------
    found, true
        Unit quaternions, sample to crystal; NaN where none was found.
    laue_rotations
        (m, 3, 3), proper rotations of the Laue class on crystal axes.

    Returns
    -------
    NDArray
        (n,), infinite where none was found.
    """
    symmetry = Rotation.from_matrix(laue_rotations).as_quat(scalar_first=True)
    copies = product(symmetry[:, None], true[None])
    # |difference| = 2 sin(angle / 4): unlike the arc cosine of the product, exact near 0.
    apart = np.minimum(
        np.linalg.norm(copies - found, axis=-1), np.linalg.norm(copies + found, axis=-1)
    ).min(axis=0)
    angle = np.degrees(4 * np.arcsin(np.clip(apart / 2, 0, 1)))
    return np.where(np.isfinite(angle), angle, np.inf)


def auc(score: Floats, right: NDArray[np.bool_]) -> float:
    """Chance that a right answer scores above a wrong one, ties counting half; NaN without both."""
    n, m = int(right.sum()), int((~right).sum())
    if not n or not m:
        return float("nan")
    rank = rankdata(np.where(np.isnan(score), -np.inf, score))
    return float((rank[right].sum() - n * (n + 1) / 2) / (n * m))


def calibration_errors(
    probability: Floats, right: NDArray[np.bool_], bins: int = 10
) -> tuple[float, float]:
    """Expected calibration error with bins of equal counts and with bins of equal width.

    Σ (share of the patterns in the bin) · |share right − mean probability|; NaN counts as 0.
    """
    p = np.nan_to_num(np.asarray(probability, dtype=np.float64))
    order = np.argsort(p, kind="stable")
    equal_count = np.empty(len(p), dtype=np.int64)
    equal_count[order] = np.arange(len(p)) * bins // len(p)
    equal_width = np.minimum((p * bins).astype(np.int64), bins - 1)
    errors = []
    for bin_of in (equal_count, equal_width):
        excess = np.bincount(bin_of, weights=right - p, minlength=bins)
        errors.append(float(np.abs(excess).sum() / len(p)))
    return errors[0], errors[1]


def score(
    true: Floats,
    phase: NDArray[np.int64],
    laue_rotations: list[Floats],
    rotation: Floats,
    found_phase: NDArray[np.int64],
    strength: Floats,
    reliability: Floats,
) -> tuple[Score, NDArray[np.bool_]]:
    """All figures, and which patterns are right.

    Parameters
    ----------
    true, phase
        (n, 4) and (n,), the truth; of more patterns than found: the first count.
    laue_rotations
        Of every phase.
    rotation, found_phase
        What was found.
    strength, reliability
        The program's figures of merit, higher is better; NaN where it has none.
    """
    n = len(rotation)
    true, phase = true[:n], phase[:n]
    angle, twin = np.full(n, np.inf), np.full(n, np.inf)
    turned = product(rotation, HALF_TURN)
    for number, symmetry in enumerate(laue_rotations):
        here = phase == number
        angle[here] = misorientation(rotation[here], true[here], symmetry)
        twin[here] = misorientation(turned[here], true[here], symmetry)
    same = found_phase == phase
    right = (angle <= RIGHT) & same
    figures = Score(
        right=float(right.mean()),
        close=float(((angle <= CLOSE) & same).mean()),
        median=float(np.median(angle)),
        median_right=float(np.median(angle[right])) if right.any() else float("nan"),
        twins=float(((twin <= RIGHT) & same & ~right).mean()),
        phase=float(same.mean()),
        auc_score=auc(strength, right),
        auc_reliability=float("nan") if np.isnan(reliability).all() else auc(reliability, right),
    )
    return figures, right
