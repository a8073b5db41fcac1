"""A scan in few dimensions: what is kept of it, and what it was divided by."""

from __future__ import annotations

import pickle
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from component_cases import Case, case, in_blocks

from phaseloom.components import factorise
from phaseloom.components.factors.compression import Compressed, compress, tensor
from phaseloom.components.patterns import matrix
from phaseloom.components.patterns.matrix import ArrayBlock, matrix_of, over_blocks
from phaseloom.compute.execution import Execution
from phaseloom.errors import InputError


@pytest.fixture(scope="module")
def noiseless() -> Case:
    return case(4, counts=None)


@pytest.fixture(scope="module")
def counted() -> Case:
    return case(4)


def scaled(matrix: np.ndarray, compressed: Compressed) -> np.ndarray:
    scales = compressed.scales
    return matrix / scales.rows[:, None].astype(float) / scales.columns


def test_counts_are_scaled_as_keenan_and_kotula_say(counted: Case) -> None:
    few = compress(counted.prepared, device="cpu")
    v = counted.matrix.astype(float)
    # V / √(row mean · column mean / mean): the whole has variance 1 where V is Poisson's.
    rows, columns = v.mean(axis=1), np.maximum(v.mean(axis=0), 0.02 * v.mean())
    expected = v / np.sqrt(rows[:, None] * columns / v.mean())
    np.testing.assert_allclose(scaled(v, few), expected, rtol=1e-5)
    np.testing.assert_allclose(few.scales.mean, v.mean(axis=0), rtol=1e-6)
    assert few.scales.square == pytest.approx(np.square(v).sum(), rel=1e-6)
    assert few.total == pytest.approx(np.square(expected).sum(), rel=1e-5)
    variance = (expected - (counted.weight @ counted.pattern) / np.sqrt(
        rows[:, None] * columns / v.mean())).var()  # fmt: skip
    assert variance == pytest.approx(1.0, abs=0.1)


def test_without_scaling_the_matrix_stays_as_it_is(counted: Case) -> None:
    few = compress(counted.prepared, scaling="none", device="cpu")
    assert np.all(few.scales.rows == 1) and np.all(few.scales.columns == 1)
    assert few.total == pytest.approx(few.scales.square, rel=1e-6)


def test_dark_pixels_and_empty_positions_are_not_blown_up() -> None:
    scan = case(3, background=0.0).counts
    scan[2, 3] = 0
    scan[:, :, 5] = 0
    few = compress(matrix_of(scan), device="cpu")
    row, column = scan.reshape(256, -1).mean(axis=1), scan.reshape(256, -1).mean(axis=0)
    assert few.scales.rows[2 * 16 + 3] == pytest.approx(np.sqrt(0.02))
    assert few.scales.columns[5 * 16] == pytest.approx(np.sqrt(0.02 * column.mean()))
    assert few.scales.rows[0] == pytest.approx(np.sqrt(row[0] / row.mean()))
    assert np.all(few.scores[2 * 16 + 3] == 0)
    assert np.isfinite(few.scores).all() and np.isfinite(few.basis).all()


@pytest.mark.parametrize("scaling", ["poisson", "none"])
def test_a_matrix_of_low_rank_is_kept_whole(noiseless: Case, scaling: Any) -> None:
    few = compress(noiseless.prepared, dimensions=6, scaling=scaling, device="cpu")
    whole = scaled(noiseless.matrix, few)
    np.testing.assert_allclose(few.scores @ few.basis, whole, atol=1e-4 * whole.max())
    assert few.left_out < 1e-5 * few.total
    np.testing.assert_allclose(few.basis @ few.basis.T, np.eye(6), atol=1e-5)
    size = np.linalg.norm(few.scores, axis=0)
    np.testing.assert_allclose(size[:4], np.linalg.svd(whole)[1][:4], rtol=1e-4)
    assert np.all(size[4:] < 1e-4 * size[0])


def test_components_are_those_of_the_truncated_decomposition(counted: Case) -> None:
    few = compress(counted.prepared, dimensions=12, device="cpu")
    whole = scaled(counted.matrix, few)
    u, s, vt = np.linalg.svd(whole, full_matrices=False)
    best = (u[:, :4] * s[:4]) @ vt[:4]
    np.testing.assert_allclose(few.scores[:, :4] @ few.basis[:4], best, atol=0.02 * best.max())
    # Of noise, which falls slowly, nearly as much is held as can be.
    assert few.left_out < 1.05 * np.square(s[12:]).sum()


def test_blocks_and_one_block_are_the_same(counted: Case) -> None:
    whole = compress(counted.prepared, held_out=20, device="cpu")
    parts = compress(in_blocks(counted.prepared, 7), held_out=20, device="cpu", workers=2)
    np.testing.assert_array_equal(parts.held_out, whole.held_out)
    np.testing.assert_allclose(parts.held_out_rows, whole.held_out_rows, rtol=1e-6)
    assert parts.total == pytest.approx(whole.total, rel=1e-6)
    np.testing.assert_allclose(
        (parts.scores @ parts.basis), (whole.scores @ whole.basis), atol=1e-3
    )


