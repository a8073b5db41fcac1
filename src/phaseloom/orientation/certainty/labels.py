"""Labels: alternatives of a patch of pixels taken for one, and shared out again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.certainty.joint_evidence import CLEAR, DECIDED, Joint

_EVEN = 0.05
"""Probabilities that differ by less leave the order as it is."""

_NEIGHBOURS = ((np.s_[:, :-1], np.s_[:, 1:], 2), (np.s_[:-1], np.s_[1:], 3))
"""Pixels, their neighbours, and the side on which these are: right and below."""


class Labels(NamedTuple):
    """Solutions of the pixels, alternatives of a patch being one.

    Parameters
    ----------
    number
        (y, x, n) of each solution: the number of the first that has its label.
    probability
        (y, x, n) of the labels, at their first solutions.
    exists
        (y, x, n): whether a label has its place there.
    partner
        (y, x, 4, n): which labels of the neighbours are the same, as bits.
    """

    number: NDArray[np.int64]
    probability: NDArray[np.float64]
    exists: NDArray[np.bool_]
    partner: NDArray[np.int32]


def _numbers(joint: Joint) -> NDArray[np.int64]:
    """(y, x, n): alternatives of a patch are one label, the number of their first solution."""
    n = joint.alternative.shape[2]
    of_patch = joint.alternative >= 0
    first = of_patch.argmax(axis=-1)[..., None]
    return np.where(of_patch, first, np.arange(n))


def labelled(
    joint: Joint,
    alone: NDArray[np.float64],
    exists: NDArray[np.bool_],
    partner: NDArray[np.int32],
) -> Labels:
    """Take the alternatives of a patch for one label.

    Parameters
    ----------
    joint
        The patches.
    alone, exists, partner
        Probabilities of the solutions (y, x, n), which there are, and which of the neighbours'
        they are (y, x, 4, n).
    """
    label = _numbers(joint)
    n = alone.shape[2]
    weight = np.zeros_like(alone)
    bits = np.zeros_like(partner)
    for k in range(n):
        chosen = label[..., k : k + 1]
        at = np.take_along_axis(weight, chosen, -1) + alone[..., k : k + 1]
        np.put_along_axis(weight, chosen, at, -1)
        sides = np.broadcast_to(chosen[:, :, None], (*partner.shape[:3], 1))
        both = np.take_along_axis(bits, sides, -1) | partner[..., k : k + 1]
        np.put_along_axis(bits, sides, both, -1)
    heads = exists & (label == np.arange(n))
    turned = np.zeros_like(bits)
    for own, neighbour, side in _NEIGHBOURS:
        for a, b, towards in ((own, neighbour, side), (neighbour, own, side - 2)):
            for m in range(n):
                mates = bits[a][:, :, towards] >> m & 1
                to = label[b][..., m : m + 1].astype(np.int32)
                turned[a][:, :, towards] |= mates << to
    return Labels(label, weight, heads, turned)


def split(joint: Joint, alone: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part of the probability of its label that each solution has, (y, x, n).

    A patch that has decided has one voice. One that has not lets every pixel keep its own order,
    at the probabilities of the patch. A pattern that tells clearly is heard besides.

    Parameters
    ----------
    joint
        The patches.
    alone
        (y, x, n): what the pixels say.
    """
    part = np.ones(alone.shape)
    y, x = np.nonzero(joint.group >= 0)
    if y.size == 0:
        return part
    most = max(share.size for share in joint.share)
    table = np.zeros((len(joint.share), most + 1))
    for number, share in enumerate(joint.share):
        table[number, : share.size] = share
    rank = joint.alternative[y, x].astype(np.int64)
    own = np.where(rank >= 0, alone[y, x], 0.0)
    order = np.argsort(-np.rint(own / _EVEN), axis=1, kind="stable")
    place = np.argsort(order, axis=1)
    # Of two solutions that are one alternative, the likelier counts.
    twice = (rank[:, :, None] == rank[:, None, :]) & (place[:, :, None] > place[:, None, :])
    listed = (rank >= 0) & ~twice.any(axis=2)
    own = np.where(listed, own, 0.0)
    group = joint.group[y, x]
    undecided = table[group, 0] < DECIDED
    order = np.argsort(np.where(listed, place, place.shape[1]), axis=1, kind="stable")
    place = np.argsort(order, axis=1)
    # Of the alternatives that a pixel lists, its own first has the largest share.
    shares = np.where(listed, table[group[:, None], np.where(listed, rank, most)], 0.0)
    ranked = np.take_along_axis(-np.sort(-shares, axis=1), place, axis=1)
    shares = np.where(undecided[:, None], np.where(listed, ranked, 0.0), shares)
    total = shares.sum(axis=1, keepdims=True)
    own = np.log(np.maximum(own, 1e-300))
    clear = np.exp(np.minimum(own - own.max(axis=1, keepdims=True) + CLEAR, 0.0))
    weight = np.where(listed, shares * clear, 0.0)
    weight *= total / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    part[y, x] = np.where(rank >= 0, weight, 1.0)
    return part
