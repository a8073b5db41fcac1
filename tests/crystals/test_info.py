"""``phaseloom info FILE.cif``: text and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from phaseloom import cli

RUTILE = """data_rutile
_cell_length_a 4.5937
_cell_length_b 4.5937
_cell_length_c 2.9587
_symmetry_space_group_name_H-M 'P 42/m n m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Ti1 Ti4+ 0 0 0 0.006
O1 O2- .3053 .3053 0 0.007
"""
Info = Callable[..., tuple[int, str, str]]


@pytest.fixture
def info(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Info:
    def call(text: str, *flags: str) -> tuple[int, str, str]:
        path = tmp_path / "some.CIF"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["phaseloom", "info", str(path), *flags])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return call


def test_the_text_shows_what_the_crystal_is(info: Info) -> None:
    status, out, err = info(RUTILE)
    assert (status, err) == (0, "")
    plain = " ".join(out.split())
    for part in (
        "formula: O2 Ti (Z = 2)",
        "cell: 4.59370, 4.59370, 2.95870 Å; 90, 90, 90°",
        "space group: P 42/m n m (136), from its name 'P 42/m n m'; point group 4/mmm",
        "atoms in the cell: 6 (2 Ti, 4 O)",
        "density: 4.248 g/cm³",
        "shortest distance: 1.946 Å (Ti–O)",
        "3.2482",
    ):
        assert part in plain


def test_json_holds_the_same_and_the_warnings(info: Info) -> None:
    status, out, _ = info(RUTILE.replace("0.007", "?"), "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["command"] == "info"
    assert facts["kind"] == "crystal"
    assert facts["atoms"] == {"Ti": 2, "O": 4}
    assert facts["rings"][0]["hkl"] == [1, 1, 0]
    assert any("no displacement of 1 of 2 atoms" in note for note in facts["notes"])


def test_what_is_wrong_is_one_line(info: Info) -> None:
    status, _, err = info(RUTILE.replace("Ti4+", "T"))
    assert status == 1
    assert "'T' is no element" in err
    assert "a crystal has no detector" in info(RUTILE, "--detector", "counter0")[2]
