"""Template matching of many patterns at once in torch, for GPUs.

What :mod:`phaseloom.orientation.matching.voting` does one pattern after the other, without a loop
over patterns: the same ranking of zones, the same votes, the same joining. A compiled loop skips
what a pattern does not need, which suits a processor; a GPU wants long arrays. Both are tested
against one plain numpy reference, and differ by rounding in single precision.

Votes are added up as integers: the order in which a GPU adds does not change them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from phaseloom.compute.device import torch_device
from phaseloom.orientation.matching.library import BINS, Library
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.matching.starts import APART, LEAST, PART, STARTS, Starts
from phaseloom.orientation.matching.voting import _NARROW, LIST, TOLERANCE

_MOST_PEAKS = 250
"""Of a pattern, the strongest."""

_LEVELS = 256
"""Of scores, as in :func:`phaseloom.orientation.matching.voting.least_of_best`."""

_CELL = TOLERANCE / 8.0
"""Å⁻¹: spots of a zone are found by radius in cells of this size."""

_ONE = float(1 << 24)
"""Votes are counted in such parts: they amount to a few at most, and 2³¹ is 128."""

_MEMORY = 2**28
"""Bytes to work in on a processor."""

_SHARE = 0.2
"""Of a GPU's free memory: other blocks may be at work on it."""


class _Zones(NamedTuple):
    """Templates and symmetry of one crystal on the device.

    ``first`` (zones, cells + 1) is the number of the first spot at or beyond a radius, and
    ``densest`` the most spots of a zone that a peak could vote with.
    """

    radius: torch.Tensor
    angle: torch.Tensor
    weight: torch.Tensor
    first: torch.Tensor
    densest: int
    signature: torch.Tensor
    rotation: torch.Tensor
    symmetry: torch.Tensor


class _Polar(NamedTuple):
    """Peaks of some patterns, (patterns, peaks), of weight 0 where there are fewer."""

    radius: torch.Tensor
    angle: torch.Tensor
    weight: torch.Tensor


class _Best(NamedTuple):
    """The best angles of the best zones, (patterns, list), best first; score 0 for none."""

    score: torch.Tensor
    zone: torch.Tensor
    angle: torch.Tensor
    mirror: torch.Tensor


def match(
    patterns: Patterns, library: Library, *, device: str = "cuda", starts: int = STARTS
) -> Starts:
    """Compare every pattern with all templates.

    Parameters
    ----------
    patterns, library, starts
        As for :func:`phaseloom.orientation.matching.matching.match`.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    InputError
        ``cuda`` was asked for and there is none.
    """
    where = torch_device(device)
    proposed = Starts.none(len(patterns), len(library.crystals), starts)
    memory = _MEMORY
    if where.type == "cuda":
        memory = int(_SHARE * torch.cuda.mem_get_info(where)[0])
    for c in range(len(library.crystals)):
        zones = _zones(library, c, where)
        for rows, polar in _batches(patterns, library, memory, len(zones.rotation), where):
            best = _vote(polar, zones, library, memory)
            rotation, correlation = _joined(best, zones, library.n_angles, starts)
            proposed.rotation[rows, c] = rotation.cpu().numpy()
            proposed.correlation[rows, c] = correlation.cpu().numpy()
    return proposed


