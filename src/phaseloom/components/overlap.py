"""Labels of positions, overlaps of two components, the background component, boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

THRESHOLDS = (0.75, 0.80, 0.85, 0.90, 0.95)
"""Ratios of weights at which overlaps are computed."""

_SMOOTH = 0.1
"""A pattern with less than this part of its intensity in spots has none (measured: purely diffuse
patterns −0.05 to 0.05, crystals 0.16 to 0.9)."""

_DIRECT_BEAM = 0.06
"""Radius about the direct beam that is left out, in parts of the pattern's width."""

_PRESENT = 0.2
"""A component of at least this weight, of 1, takes part in a pattern."""

_NEARLY_ALL = 0.75
"""Part of the other components that one has to take part in to be everywhere."""


class Labels(NamedTuple):
    """Component (y, x) of every position and the second one at overlaps; −1: none."""

    label: NDArray[np.int16]
    partner: NDArray[np.int16]


def find_background(
    weight: ArrayLike, pattern: ArrayLike, *, centre: tuple[float, float] | None = None
) -> int:
    """Find the background component: support, vacuum, diffuse scattering.

    It has no Bragg spots. The azimuthal median of a pattern holds all that is isotropic about the
    direct beam, rings too; the intensity beyond it is in spots. Background is the component without
    (less than 0.1 of the intensity in spots), or, as factors are not unique and may have kept
    some of the crystals' spots, the one that lies under at least three quarters of the others;
    always with less than half as much in spots as is usual in the others. A grain is no
    background, however large: it has spots. Of several the one with the largest part of all
    intensity is taken.

    Parameters
    ----------
    weight
        (component, y, x), 1: fully that component.
    pattern
        (component, ky, kx), NaN where a pixel is not used.
    centre
        Row and column of the direct beam in px; the middle by default. Where it is wrong by some
        pixels, rings look like spots and background is not found.

    Returns
    -------
    int
        Number of the component; −1 if there is none, also if no component has spots or there
        is only one.
    """
    weights = checked_weight(weight)
    patterns = np.asarray(pattern, dtype=np.float64)
    if patterns.ndim != 3 or len(patterns) != len(weights):
        raise InputError(
            f"patterns {patterns.shape} do not belong to weights {weights.shape}",
            "give one pattern (ky, kx) for each component",
        )
    spots = spot_shares(patterns, centre=centre)
    with_spots = spots >= _SMOOTH
    if len(weights) < 2 or not with_spots.any():
        return -1
    few = spots < 0.5 * np.median(spots[with_spots])
    candidates = few & (~with_spots | (_presence(weights) >= _NEARLY_ALL))
    if not candidates.any():
        return -1
    intensity = weights.mean(axis=(1, 2)) * np.nansum(patterns, axis=(1, 2))
    return int(np.argmax(np.where(candidates, intensity, -1.0)))


def spot_shares(
    pattern: ArrayLike, *, centre: tuple[float, float] | None = None
) -> NDArray[np.float64]:
    """Share of each pattern's intensity in spots, beyond its azimuthal median.

    Patterns are smoothed a little before (Gaussian of 1 px), else the median of few counts is
    below their mean without any spot; the direct beam is left out.

    Parameters
    ----------
    pattern
        (component, ky, kx), NaN where a pixel is not used.
    centre
        Row and column of the direct beam in px; the middle by default.

    Returns
    -------
    ndarray of float64
        (component,), at most 1; about 0 without spots, and where there is no intensity.
    """
    from scipy import ndimage

    patterns = np.asarray(pattern, dtype=np.float64)
    shape = patterns.shape[1:]
    middle = [(size - 1) / 2 for size in shape] if centre is None else centre
    row, column = np.indices(shape)
    radius = np.hypot(row - middle[0], column - middle[1])
    outside = radius > max(3.0, _DIRECT_BEAM * min(shape))
    shares = np.zeros(len(patterns))
    for number, image in enumerate(patterns):
        used = np.isfinite(image) & outside
        if not used.any():
            continue
        cover = ndimage.gaussian_filter(used.astype(float), 1.0)
        smooth = ndimage.gaussian_filter(np.where(used, image, 0.0), 1.0)[used] / cover[used]
        ring = np.rint(radius[used]).astype(np.intp)
        median = ndimage.median(smooth, ring, np.arange(ring.max() + 1))
        total = smooth.sum()
        shares[number] = 1.0 - median[ring].sum() / total if total > 0 else 0.0
    return shares


def label_and_partner(
    weight: ArrayLike,
    background: int = -1,
    *,
    background_ratio: float = 0.65,
    overlap_ratio: float = 0.75,
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
    label, second, ratio = _second_components(weight, background, background_ratio)
    return Labels(label, np.where(ratio >= overlap_ratio, second, np.int16(-1)))


def overlap_evolution(
    weight: ArrayLike,
    background: int = -1,
    *,
    background_ratio: float = 0.65,
    thresholds: Sequence[float] = THRESHOLDS,
) -> NDArray[np.bool_]:
    """Overlap of two components at rising thresholds.

    Parameters
    ----------
    weight, background, background_ratio
        As for :func:`label_and_partner`.
    thresholds
        Values of its `overlap_ratio`.

    Returns
    -------
    ndarray of bool
        (threshold, y, x), true where there is a partner.
    """
    _check_ratio(*thresholds)
    _, _, ratio = _second_components(weight, background, background_ratio)
    return np.asarray(ratio >= np.asarray(thresholds, dtype=np.float64)[:, None, None])


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


def checked_weight(weight: ArrayLike) -> NDArray[np.float64]:
    """Weights (component, y, x) as numbers.

    Raises
    ------
    InputError
        They have other axes, or are negative or not finite somewhere.
    """
    weights = np.asarray(weight, dtype=np.float64)
    if weights.ndim != 3 or not weights.size:
        raise InputError(f"weights of shape {weights.shape} are no maps", "give (component, y, x)")
    if not (weights.min() >= 0 and np.isfinite(weights.max())):
        raise InputError("some weights are negative or not finite", "factors are never negative")
    return weights


def _second_components(
    weight: ArrayLike, background: int, background_ratio: float
) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.float64]]:
    """Labels, the components that may be partners (−1: none may), and w(partner) / w(label)."""
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


def _presence(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the other components in whose typical pattern each takes part."""
    n = len(weights)
    flat = weights.reshape(n, -1)
    largest = flat.argmax(axis=0)
    typical = [np.median(flat[:, largest == j], axis=1) for j in range(n) if (largest == j).any()]
    at = np.array([j for j in range(n) if (largest == j).any()])
    present = (np.stack(typical, axis=1) >= _PRESENT) & (at[None, :] != np.arange(n)[:, None])
    others = (at[None, :] != np.arange(n)[:, None]).sum(axis=1)
    return np.asarray(present.sum(axis=1) / np.maximum(others, 1))


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
