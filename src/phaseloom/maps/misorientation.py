"""Misorientation angle and axis between orientations under crystal symmetry.

Orientations are unit quaternions (a, b, c, d), scalar first, of rotations R that map sample to
crystal, v_crystal = R v_sample. A symmetry operation S of the crystal acts from the left: R and
S R are the same orientation. From one crystal to another leads D = R₂ R₁⁻¹, and since the angle of
S₂ D S₁⁻¹ is that of S₁⁻¹ S₂ D, the smallest angle is found by operations on the left alone
(H. Grimmer, Scripta Metallurgica 13, 161 (1979); A. Heinz and P. Neumann, Acta Cryst. A 47, 780
(1991)).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError

Quaternions = NDArray[np.float64]

_AT_ONCE = 1 << 16
"""Pairs per block: their products with all operations fit in the cache."""

_SECTOR = np.array([3.0, 1.2, 1.0])
"""Of equivalent axes the one nearest to this is taken: h ≥ k ≥ l ≥ 0 of cubic crystals, 0° to 30°
from a of hexagonal ones."""


class Misorientations(NamedTuple):
    """Smallest rotations between pairs of crystals."""

    angle: NDArray[np.float64]
    axis: NDArray[np.float64]


def misorientation_angles(
    first: ArrayLike, second: ArrayLike, symmetry: ArrayLike
) -> NDArray[np.float64]:
    """Smallest angles between orientations.

    Parameters
    ----------
    first, second
        (…, 4) unit quaternions, scalar first; their shapes broadcast.
    symmetry
        Proper rotations of the crystal, (n, 3, 3) matrices or (n, 4) quaternions. Between two
        kinds of crystals: :func:`joint_operations`.

    Returns
    -------
    ndarray of float64
        (…) in degrees; NaN where an orientation is.

    Raises
    ------
    InputError
        The arrays are no quaternions or rotations.
    """
    return angles(smallest(between(first, second), as_quaternions(symmetry)))


def misorientation(first: ArrayLike, second: ArrayLike, symmetry: ArrayLike) -> Misorientations:
    """Smallest angles between orientations, and the axes of these rotations.

    Parameters
    ----------
    first, second, symmetry
        As for :func:`misorientation_angles`.

    Returns
    -------
    Misorientations
        ``angle`` (…) in degrees; ``axis`` (…, 3), unit vectors in the crystal's Cartesian frame:
        of the equivalent ones (its opposite among them, as the crystals may change places) the one
        in the standard sector, which for cubic crystals is h ≥ k ≥ l ≥ 0. NaN where an
        orientation is, or where the angle is zero.
    """
    operations = as_quaternions(symmetry)
    rotation = smallest(between(first, second), operations)
    return Misorientations(angles(rotation), reduced_axes(rotation, operations))


def as_quaternions(rotations: ArrayLike) -> Quaternions:
    """Proper rotations as (n, 4) unit quaternions, scalar first and not negative.

    Parameters
    ----------
    rotations
        (n, 3, 3) matrices or (n, 4) quaternions.

    Raises
    ------
    InputError
        The array has another shape, or a matrix is an improper rotation.
    """
    from scipy.spatial.transform import Rotation

    given = np.asarray(rotations, dtype=np.float64)
    if given.ndim == 2 and given.shape[1] == 4 and len(given):
        quaternions = given / np.linalg.norm(given, axis=1, keepdims=True)
    elif given.ndim == 3 and given.shape[1:] == (3, 3) and len(given):
        if not np.allclose(np.linalg.det(given), 1.0, atol=1e-3):
            raise InputError(
                "a symmetry operation is no proper rotation", "give rotations without inversion"
            )
        quaternions = np.roll(Rotation.from_matrix(given).as_quat(), 1, axis=1)
    else:
        raise InputError(
            f"symmetry operations of shape {given.shape} are unknown",
            "give (n, 3, 3) matrices or (n, 4) quaternions",
        )
    signed: Quaternions = np.where(quaternions[:, :1] < 0, -quaternions, quaternions)
    return signed


def joint_operations(first: ArrayLike, second: ArrayLike) -> Quaternions:
    """All S₁⁻¹ S₂ of two kinds of crystals: the symmetry of a misorientation between them.

    Parameters
    ----------
    first, second
        Proper rotations of the one and the other, (n, 3, 3) or (n, 4).

    Returns
    -------
    ndarray of float64
        (m, 4) unit quaternions, each rotation once.
    """
    one, other = as_quaternions(first), as_quaternions(second)
    return unique(multiply(conjugate(one)[:, None], other[None]).reshape(-1, 4))


def common_operations(first: ArrayLike, second: ArrayLike) -> Quaternions:
    """Rotations that two kinds of crystals share, (m, 4)."""
    one, other = as_quaternions(first), as_quaternions(second)
    return one[(np.abs(one @ other.T) > 1 - 1e-6).any(axis=1)]


def between(first: ArrayLike, second: ArrayLike) -> Quaternions:
    """The rotations R₂ R₁⁻¹, (…, 4)."""
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    for array in (one, other):
        if array.ndim == 0 or array.shape[-1] != 4:
            raise InputError(
                f"orientations of shape {array.shape} are no quaternions", "give (…, 4)"
            )
    return multiply(other, conjugate(one))


def smallest(rotations: Quaternions, operations: Quaternions) -> Quaternions:
    """Of all products (operation · rotation) the one with the smallest angle, scalar ≥ 0.

    Parameters
    ----------
    rotations
        (…, 4).
    operations
        (n, 4).
    """
    best = np.array(rotations, dtype=np.float64).reshape(-1, 4)
    # Scalar part of the product of g and d: g₀d₀ − g·d.
    scalar = (operations * [1.0, -1.0, -1.0, -1.0]).T
    turns = np.sort(np.abs(operations[:, 0]))[::-1]
    small = 1.0
    if turns[0] > 1 - 1e-12:
        # Up to half the angle of the least operation nothing comes closer than the identity.
        small = np.cos(np.arccos(turns[1]) / 2) if len(turns) > 1 else 0.0
    # Written so that NaN is searched too, and stays NaN.
    searched = np.flatnonzero(~(np.abs(best[:, 0]) >= small))
    for part in _parts(len(searched)):
        block = best[searched[part]]
        best_operation = np.abs(block @ scalar).argmax(axis=1)
        best[searched[part]] = multiply(operations[best_operation], block)
    best[best[:, 0] < 0] *= -1.0
    return best.reshape(rotations.shape)


def angles(rotations: Quaternions) -> NDArray[np.float64]:
    """Angles (…) in degrees, 0 to 180, of rotations (…, 4)."""
    # The arccosine of the scalar alone would lose small angles.
    vector = np.sqrt((rotations[..., 1:] ** 2).sum(axis=-1))
    return np.asarray(np.degrees(2.0 * np.arctan2(vector, np.abs(rotations[..., 0]))))


def reduced_axes(rotations: Quaternions, operations: Quaternions) -> NDArray[np.float64]:
    """Axes (…, 3) of rotations (…, 4), brought into one sector by the operations (n, 4)."""
    from scipy.spatial.transform import Rotation

    flat = rotations[..., 1:].reshape(-1, 3)
    length = np.sqrt((flat**2).sum(axis=1, keepdims=True))
    axes = np.divide(flat, length, out=np.full_like(flat, np.nan), where=length > 1e-12)
    turns = Rotation.from_quat(np.roll(operations, -1, axis=1)).as_matrix()
    # (S axis) · sector = axis · (Sᵀ sector).
    targets = np.einsum("nij,i->jn", turns, _SECTOR)
    reduced = np.empty_like(axes)
    for part in _parts(len(axes)):
        near = axes[part] @ targets
        best = np.abs(near).argmax(axis=1)
        sign = np.where(np.take_along_axis(near, best[:, None], axis=1) < 0, -1.0, 1.0)
        reduced[part] = sign * np.einsum("nij,nj->ni", turns[best], axes[part])
    return np.asarray(reduced.reshape(*rotations.shape[:-1], 3))


def multiply(first: Quaternions, second: Quaternions) -> Quaternions:
    """Products of quaternions (…, 4): the second rotation is done first."""
    a, b, c, d = np.moveaxis(first, -1, 0)
    e, f, g, h = np.moveaxis(second, -1, 0)
    product: Quaternions = np.stack(
        [
            a * e - b * f - c * g - d * h,
            a * f + b * e + c * h - d * g,
            a * g - b * h + c * e + d * f,
            a * h + b * g - c * f + d * e,
        ],
        axis=-1,
    )
    return product


def conjugate(rotations: Quaternions) -> Quaternions:
    """Inverse rotations (…, 4)."""
    return np.asarray(rotations * [1.0, -1.0, -1.0, -1.0])


def unique(rotations: Quaternions) -> Quaternions:
    """Each rotation of (n, 4) once, whichever its sign."""
    alike = np.abs(rotations @ rotations.T) > 1 - 1e-6
    once: Quaternions = rotations[alike.argmax(axis=1) == np.arange(len(rotations))]
    return once


def _parts(number: int) -> Iterator[slice]:
    return (slice(i, i + _AT_ONCE) for i in range(0, number, _AT_ONCE))
