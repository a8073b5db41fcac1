"""Which crystals lie where in the sets of ``independent_truth.py``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAP = 32  # positions along either side
GRAINS = 10  # large ones
LEAST = 40  # positions of the large ones, before others lie in them
SMALL = (4, 5, 6, 8, 9)  # positions
KINDS = {"grain": 0, "boundary": 1, "small": 2, "lamella": 3}
"""Positions of maps: inside large grains, at boundaries of these, small grains, lamellae."""


class Sample(NamedTuple):
    """What lies where, and of what size the scan is."""

    shape: tuple[int, int]
    phase: Ints
    rotation: Floats
    second_phase: Ints
    second_rotation: Floats
    share: Floats
    kind: Ints
    grain: Ints


def random_rotations(n: int, rng: np.random.Generator) -> Floats:
    """(n, 4) uniformly distributed quaternions, scalar first."""
    return Rotation.random(n, rng=rng).as_quat(scalar_first=True)


def sample(kind: str, n: int, phases: int, rng: np.random.Generator) -> Sample:
    if kind == "map":
        return _grains(phases, rng)
    alone, none = np.full(n, -1), np.zeros(n)
    phase = rng.permutation(np.arange(n) % phases)
    second = (alone, random_rotations(n, rng), none)
    if kind == "pair":
        second = (np.zeros(n, np.int64), second[1], rng.uniform(0.2, 0.5, n))
    return Sample(
        (1, n), phase, random_rotations(n, rng), *second, np.zeros(n, np.int64), np.arange(n)
    )


def _grains(phases: int, rng: np.random.Generator) -> Sample:
    """Ten large grains; five of 4 to 9 positions and two lamellae inside of them."""
    y, x = np.indices((MAP, MAP))
    label = np.zeros((MAP, MAP), np.int64)
    while np.bincount(label.ravel(), minlength=GRAINS).min() < LEAST:
        seeds = rng.uniform(0, MAP, (GRAINS, 2))
        label = np.hypot(y[..., None] - seeds[:, 0], x[..., None] - seeds[:, 1]).argmin(-1)
    kind = np.zeros_like(label)
    for number, across in enumerate((x, y), start=GRAINS):
        host = np.bincount(label.ravel(), minlength=GRAINS)[:GRAINS].argsort()[GRAINS - number - 1]
        at = np.median(across[label == host])
        lamella = (label == host) & (across >= at) & (across < at + 2)
        label[lamella], kind[lamella] = number, KINDS["lamella"]
    for number, area in enumerate(SMALL, start=GRAINS + 2):
        for _ in range(1000):
            at = rng.integers(3, MAP - 3, 2)
            near = np.hypot(y - at[0] - 0.2, x - at[1] - 0.1).ravel()
            if len(np.unique(label.ravel()[near < 2.9])) == 1 and label[*at] < GRAINS:
                chosen = np.argsort(near)[:area]
                label.ravel()[chosen], kind.ravel()[chosen] = number, KINDS["small"]
                break
    n, grains = label.size, label.max() + 1
    padded = np.pad(label, 1, mode="edge")
    moves = rng.permutation([(0, 1), (2, 1), (1, 0), (1, 2)])
    neighbour = label.copy()
    for dy, dx in moves:
        other = padded[dy : dy + MAP, dx : dx + MAP]
        neighbour = np.where((neighbour == label) & (other != label), other, neighbour)
    edge = neighbour != label
    share = np.where(edge, rng.uniform(0.1, 0.5, label.shape), 0.0)
    kind[edge & (kind == 0)] = KINDS["boundary"]
    share[kind >= KINDS["small"]] *= 0.6  # up to 0.3: else hardly a position is its own
    phase_of = rng.permutation(np.arange(grains) % phases)
    mean = Rotation.random(grains, rng=rng)
    spread = np.radians(rng.uniform(0.2, 0.5, grains))[label.ravel()] / np.sqrt(3)

    def turned(of: Ints) -> Floats:
        bend = Rotation.from_rotvec(spread[:, None] * rng.standard_normal((n, 3)))
        quaternions: Floats = (mean[of] * bend).as_quat(scalar_first=True)
        return quaternions

    own, other = label.ravel(), neighbour.ravel()
    return Sample(
        (MAP, MAP), phase_of[own], turned(own),
        np.where(own != other, phase_of[other], -1), turned(other), share.ravel(),
        kind.ravel(), own,
    )  # fmt: skip
