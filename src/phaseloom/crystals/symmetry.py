"""Symmetry operations of space groups: of the tables, of a list, their point group and type."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FIT = 0.02
"""Part by which a cell may miss the symmetry of its space group (rounding, relaxed cells)."""

_MOST = 192
"""Operations of a space group in a cell with four lattice points, at most."""

_LARGEST = 12
"""Entries of rotation parts that no axes of use have."""

_PARTS = 24
"""Shifts of the tables are multiples of 1/24."""


class Operations(NamedTuple):
    """Operations x' = W x + w on fractional coordinates, centrings among them."""

    turns: NDArray[np.int64]
    """(n, 3, 3), W."""
    shifts: NDArray[np.float64]
    """(n, 3), w in [0, 1)."""

    @property
    def keys(self) -> frozenset[tuple[int, ...]]:
        """The operations as a set, shifts in 24ths: equal for equal groups, in any order."""
        parts = np.rint(self.shifts * _PARTS).astype(np.int64) % _PARTS
        table = np.concatenate([self.turns.reshape(-1, 9), parts], axis=1)
        return frozenset(tuple(int(v) for v in row) for row in table)

    @property
    def unique_turns(self) -> NDArray[np.int64]:
        """(m, 3, 3): the rotation parts, each once."""
        return np.unique(self.turns, axis=0)


