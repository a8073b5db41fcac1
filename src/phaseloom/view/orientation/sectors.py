"""Crystal directions: fundamental sector, IPF colours, Miller indices, projections.

Colours are those of EDAX TSL as orix computes them (G. Nolze and R. Hielscher, J. Appl. Cryst. 49,
1786, 2016). orix colours each Laue class in one setting, with the principal axis along e3:
monoclinic crystals have theirs there, where most files have it along b. Directions are therefore
turned into orix's setting first, found from the rotations of the crystal itself, and so
equivalent directions have one colour in every setting of the cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError
from phaseloom.view.orientation.settings import orders, setting

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

Floats = NDArray[np.float64]

_AT_ONCE = 50_000
"""Directions per block: 58 MB with 48 operations and three planes."""

_LARGEST_INDEX = 3
"""Largest index in the name of a direction."""


@dataclass(frozen=True, eq=False)
class Sector:
    """The fundamental sector of a crystal: its symmetrically distinct directions.

    Parameters
    ----------
    laue
        orix's Laue group.
    setting
        (3, 3) rotation from the crystal's Cartesian axes to those of orix's group.
    operations
        (n, 3, 3) all of the Laue class, inversion included, in orix's axes.
    normals
        (m, 3) of the planes that bound the sector, pointing inside; orix's axes.
    corners
        (k, 3) unit directions at its corners, in order round it, and axes where it has fewer
        than three; orix's axes.
    """

    laue: Any
    setting: Floats
    operations: Floats
    normals: Floats
    corners: Floats

    def folded(self, directions: ArrayLike) -> Floats:
        """Equivalent directions inside the sector.

        Parameters
        ----------
        directions
            (n, 3) in the crystal's Cartesian axes, of any length but 0.

        Returns
        -------
        numpy.ndarray
            (n, 3) unit vectors in orix's axes.
        """
        vectors = np.asarray(directions, dtype=np.float64) @ self.setting.T
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        # Height of copy S v above plane n is n · S v = (Sᵀ n) · v.
        planes = np.einsum("mi,sij->smj", self.normals, self.operations)
        result: Floats = np.empty_like(vectors)
        for chunk in _chunks(len(vectors)):
            heights = np.einsum("smj,nj->nsm", planes, vectors[chunk], optimize=True).min(axis=2)
            chosen = self.operations[heights.argmax(axis=1)]
            result[chunk] = np.einsum("nij,nj->ni", chosen, vectors[chunk])
        return result

    def holds(self, directions: Floats) -> NDArray[np.bool_]:
        """Which directions (n, 3), in orix's axes, lie in the sector."""
        return np.asarray((directions @ self.normals.T >= -1e-9).all(axis=1))

    def colours(self, directions: ArrayLike) -> Floats:
        """Colours of crystal directions: red, green and blue at the sector's corners.

        Parameters
        ----------
        directions
            (n, 3) in the crystal's Cartesian axes.

        Returns
        -------
        numpy.ndarray
            (n, 3) RGB, 0 to 1.
        """
        from orix.plot import DirectionColorKeyTSL
        from orix.vector import Vector3d

        class Folded(Vector3d):  # type: ignore[misc]
            """Directions inside the sector already: orix folds them again, six times slower."""

            def in_fundamental_sector(self, symmetry: Any) -> Vector3d:  # noqa: ARG002
                return self

        rgb = DirectionColorKeyTSL(self.laue).direction2color(Folded(self.folded(directions)))
        return np.asarray(np.clip(rgb, 0.0, 1.0), dtype=np.float64)


@lru_cache(maxsize=16)
def sector_of(crystal: Crystal) -> Sector:
    """The fundamental sector of a crystal's Laue class.

    Parameters
    ----------
    crystal
        In any setting.

    Raises
    ------
    InputError
        When the operations of the crystal are those of no Laue class.
    """
    from orix.quaternion import symmetry

    rotations = crystal.laue_rotations
    rotation_orders = orders(rotations)
    name = {
        (1, 1): "Ci", (2, 2): "C2h", (4, 2): "D2h", (4, 4): "C4h", (8, 4): "D4h", (3, 3): "S6",
        (6, 3): "D3d", (6, 6): "C6h", (12, 6): "D6h", (12, 3): "Th", (24, 4): "Oh",
    }.get((len(rotations), int(rotation_orders.max())))  # fmt: skip
    if name is None:
        raise InputError(f"the symmetry operations of {crystal.name} are those of no Laue class")
    laue = getattr(symmetry, name)
    proper = np.asarray(laue.laue_proper_subgroup.to_matrix(), dtype=np.float64)
    bounds = laue.fundamental_sector
    corners = np.asarray(bounds.vertices.data, dtype=np.float64).reshape(-1, 3)
    if len(corners) < 3:
        axes = np.concatenate([np.eye(3), -np.eye(3)])
        corners = axes[(axes @ np.asarray(bounds.data).T >= -1e-9).all(axis=1)]
    middle = corners.sum(axis=0)
    around = np.arctan2(*(stereographic(corners) - stereographic(middle[None]))[:, ::-1].T)
    return Sector(
        laue=laue,
        setting=setting(rotations, proper, crystal.name),
        operations=np.concatenate([proper, -proper]),
        normals=np.asarray(bounds.data, dtype=np.float64).reshape(-1, 3),
        corners=corners[np.argsort(around, kind="stable")],
    )


