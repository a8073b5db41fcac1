"""Orientation maps written for other programs, read back with orix."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from diffpy.structure import Lattice, Structure
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.io import load
from orix.quaternion import Rotation

from phaseloom.errors import InputError
from phaseloom.io.export.orientations import write_orientations

# An F: no rotation or mirror image of it looks the same. Two phases; −1 is unindexed.
F = np.array(
    [
        [0, 0, 0, 0, -1, 1, 1],
        [0, -1, -1, -1, -1, 1, 1],
        [0, 0, 0, -1, -1, -1, 1],
        [0, -1, -1, -1, -1, -1, -1],
        [0, -1, -1, -1, -1, -1, -1],
    ]
)
CELLS = {
    "cubic": (225, (4.0786, 4.0786, 4.0786, 90, 90, 90)),
    "orthorhombic": (62, (10.332, 6.01, 4.692, 90, 90, 90)),
    "tetragonal": (139, (4, 4, 12, 90, 90, 90)),
    "hexagonal": (194, (3.21, 3.21, 5.21, 90, 90, 120)),
    "trigonal": (166, (4.99, 4.99, 17.06, 90, 90, 120)),
    "monoclinic": (14, (5.15, 5.21, 5.32, 90, 99.2, 90)),
    "triclinic": (2, (8.17, 12.87, 14.17, 93.1, 115.9, 91.3)),
}


def phase_of(name):
    group, cell = CELLS[name]
    structure = Structure(title=name, lattice=Lattice(*cell))
    return Phase(name=name, space_group=group, structure=structure)


def crystal_map(*names, label=F, step=(2.0, 1.3333333), offset=(7.0, 3.0), unit="nm", seed=0):
    rng = np.random.default_rng(seed)
    rotation = rng.normal(size=(label.size, 4))
    rotation /= np.linalg.norm(rotation, axis=1, keepdims=True)
    phase = label.ravel()
    rotation[phase < 0] = [1, 0, 0, 0]
    y, x = (offset[i] + step[i] * np.indices(label.shape)[i].ravel() for i in (0, 1))
    shares = {
        "correlation": rng.uniform(0.3, 1, phase.size),
        "probability": rng.uniform(0, 1, phase.size),
        "orientation_reliability": rng.uniform(0, 100, phase.size),
        "matched": rng.integers(5, 60, phase.size).astype(float),
    }
    for values in shares.values():
        values[phase < 0] = np.nan
    return CrystalMap(
        Rotation(rotation),
        phase_id=phase,
        x=x,
        y=y,
        phase_list=PhaseList({i: phase_of(name) for i, name in enumerate(names)}),
        prop=shares,
        scan_unit=unit,
    )


def written_and_read(tmp_path, kind, given):
    file = write_orientations(tmp_path / f"map.{kind}", given, voltage=200, title="two grains")
    with warnings.catch_warnings():
        # orix takes the Laue class of a .ctf for a contradiction to its space group.
        warnings.simplefilter("ignore", UserWarning)
        return file, load(str(file))


def rotations_differ_by(one, other, turn=None):
    """Degrees between rotations, one by one, without symmetry."""
    one, other = Rotation(one), Rotation(other)
    if turn is not None:
        one = turn * one
    return np.degrees((~one * other).angle)


def is_indexed_map(found, given):
    """Phases, unindexed pixels, positions."""
    indexed = given.phase_id >= 0
    np.testing.assert_array_equal(found.phase_id >= 0, indexed)
    np.testing.assert_array_equal(found.phase_id[indexed], given.phase_id[indexed] + 1)
    assert found.shape == F.shape
    np.testing.assert_allclose(found.x, (given.x - given.x.min()) / 1000, atol=1e-9)
    np.testing.assert_allclose(found.y, (given.y - given.y.min()) / 1000, atol=1e-9)
    assert found.scan_unit == "um"
    return indexed


@pytest.mark.parametrize("kind", ["ang", "ctf"])
def test_an_f_of_two_phases_comes_back(tmp_path, kind):
    given = crystal_map("orthorhombic", "cubic")
    _, found = written_and_read(tmp_path, kind, given)
    indexed = is_indexed_map(found, given)
    apart = rotations_differ_by(given.rotations.data[indexed], found.rotations.data[indexed])
    assert apart.max() < 1e-4
    assert found.phases[1].name == "orthorhombic"
    assert found.phases[2].name == "cubic"
    for number, name in ((1, "orthorhombic"), (2, "cubic")):
        expected = phase_of(name)
        assert found.phases[number].point_group.laue.name == expected.point_group.laue.name
        np.testing.assert_allclose(
            found.phases[number].structure.lattice.abcABG(),
            expected.structure.lattice.abcABG(), atol=1e-4,
        )  # fmt: skip


def test_the_measures_stand_in_the_columns_of_the_formats(tmp_path):
    given = crystal_map("orthorhombic", "cubic")
    indexed = given.phase_id >= 0
    _, ang = written_and_read(tmp_path, "ang", given)
    np.testing.assert_allclose(ang.iq[indexed], given.correlation[indexed], atol=1e-5)
    np.testing.assert_allclose(ang.ci[indexed], given.probability[indexed], atol=1e-5)
    assert (ang.ci[~indexed] == -1).all()
    assert (ang.fit[~indexed] == 180).all()
    reliability = given.orientation_reliability[indexed]
    np.testing.assert_allclose(ang.detector_signal[indexed], reliability, atol=1e-3)
    np.testing.assert_allclose(ang.rotations.to_euler()[~indexed] % (2 * np.pi), 0, atol=1e-5)
    file, ctf = written_and_read(tmp_path, "ctf", given)
    np.testing.assert_array_equal(ctf.bands[indexed], given.matched[indexed])
    np.testing.assert_array_equal(ctf.BC[indexed], np.rint(255 * given.correlation[indexed]))
    np.testing.assert_array_equal(ctf.BS[indexed], np.rint(reliability))
    assert (ctf.error == np.where(indexed, 0, 3)).all()
    for name in ("bands", "BC", "BS", "MAD"):
        assert (ctf.prop[name][~indexed] == 0).all()
    head = file.read_text(encoding="utf-8").splitlines()
    assert head[0] == "Channel Text File"
    assert "XCells\t7" in head
    assert "YCells\t5" in head
    assert "KV\t200" in head[11]
    assert "10.3320;6.0100;4.6920\t90.0000;90.0000;90.0000\torthorhombic\t3\t62\t\t\t" in head


def test_everything_comes_back_from_h5(tmp_path):
    given = crystal_map("orthorhombic", "cubic")
    _, found = written_and_read(tmp_path, "h5", given)
    indexed = given.phase_id >= 0
    np.testing.assert_array_equal(found.phase_id, given.phase_id)
    np.testing.assert_array_equal(found.x, given.x)
    np.testing.assert_array_equal(found.y, given.y)
    assert found.scan_unit == "nm"
    assert found.phases[0].space_group.number == 62
    apart = rotations_differ_by(given.rotations.data[indexed], found.rotations.data[indexed])
    assert apart.max() < 1e-5
    for name in given.prop:
        np.testing.assert_array_equal(found.prop[name], given.prop[name])


@pytest.mark.parametrize("name", CELLS)
def test_the_axes_of_crystals_are_those_of_the_vendors(tmp_path, name):
    """The angles of the file turn the sample's axes into a*, c (Oxford) or a, c* (EDAX)."""
    given = crystal_map(name, "cubic")
    lattice = phase_of(name).structure.lattice.base
    reciprocal = np.linalg.inv(lattice).T
    oxford = (reciprocal[0], lattice[2])
    edax = oxford if name == "monoclinic" else (lattice[0], reciprocal[2])
    own = given.phase_id == 0
    to_crystal = given.rotations[own].to_matrix()
    for kind, (x, z) in (("ctf", oxford), ("ang", edax)):
        _, found = written_and_read(tmp_path, kind, given)
        to_vendor = found.rotations[own].to_matrix()
        # What the vendor calls x and z are these directions of the lattice, seen in the sample.
        for axis, direction in ((0, x), (2, z)):
            in_sample = np.swapaxes(to_crystal, 1, 2) @ (direction / np.linalg.norm(direction))
            np.testing.assert_allclose(to_vendor[:, axis], in_sample, atol=1e-5)
        # The other phase is untouched.
        other = given.phase_id == 1
        apart = rotations_differ_by(given.rotations.data[other], found.rotations.data[other])
        assert apart.max() < 1e-4


