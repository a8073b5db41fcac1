"""HDF5: every filter is known; links and virtual datasets never read as zeros."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from phaseloom import InputError, InputWarning, read

PATTERNS = np.random.default_rng(3).poisson(50, (4, 5, 16, 16)).astype(np.uint16)
STACK = np.random.default_rng(4).poisson(900, (6, 8, 7)).astype(np.uint16)
ENERGY = 700.0 + np.arange(6)


def stack_file(path: Path, counts: object = None, detector: str = "counter0") -> None:
    """An NXstxm file; counts that are a link or a virtual layout stay one."""
    with h5py.File(path, "a") as file:
        entry = file.require_group("entry1")
        entry.attrs["NX_class"] = "NXentry"
        group = entry.create_group(detector)
        group.attrs.update({"NX_class": "NXdata", "signal": "data"})
        group.attrs["axes"] = ["energy", "sample_y", "sample_x"]
        group["stxm_scan_type"] = "sample image stack"
        for name, values, units in (
            ("energy", ENERGY, "eV"),
            ("sample_y", 0.05 * np.arange(8), "um"),
            ("sample_x", 0.05 * np.arange(7), "um"),
        ):
            group[name] = values
            group[name].attrs["units"] = units
        if isinstance(counts, h5py.VirtualLayout):
            group.create_virtual_dataset("data", counts)
        else:
            group["data"] = STACK if counts is None else counts


@pytest.mark.parametrize("name", ["bitshuffle", "blosc", "blosc2", "zstd", "lz4"])
def test_filters_of_other_libraries_are_known(name: str, cases: Path) -> None:
    plain = read(cases / "xray/base/base.hdf5")
    packed = read(cases / f"xray/compressed/{name}.hdf5")
    np.testing.assert_array_equal(packed["counts"], plain["counts"])


@pytest.mark.parametrize("name", ["Bitshuffle", "Blosc", "Blosc2", "LZ4", "Zstd", "BZip2"])
def test_compressed_scans_and_stacks_are_read(name: str, tmp_path: Path) -> None:
    import hdf5plugin

    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset(
            "data", data=PATTERNS, chunks=(1, 5, 16, 16), **getattr(hdf5plugin, name)()
        )
    stack_file(tmp_path / "stack.h5", STACK)
    with h5py.File(tmp_path / "stack.h5", "a") as file:
        group = file["entry1/counter0"]
        del group["data"]
        group.create_dataset("data", data=STACK, chunks=(1, 8, 7), **getattr(hdf5plugin, name)())
    scan = read(tmp_path / "scan.h5")
    assert scan.attrs["kind"] == "scan"
    np.testing.assert_array_equal(scan["counts"], PATTERNS)
    np.testing.assert_array_equal(read(tmp_path / "stack.h5")["counts"], STACK)


def test_an_unknown_filter_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        recipe = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        recipe.set_chunk((1, 5, 16, 16))
        recipe.set_filter(511, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple(PATTERNS.shape)
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, recipe)
    with pytest.raises(InputError, match=r"filter 511.*h5repack"):
        read(tmp_path / "scan.h5")


def test_links_are_followed_and_broken_ones_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["entry/data"] = PATTERNS
    for name, target, inside in (
        ("good", "raw.h5", "/entry/data"),
        ("gone", "elsewhere/gone.h5", "/entry/data"),
        ("empty", "raw.h5", "/entry/nothing"),
    ):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["scan/data"] = h5py.ExternalLink(target, inside)
    np.testing.assert_array_equal(read(tmp_path / "good.h5")["counts"], PATTERNS)
    with pytest.raises(InputError, match=r"gone\.h5: /scan/data is a link to .*gone\.h5, and that"):
        read(tmp_path / "gone.h5")
    with pytest.raises(InputError, match=r"raw\.h5, which holds no such thing"):
        read(tmp_path / "empty.h5")


def test_a_link_of_a_soft_link_is_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "gone.h5", "w") as file:
        file["detector"] = h5py.ExternalLink("nowhere.h5", "/entry")
        file["scan/data"] = h5py.SoftLink("/detector/data")
    with pytest.raises(InputError, match=r"nowhere\.h5, and that file is not there"):
        read(tmp_path / "gone.h5")


def test_a_stack_with_a_broken_link_is_refused_and_another_detector_read(tmp_path: Path) -> None:
    stack_file(tmp_path / "one.h5", h5py.ExternalLink("camera.h5", "/data"))
    with pytest.raises(InputError, match=r"/entry1/counter0/data is a link to .*camera\.h5"):
        read(tmp_path / "one.h5")
    stack_file(tmp_path / "two.h5")
    stack_file(tmp_path / "two.h5", h5py.ExternalLink("camera.h5", "/data"), "andor")
    np.testing.assert_array_equal(read(tmp_path / "two.h5")["counts"], STACK)
    with pytest.raises(InputError, match=r"/entry1/andor/data is a link to .*camera\.h5"):
        read(tmp_path / "two.h5", detector="andor")


def test_a_broken_link_beside_a_stack_does_not_hide_it(tmp_path: Path) -> None:
    stack_file(tmp_path / "stack.h5")
    with h5py.File(tmp_path / "stack.h5", "a") as file:
        file["another_scan"] = h5py.ExternalLink("gone.h5", "/entry")
    np.testing.assert_array_equal(read(tmp_path / "stack.h5")["counts"], STACK)


def test_a_broken_link_beside_a_scan_is_said(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["preview"] = h5py.ExternalLink("gone.h5", "/entry")
        file["data"] = PATTERNS
    with pytest.warns(InputWarning, match=r"/preview is a link to .*gone\.h5"):
        np.testing.assert_array_equal(read(tmp_path / "scan.h5")["counts"], PATTERNS)


def virtual(shape: tuple[int, ...], files: list[str], name: str = "data") -> h5py.VirtualLayout:
    """Every index along the first axis from a file of its own."""
    layout = h5py.VirtualLayout(shape, np.uint16)
    for index, file in enumerate(files):
        layout[index] = h5py.VirtualSource(file, name, shape)[index]
    return layout


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (["raw.h5"] * 4, None),
        (["raw.h5", "raw.h5", "lost.h5", "raw.h5"], r"lost\.h5, and that file is not there"),
        (["/far/away/raw.h5"] * 4, None),  # beside the file, as HDF5 looks for it
        (["raw.h5"] * 3, "only 75 % of /data was written"),
    ],
)
def test_sources_of_a_virtual_scan(files: list[str], fault: str | None, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["data"] = PATTERNS
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_virtual_dataset("data", virtual(PATTERNS.shape, files))
    if fault is None:
        np.testing.assert_array_equal(read(tmp_path / "scan.h5")["counts"], PATTERNS)
        return
    with pytest.raises(InputError, match=fault):
        read(tmp_path / "scan.h5")
    with pytest.warns(InputWarning, match="what is missing reads as zero"):
        assert read(tmp_path / "scan.h5", partial=True).attrs["kind"] == "scan"


def test_a_source_without_the_dataset_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["other"] = PATTERNS
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_virtual_dataset("data", virtual(PATTERNS.shape, ["raw.h5"] * 4))
    with pytest.raises(InputError, match=r"data in raw\.h5, which holds none"):
        read(tmp_path / "scan.h5")


def test_frames_of_missing_sources_are_never_zeros(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["data"] = STACK
    stack_file(tmp_path / "stack.h5", virtual(STACK.shape, ["raw.h5"] * 4 + ["lost.h5"] * 2))
    with pytest.raises(InputError, match=r"lost\.h5, and that file is not there"):
        read(tmp_path / "stack.h5")
    with pytest.warns(InputWarning, match="2 of 6 frames were not measured"):
        part = read(tmp_path / "stack.h5", partial=True)
    np.testing.assert_array_equal(part["counts"], STACK[:4])


def test_numbers_in_a_missing_file_of_their_own(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset(
            "data", PATTERNS.shape, np.uint16, external=[("lost.bin", 0, PATTERNS.nbytes)]
        )
    with pytest.raises(InputError, match=r"lost\.bin, and that file is not there"):
        read(tmp_path / "scan.h5")
