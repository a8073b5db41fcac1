"""Simulated peaks of known orientations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from phaseloom.crystals import Crystal
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.maps.misorientation import misorientation_angles
from phaseloom.orientation import index
from phaseloom.orientation.matching.library import Library, make_library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns, direct_beam_radius, patterns_of
from phaseloom.orientation.matching.starts import Starts
from phaseloom.orientation.refinement.likelihood import Pattern, Physics
from phaseloom.orientation.refinement.model import first_physics
from phaseloom.simulate import Beam, Camera, random_orientations, simulate_peaks

K_MAX = 1.5


@dataclass(repr=False)
class Case:
    """Simulated peaks of one crystal in known orientations, and what is made of them."""

    crystal: Crystal
    truth: np.ndarray
    table: xr.Dataset
    library: Library

    @cached_property
    def peaks(self) -> Peaks:
        return Peaks(self.table)

    @cached_property
    def k_min(self) -> float:
        return direct_beam_radius(self.peaks)

    @cached_property
    def patterns(self) -> Patterns:
        return patterns_of(self.peaks, k_min=self.k_min, k_max=K_MAX)

    @cached_property
    def physics(self) -> Physics:
        """As the peaks were simulated."""
        first = first_physics(self.peaks, self.library, k_min=self.k_min, thickness=120.0)
        return first._replace(spread=0.3, missing=np.log(0.01))

    @cached_property
    def starts(self) -> Starts:
        return match(self.patterns, self.library)

    @cached_property
    def indexed(self) -> xr.Dataset:
        return index(self.peaks, self.crystal, voltage=200.0, k_max=K_MAX)

    def errors(self, rotation: np.ndarray) -> np.ndarray:
        """Degrees to the truth of rotations (patterns, …, 4)."""
        truth = self.truth.reshape(len(self.truth), *[1] * (rotation.ndim - 2), 4)
        return misorientation_angles(truth, rotation, self.crystal.laue_rotations)


def simulated(crystal: Crystal, shape: tuple[int, int], *, dose: float, seed: int) -> Case:
    sample = random_orientations(shape, seed=seed)
    table = simulate_peaks(
        sample,
        [crystal],
        beam=Beam(dose=dose, intensity_spread=0.3),
        camera=Camera(jitter=0.3),
        seed=seed,
    )
    library = make_library([crystal], voltage=200.0, k_max=K_MAX)
    return Case(crystal, sample["rotation"].to_numpy().reshape(-1, 4), table, library)


def pattern_of(patterns: Patterns, p: int) -> Pattern:
    """One of the patterns, as the kernels take it."""
    own = slice(patterns.offset[p], patterns.offset[p + 1])
    ky, kx, intensity, place, loose = (column[own] for column in patterns[1:6])
    return Pattern(ky, kx, intensity, np.log(intensity), place, loose, patterns.limit[p])


def prepared(pattern: Pattern, q: np.ndarray, library: Library, physics: Physics):
    """The kernels' room for a pattern, and how many reflections near an orientation it lists."""
    from phaseloom.orientation.refinement.likelihood import make_room, shortlist, stamp

    room = make_room(library.lattices, physics, pattern.ky.size)
    room.spots[:] = 0.0
    stamp(pattern, physics.reach, room.where)
    listed = shortlist(q, 0, library.lattices, physics, room)
    return listed, room


def evaluated(q, shift, scale, pattern: Pattern, library: Library, physics: Physics):
    """ln likelihood by the compiled kernels, and their room."""
    from phaseloom.orientation.refinement.likelihood import FADING, log_likelihood, predict

    listed, room = prepared(pattern, q, library, physics)
    floor = pattern.limit * FADING
    n, _ = predict(q, shift, scale, 0.0, listed, pattern, physics, floor, room)
    return log_likelihood(n, pattern, shift, physics, room), room
