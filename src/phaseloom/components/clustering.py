"""The chain: a scan or its peaks in, components, labels and overlaps out."""

from __future__ import annotations

import warnings
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseloom.components.assembly import Choice, component_maps, unknown_overlaps
from phaseloom.components.choice.published import choose_published
from phaseloom.components.choice.rank import Rank, Step, choose_rank, merging_sweep
from phaseloom.components.factors.compression import Compressed, Scales, compress
from phaseloom.components.factors.factorisation import check_rank, factorise
from phaseloom.components.options import Factorisation, Overlaps, Preparation
from phaseloom.components.patterns.matrix import ArrayBlock, Prepared, over_blocks
from phaseloom.components.patterns.preparation import prepare
from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError, InputWarning
from phaseloom.io.scans import as_scan

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.compute.parts import Parts

_VERSION = 2
"""Of what is computed: results of another one are not taken over."""

_IN_MEMORY = 2**30
"""A matrix of up to so many bytes is kept in memory; a larger one is read again by blocks."""

_HELD_OUT = 400
"""Positions that errors are tested on."""

_ABOVE = 4
"""With a given number of components, fits begin with so many more, or with the largest number."""

_SPARE = 8
"""Dimensions of the compressed scan beyond twice the largest number of components."""


@takes_options(preparation=Preparation, factorisation=Factorisation, overlaps=Overlaps)
def cluster(
    source: Any,
    *,
    seed: int = 0,
    preparation: Preparation,
    factorisation: Factorisation,
    overlaps: Overlaps,
    execution: Execution,
) -> xr.Dataset:
    """Components of a scan: how many, their patterns, where they are and where two overlap.

    Parameters
    ----------
    source
        A scan, whatever :func:`phaseloom.io.scans.as_scan` makes one of, or peaks
        (:class:`phaseloom.diffraction.Peaks` or group ``/peaks``).
    seed
        Same seed, same result.
    **options
        Of :func:`phaseloom.components.prepare`, :func:`phaseloom.components.factorise`,
        :func:`phaseloom.components.choose_rank` and
        :func:`phaseloom.components.overlap.label_and_partner`, and how it is carried out.

    Returns
    -------
    xarray.Dataset
        Group ``/components``, see :func:`phaseloom.components.assembly.component_maps`.

    Raises
    ------
    InputError
        The scan has too few positions or patterns that do not differ, more components are asked
        for than there are, intensities are negative, or an option is out of bounds.
    """
    k, background = factorisation.k, overlaps.background
    if isinstance(k, int) and isinstance(background, int) and background >= k:
        raise InputError(
            f"background component {background} is none of {k}", "they are counted from 0"
        )
    source, identity = _source_and_identity(source)
    prepared = prepare(source, seed=seed, preparation=preparation, execution=execution)
    key = fingerprint(
        _VERSION, identity, seed, preparation.model_dump(exclude={"patterns"}),
        factorisation.model_dump(), overlaps.model_dump(),
        [prepared.y, prepared.x, prepared.ky, prepared.kx, prepared.pixels], prepared.attrs,
    )  # fmt: skip
    checkpoints = execution.checkpoints
    largest = factorisation.components_max
    if k != "auto":
        largest = max(largest, k + _ABOVE)

    def compute() -> xr.Dataset:
        matrix = _in_memory(prepared, execution)
        # A matrix in memory is not sent to a cluster again and again.
        local = execution if matrix is prepared else replace(execution, scheduler=None)
        compressed = _compressed(
            matrix, checkpoints.parts("components", "cluster", key),
            dimensions=2 * largest + _SPARE, scaling=preparation.scaling, seed=seed,
            execution=local,
        )  # fmt: skip
        choice, best = _chosen(matrix, compressed, factorisation, largest, seed, local)
        factors = factorise(
            matrix, len(best.patterns), loss=factorisation.loss, sparsity=factorisation.sparsity,
            smoothness=factorisation.smoothness, scaling=preparation.scaling,
            compressed=compressed, patterns=best.patterns, execution=local,
        )  # fmt: skip
        if not factors.iterations:
            factors = factors._replace(iterations=best.iterations, converged=best.converged)
        result = component_maps(
            matrix, factors, compressed, choice, overlaps=overlaps, execution=local
        )
        return result.assign_attrs(
            scaling=preparation.scaling, loss_kind=factorisation.loss, start=factorisation.start,
            seeds=factorisation.seeds, seed=seed, sparsity=factorisation.sparsity,
            smoothness=factorisation.smoothness,
        )  # fmt: skip

    data = checkpoints.stage("components", "cluster", key, compute, first=True)
    for sentence in (str(data.attrs.get("varying", "")), unknown_overlaps(data)):
        if sentence:
            warnings.warn(sentence, InputWarning, stacklevel=3)
    return data


