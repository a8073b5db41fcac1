"""Whatever stands in a file: one sentence, no evaluation, no import, no endless work."""

from __future__ import annotations

import builtins
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phaseloom.crystals import read_crystal
from phaseloom.errors import InputError

WHOLE = """data_whole
_cell_length_a 4.0786
_cell_length_b 4.0786
_cell_length_c 4.0786
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
_space_group_name_Hall '-F 4 2 3'
_space_group_IT_number 225
_chemical_formula_sum 'Au'
_cell_formula_units_Z 4
loop_
_symmetry_equiv_pos_as_xyz
'x,y,z'
'-x,-y,z'
'-x,y,-z'
'z,x,y'
'y,x,-z'
'-x,-y,-z'
'x,y+1/2,z+1/2'
'x+1/2,y,z+1/2'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
Au1 Au3+ 0 0 0 1 0.008
"""
WORDS = [
    "nan", "inf", "-1", "1e308", "?", ".", "0", "x,y,z", "'", ";", "loop_", "data_b", "save_",
    "__import__('os').system('true')", "eval(1)", "exec('1')", "x,y,().__class__", "1/0", "1_000",
    "9" * 400, "x+1/7,y,z", "2*x,y,z", "x+y,y,z", "'F d -3 m'", "'R -3 m'", "'P 1'", "0.5(1)",
    "Xx", "T1", "179.9", "1e-9", "0.0001", "é", "\u2212x,y,z", "{}", "%s", "\\", "$", "[", "]",
]  # fmt: skip
SECONDS = 5.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cif")
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "latin-1"):  # A codec is a module.
        "a".encode(encoding).decode(encoding)
    for group in ("F m -3 m", "P 1", "F 4/m -3 2/m"):  # What reading needs is imported once.
        (folder / "first.cif").write_text(WHOLE.replace("F m -3 m", group), encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_crystal(folder / "first.cif")
    return folder


@contextmanager
def nothing_evaluated() -> Iterator[None]:
    """Where eval, exec and the import of anything new are faults."""
    calls: list[str] = []
    imported = builtins.__import__

    def watched(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] not in sys.modules:
            calls.append(f"import {name}")
        return imported(name, *rest, **more)

    def refuse(kind: str) -> Any:
        def call(*rest: Any, **_: Any) -> Any:
            calls.append(f"{kind} of {rest[:1]}")
            raise AssertionError(calls[-1])

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "__import__", watched)
        for kind in ("eval", "exec"):
            patch.setattr(builtins, kind, refuse(kind))
        yield
    assert calls == []


def read(folder: Path, content: bytes) -> None:
    path = folder / "some.cif"
    path.write_bytes(content)
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with nothing_evaluated():
                crystal = read_crystal(path)
        except InputError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 1000
        else:
            assert len(crystal.elements) > 0
            assert crystal.volume > 0
    assert time.monotonic() - start < SECONDS


examples = settings(max_examples=80)
BYTES = st.binary(max_size=300)
TEXT = st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))


@examples
@given(
    text=st.one_of(
        st.binary(max_size=300), st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace"))
    )
)
@example(text=b"\xff\xfe")
@example(text=b"\x00")
@example(text=b"data_")
@example(text=b"data_a\nloop_\n_atom_site_fract_x\n")
def test_any_text(folder: Path, text: bytes) -> None:
    read(folder, text)
    read(folder, b"data_a\n" + text)


@examples
@given(data=st.data())
def test_any_change_of_a_file(folder: Path, data: Any) -> None:
    lines = [line.split(" ") for line in WHOLE.splitlines()]
    for _ in range(data.draw(st.integers(1, 5))):
        row = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["word", "drop", "copy", "text"]))
        if change == "drop" and len(lines) > 2:
            del lines[row]
        elif change == "copy":
            lines.insert(row, list(data.draw(st.sampled_from(lines))))
        else:
            words = st.sampled_from(WORDS) if change == "word" else st.text(max_size=12)
            column = data.draw(st.integers(0, len(lines[row]) - 1))
            lines[row][column] = data.draw(words)
    text = "\n".join(" ".join(line) for line in lines)
    read(folder, text.encode("utf-8", "replace"))


@pytest.mark.parametrize("word", WORDS)
def test_every_place_of_a_file(folder: Path, word: str) -> None:
    lines = WHOLE.splitlines()
    for row, line in enumerate(lines):
        head, space, _ = line.rpartition(" ")
        changed = [*lines[:row], head + space + word, *lines[row + 1 :]]
        read(folder, "\n".join(changed).encode("utf-8", "replace"))


def test_an_operation_that_is_a_program_is_not_run(folder: Path) -> None:
    mark = folder / "mark"
    program = f'\'x,y,z+1*open("{mark}","w").close()\''
    read(folder, WHOLE.replace("'x,y,z'", program).encode())
    assert not mark.exists()


def test_huge_lists_are_refused_at_once(folder: Path) -> None:
    atoms = "".join(
        f"Au{i} Au {i % 97 / 97:.4f} {i % 89 / 89:.4f} 0.1 1 0.01\n" for i in range(30000)
    )
    read(folder, (WHOLE + atoms).encode())
    flat = WHOLE.replace("_cell_length_a 4.0786", "_cell_length_a 900")
    for name in ("'P 1'", "'P -1'"):
        read(
            folder,
            flat.replace("'F m -3 m'", name).replace("angle_gamma 90", "angle_gamma 1").encode(),
        )
