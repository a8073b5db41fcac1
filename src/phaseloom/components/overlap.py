"""Labels of positions, overlaps of two components, the network of boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.components.background import checked_weight
from phaseloom.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

THRESHOLDS = (0.75, 0.80, 0.85, 0.90, 0.95)
"""Ratios of weights at which overlaps are computed."""


UNSURE = 0.1
"""Standard error of a ratio of weights above which calls near the threshold are left out."""

_ERRORS = 2.0
"""Standard errors from the threshold within which they are."""


class Labels(NamedTuple):
    """Component (y, x) of every position and the second one at overlaps; −1: none."""

    label: NDArray[np.int16]
    partner: NDArray[np.int16]


def label_and_partner(
    weight: ArrayLike,
    background: int = -1,
    *,
    background_ratio: float = 0.65,
    overlap_ratio: float = 0.75,
    error: ArrayLike | None = None,
) -> Labels:
    """Label of every position, and its second component where two overlap.

    Weights are min–max scaled over all; at a position w₁ ≥ w₂ ≥ w₃. Where background is first and
    w₂ / w₁ reaches `background_ratio`, the label is the second (partner: the third if w₃ / w₂
    reaches `overlap_ratio`), otherwise background. Where a crystal is first, the partner is the
    second if that is not background and w₂ / w₁ reaches `overlap_ratio`. (Cao et al., Digital
    Discovery 2025, doi:10.1039/d5dd00071h: T and s.)

    Parameters
    ----------
    weight
        (component, y, x), not negative.
    background
        Number of the background; −1 for none.
    background_ratio
        T: part of the background's weight from which on a crystal counts.
    overlap_ratio
        s: part of the larger weight from which on the smaller one is an overlap.
    error
        (y, x) standard error of w₂ / w₁. Where it is above 0.1 and the ratio within two of it
        from s, there is no partner: whether the position holds a second one is not known.

    Returns
    -------
    Labels
        Both −1 where all weights are 0.

    Raises
    ------
    InputError
        The weights are negative or not finite, there is no component of that number, or a ratio
        is not within 0 and 1.
    """
    _check_ratio(overlap_ratio)
    label, second, ratio = second_components(weight, background, background_ratio)
    found = (ratio >= overlap_ratio) & ~_unsure(ratio, error, overlap_ratio)
    return Labels(label, np.where(found, second, np.int16(-1)))


def overlap_evolution(
    weight: ArrayLike,
    background: int = -1,
    *,
    background_ratio: float = 0.65,
    thresholds: Sequence[float] = THRESHOLDS,
    error: ArrayLike | None = None,
) -> NDArray[np.int8]:
    """Overlap of two components at rising thresholds.

    Parameters
    ----------
    weight, background, background_ratio, error
        As for :func:`label_and_partner`.
    thresholds
        Values of its `overlap_ratio`.

    Returns
    -------
    ndarray of int8
        (threshold, y, x): 1 where there is a partner, 0 where there is none, −1 where that is not
        known.
    """
    _check_ratio(*thresholds)
    _, _, ratio = second_components(weight, background, background_ratio)
    above = np.asarray(thresholds, dtype=np.float64)[:, None, None]
    unsure = np.stack([_unsure(ratio, error, threshold) for threshold in thresholds])
    return np.where(unsure, -1, ratio >= above).astype(np.int8)


def boundary_network(
    weight: ArrayLike, label: ArrayLike, partner: ArrayLike, *, background: int = -1
) -> pd.DataFrame:
    """Table of every two crystals that touch or overlap.

    Parameters
    ----------
    weight
        (component, y, x).
    label, partner
        From :func:`label_and_partner`.
    background
        Number of the background, which has no boundaries; −1 for none.

    Returns
    -------
    pandas.DataFrame
        A row per pair: ``first`` < ``second`` component; ``overlap``, positions that hold both
        (one the label, the other the partner); ``edges``, pixel edges between their labels;
        ``length`` of the boundary in px
        (:func:`phaseloom.maps.boundaries.contact_lengths`: edges are too long on oblique lines);
        ``width``, overlap over length, the mean width of the overlap in px (NaN where they do not
        touch); ``ratio``, mean of smaller over larger weight along the boundary on both sides
        and in the overlap.
    """
    import pandas as pd

    from phaseloom.maps.boundaries import contact_lengths

    weights = checked_weight(weight)
    labels, partners = np.asarray(label, dtype=np.intp), np.asarray(partner, dtype=np.intp)
    if not labels.shape == partners.shape == weights.shape[1:]:
        raise InputError(
            f"labels {labels.shape}, partners {partners.shape} and weights {weights.shape} "
            "are not of one map"
        )
    labels = np.where(labels == background, -1, labels)
    position = np.arange(labels.size).reshape(labels.shape)
    sides = [
        np.stack([position[near], position[far]], axis=-1).reshape(-1, 2)
        for near, far in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:]))
    ]
    edge = np.concatenate(sides)
    labels_of_edge = labels.ravel()[edge]
    boundary = (labels_of_edge[:, 0] != labels_of_edge[:, 1]) & (labels_of_edge >= 0).all(axis=1)
    edge, labels_of_edge = edge[boundary], labels_of_edge[boundary]
    overlapping = np.flatnonzero((partners.ravel() >= 0) & (labels.ravel() >= 0))
    both = np.stack([labels.ravel()[overlapping], partners.ravel()[overlapping]], axis=1)

    n = len(weights)
    edges, overlap = _count(labels_of_edge, n), _count(both, n)
    # A position counts once for a pair, however many of its edges are boundary of the two.
    pair = np.concatenate([np.repeat(_pair(labels_of_edge, n), 2), _pair(both, n)])
    position_of_pair = np.concatenate([edge.ravel(), overlapping])
    pair, at = np.unique(np.stack([pair, position_of_pair], axis=1), axis=0).T
    flat = weights.reshape(n, -1)
    one, other = (flat[component, at] for component in np.divmod(pair, n))
    larger = np.maximum(one, other)
    ratios = np.minimum(one, other) / np.where(larger > 0, larger, 1.0)
    number = np.bincount(pair, minlength=n * n)
    total = np.bincount(pair, weights=ratios, minlength=n * n)

    touching = np.flatnonzero(edges + overlap)
    first, second = np.divmod(touching, n)
    table = pd.DataFrame(
        {
            "first": first,
            "second": second,
            "overlap": overlap[touching],
            "edges": edges[touching],
        }
    ).merge(contact_lengths(labels, pixel_size=1.0), on=["first", "second"], how="left")
    table["length"] = table["length"].fillna(0.0)
    # Labels that meet at corners only have a length, but no boundary.
    table.loc[table["edges"] == 0, "length"] = 0.0
    table["width"] = table["overlap"] / table["length"].where(table["length"] > 0)
    table["ratio"] = total[touching] / number[touching]
    return table


def second_components(
    weight: ArrayLike, background: int, background_ratio: float
) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.float64]]:
    """Labels, the components that may be partners (−1: none may), and w(partner) / w(label).

    Parameters
    ----------
    weight, background, background_ratio
        As for :func:`label_and_partner`.
    """
    weights = checked_weight(weight)
    _check_ratio(background_ratio)
    n = len(weights)
    if not -1 <= background < n:
        raise InputError(
            f"there is no component {background} to be background",
            f"name one of 0 to {n - 1}, or −1 for none",
        )
    scaled = weights - weights.min()  # dividing by the range leaves ratios as they are
    # With two components more that are nowhere there always is a third.
    scaled = np.concatenate([scaled, np.zeros((2, *weights.shape[1:]))])
    order = np.argsort(-scaled, axis=0, kind="stable")[:3]
    largest = np.take_along_axis(scaled, order, axis=0)
    below = np.where(largest[:-1] > 0, largest[:-1], np.inf)
    ratio = largest[1:] / below
    first_is_background = order[0] == background
    covered = first_is_background & (ratio[0] >= background_ratio)
    label = np.where(covered, order[1], order[0])
    second = np.where(covered, order[2], order[1])
    ratio_to_label = np.where(covered, ratio[1], ratio[0])
    alone = (ratio_to_label <= 0) | (second == background) | (label == background)
    label = np.where((weights == 0).all(axis=0), -1, label)
    return (
        label.astype(np.int16),
        np.where(alone, -1, second).astype(np.int16),
        np.where(alone, 0.0, ratio_to_label),
    )


def _unsure(
    ratio: NDArray[np.float64], error: ArrayLike | None, threshold: float
) -> NDArray[np.bool_]:
    """Where it is not known on which side of a threshold the ratio is."""
    if error is None:
        return np.zeros(ratio.shape, dtype=np.bool_)
    errors = np.asarray(error, dtype=np.float64)
    # NaN, no error, is no larger than anything.
    return np.asarray((errors > UNSURE) & (np.abs(ratio - threshold) < _ERRORS * errors))


def _pair(components: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Numbers of unordered pairs (m, 2) of components: smaller × n + larger."""
    return np.asarray(components.min(axis=1) * n + components.max(axis=1))


def _count(components: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Number of occurrences of each pair."""
    return np.bincount(_pair(components, n), minlength=n * n)


def _check_ratio(*ratios: float) -> None:
    for ratio in ratios:
        if not 0 < ratio <= 1:
            raise InputError(f"a ratio of weights of {ratio:g} is impossible", "give 0 < ratio ≤ 1")