def _zones(library: Library, c: int, where: torch.device) -> _Zones:
    templates, lattices = library.templates, library.lattices
    zones = slice(templates.crystal_offset[c], templates.crystal_offset[c + 1])
    offset = templates.offset[zones.start : zones.stop + 1].astype(np.int64)
    spots = slice(offset[0], offset[-1])
    turns = slice(lattices.symmetry_offset[c], lattices.symmetry_offset[c + 1])
    # Spots of a zone lie by rising radius: one sorted list of (zone, radius).
    n, cells = offset.size - 1, int(np.ceil(library.k_max / _CELL)) + 2
    zone = np.repeat(np.arange(n), np.diff(offset))
    cell = np.floor(templates.radius[spots] / _CELL).astype(np.int64)
    edge = (cells * np.arange(n))[:, None] + np.arange(cells)
    first = np.searchsorted(cells * zone + np.minimum(cell, cells - 1), edge)
    first = np.concatenate([first, offset[1:, None] - offset[0]], axis=1)
    width = min(_cells_in_tolerance(), cells)
    return _Zones(
        radius=torch.from_numpy(templates.radius[spots]).to(where),
        angle=torch.from_numpy(templates.angle[spots]).to(where),
        weight=torch.from_numpy(templates.weight[spots]).to(where),
        first=torch.from_numpy(first).to(where),
        densest=int((first[:, width:] - first[:, :-width]).max(initial=1)),
        signature=torch.from_numpy(np.ascontiguousarray(templates.signature[:, zones])).to(where),
        rotation=torch.from_numpy(templates.rotation[zones]).to(where),
        symmetry=torch.from_numpy(lattices.symmetry[turns]).to(where),
    )


def _cells_in_tolerance() -> int:
    """Cells that hold all radii within the tolerance of a peak's."""
    return int(np.ceil(2.0 * TOLERANCE / _CELL)) + 1


def _batches(
    patterns: Patterns, library: Library, memory: int, zones: int, where: torch.device
) -> Iterator[tuple[slice, _Polar]]:
    """Patterns in polar form, as many at once as there is room to rank their zones."""
    most = int(np.diff(patterns.offset).max(initial=1))
    step = max(1, int(memory / 2 / (96 * zones + 64 * most)))
    for start in range(0, len(patterns), step):
        rows = slice(start, min(start + step, len(patterns)))
        yield rows, _polar(patterns.part(rows.start, rows.stop), library, where)


def _polar(patterns: Patterns, library: Library, where: torch.device) -> _Polar:
    counts = np.diff(patterns.offset)
    n = len(patterns)
    column = np.arange(patterns.ky.size) - np.repeat(patterns.offset[:-1], counts)
    table = np.zeros((3, n, max(1, int(counts.max(initial=1)))))
    place = np.repeat(np.arange(n), counts), column
    for i, values in enumerate((patterns.ky, patterns.kx, patterns.intensity)):
        table[i][place] = values
    ky, kx, intensity = torch.from_numpy(table).to(where)
    radius = torch.hypot(ky, kx)
    counted = (radius > 0) & (radius < library.k_max) & (intensity > 0)
    weight = torch.where(counted, torch.sqrt(torch.sqrt(intensity) * radius), 0.0)
    turn = torch.atan2(ky, kx) * (library.n_angles / (2.0 * np.pi))
    turn = torch.where(turn < 0, turn + library.n_angles, turn).clamp(max=library.n_angles - 1e-3)
    if weight.shape[1] > _MOST_PEAKS:
        weight, chosen = weight.topk(_MOST_PEAKS, dim=1)
        radius, turn = radius.gather(1, chosen), turn.gather(1, chosen)
    norm = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    weight = weight / torch.where(norm > 0, norm, 1.0)
    return _Polar(radius.float(), turn.float(), weight.float())


