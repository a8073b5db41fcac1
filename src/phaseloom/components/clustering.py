"""The chain of this room: a scan or its peaks in, components, labels and overlaps out."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from phaseloom.components.assembly import Why, component_maps
from phaseloom.components.choice.published import choose_published
from phaseloom.components.choice.rank import Rank, Step, choose_rank, fewer_and_fewer
from phaseloom.components.factors.compression import Compressed, Scales, Scaling, compress
from phaseloom.components.factors.factorisation import Loss, check_options, check_rank, factorise
from phaseloom.components.factors.starts import Start
from phaseloom.components.patterns.matrix import ArrayBlock, Prepared, over_blocks
from phaseloom.components.patterns.preparation import Preparation, prepare
from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.device import Device
from phaseloom.compute.parts import Parts
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.io.scans import as_scan

if TYPE_CHECKING:
    import xarray as xr

_HELD = 2**30
"""A matrix of up to so many bytes is kept in memory; a larger one is made anew by blocks."""

_APART = 400
"""Positions that errors are tested on."""

_ABOVE = 4
"""With a number given, factors come down to it from so many more, or from the largest tried."""

_SPARE = 8
"""Dimensions beyond twice the largest number of components."""


def cluster(
    source: Any,
    *,
    k: Literal["auto"] | int = "auto",
    k_max: int = 20,
    choose: Literal["sound", "published"] = "sound",
    patterns: Preparation | None = None,
    size: int = 128,
    mask_radius: float | None = None,
    scaling: Scaling = "poisson",
    loss: Loss = "frobenius",
    start: Start = "pure",
    sparsity: float = 0.0,
    smoothness: float = 0.0,
    seeds: int = 5,
    background: Literal["auto", "none"] | int = "auto",
    background_ratio: float = 0.65,
    overlap_ratio: float = 0.75,
    seed: int = 0,
    device: Device = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    keep: Checkpoints | None = None,
    progress: Progress = SILENT,
) -> xr.Dataset:
    """Components of a scan: how many, their patterns, where they are and where two overlap.

    Parameters
    ----------
    source
        A scan, whatever :func:`phaseloom.io.scans.as_scan` makes one of, or peaks
        (:class:`phaseloom.diffraction.Peaks` or group ``/peaks``).
    k
        Number of components, background included; ``"auto"`` finds it.
    k_max
        Largest number tried.
    choose
        ``"sound"``: :func:`phaseloom.components.choose_rank`; ``"published"``:
        :func:`phaseloom.components.choice.published.choose_published`.
    patterns, size, mask_radius
        How patterns are made ready, see :func:`phaseloom.components.prepare`.
    scaling, loss, start, sparsity, smoothness
        How they are factorised, see :func:`phaseloom.components.factorise`.
    seeds
        Starts at each number of components.
    background
        The component that is no grain: found, none, or its number in the result.
    background_ratio, overlap_ratio
        T and s of :func:`phaseloom.components.overlap.label_and_partner`.
    seed
        Same seed, same result.
    device, workers, scheduler
        Where torch computes; threads, or the address of a dask.distributed cluster.
    keep
        Where the compressed scan and the result are kept.
    progress
        Where long work is reported.

    Returns
    -------
    xarray.Dataset
        Group ``/components``, see :func:`phaseloom.components.assembly.component_maps`.

    Raises
    ------
    InputError
        The scan has too few positions or nothing to tell them apart, more components are asked
        for than there are, intensities are negative, or an option cannot be.
    """
    keep = keep or Checkpoints()
    if isinstance(k, int) and isinstance(background, int) and background >= k:
        raise InputError(
            f"background component {background} is none of {k}", "they are counted from 0"
        )
    if choose not in ("sound", "published"):
        raise InputError(f"there is no choice {choose!r} of k", "take sound or published")
    check_options(
        k=1 if k == "auto" else k, loss=loss, start=start, scaling=scaling, sparsity=sparsity,
        smoothness=smoothness, seeds=seeds,
    )  # fmt: skip
    data, known = _data(source)
    how: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "progress": progress}
    prepared = prepare(
        data, patterns=patterns, size=size, mask_radius=mask_radius, seed=seed, keep=keep, **how
    )
    most = k_max if k == "auto" else max(k_max, k + _ABOVE)
    key = fingerprint(
        known, size, mask_radius, scaling, seed, k, k_max, choose, loss, start,
        sparsity, smoothness, seeds, background, background_ratio, overlap_ratio,
        [prepared.y, prepared.x, prepared.ky, prepared.kx, prepared.pixels], prepared.attrs,
    )  # fmt: skip

    def compute() -> xr.Dataset:
        matrix = _held(prepared, **how)
        # What is in memory here is not sent to a cluster again and again.
        here = how if matrix is prepared else how | {"scheduler": None}
        few = _compressed(
            matrix, keep.parts("components", "cluster", key), dimensions=2 * most + _SPARE,
            scaling=scaling, seed=seed, device=device, **here,
        )  # fmt: skip
        why: Why
        begin: Rank | Step
        if k == "auto" and choose == "sound":
            rank = choose_rank(
                few, prepared.scan_shape, k_max=k_max, start=start, seeds=seeds, seed=seed,
                device=device, progress=progress,
            )  # fmt: skip
            begin, why = rank, rank
        else:
            number = k
            why = None
            if number == "auto":
                why = choose_published(matrix, k_max=k_max, seed=seed, device=device, **here)
                number = why.k
            check_rank(few, number)
            largest = min(most, few.scores.shape[1])
            steps = fewer_and_fewer(
                few, prepared.scan_shape, largest, number, start=start, seeds=seeds, seed=seed,
                device=device,
            )  # fmt: skip
            tried = progress.track(steps, "numbers of components", total=largest - number + 1)
            begin = deque(tried, maxlen=1).pop()
        factors = factorise(
            matrix, len(begin.patterns), loss=loss, sparsity=sparsity, smoothness=smoothness,
            scaling=scaling, compressed=few, patterns=begin.patterns, device=device, **here,
        )  # fmt: skip
        if not factors.iterations:
            factors = factors._replace(iterations=begin.iterations, converged=begin.converged)
        result = component_maps(
            matrix, factors, few, why, background=background, background_ratio=background_ratio,
            overlap_ratio=overlap_ratio, **here,
        )  # fmt: skip
        return result.assign_attrs(
            scaling=scaling, loss_kind=loss, start=start, seeds=seeds, seed=seed,
            sparsity=sparsity, smoothness=smoothness,
        )  # fmt: skip

    return keep.stage("components", "cluster", key, compute, first=True)


def _compressed(prepared: Prepared, parts: Parts, **options: Any) -> Compressed:
    """The compressed scan, or what a run that was killed left of it."""
    import xarray as xr

    if 0 not in parts.done():
        few = compress(prepared, test=_APART, **options)
        scales = few.scales
        parts.save(
            0,
            xr.Dataset(
                {
                    "scores": (("position", "dimension"), few.scores),
                    "basis": (("dimension", "column"), few.basis),
                    "rows": ("position", scales.rows),
                    "columns": ("column", scales.columns),
                    "mean": ("column", scales.mean),
                    "apart": ("test", few.apart),
                    "rows_apart": (("test", "column"), few.rows_apart),
                    "squares": ("sums", np.array([scales.square, few.total])),
                }
            ),
        )
        return few
    found = {str(name): values.to_numpy() for name, values in parts.load(0).data_vars.items()}
    square, total = (float(value) for value in found["squares"])
    return Compressed(
        found["scores"], found["basis"],
        Scales(found["rows"], found["columns"], square, found["mean"]),
        total, found["apart"], found["rows_apart"],
    )  # fmt: skip


def _data(source: Any) -> tuple[Any, Any]:
    """What is to be prepared, and what tells it from others."""
    import xarray as xr

    if isinstance(source, xr.Dataset) and "offset" in source:
        source = Peaks(source)
    if isinstance(source, Peaks):
        columns = ("ky", "kx", "intensity", "offset")
        return source, [source.data[name].to_numpy() for name in columns]
    scan = as_scan(source)
    return scan, str(scan.attrs.get("input_fingerprint"))


def _held(prepared: Prepared, **how: Any) -> Prepared:
    """The matrix in memory if it is small enough; it is read many times."""
    n, m = prepared.shape
    if 4 * n * m > _HELD:
        return prepared
    loaded = over_blocks(prepared, _loaded, "preparing patterns", **how)
    return replace(prepared, blocks=[ArrayBlock(rows, values) for rows, values in loaded])


def _loaded(block: Any) -> Any:
    return block.load()
