"""Crystals by name: a CIF file first, then the built-in ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from phaseloom.crystals import builtin_names, gold, named_crystal, silver, to_json
from phaseloom.errors import InputError

SIMPLE = """data_simple
_cell_length_a 3
_cell_length_b 3
_cell_length_c 3
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Po1 Po 0 0 0 0.01
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_built_in_crystal_goes_by_its_name(folder: Path) -> None:
    assert {"Au", "Ag", "LiFePO4", "FePO4"} <= set(builtin_names())
    for name in builtin_names():
        assert named_crystal(name).name == name
    for name, crystal in (("Au", gold()), ("Ag", silver())):
        assert to_json([named_crystal(name)]) == to_json([crystal])


def test_a_file_comes_first_and_a_folder_does_not(folder: Path) -> None:
    (folder / "Au").write_text(SIMPLE)
    (folder / "Ag").mkdir()
    assert named_crystal("Au").elements == ("Po",)
    assert named_crystal(folder / "Au").elements == ("Po",)
    assert named_crystal("Ag").elements == ("Ag",) * 4


@pytest.mark.parametrize("text", ["au", "gold", "Au.cif", "folder/Au"])
def test_what_is_neither_is_told_with_the_names_that_there_are(folder: Path, text: str) -> None:
    with pytest.raises(InputError, match=r": Ag, Au, FePO4, LiFePO4$") as caught:
        named_crystal(text)
    assert str(caught.value).startswith(f"{text}: no such file; ")
