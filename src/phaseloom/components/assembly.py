"""Result of the chain: maps and patterns of the components, group ``/components``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.background import find_background
from phaseloom.components.certainty import (
    SHARED,
    VARIATION,
    deviations,
    shared_variation,
    variation,
    varying_sentence,
)
from phaseloom.components.choice.image_quality import METRICS, agreement, similarity_matrices
from phaseloom.components.choice.published import PublishedChoice
from phaseloom.components.choice.rank import REDUNDANCY, STABILITY, Rank
from phaseloom.components.factors.compression import Compressed
from phaseloom.components.factors.factorisation import Factors
from phaseloom.components.options import Overlaps
from phaseloom.components.overlap import (
    THRESHOLDS,
    label_and_partner,
    overlap_evolution,
    second_components,
)
from phaseloom.components.patterns.matrix import MatrixBlock, Prepared, over_blocks
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options

if TYPE_CHECKING:
    import xarray as xr

Choice = Rank | PublishedChoice

_NO_LABEL = 0.2
"""A position where no component reaches this weight has no label."""

_FEW = 0.1
"""Part of the positions at which it does not matter whether two components overlap."""

_EXAMPLES = 4
_FAINT = 0.1
"""Weight of the second component from which an overlap is an example: at the rim of vacuum a
pattern of a few counts has small weights of all components."""
_NO_COUNTS = ("registered",)
"""Preparations whose pixels are no counts: their noise is not counting noise."""


@takes_options(overlaps=Overlaps)
def component_maps(
    prepared: Prepared,
    factors: Factors,
    compressed: Compressed,
    choice: Choice | None,
    *,
    overlaps: Overlaps,
    execution: Execution,
) -> xr.Dataset:
    """Patterns, weight maps, labels, overlaps and quality of the components of a scan.

    Parameters
    ----------
    prepared, factors, compressed
        The scan, its factors, and its sums.
    choice
        How the number of components was chosen; None if it was given.
    **options
        Of :func:`phaseloom.components.overlap.label_and_partner`, and how it is carried out.

    Returns
    -------
    xarray.Dataset
        Missing is NaN or −1.

        - ``pattern`` (component, ky, kx): counts at weight 1; NaN where a pixel is not used
        - ``weight`` (component, y, x): 1 where a component is strongest (99th percentile)
        - ``label``, ``partner`` (y, x): component of a position, and the second at an overlap;
          no label where no weight reaches 0.2
        - ``overlap`` (threshold, y, x): 1 or 0, whether there is one when s is the threshold; −1
          where counts are too few to know
        - ``overlap_error`` (y, x): standard error of the second weight over the first; NaN where
          their ratio is below 0.2
        - ``variation``, ``shared_variation`` (component): relative root mean square of how far the
          patterns of its positions vary beyond counting, and of what neighbours share of it
        - ``residual`` (y, x): ‖v − wH‖ / ‖v‖
        - ``mean_pattern``, ``brightest_pattern`` (component, ky, kx): of the positions with that
          label, and of the one with the largest weight, as prepared
        - ``similarity`` (metric, component, component_2), ``agreement`` (metric, component):
          patterns with each other, and with ``mean_pattern``
        - ``overlap_example`` (example, ky, kx): positions of the largest overlaps
          (``example_y``, ``example_x``: row and column; ``example_component``,
          ``example_partner``)
        - for every number of components that was tried: ``loss``, ``held_out``,
          ``held_out_error``, ``stability``, ``redundancy``, ``found`` (k), and ``quality``
          (metric, k), the mean over pairs of the number chosen; or ``loss`` (k), ``quality``,
          ``votes`` (metric, k) of the published procedure

        Attributes: ``k``, ``grains`` (k less the background), ``background`` (−1: none),
        ``reason``, ``choose``, ``error``, ``noise_floor`` (error of counting alone; NaN where
        pixels are no counts), ``iterations``, ``converged``, the two ratios, the limits of both
        variations and ``varying``, what it means that they are passed (or empty), and those of
        :func:`phaseloom.components.prepare`.
    """
    import xarray as xr

    k = len(factors.pattern)
    centre = prepared.attrs.get("centre")
    weight, pattern = prepared.map(factors.weight.T), prepared.image(factors.pattern)
    if overlaps.background == "auto":
        background = find_background(weight, pattern, centre=centre and (centre[0], centre[1]))
    else:
        background = -1 if overlaps.background == "none" else overlaps.background
    background_ratio, overlap_ratio = overlaps.background_ratio, overlaps.overlap_ratio
    # A few counts of noise in an empty part of the scan make weights, too.
    labelled = np.where(weight.max(axis=0) >= _NO_LABEL, weight, np.float32(0))
    first, second, _ = second_components(labelled, background, background_ratio)
    noise = _noise(prepared)
    deviation = deviations(
        prepared, factors, first.ravel(), second.ravel(), noise=noise, execution=execution
    )
    error = prepared.map(deviation.ratio_error)
    labels = label_and_partner(
        labelled, background, background_ratio=background_ratio, overlap_ratio=overlap_ratio,
        error=error,
    )  # fmt: skip
    alone = np.where((labels.partner < 0) & (labels.label != background), labels.label, -1).ravel()
    examples = _overlap_examples(weight, labels.label, labels.partner)
    brightest = factors.weight.argmax(axis=0)
    label = labels.label.ravel()

    positions = np.concatenate([brightest, examples])
    sums, shown = np.zeros(factors.pattern.shape), np.empty((len(positions), prepared.shape[1]))
    collected = over_blocks(
        prepared, partial(_collected, k, positions), "averaging", along=[label],
        execution=execution,
    )  # fmt: skip
    for rows, (sums_of_labels, patterns) in collected:
        sums += sums_of_labels
        shown[(positions >= rows.start) & (positions < rows.stop)] = patterns
    count = np.bincount(label[label >= 0], minlength=k)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = prepared.image(sums / count[:, None])
    varies = variation(deviation, alone, k)
    shared = shared_variation(
        compressed, factors, alone, prepared.scan_shape,
        apart=3 if prepared.attrs.get("patterns") == "mean" else 1,
    )  # fmt: skip
    across = ("component", "ky", "kx")
    data = xr.Dataset(
        {
            "pattern": (across, pattern, {"units": "counts"}),
            "weight": (("component", "y", "x"), weight),
            "label": (("y", "x"), labels.label),
            "partner": (("y", "x"), labels.partner),
            "overlap": (
                ("threshold", "y", "x"),
                overlap_evolution(
                    labelled, background, background_ratio=background_ratio, error=error
                ),
            ),
            "overlap_error": (("y", "x"), error),
            "variation": ("component", varies),
            "shared_variation": ("component", shared),
            "residual": (("y", "x"), prepared.map(factors.residual)),
            "mean_pattern": (across, mean, {"units": "counts"}),
            "brightest_pattern": (across, prepared.image(shown[:k]), {"units": "counts"}),
            "similarity": (("metric", "component", "component_2"), similarity_matrices(pattern)),
            "agreement": (("metric", "component"), agreement(pattern, mean)),
        },
        coords={
            "y": ("y", prepared.y, {"units": prepared.attrs["length_units"]}),
            "x": ("x", prepared.x, {"units": prepared.attrs["length_units"]}),
            "ky": ("ky", prepared.ky, {"units": prepared.attrs["reciprocal_units"]}),
            "kx": ("kx", prepared.kx, {"units": prepared.attrs["reciprocal_units"]}),
            "component": np.arange(k),
            "component_2": np.arange(k),
            "threshold": np.array(THRESHOLDS),
            "metric": list(METRICS),
        },
        attrs={
            "k": k,
            "grains": k - (background >= 0),
            "background": background,
            "error": factors.error,
            "noise_floor": _noise_floor(prepared, compressed),
            "iterations": factors.iterations,
            "converged": int(factors.converged),
            "background_ratio": background_ratio,
            "overlap_ratio": overlap_ratio,
            "variation_limit": VARIATION,
            "shared_variation_limit": SHARED,
            "varying": varying_sentence(varies, shared),
        }
        | {name: value for name, value in prepared.attrs.items() if name not in _UNITS},
    )
    data["label"].attrs = {
        "flag_values": list(range(-1, k)),
        "flag_meanings": " ".join(
            ["nothing", *("background" if c == background else f"component_{c}" for c in range(k))]
        ),
    }
    if len(examples):
        data["overlap_example"] = (
            ("example", "ky", "kx"), prepared.image(shown[k:]), {"units": "counts"}
        )  # fmt: skip
        row, column = np.unravel_index(examples, prepared.scan_shape)
        data = data.assign_coords(
            example_y=("example", row),
            example_x=("example", column),
            example_component=("example", label[examples]),
            example_partner=("example", labels.partner.ravel()[examples]),
        )
    return _with_choice(data, choice)


_UNITS = ("length_units", "reciprocal_units")


def unknown_overlaps(data: xr.Dataset) -> str:
    """That overlaps are mostly not known, in a sentence; empty where they are.

    Parameters
    ----------
    data
        Group ``/components``.
    """
    unknown = int((data["overlap"].isel(threshold=0) < 0).sum())
    found = int((data["partner"] >= 0).sum())
    if unknown <= max(found, _FEW * data["partner"].size):
        return ""
    return (
        f"whether two components overlap is not known at {unknown} positions, more than the "
        f"{found} at which they are found to: the patterns are too weak, or vary too much; fewer "
        "positions with more counts each would tell"
    )


def _with_choice(data: xr.Dataset, choice: Choice | None) -> xr.Dataset:
    """With the evidence for the number of components."""
    if choice is None:
        k = int(data.attrs["k"])
        return data.assign_attrs(choose="given", reason=f"k = {k} was asked for")
    data = data.assign_coords(k=("k", choice.ks))
    if isinstance(choice, PublishedChoice):
        data["loss"] = ("k", choice.loss)
        data["quality"] = (("metric", "k"), choice.quality)
        data["votes"] = (("metric", "k"), choice.votes)
        return data.assign_attrs(choose="published", knee=choice.knee, reason=choice.reason)
    for name in ("loss", "held_out", "held_out_error", "stability", "redundancy", "found"):
        data[name] = ("k", getattr(choice, name))
    # Of the number chosen: factors of other numbers are not kept.
    pairs = data["similarity"].mean(("component", "component_2")).to_numpy()
    data["quality"] = (("metric", "k"), np.where(choice.ks == choice.k, pairs[:, None], np.nan))
    return data.assign_attrs(
        choose="sound",
        reason=choice.reason,
        redundancy_limit=REDUNDANCY,
        stability_limit=STABILITY,
    )


def _overlap_examples(
    weight: NDArray[np.float32], label: NDArray[np.int16], partner: NDArray[np.int16]
) -> NDArray[np.intp]:
    """Positions of the strongest overlap of the pairs that overlap most, in this order."""
    at = np.flatnonzero(partner.ravel() >= 0)
    if not at.size:
        return at
    maps = weight.reshape(len(weight), -1)
    pair = np.sort(np.stack([label.ravel()[at], partner.ravel()[at]]), axis=0)
    number = pair[0] * len(weight) + pair[1]
    strength = np.minimum(maps[pair[0], at], maps[pair[1], at])
    seen = strength >= _FAINT
    at, number, strength = at[seen], number[seen], strength[seen]
    names, counts = np.unique(number, return_counts=True)
    frequent = names[np.argsort(-counts, kind="stable")][:_EXAMPLES]
    best = [at[number == n][strength[number == n].argmax()] for n in frequent]
    return np.array(best, dtype=np.intp)


def _collected(
    k: int, positions: NDArray[np.intp], block: MatrixBlock, label: NDArray[np.int16]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Sums of the patterns of each label, and the patterns at some positions, of a block."""
    values = block.load()
    member = (label == np.arange(k)[:, None]).astype(np.float32)
    inside = (positions >= block.rows.start) & (positions < block.rows.stop)
    return (member @ values).astype(np.float64), values[positions[inside] - block.rows.start]


def _noise(prepared: Prepared) -> float:
    """Variance of a pixel over its counts; NaN where pixels are no counts."""
    if prepared.attrs.get("patterns") in _NO_COUNTS:
        return float("nan")
    # The mean of nine positions has a ninth of the variance.
    return 1 / 9 if prepared.attrs.get("patterns") == "mean" else 1.0


def _noise_floor(prepared: Prepared, compressed: Compressed) -> float:
    """Relative error that counting alone leaves: the variance of counts is their number."""
    counts = compressed.scales.mean.sum(dtype=np.float64) * prepared.shape[0]
    return float(np.sqrt(_noise(prepared) * counts / compressed.scales.square))
