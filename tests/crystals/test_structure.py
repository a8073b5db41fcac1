"""Cells with all their atoms: built-in crystals and CIF files, and what is wrong with files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from orix.crystal_map import Phase
from orix.vector import Miller

from phaseloom.crystals import (
    Crystal,
    gold,
    iron_phosphate,
    lithium_iron_phosphate,
    read_crystal,
    silver,
)
from phaseloom.crystals.scattering import structure_factors
from phaseloom.crystals.structure import Site, aligned_lattice, crystal_from_sites
from phaseloom.errors import InputError, InputWarning


def cif(folder: Path, cell: tuple[float, ...], group: str, operations: str, atoms: str) -> Path:
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_test", f"_symmetry_space_group_name_H-M '{group}'"]
    lines += [f"_cell_{name} {value}" for name, value in zip(names, cell, strict=True)]
    if operations:
        lines += ["loop_", "_symmetry_equiv_pos_as_xyz", operations.strip()]
    if atoms:
        lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol"]
        lines += [f"_atom_site_fract_{axis}" for axis in "xyz"]
        lines += ["_atom_site_occupancy", "_atom_site_U_iso_or_equiv", atoms.strip()]
    path = folder / "test.cif"
    path.write_text("\n".join(lines) + "\n")
    return path


PNMA = """
'x,y,z'
'-x+1/2,-y,z+1/2'
'-x,y+1/2,-z'
'x+1/2,-y+1/2,-z+1/2'
'-x,-y,-z'
'x+1/2,y,-z+1/2'
'x,-y+1/2,z'
'-x+1/2,y+1/2,z+1/2'
"""
LFP = """
Fe1 Fe2+ 0.2822 0.25 0.9747 1 0.00633
P1 P5+ 0.0949 0.25 0.4182 1 0.00633
O1 O2- 0.0968 0.25 0.7428 1 0.00633
O2 O2- 0.4571 0.25 0.2060 1 0.00633
O3 O2- 0.1656 0.0465 0.2848 1 0.00633
Li1 Li1+ 0 0 0 1 0.0152
"""


def nearest(crystal: Crystal, position: np.ndarray, element: str) -> np.ndarray:
    """Distances (Å) from a fractional position to all periodic atoms of an element, sorted."""
    of = crystal.positions[np.array(crystal.elements) == element]
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 1, 3)
    return np.sort(np.linalg.norm((of + shifts - position) @ crystal.lattice, axis=-1).ravel())


@pytest.mark.parametrize(
    ("crystal", "composition", "group"),
    [
        (gold(), {"Au": 4}, 225),
        (silver(), {"Ag": 4}, 225),
        (lithium_iron_phosphate(), {"Fe": 4, "P": 4, "O": 16, "Li": 4}, 62),
        (iron_phosphate(), {"Fe": 4, "P": 4, "O": 16}, 62),
    ],
)
def test_built_in_cells_hold_all_their_atoms(
    crystal: Crystal, composition: dict[str, int], group: int
) -> None:
    assert Counter(crystal.elements) == composition
    assert crystal.phase.space_group.number == group
    assert len(crystal.phase.structure) == len(crystal.elements)


@pytest.mark.parametrize("crystal", [lithium_iron_phosphate(), iron_phosphate()])
def test_phosphorus_is_in_a_tetrahedron_of_oxygen_and_iron_in_an_octahedron(
    crystal: Crystal,
) -> None:
    for element, neighbours, shortest, longest in (("P", 4, 1.50, 1.58), ("Fe", 6, 1.85, 2.3)):
        for position in crystal.positions[np.array(crystal.elements) == element]:
            bonds = nearest(crystal, position, "O")
            assert shortest < bonds[0]
            assert bonds[neighbours - 1] < longest < bonds[neighbours]


@pytest.mark.parametrize(
    ("crystal", "file"),
    [(lithium_iron_phosphate(), "pymatgen_LiFePO4"), (iron_phosphate(), "pymatgen_FePO4a")],
)
def test_typed_cells_are_those_of_the_database(measured: Path, crystal: Crystal, file: str) -> None:
    with pytest.warns(InputWarning, match="P 1"):
        stored = read_crystal(measured / "cif" / f"{file}.cif")
    # The stored ones are relaxed by density-functional theory: 1–3 % larger, atoms moved.
    np.testing.assert_allclose(crystal.cell[:3], stored.cell[:3], rtol=0.03)
    assert Counter(crystal.elements) == Counter(stored.elements)
    for position, element in zip(stored.positions, stored.elements, strict=True):
        assert nearest(crystal, position, element)[0] < 0.3


def test_all_structures_of_the_collection_are_read(measured: Path) -> None:
    import warnings

    atoms = {}
    for path in sorted((measured / "cif").glob("*.cif")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            atoms[path.stem] = len(read_crystal(path).elements)
    assert atoms["Cu"] == 4
    assert atoms["austeniteLP"] == 4
    assert atoms["pymatgen_CsI3Pb"] == 20
    assert atoms["pymatgen_Li2O"] == 12
    assert atoms["pymatgen_Graphite"] == 4


def test_symmetry_of_the_space_group_is_applied_to_the_atoms(tmp_path: Path) -> None:
    path = cif(tmp_path, (10.332, 6.010, 4.692, 90, 90, 90), "P n m a", PNMA, LFP)
    crystal = read_crystal(path)
    assert Counter(crystal.elements) == {"Fe": 4, "P": 4, "O": 16, "Li": 4}
    assert crystal.space_group == 62
    assert crystal.name == "test"
    hkl = [(2, 0, 0), (1, 0, 1), (2, 1, 0), (1, 0, 0)]
    np.testing.assert_allclose(
        np.abs(structure_factors(crystal, hkl)),
        np.abs(structure_factors(lithium_iron_phosphate(), hkl)),
        rtol=1e-4,
        atol=1e-9,
    )


def test_silicon_by_the_name_of_its_group_alone(tmp_path: Path) -> None:
    path = cif(tmp_path, (5.431,) * 3 + (90,) * 3, "F d -3 m", "", "Si1 Si 0 0 0 1 0.006")
    crystal = read_crystal(path)
    assert len(crystal.elements) == 8
    strength = np.abs(structure_factors(crystal, [(1, 1, 1), (2, 0, 0), (2, 2, 2), (2, 2, 0)]))
    assert strength[0] > 1
    assert strength[3] > 1
    np.testing.assert_allclose(strength[[1, 2]], 0, atol=1e-9)


def test_a_third_written_with_four_digits_makes_no_second_atom(tmp_path: Path) -> None:
    atoms = "Zn1 Zn 0.3333 0.6667 0.25 1 0.01"
    path = cif(tmp_path, (2.665, 2.665, 4.947, 90, 90, 120), "P 63/m m c", "", atoms)
    assert len(read_crystal(path).elements) == 2


def operations(group: int, origin: float) -> str:
    """All operations of a group with its origin moved along the diagonal, in 24ths."""
    from diffpy.structure.spacegroups import GetSpaceGroup

    lines = []
    for o in GetSpaceGroup(group).iter_symops():
        shift = o.t + (o.R - np.eye(3)) @ np.full(3, origin)
        terms = [
            "".join(f"{'+' if c > 0 else '-'}{v}" for c, v in zip(r, "xyz", strict=True) if c)
            + f"+{round(24 * (t % 1)) % 24}/24"
            for r, t in zip(o.R, shift, strict=True)
        ]
        lines.append(f"'{','.join(terms)}'")
    return "\n".join(lines)


@pytest.mark.parametrize("origin", [0.0, 0.125, -0.125])
def test_listed_operations_come_before_the_standard_ones_of_the_group(
    tmp_path: Path, origin: float
) -> None:
    # Fd-3m is listed with either of two origins; diffpy takes its own for both.
    atom = f"Si1 Si {-origin} {-origin} {-origin} 1 0.006"
    path = cif(tmp_path, (5.431,) * 3 + (90,) * 3, "F d -3 m", operations(227, origin), atom)
    crystal = read_crystal(path)
    assert len(crystal.elements) == 8
    assert len(crystal.laue_rotations) == 24
    factors = np.abs(structure_factors(crystal, [(1, 1, 1), (2, 0, 0)]))
    assert factors[0] > 1
    assert factors[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("crystal", "n"), [(gold(), 24), (lithium_iron_phosphate(), 4)], ids=["m-3m", "mmm"]
)
def test_laue_rotations_are_those_of_orix_for_standard_settings(crystal: Crystal, n: int) -> None:
    ours = crystal.laue_rotations
    assert len(ours) == n
    np.testing.assert_allclose(ours[0], np.eye(3), atol=1e-12)
    theirs = crystal.phase.point_group.laue_proper_subgroup.to_matrix()
    for turn in theirs:
        assert np.abs(ours - turn).max(axis=(1, 2)).min() < 1e-9
    assert all(s in ours.round(6).tolist() for s in (ours @ ours[-1]).round(6).tolist())


def test_the_axis_of_a_monoclinic_crystal_is_where_its_setting_has_it(tmp_path: Path) -> None:
    atom = "Fe1 Fe 0.15 0.25 0.2 1 0.006"
    crystal = read_crystal(cif(tmp_path, (9, 5, 7.5, 90, 103, 90), "C 1 2/m 1", "", atom))
    assert len(crystal.elements) == 8
    # Along b, which is e2.
    np.testing.assert_allclose(crystal.laue_rotations[1], np.diag([-1, 1, -1]), atol=1e-12)
    atom = "Fe1 Fe 0 0 0 1 0.006"
    hexagonal = read_crystal(cif(tmp_path, (4, 4, 6, 90, 90, 120), "P 63/m m c", "", atom))
    turns = hexagonal.laue_rotations
    assert len(turns) == 12
    np.testing.assert_allclose(turns @ np.swapaxes(turns, 1, 2), [np.eye(3)] * 12, atol=1e-9)


def test_what_hides_in_atoms_is_found(tmp_path: Path) -> None:
    cubic = (4.0,) * 3 + (90,) * 3
    with pytest.raises(InputError, match="no x coordinate"):
        read_crystal(cif(tmp_path, cubic, "P m -3 m", "", "A Au ? 0 0 1 0.01"))
    with pytest.raises(InputError, match="no element"):
        read_crystal(cif(tmp_path, cubic, "P m -3 m", "", "A Q 0 0 0 1 0.01"))
    with pytest.raises(InputError, match="symmetry of its space group"):
        read_crystal(cif(tmp_path, (4, 5, 6, 90, 90, 90), "P m -3 m", "", "A Au 0 0 0 1 0.01"))
    with pytest.warns(InputWarning, match="P 1"):
        read_crystal(cif(tmp_path, cubic, "P 1", "", "A D 0 0 0 1 0.01\nB O .5 .5 .5 1 0.01"))


def test_elements_that_share_a_site_weigh_by_their_occupancy(tmp_path: Path) -> None:
    cell = (4.0,) * 3 + (90,) * 3
    mixed = cif(tmp_path, cell, "F m -3 m", "", "A Au 0 0 0 0.25 0.01\nB Ag 0 0 0 0.75 0.01")
    with pytest.warns(InputWarning, match=r"test\.cif: partly occupied sites \(Au 0\.25, Ag 0\.75"):
        crystal = read_crystal(mixed)
    assert Counter(crystal.elements) == {"Au": 4, "Ag": 4}
    pure = [
        crystal_from_sites(e, cell, 225, [Site(e, (0.0, 0.0, 0.0), 1.0, 0.01)])
        for e in ("Au", "Ag")
    ]
    factors = [structure_factors(c, (1, 1, 1)) for c in pure]
    np.testing.assert_allclose(
        structure_factors(crystal, (1, 1, 1)), 0.25 * factors[0] + 0.75 * factors[1], rtol=1e-9
    )


@pytest.mark.parametrize("occupancy", ["1.5", "-0.5", "0"])
def test_occupancies_that_cannot_be(tmp_path: Path, occupancy: str) -> None:
    wrong = cif(tmp_path, (4.0,) * 3 + (90,) * 3, "F m -3 m", "", f"A Au 0 0 0 {occupancy} 0.01")
    with pytest.raises(InputError, match=rf"test\.cif: an occupancy of {occupancy} cannot be"):
        read_crystal(wrong)


def test_no_atoms_no_cell_no_file_no_cif_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="no atoms"):
        read_crystal(cif(tmp_path, (4.0,) * 3 + (90,) * 3, "F m -3 m", "", ""))
    with pytest.raises(InputError, match="no such file"):
        read_crystal(tmp_path / "absent.cif")
    for content in (b"not a cif", b"\x93NUMPY\xff\xfe", b""):
        path = tmp_path / "broken.cif"
        path.write_bytes(content)
        with pytest.raises(InputError):
            read_crystal(path)
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match="cannot be"):
        aligned_lattice(4, 4, 4, 10, 10, 170)


def test_displacement_that_is_a_b_factor_is_read_as_one(tmp_path: Path) -> None:
    path = cif(tmp_path, (4.0,) * 3 + (90,) * 3, "F m -3 m", "", "Au1 Au 0 0 0 1 1.0")
    with pytest.warns(InputWarning, match="B instead"):
        crystal = read_crystal(path)
    np.testing.assert_allclose(crystal.displacements, 1 / (8 * np.pi**2))


@pytest.mark.parametrize("cell", [(5, 6, 7, 80, 95, 110), (9.0, 5.0, 7.5, 90, 103, 90)])
def test_crystal_axes_lie_as_in_orix(cell: tuple[float, ...]) -> None:
    crystal = crystal_from_sites("t", cell, 1, [Site("Fe", (0.1, 0.2, 0.3))])
    np.testing.assert_allclose(crystal.cell, cell, rtol=1e-9)
    phase: Phase = crystal.phase
    np.testing.assert_allclose(phase.structure.lattice.base, crystal.lattice, atol=1e-9)
    np.testing.assert_allclose(phase.structure[0].xyz, crystal.positions[0], atol=1e-9)
    hkl = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, -1, 3]])
    np.testing.assert_allclose(
        Miller(hkl=hkl, phase=phase).data, hkl @ crystal.reciprocal, atol=1e-9
    )
