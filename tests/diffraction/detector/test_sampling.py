from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from phaseloom.diffraction.detector.sampling import sample_patterns, sample_size
from phaseloom.errors import InputError


def scan_of(array):
    return xr.Dataset({"counts": (("y", "x", "ky", "kx"), array)}, attrs={"kind": "scan"})


def numbered(height, width, dtype="<u2"):
    number = np.arange(height * width).reshape(height, width, 1, 1)
    return np.broadcast_to(number, (height, width, 3, 4)).astype(dtype)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 80))
def test_sample_is_even_unique_and_never_larger_than_asked(height, width, n):
    patterns, positions = sample_patterns(scan_of(numbered(height, width)), n)
    assert 1 <= len(patterns) == len(positions) <= n
    assert len(np.unique(positions, axis=0)) == len(positions)
    assert len(positions) >= min(n, height * width) / 2
    assert (positions >= 0).all() and (positions < (height, width)).all()
    y, x = positions.T
    assert (patterns[:, 0, 0] == y * width + x).all()
    for values, length in ((np.unique(y), height), (np.unique(x), width)):
        edges = np.concatenate([[-1], values, [length]])
        gaps = np.diff(edges)
        assert gaps.max() <= length / len(values) + 1


def test_few_patterns_are_all_taken():
    assert len(sample_patterns(scan_of(numbered(3, 2)))[0]) == 6
    assert len(sample_patterns(scan_of(numbered(1, 1)))[0]) == 1
    assert len(sample_patterns(scan_of(numbered(1, 1000)))[0]) == 64


def test_lazy_scan_is_read_chunk_by_chunk_and_each_once():
    read = []

    def load(block_info=None):
        place = block_info[None]["array-location"]
        read.append(tuple(place[:2]))
        (y0, y1), (x0, x1) = place[:2]
        return numbered(64, 48, ">u2")[y0:y1, x0:x1].astype("<u2")

    lazy = da.map_blocks(
        load, chunks=((8,) * 8, (48,), (3,), (4,)), dtype=np.uint16, meta=np.empty((0,) * 4, "<u2")
    )
    with dask.config.set(scheduler="synchronous"):
        patterns, positions = sample_patterns(scan_of(lazy), 64)
    expected, same = sample_patterns(scan_of(numbered(64, 48)), 64)
    assert (positions == same).all()
    np.testing.assert_array_equal(patterns, expected)
    assert len(read) == len(set(read)) == 8


def test_bad_requests_are_refused():
    with pytest.raises(InputError, match="at least one"):
        sample_patterns(scan_of(numbered(2, 2)), 0)
    with pytest.raises(InputError, match="no pattern"):
        sample_patterns(scan_of(numbered(2, 2)[:0]))


@pytest.mark.parametrize(("side", "size"), [(64, 36), (512, 36), (2048, 16), (4096, 8)])
def test_a_sample_of_large_patterns_stays_small(side, size):
    patterns = da.zeros((50, 50, side, side), dtype=np.uint16, chunks=(1, 1, side, side))
    assert sample_size(scan_of(patterns)) == size
