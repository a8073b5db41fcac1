"""Template library: the kinematic pattern of every zone axis of every crystal, in polar form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals import Crystal, kinematic_spots, reflections
from phaseloom.crystals.kinematic import rotation_matrices
from phaseloom.errors import InputError
from phaseloom.orientation.matching.zones import facing, zone_axes

EXPONENT = 0.25
"""Intensities count with this power, in patterns and templates alike: it brings what dynamic
scattering and thickness spread over decades to about one weight."""

_THICKNESS = 120.0
"""Å, of the templates: the step between zones, not the thickness, limits how sharp they can be."""

_SMEAR = 0.75
"""Templates are averaged over tilts of so many steps between zones, as precession would."""

_FAINTEST = 2e-4
"""Spots weaker than this part of the strongest reflection are in no template."""

_MOST_SPOTS = 250
"""Of a template, the strongest."""

_MOST_REFLECTIONS = 20_000
"""Of a crystal, the strongest: bounds time and memory for very large cells."""

_EXTINCT = 1e-10
"""|F|² in Å²: what is less is rounding."""


class Templates(NamedTuple):
    """Spots of all zones, flat: zone ``i`` owns ``offset[i]:offset[i + 1]``, by rising radius."""

    offset: NDArray[np.int32]
    radius: NDArray[np.float32]
    angle: NDArray[np.float32]
    weight: NDArray[np.float32]
    crystal_offset: NDArray[np.int32]
    rotation: NDArray[np.float64]
    signature: NDArray[np.float32]


class Lattices(NamedTuple):
    """Reflections, symmetry and zone axes of all crystals, each flat with its offsets."""

    offset: NDArray[np.int32]
    vector: NDArray[np.float64]
    strength: NDArray[np.float64]
    length: NDArray[np.float64]
    symmetry_offset: NDArray[np.int32]
    symmetry: NDArray[np.float64]
    axis_offset: NDArray[np.int32]
    axis: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Library:
    """Crystals, ready to be matched.

    Parameters
    ----------
    crystals
        The phases, in the order of their numbers.
    templates
        For matching: ``radius`` (Å⁻¹), ``angle`` (in steps of ``in_plane_step``, from x towards
        y), ``weight`` (intensity to the power ¼, of unit norm in each zone); zones of crystal
        ``c`` are ``crystal_offset[c]:crystal_offset[c + 1]``; ``rotation`` (zones, 4) at angle
        zero; ``signature`` (bins, zones), the weights by radius, of unit norm.
    lattices
        For refinement: ``vector`` (reflections, 3) and ``length`` in Å⁻¹, ``strength`` |F|²
        relative to the strongest; ``symmetry`` (n, 4) proper rotations of the Laue class;
        ``axis`` (n, 3), unit vectors of low-index zone axes.
    voltage
        In kV.
    precession_angle
        In degrees.
    k_max
        Largest 1/d in Å⁻¹.
    zone_step, in_plane_step
        In degrees.
    """

    crystals: tuple[Crystal, ...]
    templates: Templates
    lattices: Lattices
    voltage: float
    precession_angle: float
    k_max: float
    zone_step: float
    in_plane_step: float

    @property
    def n_zones(self) -> int:
        """Zones of all crystals."""
        return self.templates.offset.size - 1

    @property
    def n_angles(self) -> int:
        """In-plane angles of a full turn."""
        return round(360.0 / self.in_plane_step)


def make_library(
    crystals: Sequence[Crystal],
    *,
    voltage: float,
    precession_angle: float = 0.0,
    k_max: float = 1.5,
    zone_step: float = 2.0,
    in_plane_step: float = 2.0,
) -> Library:
    """Templates of all zone axes of all crystals.

    A template is the kinematic pattern of a crystal whose beam sweeps over the zone's
    neighbourhood as well as over the cone of the precession: a pattern that lies between two
    zones then resembles both.

    Parameters
    ----------
    crystals
        One or several.
    voltage
        Acceleration voltage in kV.
    precession_angle
        Half-angle of the cone in degrees.
    k_max
        Largest 1/d in Å⁻¹.
    zone_step, in_plane_step
        In degrees; the latter must divide 360.

    Raises
    ------
    InputError
        No crystal, steps that cannot be, or a crystal whose reflections all lie beyond ``k_max``.
    """
    if not crystals:
        raise InputError("there is no crystal to index with", "give at least one (-p FILE.cif)")
    for name, step in (("zone step", zone_step), ("in-plane step", in_plane_step)):
        if not 0.2 <= step <= 10.0:
            raise InputError(f"a {name} of {step}° cannot be", "take 0.2 to 10, usually 2")
    if abs(360.0 / in_plane_step - round(360.0 / in_plane_step)) > 1e-9:
        raise InputError(
            f"an in-plane step of {in_plane_step}° does not divide the circle", "take 1, 2, 3 or 4"
        )
    lattices = _lattices(crystals, k_max)
    sweep = float(np.hypot(precession_angle, _SMEAR * zone_step))
    parts = [
        _zones(crystal, voltage, k_max, sweep, zone_step, in_plane_step) for crystal in crystals
    ]
    counts = np.concatenate([counts for counts, *_ in parts]).astype(np.int64)
    radius, angle, weight, rotation = (
        np.concatenate([part[i] for part in parts]) for i in range(1, 5)
    )
    zone = np.repeat(np.arange(counts.size), counts)
    return Library(
        crystals=tuple(crystals),
        templates=Templates(
            offset=_offset(counts),
            radius=radius.astype(np.float32),
            angle=angle.astype(np.float32),
            weight=weight.astype(np.float32),
            crystal_offset=_offset(np.array([len(part[4]) for part in parts])),
            rotation=rotation,
            signature=signatures(radius, weight, zone, counts.size, k_max),
        ),
        lattices=lattices,
        voltage=voltage,
        precession_angle=precession_angle,
        k_max=k_max,
        zone_step=zone_step,
        in_plane_step=in_plane_step,
    )


BINS = 96
"""Of a signature: the range up to ``k_max`` in so many."""


def signatures(
    radius: NDArray[np.float64],
    weight: NDArray[np.float64],
    owner: NDArray[np.intp],
    n: int,
    k_max: float,
) -> NDArray[np.float32]:
    """Weights by radius, which no rotation and no mirror changes: (bins, n), unit norm.

    Parameters
    ----------
    radius, weight, owner
        Of all spots: Å⁻¹, any, and to which of the ``n`` patterns each belongs.
    n
        Patterns.
    k_max
        The end of the last bin.
    """
    at = np.clip(radius / k_max * BINS - 0.5, 0.0, BINS - 1.001)
    lower = at.astype(np.intp)
    part = at - lower
    table = np.zeros((BINS, n))
    np.add.at(table, (lower, owner), weight * (1.0 - part))
    np.add.at(table, (lower + 1, owner), weight * part)
    norm = np.linalg.norm(table, axis=0)
    return (table / np.where(norm > 0, norm, 1.0)).astype(np.float32)


def _zones(
    crystal: Crystal,
    voltage: float,
    k_max: float,
    sweep: float,
    zone_step: float,
    in_plane_step: float,
) -> tuple[NDArray[np.float64], ...]:
    """Counts, radius, angle and weight of the spots and rotations of all zones of a crystal."""
    rotation = facing(zone_axes(crystal, zone_step))
    spots = kinematic_spots(
        crystal,
        rotation,
        voltage=voltage,
        thickness=_THICKNESS,
        k_max=k_max,
        precession_angle=sweep,
        minimum=_FAINTEST,
    )
    radius = np.hypot(spots.ky, spots.kx)
    # Distant spots are as rare as they are telling: the root of the radius lets them speak.
    weight = spots.intensity**EXPONENT * np.sqrt(radius)
    zone = np.repeat(np.arange(len(rotation)), np.diff(spots.offset))
    by_weight = np.lexsort((-weight, zone))
    rank = np.arange(zone.size) - spots.offset[zone[by_weight]]
    kept = by_weight[rank < _MOST_SPOTS]
    kept = kept[np.lexsort((radius[kept], zone[kept]))]
    zone, radius, weight = zone[kept], radius[kept], weight[kept]
    norm = np.sqrt(np.bincount(zone, weight**2, len(rotation)))
    angle = np.degrees(np.arctan2(spots.ky[kept], spots.kx[kept])) / in_plane_step
    angle = np.mod(angle, 360.0 / in_plane_step)
    counts = np.bincount(zone, minlength=len(rotation)).astype(np.float64)
    return counts, radius, angle, weight / norm[zone], rotation


def _lattices(crystals: Sequence[Crystal], k_max: float) -> Lattices:
    vectors, strengths, turns, axes = [], [], [], []
    for crystal in crystals:
        scattering = reflections(crystal, k_max)
        strength = np.abs(scattering.structure_factor) ** 2
        if strength.max(initial=0.0) < _EXTINCT:
            raise InputError(
                f"all reflections of {crystal.name} lie outside the patterns, which end at "
                f"{k_max:.3g} Å⁻¹",
                "check the cell of the CIF (in Å) and --pixel-size",
            )
        order = np.argsort(-strength, kind="stable")[:_MOST_REFLECTIONS]
        order = order[strength[order] > 1e-5 * strength.max()]
        vectors.append(scattering.vectors[order])
        strengths.append(strength[order] / strength.max())
        turns.append(_quaternions(crystal.laue_rotations))
        axes.append(_low_index_axes(crystal))
    return Lattices(
        offset=_offset([len(v) for v in vectors]),
        vector=np.asfortranarray(np.concatenate(vectors)),
        strength=np.concatenate(strengths),
        length=np.linalg.norm(np.concatenate(vectors), axis=1),
        symmetry_offset=_offset([len(t) for t in turns]),
        symmetry=np.concatenate(turns),
        axis_offset=_offset([len(a) for a in axes]),
        axis=np.concatenate(axes),
    )


def _low_index_axes(crystal: Crystal) -> NDArray[np.float64]:
    """Directions of the shortest lattice vectors, one of each pair: (n, 3) unit vectors."""
    steps = np.arange(-5, 6)
    uvw = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    first = np.array([next((v for v in row if v), 0) for row in uvw])
    coprime = np.gcd.reduce(uvw, axis=1) == 1
    uvw = uvw[(first > 0) & coprime]
    vectors = uvw @ crystal.lattice
    length = np.linalg.norm(vectors, axis=1)
    order = np.argsort(length, kind="stable")[:250]
    axes: NDArray[np.float64] = vectors[order] / length[order, None]
    return axes


def _quaternions(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    scalar_last = Rotation.from_matrix(matrices).as_quat()
    quaternions: NDArray[np.float64] = np.roll(scalar_last, 1, axis=1)
    assert np.allclose(rotation_matrices(quaternions), matrices, atol=1e-6)
    return quaternions


def _offset(counts: Sequence[int] | NDArray[np.generic]) -> NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