def test_hexagonal_angles_of_oxford_are_30_degrees_from_those_of_edax(tmp_path):
    given = crystal_map("hexagonal", "cubic")
    own = given.phase_id == 0
    euler = [
        written_and_read(tmp_path, kind, given)[1].rotations[own].to_euler(degrees=True)
        for kind in ("ang", "ctf")
    ]
    np.testing.assert_allclose(euler[0][:, :2], euler[1][:, :2], atol=1e-3)
    np.testing.assert_allclose((euler[1][:, 2] - euler[0][:, 2]) % 360, 30, atol=1e-3)


def test_euler_angles_are_those_of_bunge(tmp_path):
    """φ₁ = 30° alone: the crystal's x is the sample's x turned by 30° from x towards y."""
    label = np.zeros((2, 3), dtype=int)
    given = crystal_map("cubic", label=label)
    matrix = np.array([[3**0.5 / 2, 0.5, 0], [-0.5, 3**0.5 / 2, 0], [0, 0, 1]])
    given._rotations = Rotation.from_matrix(np.tile(matrix, (6, 1, 1)))
    file, _ = written_and_read(tmp_path, "ctf", given)
    line = file.read_text(encoding="utf-8").splitlines()[-1].split("\t")
    assert [float(v) for v in line[5:8]] == pytest.approx([30, 0, 0], abs=1e-4)