def _chosen(
    matrix: Prepared,
    compressed: Compressed,
    factorisation: Factorisation,
    largest: int,
    seed: int,
    execution: Execution,
) -> tuple[Choice | None, Rank | Step]:
    """How the number of components was chosen (None: given), and the fit of that number."""
    start, seeds = factorisation.start, factorisation.seeds
    choice: Choice | None = None
    k = factorisation.k
    if k == "auto" and factorisation.choose == "sound":
        rank = choose_rank(
            compressed, matrix.scan_shape, components_max=factorisation.components_max,
            start=start, seeds=seeds, seed=seed, execution=execution,
        )  # fmt: skip
        return rank, rank
    if k == "auto":
        choice = choose_published(
            matrix, components_max=factorisation.components_max, seed=seed, execution=execution
        )
        k = choice.k
    check_rank(compressed, k)
    largest = min(largest, compressed.scores.shape[1])
    steps = merging_sweep(
        compressed, matrix.scan_shape, largest, k, start=start, seeds=seeds, seed=seed,
        device=execution.device,
    )  # fmt: skip
    tracked = execution.progress.track(steps, "numbers of components", total=largest - k + 1)
    return choice, deque(tracked, maxlen=1).pop()


def _compressed(prepared: Prepared, parts: Parts, **options: Any) -> Compressed:
    """The compressed scan, computed or as an interrupted run left it."""
    import xarray as xr

    if 0 not in parts.done():
        compressed = compress(prepared, held_out=_HELD_OUT, **options)
        scales = compressed.scales
        parts.save(
            0,
            xr.Dataset(
                {
                    "scores": (("position", "dimension"), compressed.scores),
                    "basis": (("dimension", "column"), compressed.basis),
                    "rows": ("position", scales.rows),
                    "columns": ("column", scales.columns),
                    "mean": ("column", scales.mean),
                    "held_out": ("test", compressed.held_out),
                    "held_out_rows": (("test", "column"), compressed.held_out_rows),
                    "squares": ("sums", np.array([scales.square, compressed.total])),
                }
            ),
        )
        return compressed
    stored = {str(name): values.to_numpy() for name, values in parts.load(0).data_vars.items()}
    square, total = (float(value) for value in stored["squares"])
    return Compressed(
        stored["scores"], stored["basis"],
        Scales(stored["rows"], stored["columns"], square, stored["mean"]),
        total, stored["held_out"], stored["held_out_rows"],
    )  # fmt: skip


def _source_and_identity(source: Any) -> tuple[Any, Any]:
    """The scan or its peaks, and what identifies them in a fingerprint."""
    import xarray as xr

    if isinstance(source, xr.Dataset) and "offset" in source:
        source = Peaks(source)
    if isinstance(source, Peaks):
        columns = ("ky", "kx", "intensity", "offset")
        return source, [source.data[name].to_numpy() for name in columns]
    scan = as_scan(source)
    return scan, str(scan.attrs.get("input_fingerprint"))


def _in_memory(prepared: Prepared, execution: Execution) -> Prepared:
    """The matrix in memory if it is small enough; it is read many times."""
    n, m = prepared.shape
    if 4 * n * m > _IN_MEMORY:
        return prepared
    loaded = over_blocks(prepared, _load, "preparing patterns", execution=execution)
    return replace(prepared, blocks=[ArrayBlock(rows, values) for rows, values in loaded])


def _load(block: Any) -> Any:
    return block.load()
