"""MISTRAL: normalised stacks come as transmission, never as counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from phaseloom import InputError, InputWarning, read
from phaseloom.io.readers import mistral

ENERGY = np.array([700.0, 705.5, 709.25])
STACK = np.random.default_rng(3).uniform(0.1, 1.1, (3, 4, 5)).astype(np.float32)


def made(folder: Path, **changes: Any) -> Path:
    """A stack as ALBA's normalisation writes it; None leaves a dataset out."""
    path = folder / "mistral.hdf5"
    content = {
        "spectroscopy_normalized": STACK,
        "energy": ENERGY,
        "x_pixel_size": np.array([0.013]),
        "y_pixel_size": np.array([0.013]),
        "Currents": np.array([119.0, 118.0, 117.0]),
        "ExpTimes": np.array([2.0, 2.0, 3.0]),
    } | changes
    with h5py.File(path, "w") as file:
        group = file.create_group("SpecNormalized")
        for name, values in content.items():
            if values is not None:
                group[name] = values
    return path


def test_transmission_with_its_axes(tmp_path: Path) -> None:
    stack = read(made(tmp_path))
    assert (stack.attrs["kind"], stack.attrs["format"]) == ("stack", "MISTRAL")
    assert "counts" not in stack
    assert stack["transmission"].dtype == np.float32
    np.testing.assert_array_equal(stack["transmission"], STACK)
    np.testing.assert_array_equal(stack["energy"], ENERGY)
    np.testing.assert_allclose(stack["x"], 0.013 * np.arange(5))
    np.testing.assert_allclose(stack["y"], 0.013 * np.arange(4))
    assert stack["x"].attrs["units"] == "µm"
    np.testing.assert_array_equal(stack["dwell"], [2.0, 2.0, 3.0])
    np.testing.assert_array_equal(stack["ring_current"], [119.0, 118.0, 117.0])


def test_falling_energies_are_turned_with_all_that_goes_with_them(tmp_path: Path) -> None:
    stack = read(made(tmp_path, energy=ENERGY[::-1].copy()))
    np.testing.assert_array_equal(stack["energy"], ENERGY)
    np.testing.assert_array_equal(stack["transmission"], STACK[::-1])
    np.testing.assert_array_equal(stack["dwell"], [3.0, 2.0, 2.0])


def test_aligned_stack_is_chosen_by_name_or_for_want_of_another(tmp_path: Path) -> None:
    both = made(tmp_path, spectroscopy_normalized_aligned=STACK * 2)
    np.testing.assert_array_equal(read(both)["transmission"], STACK)
    aligned = read(both, detector="spectroscopy_normalized_aligned")
    np.testing.assert_array_equal(aligned["transmission"], STACK * 2)
    with pytest.raises(InputError, match="no stack 'raw'; stacks are spectroscopy_normalized"):
        read(both, detector="raw")
    only = made(tmp_path, spectroscopy_normalized=None, spectroscopy_normalized_aligned=STACK)
    np.testing.assert_array_equal(read(only)["transmission"], STACK)


@pytest.mark.parametrize("size", [None, np.array([13.0]), np.array([1.3e-8])])
def test_pixel_size_that_cannot_be_right_is_not_used(size: Any, tmp_path: Path) -> None:
    with pytest.warns(InputWarning, match="pixel size along x"):
        stack = read(made(tmp_path, x_pixel_size=size))
    assert stack["x"].attrs["units"] == stack["y"].attrs["units"] == "px"
    np.testing.assert_array_equal(stack["x"], np.arange(5))


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_empty_frames_are_refused_or_dropped(fill: float, tmp_path: Path) -> None:
    aborted = STACK.copy()
    aborted[2] = fill
    path = made(tmp_path, spectroscopy_normalized=aborted)
    with pytest.raises(InputError, match=r"1 of 3 frames .* at 709.25 eV"):
        read(path)
    with pytest.warns(InputWarning, match="dropped"):
        stack = read(path, partial=True)
    np.testing.assert_array_equal(stack["transmission"], STACK[:2])
    np.testing.assert_array_equal(stack["energy"], ENERGY[:2])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"energy": ENERGY[:2]}, "does not fit 2 photon energies"),
        ({"energy": None}, "no photon energies"),
        ({"energy": np.array([b"a", b"b", b"c"])}, "holds no numbers"),
        ({"spectroscopy_normalized": STACK[0]}, "does not fit"),
        ({"energy": -ENERGY}, "NaN, zero or negative"),
    ],
)
def test_what_does_not_fit_is_said(changes: dict[str, Any], fault: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=fault):
        read(made(tmp_path, **changes))


def test_one_entry_and_other_files(tmp_path: Path) -> None:
    path = made(tmp_path)
    assert mistral.reads_this(path)
    with pytest.raises(InputError, match="no entry 2"):
        read(path, entry=2)
    path.write_bytes(path.read_bytes()[:800])
    assert not mistral.reads_this(path)
    with pytest.raises(InputError, match="truncated, half-written or damaged"):
        read(path)
