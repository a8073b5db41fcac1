"""Space groups and settings: every listed one, by every statement, checked against each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest

from phaseloom.crystals import Crystal, read_crystal
from phaseloom.crystals.cell import cell_of, metric_of
from phaseloom.crystals.scattering import structure_factors
from phaseloom.crystals.symmetry import (
    completed,
    from_gemmi,
    group_number,
    invariant_metric,
    point_group,
    standard_operations,
)
from phaseloom.errors import InputError, InputWarning

Write = Callable[..., Path]
Noting = Callable[[Path], tuple[Crystal, list[str]]]
GROUPS = list(gemmi.spacegroup_table())
CUBIC = (4.0,) * 3 + (90.0,) * 3
GOLD = ["Au1 Au 0 0 0 0.01"]
RUTILE_LIKE = ["Fe1 Fe .1 .2 .3 .01", "O1 O .4 .1 .7 .01"]
HKL = [(1, 0, 0), (0, 1, 0), (0, 0, 2), (1, 1, 0), (1, 2, 3), (-1, 2, 1), (2, 0, 2), (3, 1, 1)]


def name(text: str) -> list[str]:
    return [f"_symmetry_space_group_name_H-M '{text}'"]


def operations(group: Any) -> list[str]:
    lines = [f"'{operation.triplet()}'" for operation in group.operations()]
    return ["loop_", "_space_group_symop_operation_xyz", *lines]


def cell_with_symmetry(group: Any) -> tuple[float, ...]:
    turns = from_gemmi(group.operations()).unique_turns
    return cell_of(invariant_metric(metric_of((9.0, 10.3, 11.9, 83.0, 97.0, 108.0)), turns))


@pytest.mark.parametrize("stated", ["operations", "hall", "name"])
def test_every_listed_setting_is_read_from_every_statement(
    write: Write, read_noting: Noting, stated: str
) -> None:
    place = np.array([0.137, 0.229, 0.071])
    # A single atom has more symmetry than P 1, which is looked for.
    for group in (group for group in GROUPS if group.number > 1):
        lines = {
            "operations": operations(group),
            "hall": [f"_space_group_name_Hall '{group.hall}'".replace("''", "'")],
            "name": [f"_space_group_name_H-M_alt '{group.xhm()}'"],
        }[stated]
        if '"' in group.hall and stated == "hall":
            lines = ["_space_group_name_Hall", f";{group.hall}", ";"]
        atom = "Fe1 Fe " + " ".join(f"{v}" for v in place) + " 0.01"
        crystal, notes = read_noting(write(cell_with_symmetry(group), lines, [atom]))
        listed = from_gemmi(group.operations())
        notes = [note for note in notes if "distance" not in note]
        assert notes == [], (group.xhm(), notes)
        assert crystal.space_group == group.number
        copies = listed.turns @ place + listed.shifts
        assert len(crystal.elements) == len(copies), group.xhm()
        expected = np.exp(2j * np.pi * np.array(HKL) @ copies.T).sum(axis=1)
        one = np.abs(structure_factors(crystal, HKL)) / [
            np.abs(structure_factors(_alone(crystal), hkl)) for hkl in HKL
        ]
        np.testing.assert_allclose(one, np.abs(expected), atol=1e-5, err_msg=group.xhm())


def _alone(crystal: Crystal) -> Crystal:
    from phaseloom.crystals.checks import atoms_kept

    return atoms_kept(crystal, np.arange(len(crystal.elements)) == 0)


def test_standard_operations_are_those_of_an_independent_table() -> None:
    from diffpy.structure.spacegroups import GetSpaceGroup

    for number in range(1, 231):
        theirs = {
            (*np.rint(o.R).astype(int).ravel(), *np.rint(24 * o.t).astype(int) % 24)
            for o in GetSpaceGroup(number).iter_symops()
        }
        assert standard_operations(number).keys == theirs


def test_type_and_point_group_follow_from_operations_alone() -> None:
    from orix.quaternion.symmetry import get_point_group

    for group in GROUPS[::3]:
        listed = from_gemmi(group.operations())
        assert group_number(listed) == group.number
        # Generators make the whole group.
        assert completed(from_gemmi(gemmi.symops_from_hall(group.hall))).keys == listed.keys
        orix = get_point_group(group.number).name
        direction = {"112": "2", "11m": "m", "321": "32", "312": "32"}
        assert point_group(listed.unique_turns) == direction.get(orix, orix)


@pytest.mark.parametrize(
    ("text", "cell", "atoms", "count", "number"),
    [
        ("F d -3 m :2", (5.43,) * 3 + (90,) * 3, ["Si1 Si .125 .125 .125 .01"], 8, 227),
        ("F d -3 m Z", (5.43,) * 3 + (90,) * 3, ["Si1 Si .125 .125 .125 .01"], 8, 227),
        ("F d -3 m S", (5.43,) * 3 + (90,) * 3, ["Si1 Si 0 0 0 .01"], 8, 227),
        ("Fd-3m:1", (5.43,) * 3 + (90,) * 3, ["Si1 Si 0 0 0 .01"], 8, 227),
        ("F 41/d -3 2/m :2", (5.43,) * 3 + (90,) * 3, ["Si1 Si .125 .125 .125 .01"], 8, 227),
        ("F m 3 m", CUBIC, GOLD, 4, 225),
        ("R -3 c", (4.76, 4.76, 12.99, 90, 90, 120), ["Al1 Al 0 0 .35216 .01"], 12, 167),
        ("R -3 c R", (5.13,) * 3 + (55.3,) * 3, ["Al1 Al .352 .352 .352 .01"], 4, 167),
        ("R -3 c", (5.13,) * 3 + (55.3,) * 3, ["Al1 Al .352 .352 .352 .01"], 4, 167),
        ("P2_1/n", (7, 8, 9, 90, 95.3, 90), RUTILE_LIKE, 8, 14),
        ("P 1 1 21/b", (7, 8, 9, 90, 90, 95.3), RUTILE_LIKE, 8, 14),
        ("P6_3/mmc", (3, 3, 5, 90, 90, 120), ["Ti Ti .3333 .6667 .25 .01"], 2, 194),
    ],
)
def test_names_as_databases_write_them(
    write: Write, text: str, cell: tuple[float, ...], atoms: list[str], count: int, number: int
) -> None:
    crystal = read_crystal(write(cell, name(text), atoms))
    assert (len(crystal.elements), crystal.space_group) == (count, number)


@pytest.mark.parametrize(
    ("lines", "cell", "atoms", "count", "note"),
    [
        ([*name("F m -3 m"), "_symmetry_Int_Tables_number 221"], CUBIC, GOLD, 4,
         "its number 221 means P m -3 m"),
        ([*name("F m -3 m"), "_symmetry_Int_Tables_number 47"], (4, 5, 6, 90, 90, 90), GOLD, 1,
         "whose symmetry the cell does not have: P m m m"),
        (name("P n m a") + operations(gemmi.SpaceGroup("P b n m")), (5.38, 5.44, 7.64, 90, 90, 90),
         ["Ca Ca -.00676 .03602 .25 .01"], 4, "its list of symmetry operations P b n m"),
        ([*name("F m -3 m"), "_chemical_formula_sum Au", "_cell_formula_units_Z 4", "loop_",
          "_symmetry_equiv_pos_as_xyz", "x,y,z"], CUBIC, GOLD, 4, "lists 1 of the 192 operations"),
        (name("F d -3 m"), (5.43,) * 3 + (90,) * 3, ["Si1 Si .125 .125 .125 .01"], 8,
         "leaves the setting open: F d -3 m:2 is taken, with 8 atoms"),
        ([*name("F foo"), "_space_group_IT_number 225"], CUBIC, GOLD, 4, "'F foo' is not known"),
        (["_space_group_name_Hall '-F foo'", *name("F m -3 m")], CUBIC, GOLD, 4, "Hall symbol"),
        (["_space_group_IT_number 14"], (7, 8, 9, 90, 90, 95.3), RUTILE_LIKE, 8,
         "usually means other axes"),
    ],
)  # fmt: skip
def test_statements_that_contradict_each_other_or_the_cell_are_told(
    write: Write, read_noting: Noting, lines: list[str], cell: tuple[float, ...],
    atoms: list[str], count: int, note: str,
) -> None:  # fmt: skip
    crystal, notes = read_noting(write(cell, lines, atoms))
    assert len(crystal.elements) == count
    assert any(note in text for text in notes), notes


@pytest.mark.parametrize(
    ("lines", "cell", "fault"),
    [
        (name("R -3 c :R"), (4.76, 4.76, 12.99, 90, 90, 120), "does not have the symmetry"),
        (name("F foo"), CUBIC, "space group is not known"),
        (name("P 1 21/n 1"), (7, 8, 9, 90, None, 90), r"leaves out \(beta\)"),
        (["loop_", "_symmetry_equiv_pos_as_xyz", "x,y,z", "x+y,y,z"], CUBIC, "are no space group"),
        (["loop_", "_symmetry_equiv_pos_as_xyz", "x,y,z", "2*x,y,z"], CUBIC, "is no symmetry"),
        (["loop_", "_symmetry_equiv_pos_as_xyz", "'x,y,nan'"], CUBIC, "no symmetry operation"),
        (["loop_", "_symmetry_equiv_pos_as_xyz", "'x,y,z+1*)'"], CUBIC, "no symmetry operation"),
        (["_cell_length_a 5"], CUBIC, "gives _cell_length_a twice"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    write: Write, lines: list[str], cell: tuple[float | None, ...], fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        read_crystal(write(cell, lines, GOLD))


@pytest.mark.parametrize(
    ("cell", "text", "whole"),
    [
        ((4.2, 4.2, 4.2, None, None, None), "F m -3 m", (4.2, 4.2, 4.2, 90, 90, 90)),
        ((4.2, None, None, None, None, None), "F m -3 m", (4.2, 4.2, 4.2, 90, 90, 90)),
        ((3, 3, 5, None, None, None), "P 63/m m c", (3, 3, 5, 90, 90, 120)),
        ((7, 8, 9, None, 95.3, None), "P 1 21/n 1", (7, 8, 9, 90, 95.3, 90)),
        ((7, 8, 9, None, None, 95.3), "P 1 1 21/b", (7, 8, 9, 90, 90, 95.3)),
        ((5.13, None, None, 55.3, None, None), "R -3 c :R", (5.13,) * 3 + (55.3,) * 3),
    ],
)
def test_parameters_that_the_crystal_system_gives(
    write: Write, cell: tuple[float | None, ...], text: str, whole: tuple[float, ...]
) -> None:
    atom = ["Ni1 Ni 0.1 0.1 0.1 0.01"] if "R" in text else ["Ni1 Ni 0 0 0 0.01"]
    crystal = read_crystal(write(cell, name(text), atom))
    np.testing.assert_allclose(crystal.cell, whole, rtol=1e-9)


@pytest.mark.parametrize("shift", [(0, 0, 0), (0.13, 0.29, 0.41)])
@pytest.mark.parametrize(
    ("cell", "atoms", "number", "count"),
    [
        ((2.8838,) * 3 + (60,) * 3, [("Au", (0, 0, 0))], 225, 4),
        ((8, 4, 4, 90, 90, 90), [("Po", (0, 0, 0)), ("Po", (0.5, 0, 0))], 221, 1),
        ((4.5937, 4.5937, 2.9587, 90, 90, 90),
         [("Ti", (0, 0, 0)), ("Ti", (0.5, 0.5, 0.5)), ("O", (0.3053, 0.3053, 0)),
          ("O", (0.6947, 0.6947, 0)), ("O", (0.8053, 0.1947, 0.5)), ("O", (0.1947, 0.8053, 0.5))],
         136, 6),
    ],
)  # fmt: skip
def test_symmetry_that_an_export_lost_is_found_and_told(
    write: Write, read_noting: Noting, cell: tuple[float, ...],
    atoms: list[tuple[str, tuple[float, ...]]], number: int, count: int,
    shift: tuple[float, ...],
) -> None:  # fmt: skip
    rng = np.random.default_rng(3)
    rows = []
    for element, place in atoms:
        x = np.array(place) + shift + rng.normal(scale=2e-4, size=3)
        rows.append(f"{element} {element} {x[0]:.6f} {x[1]:.6f} {x[2]:.6f} 0.01")
    crystal, notes = read_noting(write(cell, name("P 1"), rows))
    assert (crystal.space_group, len(crystal.elements)) == (number, count)
    assert any("no symmetry (P 1)" in note and "within 0.01 Å" in note for note in notes)
    # Atoms are exactly where the symmetry has them: absences are absences.
    if number == 136:
        assert np.abs(structure_factors(crystal, (1, 0, 0))) < 1e-6
        np.testing.assert_allclose(crystal.cell, cell, atol=1e-9)
    assert len(crystal.laue_rotations) == {225: 24, 221: 24, 136: 8}[number]


def test_a_file_without_symmetry_to_be_found_says_so(write: Write) -> None:
    path = write((5, 6, 7, 80, 95, 110), name("P 1"), [*RUTILE_LIKE, "C C .3 .8 .1 .01"])
    with pytest.warns(InputWarning, match=r"P 1\), and its atoms have none"):
        assert read_crystal(path).space_group == 1
