"""The background component is the one without spots."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from phaseloom.components.background import find_background, spot_shares
from phaseloom.components.overlap import label_and_partner
from phaseloom.errors import InputError

Array = NDArray[np.float64]


def spotty(seed: int, size: int = 48, spots: int = 25) -> Array:
    """A pattern of Bragg spots in random places."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(4, size - 5, (spots, 2))
    row, column = np.indices((size, size))
    distance = (row - at[:, :1, None]) ** 2 + (column - at[:, 1:, None]) ** 2
    return np.asarray((rng.uniform(5, 30, spots)[:, None, None] * np.exp(-distance / 2.5)).sum(0))


def diffuse(size: int = 48, ring: float = 0.0) -> Array:
    """What an amorphous support scatters, about the middle."""
    row, column = np.indices((size, size)) - (size - 1) / 2
    radius = np.hypot(row, column)
    return np.asarray(10 * np.exp(-radius / 8) + ring * np.exp(-(((radius - 14) / 2) ** 2)) + 0.5)


def thirds(n: int = 12) -> Array:
    """Three grains side by side."""
    weight = np.zeros((3, n, n))
    for grain in range(3):
        weight[grain, :, grain * n // 3 : (grain + 1) * n // 3] = 1.0
    return weight


def test_spots_are_what_is_not_round() -> None:
    patterns = np.stack([spotty(0), diffuse(), diffuse(ring=5.0), 0.5 * spotty(0) + diffuse()])
    shares = spot_shares(patterns)
    assert shares[0] > 0.8
    assert np.abs(shares[1:3]).max() < 0.05
    assert 0.1 < shares[3] < 0.6


@pytest.mark.parametrize("ring", [0.0, 5.0])
@pytest.mark.parametrize("counts", [0.05, 1.0, 100.0])
def test_the_empty_part_of_a_scan_is_background(ring: float, counts: float) -> None:
    # Patterns as noisy as means over 50 positions.
    rng = np.random.default_rng(1)
    patterns = np.stack([spotty(0) + diffuse(), diffuse(ring=ring), spotty(1) + diffuse()])
    patterns = rng.poisson(counts * 50 * patterns) / 50
    assert find_background(thirds(), patterns) == 1
    patterns[:, 20:28, 20:28] = np.nan
    assert find_background(thirds(), patterns) == 1


def test_a_support_under_all_grains_is_background() -> None:
    weight = np.concatenate([thirds(), np.full((1, 12, 12), 0.9)])
    patterns = np.stack([spotty(0), spotty(1), spotty(2), diffuse()])
    assert find_background(weight, patterns) == 3
    # Also where the factors left some of the spots of all with it.
    patterns[3] += 0.6 * patterns[:3].mean(axis=0)
    assert spot_shares(patterns)[3] > 0.1
    assert find_background(weight, patterns) == 3


@pytest.mark.parametrize("support", [0.0, 0.5])
def test_grains_are_no_background_however_large(support: float) -> None:
    weight = np.zeros((3, 20, 20))
    weight[0] = 1.0
    weight[1, :3, :3] = weight[2, 15:, 15:] = 1.0
    patterns = np.stack([spotty(seed) + support * diffuse() for seed in range(3)])
    assert find_background(weight, patterns) == -1  # the matrix under two precipitates
    weight[0] -= weight[1] + weight[2]
    assert find_background(weight, patterns) == -1


def test_a_scan_without_crystals_has_no_background_among_its_components() -> None:
    patterns = np.stack([diffuse(), diffuse(ring=5.0), diffuse(ring=1.0)])
    assert find_background(thirds(), patterns) == -1
    assert find_background(np.ones((1, 4, 4)), spotty(0)[None]) == -1


@pytest.mark.parametrize("empty", [0.0, 0.3])
def test_background_among_the_factors_of_a_simulated_scan(empty: float) -> None:
    from sklearn.decomposition import NMF

    from phaseloom.crystals import gold
    from phaseloom.simulate import Beam, Camera, grain_map, simulate_scan

    sample = grain_map((16, 16), (1.0,), n_grains=6, spread=0.1, overlap_width=1.0, empty=empty)
    camera = Camera(shape=(48, 48), pixel_size=1.5 / 22, sigma=1.0, background=0.3,
                    background_width=8.0)  # fmt: skip
    scan, _ = simulate_scan(
        sample, [gold()], beam=Beam(dose=1e4, precession_angle=0.8), camera=camera
    )
    n_crystals = 6 - round(6 * empty)
    k = n_crystals + (empty > 0)
    counts = scan["counts"].to_numpy().astype(np.float64)
    row, column = np.indices((48, 48)) - 23.5
    used = np.hypot(row, column) > 4
    # The square root makes the errors of all counts alike.
    model = NMF(k, init="nndsvda", max_iter=400, random_state=0)
    weight = model.fit_transform(np.sqrt(counts[:, :, used]).reshape(256, -1))
    scale = np.percentile(weight, 99, axis=0)
    pattern = np.full((k, 48, 48), np.nan)
    pattern[:, used] = (model.components_ * scale[:, None]) ** 2
    maps = (weight / scale).T.reshape(k, 16, 16)
    background = find_background(maps, pattern)
    if not empty:
        assert background == -1
        return
    assert background >= 0
    truly_empty = sample["phase"].to_numpy() < 0
    labels = label_and_partner(maps, background).label
    assert ((labels == background) == truly_empty).mean() > 0.9


def test_patterns_that_do_not_belong_to_the_weights_are_refused() -> None:
    with pytest.raises(InputError, match="do not belong"):
        find_background(thirds(), diffuse()[None])
