"""Masks of a measured silver lamella, found again in mixtures of its measured patterns.

The scan itself is not public; its five grain masks and the patterns summed over them are. The
masks leave out a strip of vacuum along the top, where only the direct beam is seen. Here every
position gets a Poisson pattern of the mixture that a probe somewhat wider than a step sees.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment

from phaseloom.components import cluster, factorise, matrix_of

PROBE = 0.7  # sigma in steps
BEAM = 5  # px: reach of the direct beam
DOSES = (1_000.0, 100_000.0)  # electrons per pattern


def stored(path: Path) -> np.ndarray:
    """The three-dimensional data set of a HyperSpy file."""
    found: list[np.ndarray] = []

    def look(_: str, entry: object) -> None:
        if isinstance(entry, h5py.Dataset) and entry.ndim == 3:
            found.append(entry[()])

    with h5py.File(path) as file:
        file.visititems(look)
    (only,) = found
    return only


@pytest.fixture(scope="module")
def masks(measured: Path) -> np.ndarray:
    """(5, 64, 208), no two in one place."""
    masks = stored(measured / "4dstem_sped_ag" / "SPED_Ag_labels.hspy").astype(bool)
    assert masks.shape == (5, 64, 208)
    assert masks.sum(axis=0).max() == 1
    return masks


@pytest.fixture(scope="module")
def patterns(measured: Path) -> np.ndarray:
    """(6, 56, 56): the five grains' and the vacuum's, each of one electron."""
    sums = stored(measured / "4dstem_sped_ag" / "SPED_Ag_labels_sum_signal.hspy").astype(float)
    y, x = np.indices(sums.shape[1:]) - 56
    # The direct beam is brightest where a grain scatters least.
    brightest = sums[sums[:, 56, 56].argmax()]
    vacuum = np.where(np.hypot(y, x) < BEAM, brightest, 0.0)
    both = np.concatenate([sums, vacuum[None]])
    binned = both.reshape(6, 56, 2, 56, 2).sum(axis=(2, 4))
    return binned / binned.sum(axis=(1, 2), keepdims=True)


def shares_of(masks: np.ndarray) -> np.ndarray:
    """(6, y, x): the part of each grain, and of vacuum, in what the probe sees."""
    places = np.concatenate([masks, ~masks.any(axis=0)[None]]).astype(float)
    return np.stack([gaussian_filter(place, PROBE) for place in places])


def scan_of(shares: np.ndarray, patterns: np.ndarray, dose: float, seed: int = 0) -> np.ndarray:
    """Counts (y, x, ky, kx) float32."""
    expected = dose * np.einsum("cyx,cij->yxij", shares, patterns)
    return np.random.default_rng(seed).poisson(expected).astype(np.float32)


def overlap_of_masks(label: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Intersection over union of each mask and the label that is assigned to it."""
    found = np.stack([label == i for i in range(label.max() + 1)]).reshape(-1, masks[0].size)
    true = masks.reshape(len(masks), -1)
    both = (true[:, None] & found).sum(axis=2)
    either = (true[:, None] | found).sum(axis=2)
    ratio = both / np.maximum(either, 1)
    return ratio[linear_sum_assignment(-ratio)]


@pytest.mark.parametrize("dose", DOSES)
def test_masks_are_found_again_at_all_doses(masks, patterns, dose):
    shares = shares_of(masks)[:, ::2, ::2]
    factors = factorise(matrix_of(scan_of(shares, patterns, dose)), 6)
    label = factors.weight.argmax(axis=1).reshape(shares.shape[1:])
    assert overlap_of_masks(label, masks[:, ::2, ::2]).min() >= 0.9


def test_patterns_are_found_again(masks, patterns):
    shares = shares_of(masks)[:, ::2, ::2]
    factors = factorise(matrix_of(scan_of(shares, patterns, 30_000.0)), 6)
    true = patterns.reshape(6, -1)
    found = factors.pattern / np.linalg.norm(factors.pattern, axis=1, keepdims=True)
    cosine = found @ (true / np.linalg.norm(true, axis=1, keepdims=True)).T
    # The measured ones are alike to 0.81, having the direct beam in common.
    assert cosine[linear_sum_assignment(-cosine)].min() > 0.99


def test_the_chain_finds_grains_and_vacuum_in_the_whole_scan(masks, patterns):
    scan = scan_of(shares_of(masks), patterns, 1_000.0)
    found = cluster(scan, k=6, patterns="raw", size=56, mask_radius=0.0)
    label = found["label"].to_numpy()
    assert overlap_of_masks(label, masks).min() >= 0.9
    # Vacuum is a component, that of the direct beam alone, and no grain.
    assert found.attrs["grains"] == 5
    vacuum = ~masks.any(axis=0)
    assert (label[vacuum] == found.attrs["background"]).mean() > 0.95


def test_the_number_of_grains_is_found(masks, patterns):
    scan = scan_of(shares_of(masks)[:, ::2, ::2], patterns, 3_000.0)
    found = cluster(scan, patterns="raw", size=56, components_max=9)
    assert found.attrs["grains"] == 5
    # The direct beam is masked: vacuum is empty, and has no label.
    assert overlap_of_masks(found["label"].to_numpy(), masks[:, ::2, ::2]).min() >= 0.9
