"""Blocks of a large scan, worked on by threads or a dask cluster."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from phaseloom.compute.execution import Execution
from phaseloom.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

T = TypeVar("T")
R = TypeVar("R")

PIXELS = 16384
"""Pixels of one block; keeps a block of 120 energies in float64 below 16 MB."""

BYTES = 64 * 2**20
"""Bytes of the patterns of one block."""

_MAX_GROWTH = 4
"""Blocks may grow by this factor where smaller ones would read stored chunks twice."""

_TIMEOUT = 10.0
"""Seconds to wait for a scheduler, and for its first worker."""

_SAME_VERSION = ("phaseloom", "dask", "distributed")
"""Packages of which client and workers must have the same version."""


def slabs(inside: NDArray[np.bool_], *, pixels: int = PIXELS) -> Iterator[tuple[slice, slice]]:
    """Split the rows of a mask (y, x) into groups; groups without a true pixel are left out.

    Parameters
    ----------
    inside
        (y, x) mask.
    pixels
        Of the picture, per group, about.

    Yields
    ------
    rows : slice
        Rows of the group.
    chosen : slice
        The true pixels of these rows among all true pixels in reading order.
    """
    step = max(1, pixels // inside.shape[1])
    edges = [*range(0, inside.shape[0], step), inside.shape[0]]
    first = 0
    for top, bottom in pairwise(edges):
        last = first + int(np.count_nonzero(inside[top:bottom]))
        if last > first:
            yield slice(top, bottom), slice(first, last)
        first = last


@dataclass(frozen=True, eq=False)
class Block:
    """Patterns of neighbouring scan positions, not yet loaded.

    Parameters
    ----------
    index
        Number in the reading order of the scan, in which results are put together.
    y, x
        Scan positions of the block: whole rows, or a part of a single row.
    patterns
        Dask or numpy array (y, x, ky, kx) of these positions and of the neighbours beyond them.
    inner_y, inner_x
        The block's own positions within ``patterns``, without the neighbours.
    """

    index: int
    y: slice
    x: slice
    patterns: Any
    inner_y: slice
    inner_x: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Scan positions (y, x) of the block, without the neighbours."""
        return self.y.stop - self.y.start, self.x.stop - self.x.start

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the part of the scan's dask graph that these patterns need."""
        patterns = self.patterns
        if hasattr(patterns, "dask"):
            import dask

            (patterns,) = dask.optimize(patterns)
        fields = self.index, self.y, self.x, patterns, self.inner_y, self.inner_x
        return Block, fields


def row_blocks(scan: xr.Dataset, *, bytes: int = BYTES, halo: int = 0) -> list[Block]:  # noqa: A002
    """Split a scan into blocks of whole rows, or of parts of one row where rows are too large.

    Parameters
    ----------
    scan
        ``counts`` (y, x, ky, kx).
    bytes
        Of a block's patterns as stored, about. Blocks end at the ends of stored chunks where that
        makes them at most four times as large.
    halo
        Neighbouring scan positions on every side of the block, within the scan, that
        ``patterns`` also holds.
    """
    counts = scan["counts"]
    patterns = counts.data
    ny, nx = counts.shape[:2]
    pattern = max(1, counts.dtype.itemsize * counts.shape[2] * counts.shape[3])
    chunks = getattr(patterns, "chunks", ((1,), (1,)))
    chunk_y, chunk_x = max(chunks[0]), max(chunks[1])
    row = pattern * nx
    if row <= bytes or row * chunk_y <= _MAX_GROWTH * bytes:
        edges_y, edges_x = _edges(ny, _step(row, bytes, chunk_y)), [0, nx]
    else:
        edges_y, edges_x = _edges(ny, 1), _edges(nx, _step(pattern, bytes, chunk_x))
    blocks: list[Block] = []
    for top, bottom in pairwise(edges_y):
        for left, right in pairwise(edges_x):
            y0, y1 = max(0, top - halo), min(ny, bottom + halo)
            x0, x1 = max(0, left - halo), min(nx, right + halo)
            blocks.append(
                Block(
                    index=len(blocks),
                    y=slice(top, bottom),
                    x=slice(left, right),
                    patterns=patterns[y0:y1, x0:x1],
                    inner_y=slice(top - y0, bottom - y0),
                    inner_x=slice(left - x0, right - x0),
                )
            )
    return blocks


def load(block: Block) -> NDArray[Any]:
    """Load the patterns of a block with its neighbours: (y, x, ky, kx).

    Read in the calling thread, so that no more blocks are in memory than threads are at work.
    """
    patterns = block.patterns
    if hasattr(patterns, "dask"):
        patterns = patterns.compute(scheduler="synchronous")
    return np.asarray(patterns)


