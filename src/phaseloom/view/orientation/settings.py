"""Rotation from the setting of a crystal to the one in which orix colours its Laue class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

Floats = NDArray[np.float64]

_MISFIT = 0.05
"""Largest misfit of matrix elements; measured cells deviate from ideal symmetry."""


def orders(rotations: Floats) -> NDArray[np.int64]:
    """Orders of rotations (n, 3, 3): 1, 2, 3, 4 or 6."""
    cosine = (np.trace(rotations, axis1=1, axis2=2) - 1.0) / 2.0
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    with np.errstate(divide="ignore"):
        turns = np.rint(2 * np.pi / angle)
    return np.where(angle < 1e-3, 1, turns).astype(np.int64)


def setting(rotations: Floats, target: Floats, name: str) -> Floats:
    """The smallest rotation T with T · rotations · Tᵀ = target; the identity where it will do.

    Parameters
    ----------
    rotations
        (n, 3, 3) proper rotations of the crystal's Laue class.
    target
        (n, 3, 3) those of orix's group of the same class.
    name
        Of the crystal, for the error.

    Raises
    ------
    InputError
        When no rotation carries the ones onto the others.
    """
    candidates = [
        (_misfit(turn @ rotations @ turn.T, target), turn)
        for turn in _candidates(rotations, target)
    ]
    least = min(misfit for misfit, _ in candidates)
    if least > _MISFIT:
        raise InputError(f"the symmetry of {name} fits no setting of its Laue class")
    # A turn a little beside the best one fits a little worse.
    fitting = [turn for misfit, turn in candidates if misfit < least + 1e-4]
    return max(fitting, key=lambda turn: float(np.trace(turn).round(6)))


def _candidates(rotations: Floats, target: Floats) -> Iterator[Floats]:
    """Rotations that carry a principal axis of the crystal onto one of the group, and a second."""
    yield np.eye(3)
    order = int(orders(target).max())
    if order == 1:
        return
    principal = _axes(target, order)[0]
    others = [axis for axis in _axes(target, 2) if abs(axis @ principal) < 0.99]
    for axis in _axes(rotations, order):
        first = _shortest(axis, principal)
        yield first
        if not others:
            continue
        for second in _axes(rotations, 2):
            turned = first @ second
            if abs(turned @ principal - others[0] @ principal) < 1e-3:
                yield _about(principal, turned, others[0]) @ first


def _axes(rotations: Floats, order: int) -> Floats:
    """Axes of the rotations of an order, both ways, (n, 3)."""
    unique = []
    for turn in rotations[orders(rotations) == order]:
        values, vectors = np.linalg.eigh((turn + turn.T) / 2.0)
        axis = vectors[:, np.argmax(values)]
        unique.append(axis * np.sign(axis[np.argmax(np.abs(axis))]))
    axes = np.array(unique).reshape(-1, 3)
    return np.concatenate([axes, -axes])


def _shortest(start: Floats, end: Floats) -> Floats:
    """Rotation by the smallest angle that carries one unit vector onto another."""
    cross, cosine = np.cross(start, end), float(start @ end)
    if cosine < -1.0 + 1e-9:
        across = np.cross(start, np.eye(3)[np.argmin(np.abs(start))])
        across /= np.linalg.norm(across)
        return np.asarray(2 * np.outer(across, across) - np.eye(3))
    skew = np.cross(np.eye(3), cross)
    return np.asarray(np.eye(3) + skew + skew @ skew / (1.0 + cosine))


def _about(axis: Floats, start: Floats, end: Floats) -> Floats:
    """Rotation about an axis that carries ``start`` onto ``end``, equally far from the axis."""
    from scipy.spatial.transform import Rotation

    one, other = (v - (v @ axis) * axis for v in (start, end))
    angle = np.arctan2(np.cross(one, other) @ axis, one @ other)
    return np.asarray(Rotation.from_rotvec(angle * axis).as_matrix())


def _misfit(one: Floats, other: Floats) -> float:
    """Largest difference between a rotation of one set and its nearest in the other."""
    apart = np.abs(one[:, None] - other[None]).max(axis=(2, 3))
    return float(max(apart.min(axis=1).max(), apart.min(axis=0).max()))
