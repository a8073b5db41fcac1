"""CIF files of the shared collection: equal to an independent reading; cases that went wrong."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest
from numpy.typing import NDArray

from phaseloom.crystals import Crystal, powder_rings, read_crystal
from phaseloom.crystals.description import density, describe_crystal
from phaseloom.crystals.scattering import form_factor
from phaseloom.errors import InputError

Noting = Callable[[Path], tuple[Crystal, list[str]]]
K_MAX = 0.9

COUNTS = {
    "non_standard_settings/lfp_pmnb": (28, 62, "mmm"),
    "non_standard_settings/lfp_pmnb__hmonly": (28, 62, "mmm"),
    "non_standard_settings/pbnm": (20, 62, "mmm"),
    "non_standard_settings/si_o2": (8, 227, "m-3m"),
    "non_standard_settings/anatase_o2": (12, 141, "4/mmm"),
    "non_standard_settings/p21n": (8, 14, "2/m"),
    "cartesian_atoms/cartesian_only": (2, 221, "m-3m"),
    "labels_without_type/laumontite": (100, 12, "2/m"),
    "labels_without_type/lab_H2O": (2, 221, "m-3m"),
    "valid_but_refused/al2o3_rhcolonR": (10, 167, "-3m"),
    "valid_but_refused/al2o3_hexH__hmonly": (30, 167, "-3m"),
    "valid_but_refused/no_angles": (8, 225, "m-3m"),
    "valid_but_refused/p21c_uniq_c": (8, 14, "2/m"),
    "valid_but_refused/pbnm__hall": (20, 62, "mmm"),
    "valid_but_refused/zno_latin1": (4, 186, "6mm"),
    "operations_only/spinel_o2__opsonly": (56, 227, "m-3m"),
    "operations_only/anatase_o2__opsonly": (12, 141, "4/mmm"),
    "symmetry_lost/rutile_p1": (6, 136, "4/mmm"),
}


def rings_of(
    lattice: NDArray[np.float64], positions: NDArray[np.float64], elements: list[str],
    shares: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """1/d and Σ |F/V|² of atoms at rest: the same for a primitive and a conventional cell."""
    reciprocal = np.linalg.inv(lattice).T
    most = np.ceil(K_MAX * np.linalg.norm(lattice, axis=1)).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most)), axis=-1).reshape(-1, 3)
    k = np.linalg.norm(hkl @ reciprocal, axis=1)
    inside = (k < K_MAX) & (k > 0)
    hkl, k = hkl[inside], k[inside]
    factor = np.zeros(len(k), dtype=complex)
    for element in set(elements):
        of = np.array(elements) == element
        waves = np.exp(2j * np.pi * hkl @ positions[of].T)
        factor += form_factor(element, k) * (waves * shares[of]).sum(axis=1)
    strength = np.abs(factor / np.linalg.det(lattice)) ** 2
    order = np.argsort(k)
    k, strength = k[order], strength[order]
    ring = np.cumsum(np.concatenate([[True], np.diff(k) > 2e-4])) - 1
    counts = np.bincount(ring)
    sums = np.bincount(ring, weights=strength)
    seen = sums > 1e-3 * sums.max()
    return (np.bincount(ring, weights=k) / counts)[seen], sums[seen]


def by_diffpy(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str],
                                   NDArray[np.float64]]:  # fmt: skip
    from diffpy.structure.parsers.p_cif import P_cif

    with contextlib.redirect_stdout(io.StringIO()):
        cell = P_cif().parseFile(str(path))
    elements = [gemmi.Element(atom.element.rstrip("+-0123456789")).name for atom in cell]
    base = np.asarray(cell.lattice.base)
    places, shares = np.array([a.xyz for a in cell]), np.array([a.occupancy for a in cell])
    # It takes copies of 0.3333 for two atoms.
    apart = places[:, None] - places[None]
    close = np.linalg.norm((apart - np.round(apart)) @ base, axis=-1) < 0.02
    alike = close & (np.array(elements)[:, None] == np.array(elements)[None])
    kept = np.flatnonzero(alike.argmax(axis=1) == np.arange(len(elements)))
    return base, places[kept], [elements[i] for i in kept], shares[kept]


def by_gemmi(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str],
                                  NDArray[np.float64]]:  # fmt: skip
    small = gemmi.read_small_structure(str(path))
    sites = small.get_all_unit_cell_sites()
    places = np.array([site.fract.tolist() for site in sites])
    shares = np.array([site.occ for site in sites])
    lattice = np.array(small.cell.orth.mat.tolist()).T
    return lattice, places, [site.element.name for site in sites], shares


def same(crystal: Crystal, theirs: tuple, tolerance: float = 0.01) -> None:
    lattice, positions, elements, shares = theirs
    ours = rings_of(crystal.lattice, crystal.positions, list(crystal.elements), crystal.occupancies)
    other = rings_of(lattice, positions, elements, shares)
    volume = abs(np.linalg.det(lattice))
    assert len(crystal.elements) / crystal.volume == pytest.approx(len(elements) / volume, 1e-4)
    weight = sum(gemmi.Element(e).weight * s for e, s in zip(elements, shares, strict=True))
    assert density(crystal) == pytest.approx(1.66053907 * weight / volume, 1e-4)
    # Rings that rounding splits fall together: compared on a fine grid.
    grid = np.linspace(0, K_MAX, 400)
    counted = [np.interp(grid, k, np.cumsum(i) / i.sum(), left=0) for k, i in (ours, other)]
    assert np.abs(counted[0] - counted[1]).max() < tolerance
    np.testing.assert_allclose(ours[0][0], other[0][0], atol=3e-4)
    assert ours[1].sum() == pytest.approx(other[1].sum(), rel=tolerance)


@pytest.mark.parametrize("reader", [by_diffpy, by_gemmi])
def test_every_file_of_the_collection_is_equal_to_an_independent_reading(
    measured: Path, read_noting: Noting, reader: Callable[[Path], tuple]
) -> None:
    paths = sorted((measured / "cif").glob("*.cif"))
    assert len(paths) > 10
    for path in paths:
        crystal, _ = read_noting(path)
        same(crystal, reader(path))


def test_every_file_of_the_cases_is_equal_to_an_independent_reading(
    cases: Path, read_noting: Noting
) -> None:
    checked = []
    for path in sorted((cases / "diffraction").rglob("*.cif")):
        name = str(path.relative_to(cases / "diffraction"))
        if any(part in name for part in ("expressions", "labels_without", "cartesian")):
            continue
        # What gemmi does not make out by itself: a Hall symbol alone, angles left out, Latin-1.
        if any(part in name for part in ("hall", "no_angles", "latin1", "hexH")):
            continue
        crystal, _ = read_noting(path)
        same(crystal, by_gemmi(path))
        checked.append(name)
    assert len(checked) > 15


@pytest.mark.parametrize("name", COUNTS)
def test_cases_that_went_wrong(cases: Path, read_noting: Noting, name: str) -> None:
    path = cases / "diffraction" / "crystals" / f"{name}.cif"
    crystal, notes = read_noting(path)
    assert (len(crystal.elements), crystal.space_group, crystal.point_group) == COUNTS[name]
    assert crystal.phase.point_group.name == crystal.point_group
    assert not any("distance" in note for note in notes)
    if "labels" in name:
        assert "W" not in crystal.elements
        assert any("labels" in note for note in notes)


@pytest.mark.parametrize("name", ["expressions/nan", "expressions/syntax",
                                  "labels_without_type/lab_T1"])  # fmt: skip
def test_cases_that_are_refused_in_one_sentence(cases: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"no symmetry operation|no element"):
        read_crystal(cases / "diffraction" / "crystals" / f"{name}.cif")


def test_settings_of_one_structure_diffract_alike(cases: Path, read_noting: Noting) -> None:
    folder = cases / "diffraction" / "crystals"
    pairs = [
        ("non_standard_settings/pbnm", "valid_but_refused/pbnm__hall"),
        ("non_standard_settings/anatase_o2", "operations_only/anatase_o2__opsonly"),
        ("non_standard_settings/lfp_pmnb", "non_standard_settings/lfp_pmnb__hmonly"),
    ]
    for names in pairs:
        one, other = (read_noting(folder / f"{name}.cif")[0] for name in names)
        rings = [powder_rings(crystal, 0.8) for crystal in (one, other)]
        np.testing.assert_allclose(rings[0].intensity, rings[1].intensity, atol=1e-9)


def test_corundum_in_both_axes_is_one_structure(cases: Path, read_noting: Noting) -> None:
    folder = cases / "diffraction" / "crystals" / "valid_but_refused"
    both = [read_noting(folder / f"{n}.cif")[0] for n in ("al2o3_rhcolonR", "al2o3_hexH__hmonly")]
    rhombohedral, hexagonal = both
    assert hexagonal.volume == pytest.approx(3 * rhombohedral.volume, rel=1e-3)
    same(rhombohedral, (hexagonal.lattice, hexagonal.positions, list(hexagonal.elements),
                        hexagonal.occupancies), 0.02)  # fmt: skip


def test_operations_decide_the_point_group_of_exports(
    cases: Path, read_noting: Noting, tmp_path: Path
) -> None:
    path = cases / "diffraction" / "crystals" / "operations_only" / "spinel_o2__opsonly.cif"
    crystal, _ = read_noting(path)
    assert crystal.phase.point_group.laue.name == "m-3m"
    # A record of an older version, which knew no number for such files.
    older = replace(crystal, space_group=1)
    assert older.phase.point_group.name == "m-3m"
    assert older.phase.space_group is None


def test_the_description_of_a_file(measured: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts = describe_crystal(measured / "cif" / "Cu.cif")
    json.dumps(facts)
    assert (facts["formula"], facts["formula_units"]) == ("Cu", 4)
    assert facts["space_group"]["number"] == 225
    assert facts["density"] == pytest.approx(8.89, abs=0.01)
    assert facts["shortest_distance"]["distance"] == pytest.approx(3.621262 / np.sqrt(2))
    assert facts["rings"][0]["d"] == pytest.approx(3.621262 / np.sqrt(3))
    assert facts["rings"][0]["multiplicity"] == 8
    assert facts["rings"][0]["intensity"] == 100
