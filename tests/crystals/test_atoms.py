"""Elements, occupancies, displacements, places and distances of atoms in CIF files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from phaseloom.crystals import Crystal, read_crystal
from phaseloom.errors import InputError

Write = Callable[..., Path]
Noting = Callable[[Path], tuple[Crystal, list[str]]]
CUBIC = (4.0,) * 3 + (90.0,) * 3
GROUP = ["_symmetry_space_group_name_H-M 'P m -3 m'"]
ANISO = ["loop_", "_atom_site_aniso_label"]
TENSOR = [*ANISO, *(f"_atom_site_aniso_U_{i}" for i in ("11", "22", "33", "12", "13", "23"))]
BARE = "label fract_x fract_y fract_z U_iso_or_equiv"
TYPED = "label type_symbol fract_x fract_y fract_z"


@pytest.mark.parametrize(
    ("kind", "element"),
    [("Fe2+", "Fe"), ("Fe+3", "Fe"), ("O2-", "O"), ("D", "H"), ("FE", "Fe"), ("Mn2.5+", "Mn"),
     ("Cval", "C"), ("Co", "Co"), ("CO", "Co")],
)  # fmt: skip
def test_types_are_elements(write: Write, kind: str, element: str) -> None:
    assert read_crystal(write(CUBIC, GROUP, [f"a {kind} 0 0 0 .01"])).elements == (element,)


@pytest.mark.parametrize("kind", ["OH", "H2O", "Wat", "Ow"])
def test_water_and_hydroxyl_count_as_oxygen_and_it_is_told(
    write: Write, read_noting: Noting, kind: str
) -> None:
    crystal, notes = read_noting(write(CUBIC, GROUP, [f"a {kind} 0 0 0 .01"]))
    assert crystal.elements == ("O",)
    assert notes == [
        f"test.cif: {kind} counts as oxygen alone: the file has no places of its hydrogen"
    ]


@pytest.mark.parametrize(
    ("label", "element"),
    [("Fe1", "Fe"), ("Fe1A", "Fe"), ("SiT1", "Si"), ("O1W", "O"), ("Ca", "Ca"), ("Cl-1", "Cl"),
     ("Wat1", "O"), ("H2O", "O"), ("OH3", "O"), ("Ow2", "O"), ("O-H", "O"), ("W1", "W"),
     ("D2", "H")],
)  # fmt: skip
def test_labels_give_the_element_where_they_are_clear_and_it_is_told(
    write: Write, read_noting: Noting, label: str, element: str
) -> None:
    crystal, notes = read_noting(write(CUBIC, GROUP, [f"{label} 0 0 0 .01"], BARE))
    assert crystal.elements == (element,)
    assert len(notes) == 1
    assert f"those of the labels ({label} is {element})" in notes[0]


@pytest.mark.parametrize("label", ["T1", "M1", "X", "CA1", "FE1", "NA1", "HO1", "1Fe", "Q2", "?"])
def test_labels_that_may_be_several_elements_or_none_are_refused(write: Write, label: str) -> None:
    with pytest.raises(InputError, match=r"the label .* (may be .*|is no element); write symbols"):
        read_crystal(write(CUBIC, GROUP, [f"{label} 0 0 0 .01"], BARE))


@pytest.mark.parametrize(
    ("formula", "label", "element"),
    [("Ca", "CA1", "Ca"), ("C", "CA1", "C"), ("'H2 O'", "W1", "O"), ("'Fe'", "FE1", "Fe")],
)
def test_the_formula_tells_what_a_label_means(
    write: Write, read_noting: Noting, formula: str, label: str, element: str
) -> None:
    lines = [*GROUP, f"_chemical_formula_sum {formula}"]
    crystal, _ = read_noting(write(CUBIC, lines, [f"{label} 0 0 0 .01"], BARE))
    assert crystal.elements == (element,)


@pytest.mark.parametrize(
    ("columns", "atom", "lines", "u"),
    [
        (f"{TYPED} U_iso_or_equiv", "a Fe 0 0 0 0.02", [], 0.02),
        (f"{TYPED} B_iso_or_equiv", "a Fe 0 0 0 1.5", [], 1.5 / (8 * np.pi**2)),
        (f"{TYPED} U_iso_or_equiv B_iso_or_equiv", "a Fe 0 0 0 . 1.5", [], 1.5 / (8 * np.pi**2)),
        (TYPED, "a Fe 0 0 0", [*TENSOR, "a .01 .02 .03 0 0 0"], 0.02),
    ],
)
def test_displacements(write: Write, columns: str, atom: str, lines: list[str], u: float) -> None:
    crystal = read_crystal(write(CUBIC, GROUP + lines, [atom], columns))
    np.testing.assert_allclose(crystal.displacements, u)


def test_the_equivalent_displacement_in_an_oblique_cell_is_that_of_an_independent_library(
    write: Write,
) -> None:
    import gemmi

    cell = (5.0, 6.0, 7.0, 80.0, 95.0, 110.0)
    tensor = ["a .01 .02 .03 .004 -.003 .002"]
    path = write(cell, ["_symmetry_space_group_name_H-M 'P -1'", *TENSOR, *tensor],
                 ["a Fe .1 .2 .3"], TYPED)  # fmt: skip
    theirs = gemmi.read_small_structure(str(path))
    orthogonal = np.array(theirs.cell.orth.mat.tolist())
    reciprocal = np.diag(1 / np.array([theirs.cell.reciprocal().a, theirs.cell.reciprocal().b,
                                       theirs.cell.reciprocal().c]))  # fmt: skip
    u = np.array([[0.01, 0.004, -0.003], [0.004, 0.02, 0.002], [-0.003, 0.002, 0.03]])
    scale = np.linalg.inv(reciprocal)
    cartesian = orthogonal @ scale @ u @ scale @ orthogonal.T
    np.testing.assert_allclose(read_crystal(path).displacements, np.trace(cartesian) / 3)


def test_missing_and_impossible_displacements_are_told(write: Write, read_noting: Noting) -> None:
    atoms = ["a Fe 0 0 0 ?", "b O .5 0 0 0.01"]
    crystal, notes = read_noting(write(CUBIC, GROUP, atoms))
    assert crystal.displacements.tolist() == [0, 0.01, 0.01, 0.01]
    assert "no displacement of 1 of 2 atoms is stated" in notes[0]
    crystal, notes = read_noting(write(CUBIC, GROUP, ["a Fe 0 0 0 -0.01"]))
    assert crystal.displacements.tolist() == [0]
    assert "cannot be; 0 is taken" in notes[0]
    _, notes = read_noting(write(CUBIC, GROUP, ["a Fe 0 0 0"], TYPED))
    assert "count as at rest" in notes[0]


def test_cartesian_places(write: Write) -> None:
    cell = (5.0, 6.0, 7.0, 80.0, 95.0, 110.0)
    group = ["_symmetry_space_group_name_H-M 'P -1'"]
    fractions = np.array([0.1, 0.2, 0.3])
    usual = read_crystal(write(cell, group, ["a Fe .1 .2 .3 .01"]))
    x = fractions @ usual.lattice
    columns = "label type_symbol Cartn_x Cartn_y Cartn_z U_iso_or_equiv"
    atom = ["a Fe " + " ".join(f"{v:.9f}" for v in x) + " .01"]
    read = read_crystal(write(cell, group, atom, columns))
    np.testing.assert_allclose(read.positions, usual.positions, atol=1e-8)
    # A file may turn its Cartesian axes, and says how.
    turn = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])
    matrix = turn @ usual.lattice.T
    stated = [
        f"_atom_sites_Cartn_tran_matrix_{i + 1}{j + 1} {matrix[i, j]:.9f}"
        for i in range(3)
        for j in range(3)
    ]
    atom = ["a Fe " + " ".join(f"{v:.9f}" for v in turn @ x) + " .01"]
    read = read_crystal(write(cell, group + stated, atom, columns))
    np.testing.assert_allclose(read.positions, usual.positions, atol=1e-8)
    wrong = [line.replace("_11 ", "_11 9") for line in stated]
    with pytest.raises(InputError, match="not that of its cell"):
        read_crystal(write(cell, group + wrong, atom, columns))


def test_atoms_that_are_listed_twice_are_merged(write: Write, read_noting: Noting) -> None:
    group = ["_symmetry_space_group_name_H-M 'F m -3 m'"]
    places = ("0 0 0", "0 .5 .5", ".5 0 .5", ".5 .5 0")
    crystal, notes = read_noting(write(CUBIC, group, [f"Au Au {p} .01" for p in places]))
    assert crystal.elements == ("Au",) * 4
    assert "listed more than once and are merged (12 Au)" in notes[0]
    with pytest.raises(InputError, match="Fe and Mn share a place with occupancies of 2"):
        read_crystal(write(CUBIC, group, ["a Fe 0 0 0 .01", "b Mn 0 0 0 .01"]))


def test_one_element_in_two_states_on_one_site_stays_two(write: Write, read_noting: Noting) -> None:
    atoms = ["a Fe2+ 0 0 0 .01 .4", "b Fe3+ 0 0 0 .02 .6"]
    crystal, _ = read_noting(write(CUBIC, GROUP, atoms, f"{TYPED} U_iso_or_equiv occupancy"))
    assert crystal.occupancies.tolist() == [0.4, 0.6]


def test_distances_and_formula_that_cannot_be_are_told(write: Write, read_noting: Noting) -> None:
    atoms = ["a Fe 0 0 0 .01", "b O .12 0 0 .01"]
    _, notes = read_noting(write(CUBIC, GROUP, atoms))
    assert notes == ["test.cif: a distance of 0.48 Å between Fe and O cannot be"]
    lines = [*GROUP, "_chemical_formula_sum 'Fe O3'", "_cell_formula_units_Z 1"]
    atoms = ["a Fe 0 0 0 .01", "b O .5 0 0 .01"]
    assert read_noting(write(CUBIC, lines, atoms))[1] == []
    _, notes = read_noting(write(CUBIC, lines, atoms[:1]))
    assert notes == ["test.cif: the cell holds Fe1, the formula says Fe1 O3 (Z = 1)"]
    twice = [line.replace("Z 1", "Z 2") for line in lines]
    _, notes = read_noting(write((8, 4, 4, 90, 90, 90), [
        "_symmetry_space_group_name_H-M 'P m m m'", *twice[1:]],
        ["a Fe 0 0 0 .01", "b O .25 0 0 .01", "c O .5 .5 0 .01"]))  # fmt: skip
    assert notes == ["test.cif: the cell holds 1 formula units, the file says 2"]
    whole = [*GROUP, "_chemical_formula_sum 'Fe2 O6'", "_cell_formula_units_Z 2"]
    _, notes = read_noting(write((8, 4, 4, 90, 90, 90), [
        "_symmetry_space_group_name_H-M 'P m m m'", *whole[1:]],
        ["a Fe .25 0 0 .01", "b O 0 0 0 .01", "b2 O .5 0 0 .01", "c O .25 .5 .5 .01",
         "d O 0 .5 0 .01", "e O .5 .5 0 .01"]))  # fmt: skip
    assert notes == []
    hydrogen = [*GROUP, "_chemical_formula_sum 'Fe O3 H3'"]
    _, notes = read_noting(write(CUBIC, hydrogen, atoms))
    assert "no places of the hydrogen" in notes[0]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "latin-1", "utf-16", "utf-16-be"])
def test_any_encoding_and_line_end(write: Write, encoding: str) -> None:
    remark = [] if encoding == "ascii" else ["_publ_section_title 'café µm Å'"]
    lines = ["_symmetry_space_group_name_H-M 'F m -3 m'", *remark]
    path = write(CUBIC, lines, ["Au Au 0 0 0 .01"], encoding=encoding)
    assert Counter(read_crystal(path).elements) == {"Au": 4}
    for end in ("\r", "\r\n"):
        content = path.read_bytes().decode(encoding).replace("\n", end)
        path.write_bytes(content.encode(encoding))
        assert len(read_crystal(path).elements) == 4


def test_typeset_minus_signs_are_minus_signs(write: Write) -> None:
    lines = ["_symmetry_space_group_name_H-M 'P \u22121'"]
    path = write((5, 6, 7, 80, 95, 110), lines, ["Au Au \u22120.1 .2 .3 .01"])
    assert len(read_crystal(path).elements) == 2


def test_newer_dictionaries_write_points(write: Write) -> None:
    path = write(CUBIC, ["_space_group.name_H-M_alt 'F m -3 m'"], ["Au Au 0 0 0 .01"])
    text = path.read_text().replace("_cell_", "_cell.").replace("_atom_site_", "_atom_site.")
    path.write_text(text)
    assert len(read_crystal(path).elements) == 4
