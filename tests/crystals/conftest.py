"""CIF files written for tests, and reading with the warnings as a list."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from phaseloom.crystals import Crystal, read_crystal

CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
COLUMNS = "label type_symbol fract_x fract_y fract_z U_iso_or_equiv"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a CIF file: cell, lines of symmetry and others, atoms."""

    def written(
        cell: Sequence[float | None],
        lines: Sequence[str],
        atoms: Sequence[str],
        columns: str = COLUMNS,
        encoding: str = "utf-8",
    ) -> Path:
        text = ["data_test"]
        text += [f"_cell_{n} {v}" for n, v in zip(CELL, cell, strict=True) if v is not None]
        text += [*lines, "loop_", *(f"_atom_site_{c}" for c in columns.split()), *atoms]
        path = tmp_path / "test.cif"
        path.write_bytes(("\n".join(text) + "\n").encode(encoding))
        return path

    return written


@pytest.fixture
def read_noting() -> Callable[[Path], tuple[Crystal, list[str]]]:
    """Read a CIF file; the crystal and what was warned of."""

    def read(path: Path) -> tuple[Crystal, list[str]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            crystal = read_crystal(path)
        return crystal, [str(warning.message) for warning in caught]

    return read