def stereographic(directions: ArrayLike) -> Floats:
    """Stereographic projection (n, 2) of directions (n, 3) with z ≥ 0: x, y over 1 + z."""
    v = np.asarray(directions, dtype=np.float64)
    v = np.asarray(v / np.linalg.norm(v, axis=1, keepdims=True))
    return np.asarray(v[:, :2] / (1.0 + v[:, 2:]))


def from_stereographic(points: ArrayLike) -> Floats:
    """Unit directions (n, 3) of points (n, 2) of the stereographic projection."""
    p = np.asarray(points, dtype=np.float64)
    square = (p**2).sum(axis=1, keepdims=True)
    return np.asarray(np.concatenate([2 * p, 1 - square], axis=1) / (1 + square))


def direction_name(crystal: Crystal, direction: ArrayLike) -> str:
    """Name of a crystal direction as mathematical text: [uvw], or (hkl) of the plane across it.

    Parameters
    ----------
    crystal
        Hexagonal and trigonal cells get four indices.
    direction
        (3,) in the crystal's Cartesian axes.

    Returns
    -------
    str
        Empty when no indices up to 3 name the direction within 0.1°.
    """
    vector = np.asarray(direction, dtype=np.float64)
    for rows, brackets in ((crystal.lattice, "[]"), (crystal.reciprocal, "()")):
        for indices in _small_indices():
            named = indices @ rows
            along = named @ vector / (np.linalg.norm(named) * np.linalg.norm(vector))
            if along > np.cos(np.radians(0.1)):
                return indices_text(crystal, indices, brackets)
    return ""


def indices_text(crystal: Crystal, indices: ArrayLike, brackets: str) -> str:
    """Miller indices as mathematical text, bars over negative ones.

    Parameters
    ----------
    crystal
        Cells with a = b and γ = 120° get four indices.
    indices
        (3,) whole numbers.
    brackets
        "[]" or "⟨⟩" of directions, "()" or "{}" of planes.
    """
    numbers = [int(i) for i in np.asarray(indices)]
    a, b, _, _, _, gamma = crystal.cell
    if abs(gamma - 120.0) < 0.01 and abs(a - b) < 1e-4 * a:
        u, v, w = numbers
        if brackets in ("[]", "⟨⟩"):
            four = [2 * u - v, 2 * v - u, -u - v, 3 * w]
            divisor = gcd(*four) or 1
            numbers = [number // divisor for number in four]
        else:
            numbers = [u, v, -u - v, w]
    apart = r"\," if max(map(abs, numbers)) > 9 else ""
    text = apart.join(rf"\overline{{{-n}}}" if n < 0 else str(n) for n in numbers)
    opening, closing = {"{}": (r"\{", r"\}"), "⟨⟩": (r"\langle", r"\rangle")}.get(
        brackets, (brackets[0], brackets[1])
    )
    return f"${opening}{text}{closing}$"


def rotated(rotations: ArrayLike, axis: int) -> Floats:
    """Crystal directions along a sample axis: one column of the matrices v_crystal = R v_sample.

    Parameters
    ----------
    rotations
        (..., 4) unit quaternions, scalar first.
    axis
        0, 1, 2: x, y, z of the sample.
    """
    a, b, c, d = np.moveaxis(np.asarray(rotations, dtype=np.float64), -1, 0)
    columns = (
        (a * a + b * b - c * c - d * d, 2 * (b * c + a * d), 2 * (b * d - a * c)),
        (2 * (b * c - a * d), a * a - b * b + c * c - d * d, 2 * (c * d + a * b)),
        (2 * (b * d + a * c), 2 * (c * d - a * b), a * a - b * b - c * c + d * d),
    )
    return np.stack(columns[axis], axis=-1)


@lru_cache(maxsize=1)
def _small_indices() -> NDArray[np.int64]:
    """Index triples without common factors, small ones first."""
    reach = np.arange(-_LARGEST_INDEX, _LARGEST_INDEX + 1)
    triples = np.array(np.meshgrid(reach, reach, reach)).reshape(3, -1).T
    triples = triples[np.gcd.reduce(triples, axis=1) == 1]
    return np.asarray(triples[np.argsort(np.abs(triples).sum(axis=1), kind="stable")])


def _chunks(n: int) -> Iterator[slice]:
    for start in range(0, n, _AT_ONCE):
        yield slice(start, start + _AT_ONCE)
