from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from phaseloom.compute import blocks as module
from phaseloom.compute.blocks import Block, load, row_blocks, run_blocks, slabs
from phaseloom.compute.execution import Execution
from phaseloom.errors import InputError


@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 50), st.integers(0, 99))
def test_slabs_hold_every_chosen_pixel_once_and_in_order(
    ny: int, nx: int, pixels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.normal(size=(ny, nx))
    inside = rng.random((ny, nx)) < 0.3
    gathered = np.full(int(inside.sum()), np.nan)
    for rows, chosen in slabs(inside, pixels=pixels):
        assert (rows.stop - rows.start) * nx <= max(pixels, nx)
        gathered[chosen] = picture[rows][inside[rows]]
    np.testing.assert_array_equal(gathered, picture[inside])


def scan_of(ny: int, nx: int, chunks: Any = None, side: int = 4) -> xr.Dataset:
    counts = np.arange(ny * nx * side * side, dtype=np.uint16).reshape(ny, nx, side, side)
    lazy = counts if chunks is None else da.from_array(counts, chunks=chunks)
    return xr.Dataset({"counts": (("y", "x", "ky", "kx"), lazy)})


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(0, 2),
    st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_row_blocks_are_the_scan_in_reading_order(
    ny: int, nx: int, patterns: int, halo: int, chunks: tuple[int, int] | None
) -> None:
    scan = scan_of(ny, nx, None if chunks is None else (*chunks, 4, 4))
    whole = scan["counts"].to_numpy()
    found = row_blocks(scan, bytes=patterns * 32, halo=halo)
    own = []
    for index, block in enumerate(found):
        assert block.index == index
        assert block.x == slice(0, nx) or block.shape[0] == 1
        loaded = load(block)
        y0, x0 = block.y.start - block.inner_y.start, block.x.start - block.inner_x.start
        assert block.inner_y.start == min(halo, block.y.start)
        assert block.inner_x.start == min(halo, block.x.start)
        around = whole[y0 : block.y.stop + halo, x0 : block.x.stop + halo]
        np.testing.assert_array_equal(loaded, around)
        inner = loaded[block.inner_y, block.inner_x]
        assert inner.shape[:2] == block.shape
        assert inner.shape[0] * inner.shape[1] <= max(1, 4 * patterns)
        own.append(inner.reshape(-1, 4, 4))
    np.testing.assert_array_equal(np.concatenate(own).reshape(whole.shape), whole)


def test_blocks_end_where_stored_chunks_end() -> None:
    rows = [b.y for b in row_blocks(scan_of(10, 3, (4, 3, 4, 4)), bytes=5 * 3 * 32)]
    assert rows == [slice(0, 4), slice(4, 8), slice(8, 10)]
    larger = [b.y for b in row_blocks(scan_of(10, 3, (4, 3, 4, 4)), bytes=2 * 3 * 32)]
    assert larger == rows, "rather a block twice as large than every chunk read twice"
    columns = [b.x for b in row_blocks(scan_of(1, 50, (1, 20, 4, 4)), bytes=9 * 32)]
    assert columns == [slice(0, 20), slice(20, 40), slice(40, 50)]


def test_a_series_of_many_patterns_in_one_row_is_split() -> None:
    patterns = da.zeros((1, 100_000, 256, 256), chunks=(1, 100, 256, 256), dtype=np.uint16)
    scan = xr.Dataset({"counts": (("y", "x", "ky", "kx"), patterns)})
    found = row_blocks(scan)
    assert len(found) == 200
    assert {b.shape for b in found} == {(1, 500)}
    assert len(pickle.dumps(found[7])) < 20_000


def test_what_is_sent_away_is_what_stays() -> None:
    for chunks in (None, (1, 2, 4, 4)):
        for block in row_blocks(scan_of(3, 5, chunks), bytes=2 * 32, halo=1):
            twin = pickle.loads(pickle.dumps(block))
            assert (twin.index, twin.y, twin.x) == (block.index, block.y, block.x)
            assert (twin.inner_y, twin.inner_x) == (block.inner_y, block.inner_x)
            np.testing.assert_array_equal(load(twin), load(block))


def square(number: int) -> int:
    return number * number


def total(block: Block) -> int:
    return int(load(block).sum())


@given(st.integers(0, 30), st.integers(1, 5))
def test_threads_do_every_block_once(count: int, workers: int) -> None:
    found = dict(run_blocks(square, range(count), Execution(workers=workers)))
    assert found == {i: i * i for i in range(count)}


def test_results_come_as_they_finish() -> None:
    gate = threading.Event()

    def first_waits(number: int) -> int:
        if number == 0:
            assert gate.wait(10)
        return number

    order = []
    for index, _ in run_blocks(first_waits, range(4), Execution(workers=2)):
        order.append(index)
        if len(order) == 3:
            gate.set()
    assert order[-1] == 0


def test_few_blocks_are_in_flight() -> None:
    begun: list[int] = []
    for taken, _ in enumerate(run_blocks(begun.append, range(40), Execution(workers=2)), start=1):
        time.sleep(0.005)
        assert len(begun) <= taken + 2 * 2


def test_memory_is_bounded_by_the_blocks_at_work() -> None:
    """Every chunk alive is counted: never more than the workers' blocks."""
    alive, most, lock = 0, 0, threading.Lock()

    class Counted(np.ndarray):  # type: ignore[type-arg]
        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= self.base is None

    def make(block_info: Any = None) -> np.ndarray[Any, Any]:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return np.ndarray.__new__(Counted, (1, 5, 64, 64), np.float32)

    def spend(block: Block) -> int:
        patterns = load(block)
        time.sleep(0.002)
        return len(patterns)

    chunks = ((1,) * 30, (5,), (64,), (64,))
    lazy = da.map_blocks(make, chunks=chunks, dtype=np.float32, meta=np.empty((0,) * 4, "f4"))
    scan = xr.Dataset({"counts": (("y", "x", "ky", "kx"), lazy)})
    found = row_blocks(scan, bytes=5 * 64 * 64 * 4)
    assert len(found) == 30
    assert sum(n for _, n in run_blocks(spend, found, Execution(workers=2))) == 30
    assert 1 <= most <= 3


def test_the_first_exception_is_raised_as_it_is_and_ends_the_work() -> None:
    begun: list[int] = []
    fault = InputError("pattern 3 is damaged", "copy it again", source="scan.blo")

    def fail(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise fault
        time.sleep(0.01)

    with pytest.raises(InputError) as raised:
        list(run_blocks(fail, range(100), Execution(workers=2)))
    assert raised.value is fault
    assert len(begun) <= 3 + 1 + 4
    seen = len(begun)
    time.sleep(0.05)
    assert len(begun) == seen, "nothing goes on behind the caller's back"


def test_one_thread_for_linear_algebra_in_every_worker() -> None:
    def threads(_: int) -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info()}

    before = threads(0)
    for _, found in run_blocks(threads, range(6), Execution(workers=3)):
        assert found == {1}
    assert threads(0) == before


def test_an_interrupt_is_heard_while_blocks_are_at_work() -> None:
    code = (
        "import time\n"
        "from phaseloom.compute.blocks import run_blocks\n"
        "from phaseloom.compute.execution import Execution\n"
        "def slow(n):\n    print(n, flush=True)\n    time.sleep(1)\n"
        "try:\n    list(run_blocks(slow, range(100), Execution(workers=2)))\n"
        "except KeyboardInterrupt:\n    print('heard', flush=True)\n"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    running.stdout.readline()
    begun = time.monotonic()
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=30)
    assert "heard" in said
    assert len(said.split()) <= 4
    assert time.monotonic() - begun < 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as made:
        yield made


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as made:
        yield made


def test_a_cluster_gives_what_threads_give(cluster: Any) -> None:
    found = row_blocks(scan_of(6, 7, (2, 3, 4, 4)), bytes=5 * 32, halo=1)
    here = dict(run_blocks(total, found))
    assert dict(run_blocks(total, found, Execution(scheduler=cluster.scheduler_address))) == here


def test_other_processes_give_what_threads_give(processes: Any) -> None:
    found = row_blocks(scan_of(6, 7, (2, 3, 4, 4)), bytes=5 * 32, halo=1)
    here = dict(run_blocks(load_here, found))
    there = dict(run_blocks(load_here, found, Execution(scheduler=processes.scheduler_address)))
    assert {i for i, _ in there.values()}.isdisjoint({i for i, _ in here.values()})
    for index, (_, patterns) in here.items():
        np.testing.assert_array_equal(there[index][1], patterns)


def load_here(block: Block) -> tuple[int, Any]:
    return os.getpid(), load(block)


def refuse(number: int) -> int:
    if number == 2:
        raise InputError("pattern 2 is damaged", "copy it again", source="scan.blo")
    return number


def test_the_exception_of_a_worker_is_raised_as_it_is(cluster: Any) -> None:
    with pytest.raises(InputError, match=r"scan.blo: pattern 2 is damaged; copy") as raised:
        list(run_blocks(refuse, range(9), Execution(scheduler=cluster.scheduler_address)))
    assert raised.value.source == "scan.blo"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://here", "tcp://"])
def test_an_address_where_nobody_answers(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.5)
    begun = time.monotonic()
    with pytest.raises(InputError, match="no scheduler answers at"):
        list(run_blocks(square, range(3), Execution(scheduler=address)))
    assert time.monotonic() - begun < 10


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(module, "_TIMEOUT", 3.0)
    options: dict[str, Any] = {"processes": False, "dashboard_address": ":0"}
    with (
        LocalCluster(n_workers=0, **options) as empty,
        pytest.raises(InputError, match="has no workers; start some: dask worker"),
    ):
        list(run_blocks(square, range(3), Execution(scheduler=empty.scheduler_address)))


def test_workers_of_another_version_are_refused() -> None:
    def node(**packages: str) -> dict[str, Any]:
        known = {"python": "3.12.1.final.0", "phaseloom": "0.1.0", "dask": "1", "distributed": "1"}
        return {"packages": known | packages}

    known = {"client": node(), "workers": {"tcp://w:1": node(python="3.12.9.final.0")}}
    module._check_versions("tcp://s:1", known)
    known["workers"] = {"tcp://w:1": node(phaseloom="0.0.9")}
    with pytest.raises(InputError, match=r"tcp://w:1 of tcp://s:1 has phaseloom 0.0.9 \(here"):
        module._check_versions("tcp://s:1", known)
