"""Orientations that are mistaken for each other are named as a crystallographer would."""

from __future__ import annotations

import json

import numpy as np
import pytest
from orientation_cases import Case

from phaseloom.crystals import Crystal, gold
from phaseloom.crystals.structure import Site, crystal_from_sites
from phaseloom.maps.misorientation import multiply
from phaseloom.orientation.certainty.pseudo_symmetry import pseudo_symmetry
from phaseloom.orientation.matching.library import make_library
from phaseloom.orientation.refinement.solutions import FACTS, Solutions


def named(crystal: Crystal, uvw: list[int], angle: float, n: int = 20, share: float = 0.4):
    """What is said of pairs that are turned about [uvw] of the crystal."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(n, 4))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    axis = np.array(uvw) @ crystal.lattice
    axis = axis / np.linalg.norm(axis)
    half = np.radians(angle) / 2
    turn = np.concatenate([[np.cos(half)], np.sin(half) * axis])
    rotation = np.stack([first, multiply(turn[None], first)], axis=1)
    solutions = Solutions(rotation, np.zeros((n, 2), int), np.zeros((n, 2, len(FACTS))))
    chance = np.tile([1 - share, share], (n, 1))
    return pseudo_symmetry(solutions, chance, make_library([crystal], voltage=200.0, zone_step=9.0))


TETRAGONAL = crystal_from_sites("q", (4, 4, 9, 90, 90, 90), 129, [Site("Ti", (0.1, 0.2, 0.3))])
MONOCLINIC = crystal_from_sites("m", (5, 6, 7, 90, 110, 90), 14, [Site("Ti", (0.1, 0.2, 0.3))])


@pytest.mark.parametrize(
    ("crystal", "uvw", "angle", "axis"),
    [
        (gold(), [1, 1, 1], 60.0, [1, 1, 1]),
        (gold(), [-1, 1, -1], 60.0, [1, 1, 1]),
        (gold(), [0, 1, 1], 38.9, [1, 1, 0]),
        (TETRAGONAL, [1, 1, 0], 25.0, [1, 1, 0]),
        (TETRAGONAL, [0, 0, 1], 37.0, [0, 0, 1]),
        (MONOCLINIC, [1, 0, 0], 180.0, [1, 0, 0]),
    ],
)
def test_angle_and_axis_are_named(
    crystal: Crystal, uvw: list[int], angle: float, axis: list[int]
) -> None:
    kinds = named(crystal, uvw, angle)
    assert len(kinds) == 1
    assert kinds[0]["axis"] == axis
    assert kinds[0]["angle"] == pytest.approx(angle, abs=0.1)
    assert kinds[0]["count"] == 20
    assert kinds[0]["crystal"] == crystal.name


def test_unlikely_rivals_are_not_listed() -> None:
    assert named(gold(), [1, 1, 1], 60.0, share=0.01) == []


def test_gold_has_its_twins(gold_case: Case) -> None:
    """Half a turn round ⟨111⟩ is 60° about it: patterns of that one zone cannot tell."""
    kinds = json.loads(gold_case.indexed.attrs["pseudo_symmetry"])
    assert [1, 1, 1] in [kind["axis"] for kind in kinds if abs(kind["angle"] - 60.0) < 0.5]
    counts = [kind["count"] for kind in kinds]
    assert counts == sorted(counts, reverse=True)


def test_one_solution_has_no_rival(gold_case: Case) -> None:
    one = Solutions(np.ones((3, 1, 4)) / 2, np.zeros((3, 1), int), np.zeros((3, 1, len(FACTS))))
    assert pseudo_symmetry(one, np.ones((3, 1)), gold_case.library) == []