def test_positions_apart_are_kept_as_they_are(counted: Case) -> None:
    few = compress(counted.prepared, held_out=20, device="cpu")
    assert few.held_out.size == 20 and np.all(np.diff(few.held_out) > 0)
    whole = scaled(counted.matrix, few)
    np.testing.assert_allclose(few.held_out_rows, whole[few.held_out], rtol=1e-5)
    # At most an eighth of all.
    assert compress(counted.prepared, held_out=999, device="cpu").held_out.size == 256 // 8


def test_the_basis_does_not_know_the_positions_apart(counted: Case) -> None:
    options: Any = {"scaling": "none", "held_out": 20, "device": "cpu"}
    first = compress(counted.prepared, **options)
    changed = counted.counts.copy().reshape(256, -1)
    changed[first.held_out] = np.random.default_rng(1).integers(0, 300, (20, 256))
    second = compress(matrix_of(changed.reshape(counted.counts.shape)), **options)
    np.testing.assert_array_equal(second.held_out, first.held_out)
    np.testing.assert_array_equal(second.basis, first.basis)
    inside = np.delete(np.arange(256), first.held_out)
    np.testing.assert_array_equal(second.scores[inside], first.scores[inside])
    assert not np.allclose(second.scores[first.held_out], first.scores[first.held_out])


def test_fewer_dimensions_than_asked_for_when_there_are_not_so_many() -> None:
    scan = case(2, shape=(1, 5), side=8)
    few = compress(scan.prepared, dimensions=48, device="cpu")
    assert few.scores.shape == (5, 5) and few.basis.shape == (5, 64)
    np.testing.assert_allclose(few.scores @ few.basis, scaled(scan.matrix, few), atol=1e-3)


def test_large_counts_do_not_lose_small_ones() -> None:
    # 65 535 counts in every pixel of the direct beam: squares add up to 10¹² and more.
    scan = case(3).counts.astype(np.uint16)
    scan[:, :, 7:9, 7:9] = 65535
    v = scan.reshape(256, -1).astype(float)
    few = compress(matrix_of(scan), device="cpu")
    assert few.scales.square == pytest.approx(np.square(v).sum(), rel=1e-6)
    np.testing.assert_allclose(few.scales.mean, v.mean(axis=0), rtol=1e-6)
    assert few.total == pytest.approx(np.square(scaled(v, few)).sum(), rel=1e-5)


def test_empty_patterns_are_told() -> None:
    with pytest.raises(InputError, match="all patterns are empty"):
        compress(matrix_of(np.zeros((4, 4, 8, 8))), device="cpu")


def test_blocks_pickle(counted: Case) -> None:
    block = pickle.loads(pickle.dumps(in_blocks(counted.prepared, 3).blocks[1]))
    np.testing.assert_array_equal(block.load(), counted.matrix[block.rows])


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_all_that_is_done_with_blocks_can_be_sent(
    counted: Case, loss: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = matrix.run_blocks

    def sent(function: Any, blocks: Any, execution: Any) -> Any:
        function, blocks = pickle.loads(pickle.dumps((function, blocks)))
        for index, result in work(function, blocks, execution):
            yield index, pickle.loads(pickle.dumps(result))

    options: Any = {"loss": loss, "max_iterations": 10, "device": "cpu"}
    expected = factorise(in_blocks(counted.prepared, 3), 4, **options)
    monkeypatch.setattr(matrix, "run_blocks", sent)
    found = factorise(in_blocks(counted.prepared, 3), 4, **options)
    np.testing.assert_array_equal(found.weight, expected.weight)
    np.testing.assert_array_equal(found.residual, expected.residual)


# Any order of finishing.


@dataclass(frozen=True, eq=False)
class Late(ArrayBlock):
    """The first block takes longest."""

    def load(self) -> np.ndarray:
        if self.rows.start == 0:
            time.sleep(0.05)
        return super().load()


def test_sums_do_not_depend_on_which_block_is_finished_first(counted: Case) -> None:
    in_turn = compress(in_blocks(counted.prepared, 9), device="cpu", workers=1)
    first_late = compress(in_blocks(counted.prepared, 9, Late), device="cpu", workers=3)
    np.testing.assert_array_equal(first_late.basis, in_turn.basis)
    np.testing.assert_array_equal(first_late.scores, in_turn.scores)
    assert first_late.total == in_turn.total


def test_results_come_in_the_order_of_the_scan(counted: Case) -> None:
    prepared, last = in_blocks(counted.prepared, 6), threading.Event()

    def work(block: Any) -> int:
        # The first waits until the third is done.
        if block.rows.start == 0:
            assert last.wait(10)
        if block is prepared.blocks[2]:
            last.set()
        return int(block.rows.start)

    found = list(over_blocks(prepared, work, execution=Execution(workers=2)))
    assert [rows for rows, _ in found] == [block.rows for block in prepared.blocks]
    assert [start for _, start in found] == [block.rows.start for block in prepared.blocks]


def test_arrays_that_must_not_be_written_to_are_taken_without_a_word(
    recwarn: pytest.WarningsRecorder,
) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    values.setflags(write=False)
    assert tensor(values, "cpu").sum() == 15
    prepared = case(2).prepared
    still = np.array(prepared.blocks[0].load())
    still.setflags(write=False)
    compress(replace(prepared, blocks=[ArrayBlock(slice(0, 256), still)]), device="cpu")
    assert not recwarn.list