def run_blocks(
    function: Callable[[T], R],
    blocks: Sequence[T],
    execution: Execution | None = None,
) -> Iterator[tuple[int, R]]:
    """Call a function on every block, several at once.

    Parameters
    ----------
    function
        Of one block. With a cluster it has to pickle, and so have blocks and results.
    blocks
        What it is called with.
    execution
        Workers, and the cluster if there is one; by default threads of this process, as many as
        cores, each with one thread for linear algebra.

    Yields
    ------
    index : int
        Index of the block in ``blocks``. Blocks come as they are finished, and at most two per
        worker are begun or wait to be taken.
    result
        What the function returned.

    Raises
    ------
    InputError
        No scheduler answers at the address, the cluster has no workers or other versions than
        this process, or the connection was lost.

    Notes
    -----
    The first exception of a block is raised as it is; no further block is begun then. The same
    holds for Ctrl-C, and for a caller that takes no more results.
    """
    execution = execution or Execution()
    with _executor(execution.workers, execution.scheduler) as (executor, at_once):
        pending = iter(enumerate(blocks))
        running: dict[Future[R], int] = {}
        try:
            while True:
                _begin(executor, function, pending, running, 2 * at_once)
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                while finished:
                    future = finished.pop()
                    index, result = running.pop(future), future.result()
                    del future
                    _begin(executor, function, pending, running, 2 * at_once - len(finished))
                    yield index, result
                    del result
        finally:
            for future in running:
                future.cancel()


def _begin(
    executor: Executor,
    function: Callable[[T], R],
    pending: Iterator[tuple[int, T]],
    running: dict[Future[R], int],
    most: int,
) -> None:
    for index, block in islice(pending, max(0, most - len(running))):
        running[executor.submit(function, block)] = index


@contextmanager
def _executor(workers: int | None, scheduler: str | None) -> Iterator[tuple[Executor, int]]:
    if scheduler is not None:
        with _cluster(scheduler) as (executor, threads):
            yield executor, workers or threads
        return
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import threadpool_limits

    from phaseloom.compute.device import one_thread

    threads = workers or os.cpu_count() or 1
    # OpenMP counts its threads per calling thread, other libraries per process: both are limited.
    pool = ThreadPoolExecutor(threads, "block", threadpool_limits, (1,))
    with one_thread():
        try:
            yield pool, threads
        except Exception:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            # An interrupt does not wait for the blocks at work.
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, int]]:
    import warnings

    from distributed import Client
    from distributed.scheduler import KilledWorker

    client: Client | None = None
    refusal = ""
    with warnings.catch_warnings():
        # Versions are checked below.
        warnings.filterwarnings("ignore", "Mismatched versions", Warning)
        try:
            client = Client(address, timeout=_TIMEOUT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            refusal = str(error)
    if client is None:
        # A client that could not be made closes itself when it is collected. It shall be here: in
        # a thread that another client is starting, it would wait for that start, and that for it.
        gc.collect()
        raise InputError(
            f"no scheduler answers at {address!r} ({refusal})",
            "start one with dask scheduler, and give the tcp:// address that it prints",
        )
    with client:
        try:
            client.wait_for_workers(1, timeout=_TIMEOUT)
        except TimeoutError as error:
            raise InputError(
                f"the scheduler at {address} has no workers", f"start some: dask worker {address}"
            ) from error
        _check_versions(address, client.get_versions(packages=_SAME_VERSION))
        try:
            # Pure calls would hash, and so pickle, every block twice.
            yield client.get_executor(pure=False), sum(client.nthreads().values())
        except KilledWorker as error:
            raise InputError(
                f"workers of {address} died over one block, again and again ({error})",
                "give them more memory, or fewer threads each",
            ) from error
        except CancelledError as error:
            raise InputError(
                f"the scheduler at {address} was lost", "run the same again to continue"
            ) from error


def _check_versions(address: str, reported: dict[str, Any]) -> None:
    """Refuse workers with other versions than this process."""

    def versions_of(node: dict[str, Any]) -> dict[str, str]:
        packages = node["packages"]
        python = ".".join(str(packages["python"]).split(".")[:2])
        return {"python": python} | {name: str(packages.get(name)) for name in _SAME_VERSION}

    client = versions_of(reported["client"])
    for worker, node in reported["workers"].items():
        versions = versions_of(node)
        differing = [
            f"{name} {versions[name]} (here {version})"
            for name, version in client.items()
            if versions[name] != version
        ]
        if differing:
            raise InputError(
                f"the worker {worker} of {address} has {', '.join(differing)}",
                "install the same versions on all machines",
            )


def _edges(size: int, step: int) -> list[int]:
    return [*range(0, size, step), size]


def _step(item: int, most: int, chunk: int) -> int:
    """Items per block of at most ``most`` bytes: whole chunks unless these are too large."""
    step = max(1, most // item)
    if chunk <= step:
        return step // chunk * chunk
    return chunk if chunk * item <= _MAX_GROWTH * most else step