def _vote(polar: _Polar, zones: _Zones, library: Library, memory: int) -> _Best:
    """Votes of all peaks for the angles of the zones that their pattern could be of."""
    kept = _kept(polar, zones.signature, library.k_max)
    pattern, zone = kept.nonzero(as_tuple=True)
    n, peaks = polar.weight.shape
    bins = library.n_angles
    pair_memory = 100 * peaks * zones.densest + 48 * bins
    step = max(1, int(memory / 2 / pair_memory))
    values = torch.zeros((len(zone), 4), dtype=torch.float32, device=zone.device)
    angles = torch.zeros((len(zone), 4), dtype=torch.int64, device=zone.device)
    for start in range(0, len(zone), step):
        some = slice(start, start + step)
        votes = _histograms(polar, zones, pattern[some], zone[some], bins)
        values[some], angles[some] = _two_angles(votes)
    # Of every pattern one row, with room for the zones of that which has most.
    per_pattern = kept.sum(dim=1)
    before = per_pattern.cumsum(0) - per_pattern
    width = int(per_pattern.max()) if n else 0
    column = torch.arange(len(zone), device=zone.device) - before[pattern]
    score = torch.zeros((n, max(width, -(-LIST // 4)), 4), device=zone.device)
    number = torch.zeros(score.shape[:2], dtype=torch.int64, device=zone.device)
    score[pattern, column] = values
    number[pattern, column] = torch.arange(len(zone), device=zone.device)
    top, at = score.flatten(1).topk(LIST, dim=1)
    pair = number.gather(1, at // 4)
    if len(zone) == 0:
        return _Best(top, pair, pair, pair)
    return _Best(top, zone[pair], angles[pair, at % 4], (at % 4) // 2)


def _kept(polar: _Polar, signature: torch.Tensor, k_max: float) -> torch.Tensor:
    """Which zones show weights by radius like a pattern's: (patterns, zones) bool."""
    n, zones = len(polar.weight), signature.shape[1]
    at = (polar.radius.double() / k_max * BINS - 0.5).clamp(0.0, BINS - 1.001)
    lower = at.long()
    part = at - lower
    row = BINS * torch.arange(n, device=at.device)[:, None] + lower
    held = _added(
        torch.cat([row, row + 1], dim=1).flatten(),
        torch.cat([polar.weight * (1.0 - part), polar.weight * part], dim=1).float().flatten(),
        n * BINS,
    )
    score = held.view(n, BINS) @ signature
    # The least level that enough zones reach, see least_of_best.
    scale = (_LEVELS - 1.0) / score.amax(dim=1, keepdim=True).clamp(min=1e-12).double()
    level = (score.clamp(min=0.0) * scale).long().clamp(max=_LEVELS - 1)
    row = _LEVELS * torch.arange(n, device=at.device)[:, None] + level
    counts = torch.bincount(row.flatten(), minlength=n * _LEVELS).view(n, _LEVELS)
    reached = counts.flip(1).cumsum(1) < min(max(LEAST, int(PART * zones)), zones)
    limit = (_LEVELS - 1 - reached.sum(dim=1, keepdim=True)).clamp(min=0) / scale
    return (score >= limit) & (polar.weight.amax(dim=1, keepdim=True) > 0)


def _histograms(
    polar: _Polar, zones: _Zones, pattern: torch.Tensor, zone: torch.Tensor, bins: int
) -> torch.Tensor:
    """Votes for the angles of some zones, as they are and mirrored: (pairs, 2, bins)."""
    peaks = polar.weight.shape[1]
    end = zones.first.shape[1] - 1
    low = torch.floor((polar.radius - TOLERANCE) / _CELL).long().clamp(0, end)
    high = (low + _cells_in_tolerance()).clamp(max=end)
    # An empty place of the table has no partners.
    high = torch.where(polar.weight > 0, high, low)
    begin = zones.first[zone[:, None], low[pattern]].flatten()
    counts = zones.first[zone[:, None], high[pattern]].flatten() - begin
    owner = torch.repeat_interleave(counts)
    spot = torch.arange(len(owner), device=owner.device)
    spot += (begin - (counts.cumsum(0) - counts))[owner]
    pair = owner // peaks
    peak = pattern[pair] * peaks + owner % peaks
    radius, angle, weight = (column.flatten()[peak] for column in polar)
    apart = (radius - zones.radius[spot]).abs() / TOLERANCE
    weight = weight * zones.weight[spot] * (1.0 - apart).clamp(min=0.0)
    turns = angle - zones.angle[spot], angle + zones.angle[spot]
    at, share = [], []
    for mirror, raw in enumerate(turns):
        turn = torch.where(raw < 0, raw + bins, raw)
        turn = torch.where(turn >= bins, turn - bins, turn)
        lower = turn.long()
        part = (turn - lower) * weight
        row = (2 * pair + mirror) * bins
        at += [row + lower, row + (lower + 1) % bins]
        share += [weight - part, part]
    votes = _added(torch.cat(at), torch.cat(share), 2 * len(zone) * bins)
    return votes.view(len(zone), 2, bins)


def _added(at: torch.Tensor, values: torch.Tensor, size: int) -> torch.Tensor:
    """Sums of the values by place, the same in whatever order they are added."""
    total = torch.zeros(size, dtype=torch.int32, device=at.device)
    total.index_add_(0, at, (values * _ONE).round().int())
    return total.float() / _ONE


def _two_angles(votes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two best angles of every histogram and their votes: both (pairs, 4)."""
    bins = votes.shape[-1]
    top, first = votes.max(dim=-1)
    apart = (torch.arange(bins, device=votes.device) - first[..., None]).abs()
    near = torch.minimum(apart, bins - apart) <= 5
    second, other = votes.masked_fill(near, 0.0).max(dim=-1)
    return (
        torch.stack([top, second], dim=-1).flatten(1),
        torch.stack([first, other], dim=-1).flatten(1),
    )


def _joined(
    best: _Best, zones: _Zones, bins: int, starts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Distinct solutions, as :func:`phaseloom.orientation.matching.voting.join` finds them."""
    n = len(best.score)
    half = best.angle.double() * (np.pi / bins)
    zero = torch.zeros_like(half)
    plain = torch.stack([half.cos(), zero, zero, -half.sin()], dim=-1)
    # Half a turn about y first: (0, 0, 1, 0) times the turn.
    mirrored = torch.stack([zero, -half.sin(), half.cos(), zero], dim=-1)
    turn = torch.where(best.mirror[..., None] > 0, mirrored, plain)
    placed = _product(zones.rotation[best.zone], turn)
    score = best.score.double()
    close = float(np.cos(0.5 * np.radians(APART)))
    held = torch.zeros((n, starts, 4), dtype=torch.float64, device=half.device)
    total = torch.zeros_like(held)
    correlation = torch.zeros((n, starts), dtype=torch.float64, device=half.device)
    count = torch.zeros(n, dtype=torch.int64, device=half.device)
    every = torch.arange(n, device=half.device)
    flip = torch.tensor([1.0, -1.0, -1.0, -1.0], dtype=torch.float64, device=half.device)
    for i in range(placed.shape[1]):
        q, s = placed[:, i], score[:, i]
        # ⟨p, S q⟩ = ⟨p q⁻¹, S⟩
        cosine = (_product(held, (q * flip)[:, None]) @ zones.symmetry.T).abs()
        nearest, turned = cosine.max(dim=-1)
        near = nearest > close
        owner = near.int().argmax(dim=1)
        owned = near.any(dim=1)
        new = ~owned & (s > 0) & (count < starts)
        at = torch.where(owned, owner, count.clamp(max=starts - 1))
        copy = _product(zones.symmetry[turned[every, at]], q)
        sign = torch.where((copy * held[every, at]).sum(dim=-1) > 0, 1.0, -1.0)
        narrow = _NARROW * correlation[every, at]
        weight = sign * ((s - narrow) / (1.0 - _NARROW)).clamp(min=0.0)
        total[every, at] += copy * torch.where(owned, weight, 0.0)[:, None]
        total[every, at] += q * torch.where(new, s, 0.0)[:, None]
        held[every, at] = torch.where(new[:, None], q, held[every, at])
        correlation[every, at] = torch.where(new, s, correlation[every, at])
        count += new
    empty = torch.arange(starts, device=half.device) >= count[:, None]
    rotation = total / torch.linalg.vector_norm(total, dim=-1, keepdim=True)
    return (
        rotation.masked_fill(empty[..., None], torch.nan),
        correlation.masked_fill(empty, torch.nan),
    )


def _product(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Products p q of quaternions (…, 4): first the rotation q, then p."""
    a, b, c, d = p.unbind(-1)
    e, f, g, h = q.unbind(-1)
    return torch.stack(
        [
            a * e - b * f - c * g - d * h,
            a * f + b * e + c * h - d * g,
            a * g - b * h + c * e + d * f,
            a * h + b * g - c * f + d * e,
        ],
        dim=-1,
    )
