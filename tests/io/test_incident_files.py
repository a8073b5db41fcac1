"""I0 from files: columns by name, blanks, flats, folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.incident import read_incident

ENERGY = np.array([700.0, 705.0, 710.0, 715.0])


def table(path: Path, heading: str, *columns: NDArray[np.float64]) -> Path:
    np.savetxt(path, np.column_stack([ENERGY, *columns]), delimiter=",", header=heading,
               comments="")  # fmt: skip
    return path


def test_i0_is_chosen_among_channels_by_name(tmp_path: Path) -> None:
    file = table(tmp_path / "i0.csv", "energy,ring current,I0,dwell (ms)", np.full(4, 250.0),
                 np.arange(4.0) + 3000, np.full(4, 20.0))  # fmt: skip
    read = read_incident(file)
    assert read["intensity"].to_numpy().tolist() == [3000, 3001, 3002, 3003]
    assert read["ring_current"].to_numpy().tolist() == [250.0] * 4
    assert read["dwell"].to_numpy().tolist() == [0.02] * 4
    assert read.attrs["rate"] == 0
    other = read_incident(file, channel="Ring Current")
    assert other["intensity"].to_numpy().tolist() == [250.0] * 4


@pytest.mark.parametrize(
    ("heading", "rate", "factor"),
    [
        ("energy,I0", 0, 1),
        ("energy,I0 (Hz)", 1, 1),
        ("energy,I0 [kHz]", 1, 1000),
        ("eV,counts/s", 1, 1),
    ],
)
def test_rates(tmp_path: Path, heading: str, rate: int, factor: float) -> None:
    read = read_incident(table(tmp_path / "i0.csv", heading, np.full(4, 3e5)))
    assert read.attrs["rate"] == rate
    assert read["intensity"].to_numpy().tolist() == [3e5 * factor] * 4


def test_energies_in_kev(tmp_path: Path) -> None:
    file = tmp_path / "i0.csv"
    np.savetxt(file, [[8.30, 5], [8.35, 6]], delimiter=",", header="energy (keV),I0", comments="")
    np.testing.assert_allclose(read_incident(file)["energy"], [8300, 8350])


@pytest.mark.parametrize(
    ("heading", "fault"),
    [
        ("energy,a,b", r"has 2 channels \(a, b\), and not one that is called I0; .*--i0-channel"),
        ("energy,OD,ring", "'OD' is an optical density"),
    ],
)
def test_tables_without_an_i0(tmp_path: Path, heading: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        read_incident(table(tmp_path / "i0.csv", heading, np.ones(4), np.ones(4)))


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no channel 'diode'; its channels are I0"):
        read_incident(table(tmp_path / "i0.csv", "energy,I0", np.ones(4)), channel="diode")


def stack(path: Path, images: NDArray[np.generic]) -> Path:
    tifffile.imwrite(path, images, photometric="minisblack")
    np.savetxt(path.with_name(f"{path.stem}_energies.txt"), ENERGY[: len(images)])
    return path


def test_an_even_blank_is_a_spectrum_and_an_uneven_one_a_flat(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    level = np.array([3000, 3100, 2900, 3050.0])[:, None, None]
    even = stack(tmp_path / "even.tif", rng.poisson(level * np.ones((9, 8))).astype(np.uint16))
    read = read_incident(even)
    assert read["intensity"].dims == ("energy",)
    np.testing.assert_allclose(read["intensity"], level.ravel(), rtol=0.01)
    beam = np.linspace(0.9, 1.1, 9)[:, None] * np.ones(8)
    uneven = stack(tmp_path / "uneven.tif", rng.poisson(level * beam).astype(np.uint16))
    read = read_incident(uneven)
    assert read["intensity"].dims == ("flat", "y", "x")
    assert read["energy"].to_numpy().tolist() == ENERGY.tolist()


def test_a_folder_of_flats_says_once_where_energies_come_from(tmp_path: Path) -> None:
    beam = 1000 * np.linspace(0.5, 1.5, 9)[:, None] * np.ones(8)
    for energy in ENERGY[::-1]:
        tifffile.imwrite(tmp_path / f"flat_{energy:.1f}_eV.tif", (beam + energy).astype(np.uint16))
    (tmp_path / "notes.md").write_text("beam on")
    with pytest.warns(InputWarning, match=r"file name \(and 3 files more like it\)") as said:
        read = read_incident(tmp_path)
    assert len(said) == 1
    assert read["energy"].to_numpy().tolist() == ENERGY.tolist()
    means = read["intensity"].mean(["y", "x"])
    np.testing.assert_allclose(means, 1000 + ENERGY, atol=1)


def test_one_image_without_energy_serves_at_all(tmp_path: Path) -> None:
    beam = (1000 * np.linspace(0.5, 1.5, 9)[:, None] * np.ones(8)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "flat.tif", beam)
    np.save(tmp_path / "flat.npy", beam[::-1])
    images = [read_incident(tmp_path / name) for name in ("flat.tif", "flat.npy")]
    for read in images:
        assert read["energy"].isnull().all()
        np.testing.assert_array_equal(read["intensity"][0], beam[::-1])


def test_what_is_no_beam_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="none of its 0 files is an image"):
        read_incident(tmp_path / "empty")
    for k, size in enumerate((5, 6)):
        tifffile.imwrite(tmp_path / "empty" / f"f_{700 + k}.0_eV.tif",
                         np.full((size, 9), 100, dtype=np.uint16))  # fmt: skip
    fault = r"flats have different sizes \(5×9 and 6×9 pixels\)"
    with pytest.warns(InputWarning, match="file name"), pytest.raises(InputError, match=fault):
        read_incident(tmp_path / "empty")