def test_symmetry_codes_of_edax(tmp_path):
    codes = {"monoclinic": "20", "orthorhombic": "22", "hexagonal": "62", "triclinic": "1"}
    for name, code in codes.items():
        file, found = written_and_read(tmp_path, "ang", crystal_map(name, "cubic"))
        lines = file.read_text(encoding="utf-8").splitlines()
        found_codes = [line.split()[-1] for line in lines if line.startswith("# Symmetry")]
        # OIM lists the last phase first.
        assert found_codes == ["43", code]
        assert found.phases[1].name == name


def test_only_phases_that_occur_are_numbered(tmp_path):
    label = np.where(F == 0, 2, F)
    given = crystal_map("cubic", "orthorhombic", "tetragonal", label=label)
    _, found = written_and_read(tmp_path, "ctf", given)
    assert [found.phases[i].name for i in (1, 2)] == ["orthorhombic", "tetragonal"]
    np.testing.assert_array_equal(found.phase_id[label.ravel() == 2], 2)
    np.testing.assert_array_equal(found.phase_id[label.ravel() == 1], 1)


def test_a_line_an_only_phase_and_pixels_without_a_step(tmp_path):
    label = np.array([[0, 0, -1, 0]])
    for kind in ("ang", "ctf"):
        given = crystal_map("cubic", label=label, step=(1.0, 1.0), unit="px")
        _, found = written_and_read(tmp_path, kind, given)
        np.testing.assert_array_equal(found.phase_id, [1, 1, -1, 1])
        np.testing.assert_allclose(found.x, [0, 1, 2, 3])


def test_a_part_of_a_map_fills_its_rectangle_with_unindexed_pixels(tmp_path):
    given = crystal_map("orthorhombic", "cubic")
    _, found = written_and_read(tmp_path, "ctf", given["cubic"])
    np.testing.assert_array_equal(found.phase_id.reshape(3, 2), [[1, 1], [1, 1], [-1, 1]])


@pytest.mark.parametrize("columns", [300, 1000])
def test_columns_are_counted_right_whatever_the_step(tmp_path, columns):
    label = np.zeros((2, columns), dtype=int)
    given = crystal_map("cubic", label=label, step=(1.3333333, 1.3333333))
    for kind in ("ang", "ctf"):
        _, found = written_and_read(tmp_path, kind, given)
        assert found.shape == (2, columns)


def test_the_first_of_several_rotations_is_written(tmp_path):
    given = crystal_map("cubic", label=np.zeros((2, 3), dtype=int))
    layers = np.stack([given.rotations.data, np.tile([1.0, 0, 0, 0], (6, 1))], axis=1)
    several = CrystalMap(
        Rotation(layers), phase_id=given.phase_id, x=given.x, y=given.y,
        phase_list=given.phases, scan_unit="nm",
    )  # fmt: skip
    _, found = written_and_read(tmp_path, "ang", several)
    assert rotations_differ_by(given.rotations.data, found.rotations.data).max() < 1e-4
    _, found = written_and_read(tmp_path, "h5", several)
    assert found.rotations_per_point == 2


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    old = write_orientations(tmp_path / "map.ctf", crystal_map("cubic", "cubic"))
    before = old.read_bytes()

    def stop(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savetxt", stop)
    with pytest.raises(OSError, match="no space"):
        write_orientations(old, crystal_map("orthorhombic", "cubic"))
    assert old.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["map.ctf"]


def test_what_cannot_be_written_is_refused(tmp_path):
    given = crystal_map("cubic", "orthorhombic")
    with pytest.raises(InputError, match=r"take one of \.ang \.ctf \.h5"):
        write_orientations(tmp_path / "map.txt", given)
    with pytest.raises(InputError, match="folder does not exist"):
        write_orientations(tmp_path / "no" / "map.ang", given)
    with pytest.raises(InputError, match="no pixel is indexed"):
        write_orientations(tmp_path / "map.ang", crystal_map("cubic", label=np.full((2, 2), -1)))
    rhombohedral = Structure(title="calcite", lattice=Lattice(6.37, 6.37, 6.37, 46, 46, 46))
    axes = Phase(name="calcite", space_group=167, structure=rhombohedral)
    label = np.zeros((2, 2), dtype=int)
    bad = CrystalMap(
        Rotation.identity((4,)), phase_id=label.ravel(), x=np.tile([0.0, 1], 2),
        y=np.repeat([0.0, 1], 2), phase_list=PhaseList(axes),
    )  # fmt: skip
    with pytest.raises(InputError, match="rhombohedral axes"):
        write_orientations(tmp_path / "map.ctf", bad)
    bare = CrystalMap(Rotation.identity((4,)), x=np.tile([0.0, 1], 2), y=np.repeat([0.0, 1], 2))
    with pytest.raises(InputError, match="no point group"):
        write_orientations(tmp_path / "map.ang", bare)