def from_gemmi(operations: Iterable[Any]) -> Operations:
    """Operations of gemmi's ``Op`` or ``GroupOps``.

    Parameters
    ----------
    operations
        Anything that yields ``gemmi.Op``.
    """
    listed = list(operations)
    turns = np.array([op.rot for op in listed], dtype=np.int64).reshape(-1, 3, 3)
    shifts = np.array([op.tran for op in listed], dtype=np.float64).reshape(-1, 3)
    return Operations(turns // _PARTS, (shifts / _PARTS) % 1.0)


@cache
def standard_operations(number: int) -> Operations:
    """All operations of a space group in its standard setting.

    Axis b of monoclinic groups, hexagonal axes of rhombohedral ones, and the first of two origins.

    Parameters
    ----------
    number
        In the International Tables, 1 to 230.
    """
    import gemmi

    return from_gemmi(gemmi.find_spacegroup_by_number(number).operations())


@cache
def standard_name(number: int) -> str:
    """Extended Hermann–Mauguin name of a space group in its standard setting.

    Parameters
    ----------
    number
        In the International Tables, 1 to 230.
    """
    import gemmi

    return str(gemmi.find_spacegroup_by_number(number).xhm())


def completed(operations: Operations) -> Operations | None:
    """The group that the operations generate, or None where there is none.

    Parameters
    ----------
    operations
        Any of the operations of a space group; the identity may be missing.
    """
    generators = np.array(sorted(operations.keys | standard_operations(1).keys))
    known = generators
    while len(known) <= _MOST:
        turns, shifts = known[:, :9].reshape(-1, 3, 3), known[:, 9:]
        first, moved = generators[:, :9].reshape(-1, 3, 3), generators[:, 9:]
        products = (turns[:, None] @ first[None]).reshape(-1, 9)
        sums = (turns[:, None] @ moved[None, :, :, None])[..., 0] + shifts[:, None]
        made = np.concatenate([products, sums.reshape(-1, 3) % _PARTS], axis=1)
        if np.abs(made[:, :9]).max() > _LARGEST:
            return None
        larger = np.unique(np.concatenate([known, made]), axis=0)
        if len(larger) == len(known):
            return Operations(known[:, :9].reshape(-1, 3, 3), known[:, 9:] / _PARTS)
        known = larger
    return None


def point_group(turns: NDArray[np.int64]) -> str:
    """Hermann–Mauguin symbol of the point group, "mmm" or "-6m2", or "" where it is none.

    Parameters
    ----------
    turns
        (n, 3, 3), rotation parts of all operations, each once.
    """
    return _point_groups().get(_kinds_of_turns(turns), "")


def _kinds_of_turns(turns: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """How many operations there are of every determinant and trace: the 32 classes differ."""
    signs = np.rint(np.linalg.det(turns)).astype(int)
    kinds = Counter(zip(signs.tolist(), np.trace(turns, axis1=1, axis2=2).tolist(), strict=True))
    return tuple(sorted((sign, int(trace), count) for (sign, trace), count in kinds.items()))


@cache
def _point_groups() -> dict[tuple[tuple[int, int, int], ...], str]:
    import gemmi

    symbols: dict[tuple[tuple[int, int, int], ...], str] = {}
    for number in range(1, 231):
        symbol = gemmi.find_spacegroup_by_number(number).point_group_hm().replace(" ", "")
        turns = standard_operations(number).unique_turns
        symbols.setdefault(_kinds_of_turns(turns), {"-62m": "-6m2"}.get(symbol, symbol))
    return symbols


def spglib_errors() -> tuple[type[Exception], ...]:
    """What spglib raises, by its version."""
    import spglib

    own = getattr(spglib, "SpglibError", RuntimeError)
    return (TypeError, ValueError, RuntimeError, own)


@contextmanager
def quiet_spglib() -> Iterator[None]:
    """Keep spglib from writing to the console; what it does not find is told by its callers."""
    before = os.environ.get("SPGLIB_WARNING")
    os.environ["SPGLIB_WARNING"] = "OFF"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        if before is None:
            del os.environ["SPGLIB_WARNING"]
        else:
            os.environ["SPGLIB_WARNING"] = before


def group_number(operations: Operations) -> int | None:
    """Number of the space group type in the International Tables, for any axes and origin.

    Parameters
    ----------
    operations
        All of the group.
    """
    import spglib

    known = _tabulated().get(operations.keys)
    if known is not None:
        return known[1]
    with quiet_spglib():
        try:
            found = spglib.get_spacegroup_type_from_symmetry(
                np.asarray(operations.turns, dtype=np.intc), operations.shifts, symprec=1e-4
            )
        except spglib_errors():
            return None
    return None if found is None else int(found.number)


def tabulated_name(operations: Operations) -> str:
    """Extended Hermann–Mauguin name of the setting, or "" where the tables do not list it.

    Parameters
    ----------
    operations
        All of the group.
    """
    return _tabulated().get(operations.keys, ("", 0))[0]


@cache
def _tabulated() -> dict[frozenset[tuple[int, ...]], tuple[str, int]]:
    """Name and number of the listed settings by their operations."""
    import gemmi

    names: dict[frozenset[tuple[int, ...]], tuple[str, int]] = {}
    for group in gemmi.spacegroup_table():
        names.setdefault(from_gemmi(group.operations()).keys, (group.xhm(), group.number))
    return names


@cache
def tabulated_turns(number: int) -> frozenset[tuple[int, frozenset[tuple[int, ...]]]]:
    """Per listed setting of a group the number of operations and the set of rotation parts.

    Parameters
    ----------
    number
        In the International Tables.
    """
    import gemmi

    settings = (
        from_gemmi(group.operations())
        for group in gemmi.spacegroup_table()
        if group.number == number
    )
    return frozenset(turns_key(operations) for operations in settings)


def turns_key(operations: Operations) -> tuple[int, frozenset[tuple[int, ...]]]:
    """Number of operations and the set of their rotation parts.

    Parameters
    ----------
    operations
        All of the group.
    """
    turns = frozenset(tuple(int(v) for v in turn.ravel()) for turn in operations.turns)
    return len(operations.turns), turns


def invariant_metric(metric: NDArray[np.float64], turns: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of a metric tensor over a point group: what of the cell has the symmetry.

    Parameters
    ----------
    metric
        (3, 3), scalar products of a, b, c.
    turns
        (n, 3, 3), rotation parts, each once.
    """
    return np.asarray((np.swapaxes(turns, 1, 2) @ metric @ turns).mean(axis=0))


def fits(metric: NDArray[np.float64], turns: NDArray[np.int64]) -> bool:
    """Whether a cell has the symmetry of operations, but for 2 %.

    Parameters
    ----------
    metric
        (3, 3), scalar products of a, b, c.
    turns
        (n, 3, 3), rotation parts.
    """
    turned = np.swapaxes(turns, 1, 2) @ metric @ turns
    return bool(np.abs(turned - metric).max() <= FIT * np.abs(metric).max())
