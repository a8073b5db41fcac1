"""A folder, a pattern or a list of images is one stack; what is odd about it is said once."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from phaseloom import InputError, InputWarning, read
from phaseloom.io.export.nexus import write_nxstxm
from phaseloom.io.image_sets import files_of, name_of
from phaseloom.io.reading import holds_one_image

ENERGY = [699.5, 700.0, 1000.25]
IMAGES = np.random.default_rng(2).poisson(500, (3, 6, 8)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of TIFF images named by their energies."""

    def make(form: str = "scan_{:.2f}eV.tif", name: str = "set") -> Path:
        made = tmp_path / name
        made.mkdir()
        for energy, image in zip(ENERGY, IMAGES, strict=True):
            tifffile.imwrite(made / form.format(energy), image)
        return made

    return make


@pytest.mark.parametrize(
    "form", ["scan_{:.2f}eV.tif", "scan_{:07.2f}_a.tif", "{:.2f}.tif", "s_{:.2f}_eV_001.tiff"]
)
def test_a_folder_is_a_stack_sorted_by_the_energies_in_the_names(
    form: str, folder: Callable[..., Path]
) -> None:
    made = folder(form)
    (made / "notes.txt").write_text("none")
    with pytest.warns(InputWarning) as caught:
        stack = read(made)
    assert len(caught) == 1  # once, not for each file
    assert "no energy is recorded in 3 files" in str(caught[0].message)
    assert stack.attrs["kind"] == "stack"
    assert stack.attrs["title"] == "set"
    np.testing.assert_allclose(stack["energy"], ENERGY)
    np.testing.assert_array_equal(stack["counts"], IMAGES[:, ::-1])
    assert stack.attrs["sources"] == [form.format(energy) for energy in ENERGY]


def test_kev_in_names(tmp_path: Path) -> None:
    for energy, image in zip((8.35, 8.333), IMAGES, strict=False):
        tifffile.imwrite(tmp_path / f"a_{energy}keV.tif", image)
    with pytest.warns(InputWarning):
        stack = read(tmp_path)
    np.testing.assert_array_equal(stack["energy"], [8333.0, 8350.0])
    np.testing.assert_array_equal(stack["counts"], IMAGES[1::-1, ::-1])


def test_patterns_and_lists_are_stacks_too(folder: Callable[..., Path]) -> None:
    made = folder()
    tifffile.imwrite(made / "other_500eV.tif", IMAGES[0])
    with pytest.warns(InputWarning):
        by_pattern = read(made / "scan_*.tif")
        by_list = read([*made.glob("scan_*.tif")][::-1])
    for stack in (by_pattern, by_list):
        np.testing.assert_array_equal(stack["counts"], IMAGES[:, ::-1])
    assert name_of(made / "scan_*.tif") == "scan"
    with pytest.raises(InputError, match="no file fits"):
        read(made / "none_*.tif")


def test_the_case_of_single_tiffs(cases: Path) -> None:
    base = read(cases / "xray/base/base.hdf5")
    with pytest.warns(InputWarning, match="no energy is recorded in 6 files"):
        stack = read(cases / "xray/energy_lists/one_*.tif")
    np.testing.assert_array_equal(stack["energy"], base["energy"][:6])
    agreement = np.corrcoef(stack["counts"].values.ravel(), base["counts"][:6].values.ravel())
    upside_down = np.corrcoef(
        stack["counts"].values[:, ::-1].ravel(), base["counts"][:6].values.ravel()
    )
    assert max(agreement[0, 1], upside_down[0, 1]) > 0.99


def test_single_images_of_hdf5_with_recorded_energies(tmp_path: Path, cases: Path) -> None:
    base = read(cases / "xray/base/base.hdf5")
    for index in (3, 0, 2):
        write_nxstxm(tmp_path / f"image{index}.hdf5", base.isel(energy=[index]))
    stack = read(tmp_path)
    np.testing.assert_array_equal(stack["counts"], base["counts"][[0, 2, 3]])
    np.testing.assert_allclose(stack["x"], base["x"])
    assert holds_one_image(tmp_path / "image0.hdf5")
    assert not holds_one_image(cases / "xray/base/base.hdf5")


def test_images_of_sdf_are_read_by_themselves(measured: Path, tmp_path: Path) -> None:
    for file in (measured / "stxm_ni_cosmic").glob("stxm-scan*"):
        shutil.copy(file, tmp_path)
    stack = read(tmp_path / "*.xim")
    assert stack.sizes["energy"] == 2
    assert np.all(np.diff(stack["energy"]) > 0)


def test_measured_images_of_a_microscope_are_a_stack_without_their_flats(
    measured: Path, tmp_path: Path
) -> None:
    for file in (measured / "txm_aps_ncx").glob("*_xanessoc01_*"):
        shutil.copy(file, tmp_path)
    with pytest.warns(InputWarning, match="2 files are flats or darks by their names"):
        stack = read(tmp_path)
    np.testing.assert_allclose(stack["energy"], [8250, 8353], atol=0.1)
    assert stack.attrs["sources"][0].startswith("fov07")
    flats = read(tmp_path / "ref_*.xrm")  # flats alone are images
    assert flats.sizes["energy"] == 2


def test_repeats_are_said_and_copies_left_out(folder: Callable[..., Path]) -> None:
    made = folder()
    tifffile.imwrite(made / "again_700.0eV.tif", IMAGES[2])
    shutil.copy(made / "scan_699.50eV.tif", made / "copy of scan_699.50eV.tif")
    with pytest.warns(InputWarning) as caught:
        stack = read(made)
    said = "\n".join(str(warning.message) for warning in caught)
    assert "copies are left out: scan_699.50eV.tif of copy of scan_699.50eV.tif" in said
    assert "several images have one energy (700 eV: again_700.0eV.tif and scan_700.00eV" in said
    np.testing.assert_allclose(stack["energy"], [699.5, 700.0, 700.0, 1000.25])


def test_what_cannot_be_a_stack_is_refused(folder: Callable[..., Path], tmp_path: Path) -> None:
    nameless = folder("scan_{:.0f}.tif", "nameless")
    with (
        pytest.raises(InputError, match=r"says nothing of its photon energy.*; write it into"),
        warnings.catch_warnings(action="ignore", category=InputWarning),
    ):
        read(nameless)
    made = folder()
    tifffile.imwrite(made / "wide_701eV.tif", np.ones((6, 9), np.uint16))
    with (
        pytest.raises(InputError, match="a stack needs images of equal size"),
        warnings.catch_warnings(action="ignore", category=InputWarning),
    ):
        read(made)
    (made / "b.xrm").write_bytes(b"x")
    with pytest.raises(InputError, match=r"several kinds \(4 of TIFF and 1 of Xradia\)"):
        read(made)


def test_a_folder_of_stacks_is_no_stack(tmp_path: Path, cases: Path) -> None:
    for name in "ab":
        shutil.copy(cases / "xray/base/base.hdf5", tmp_path / f"{name}.hdf5")
    with pytest.raises(InputError, match="is a stack of its own, where each of the 2 files"):
        read(tmp_path)


def test_folders_of_other_things_are_no_sets(tmp_path: Path) -> None:
    assert files_of(tmp_path) == []
    (tmp_path / "results.zarr").mkdir()
    tifffile.imwrite(tmp_path / "map.tif", IMAGES[0])
    assert files_of(tmp_path) == []
    assert files_of(tmp_path / "map.tif") == []
