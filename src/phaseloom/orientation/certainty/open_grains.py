"""Open grains: patches of pixels of which several orientations are possible, and what these are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.certainty.joint_evidence import Joint
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.refinement.solutions import Solutions

_SURE = 0.95
"""A patch whose likeliest orientation has that probability is not open."""

_LISTED = 0.05
"""Alternatives of less probability are not listed."""


class OpenGrains(NamedTuple):
    """Patches of which several orientations are possible.

    Parameters
    ----------
    number
        (y, x) int32, the largest patch first; −1 elsewhere.
    patches
        Of each: ``pixels`` and ``alternatives``, a list with ``phase`` (number of the crystal),
        ``rotation`` (unit quaternion, the mean over the patch) and ``probability``; the likeliest
        comes first.
    """

    number: NDArray[np.int32]
    patches: list[dict[str, Any]]


def open_grains(solutions: Solutions, joint: Joint, library: Library) -> OpenGrains:
    """List the patches that joint evidence leaves open.

    Parameters
    ----------
    solutions
        Of every pattern, in the order that ``joint`` is about.
    joint
        From :func:`phaseloom.orientation.certainty.context.settled`.
    library
        The crystals.
    """
    chosen = [i for i, share in enumerate(joint.share) if share[0] < _SURE]
    pixels = np.bincount(joint.group[joint.group >= 0], minlength=len(joint.share))
    chosen.sort(key=lambda i: -pixels[i])
    renumbered = np.full(len(joint.share) + 1, -1, dtype=np.int32)
    renumbered[chosen] = np.arange(len(chosen))
    number = renumbered[joint.group]
    patches: list[dict[str, Any]] = [{"pixels": int(pixels[i]), "alternatives": []} for i in chosen]
    listed = max((int((joint.share[i] >= _LISTED).sum()) for i in chosen), default=0)
    for rank in range(listed):
        for patch, (phase, rotation) in _means(solutions, joint, library, number, rank).items():
            probability = float(joint.share[chosen[patch]][rank])
            if probability >= _LISTED:
                patches[patch]["alternatives"].append(
                    {"phase": phase, "rotation": rotation, "probability": probability}
                )
    return OpenGrains(number, patches)


def _means(
    solutions: Solutions, joint: Joint, library: Library, number: NDArray[np.int32], rank: int
) -> dict[int, tuple[int, list[float]]]:
    """Phase and mean rotation of the alternative of a rank, by patch."""
    from phaseloom.maps.grains import grain_orientations

    is_it = joint.alternative == rank
    has = is_it.any(axis=-1) & (number >= 0)
    which = is_it.argmax(axis=-1).reshape(-1, 1)
    crystal = np.take_along_axis(solutions.crystal, which, axis=1).reshape(number.shape)
    rotation = np.take_along_axis(solutions.rotation, which[..., None], axis=1)
    rotation = rotation.reshape(*number.shape, 4)
    patch = np.where(has, number, -1)
    symmetries = [crystal_.laue_rotations for crystal_ in library.crystals]
    means = grain_orientations(patch, np.where(has, crystal, -1), rotation, symmetries).mean
    present, first = np.unique(patch[has], return_index=True)
    phases = crystal[has][first]
    return {
        int(p): (int(phase), [float(v) for v in means[p]])
        for p, phase in zip(present, phases, strict=True)
    }
