"""Other clusterers find the groups that are there, and agreement says how far they do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from phaseloom.components.choice import alternatives
from phaseloom.components.choice.alternatives import METHODS, agreement_matrix, other_labels
from phaseloom.errors import InputError, InputWarning

GROUPS = (300, 200, 150, 100, 60)


def scores_of(dose: float, *, mixed: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, 12) of Poisson counts of five patterns of spots, and each position's group.

    A part of the positions holds up to half of another group's pattern.
    """
    rng = np.random.default_rng(seed)
    m = 400
    patterns = 0.2 / m + 0.3 * np.eye(1, m) + np.zeros((len(GROUPS), m))
    for pattern in patterns:
        pattern[rng.choice(m, 25, replace=False)] += rng.dirichlet(np.ones(25)) * 0.5
    truth = rng.permutation(np.repeat(np.arange(len(GROUPS)), GROUPS))
    weight = np.eye(len(GROUPS))[truth]
    other = (truth + rng.integers(1, len(GROUPS), truth.size)) % len(GROUPS)
    share = np.where(rng.uniform(size=truth.size) < mixed, rng.uniform(0, 0.45, truth.size), 0.0)
    weight = (1 - share)[:, None] * weight + share[:, None] * np.eye(len(GROUPS))[other]
    counts = rng.poisson(dose * weight @ patterns).astype(np.float64)
    scaled = counts / np.sqrt(counts.mean(axis=0) + 0.02 * counts.mean())
    u, s, _ = np.linalg.svd(scaled, full_matrices=False)
    return u[:, :12] * s[:12], truth


@pytest.mark.parametrize("method", METHODS)
def test_separate_groups_are_found_and_numbered_by_size(method):
    scores, truth = scores_of(3e3)
    label = other_labels(scores, len(GROUPS), methods=[method])[method]
    assert label.dtype == np.int16
    found = label >= 0
    assert found.mean() > 0.97
    assert adjusted_rand_score(truth[found], label[found]) > 0.99
    assert (np.diff(np.bincount(label[found])) <= 0).all()


def test_overlaps_and_noise_leave_the_groups_recognisable():
    scores, truth = scores_of(1e3, mixed=0.2)
    found = other_labels(scores, len(GROUPS), seed=1)
    assert list(found) == list(METHODS)
    index = {name: adjusted_rand_score(truth, label) for name, label in found.items()}
    assert min(index["kmeans"], index["gmvae"]) > 0.8
    # The widest Gaussian takes what is mixed; density calls it noise.
    assert min(index["mixture"], index["hdbscan"]) > 0.6


def test_same_seed_same_partition():
    scores, _ = scores_of(500, mixed=0.3)
    one, same = (other_labels(scores, 5, methods=("kmeans", "mixture"), seed=3) for _ in range(2))
    for name, label in one.items():
        np.testing.assert_array_equal(label, same[name])


def test_many_positions_are_clustered_by_a_sample(monkeypatch):
    scores, truth = scores_of(3e3)
    monkeypatch.setattr(alternatives, "_MOST", 400)
    label = other_labels(scores, 5, methods=["hdbscan"])["hdbscan"]
    assert label.shape == truth.shape
    assert adjusted_rand_score(truth, label) > 0.97


def test_a_group_too_small_for_the_autoencoder_is_told():
    scores, _ = scores_of(3e3)
    far = np.concatenate([scores, scores[:6] + 1e3])
    with pytest.warns(InputWarning, match="autoencoder"):
        found = other_labels(far, 6, methods=("kmeans", "gmvae"))
    assert list(found) == ["kmeans"]
    assert (found["kmeans"] == 5).sum() == 6


def test_agreement_is_of_partitions_not_of_numbers():
    one = np.array([[0, 0, 1], [1, 2, 2]])
    renamed = np.array([[2, 2, 0], [0, 1, 1]])
    coarse = np.array([[0, 0, 0], [0, 1, 1]])
    matrix = agreement_matrix({"nmf": one, "kmeans": renamed, "hdbscan": coarse})
    assert matrix == pytest.approx(matrix.T)
    assert matrix.diagonal() == pytest.approx(1.0)
    assert matrix[0, 1] == pytest.approx(1.0)
    # Of 15 pairs of positions 3 are together in one, 7 in the other, and 3 in both.
    expected = 3 * 7 / 15
    assert matrix[0, 2] == pytest.approx((3 - expected) / (5 - expected))


def test_agreement_by_chance_is_none():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-1, 5, (2, 20_000))
    assert abs(agreement_matrix({"a": a, "b": b})[0, 1]) < 0.01


@pytest.mark.parametrize(
    ("scores", "k", "methods", "message"),
    [
        (np.zeros((9, 3)), 3, ["ward"], "no method 'ward'"),
        (np.full((9, 3), np.nan), 3, ["kmeans"], "not a table of numbers"),
        (np.zeros((4, 3)), 5, ["kmeans"], "4 positions cannot be parted into 5"),
        (np.zeros((4, 3)), 0, ["kmeans"], "into 0 clusters"),
    ],
)
def test_bad_input(scores, k, methods, message):
    with pytest.raises(InputError, match=message):
        other_labels(scores, k, methods=methods)


def test_one_cluster_is_everything() -> None:
    scores = np.random.default_rng(0).standard_normal((60, 4))
    found = other_labels(scores, 1, methods=["kmeans", "hdbscan", "mixture"])
    assert list(found) == ["kmeans", "hdbscan", "mixture"]
    assert (found["kmeans"] == 0).all() and (found["mixture"] == 0).all()
    assert agreement_matrix({"nmf": np.zeros(60, int), "kmeans": found["kmeans"]})[0, 1] == 1.0
