"""Signals of HyperSpy and RosettaSciIO over photon energies are X-ray stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from phaseloom import InputError, read

ENERGY = np.array([699.5, 700.0, 703.25])
COUNTS = np.random.default_rng(2).poisson(500, (4, 6, 3)).astype(np.uint16)  # (y, x, energy)


def signal(kind: str = "", *, uniform: bool = False, units: str = "eV") -> dict[str, Any]:
    """A signal as RosettaSciIO hands it to its writers."""
    lengths = [
        {
            "_type": "UniformDataAxis", "name": name, "units": "nm", "scale": 40.0, "offset": 0.0,
            "size": size, "navigate": True, "is_binned": False,
        }
        for name, size in (("y", 4), ("x", 6))
    ]  # fmt: skip
    energy: dict[str, Any] = {"name": "Energy", "units": units, "navigate": False, "size": 3,
                              "is_binned": False}  # fmt: skip
    if uniform:
        energy |= {"_type": "UniformDataAxis", "scale": 0.5, "offset": 700.0}
    else:
        energy |= {"_type": "DataAxis", "axis": ENERGY}
    return {
        "data": COUNTS,
        "axes": [*lengths, energy],
        "metadata": {"General": {"title": "particle"}, "Signal": {"signal_type": kind}},
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "tmp_parameters": {},
        "learning_results": {},
        "models": {},
        "package_info": {"package": "hyperspy", "package_version": "2.0"},
    }


def write(path: Path, content: dict[str, Any]) -> Path:
    """A file by the writers of RosettaSciIO; its .zspy, which needs an older zarr, is a copy."""
    from rsciio import hspy, ripple

    if path.suffix == ".rpl":
        ripple.file_writer(str(path), content)
        return path
    hspy.file_writer(str(path.with_suffix(".hspy")), content, show_progressbar=False)
    if path.suffix == ".zspy":
        with h5py.File(path.with_suffix(".hspy")) as file:
            copy(file, zarr.open_group(path, mode="w"))
    return path


def copy(group: h5py.Group, target: zarr.Group) -> None:
    """Copy what lies in a group of HDF5 to one of zarr."""
    target.attrs.update({n: v.item() if hasattr(v, "item") else v for n, v in group.attrs.items()})
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            copy(item, target.create_group(name))
        else:
            target.create_array(name, data=item[()])


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
@pytest.mark.parametrize("uniform", [False, True])
def test_a_signal_over_photon_energies_is_a_stack(
    suffix: str, uniform: bool, tmp_path: Path
) -> None:
    stack = read(write(tmp_path / f"s{suffix}", signal(uniform=uniform)))
    assert stack.attrs["kind"] == "stack"
    assert stack.attrs["title"] == "particle"
    energies = 700.0 + 0.5 * np.arange(3) if uniform else ENERGY
    np.testing.assert_allclose(stack["energy"], energies)
    np.testing.assert_array_equal(stack["counts"], COUNTS[::-1].transpose(2, 0, 1))
    assert float(stack["x"][1]) == pytest.approx(0.04)


def test_ripple_over_photon_energies_is_a_stack(tmp_path: Path) -> None:
    stack = read(write(tmp_path / "s.rpl", signal(uniform=True)))
    np.testing.assert_allclose(stack["energy"], 700.0 + 0.5 * np.arange(3))
    np.testing.assert_array_equal(stack["counts"], COUNTS[::-1].transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["EELS", "EDS_TEM"])
def test_spectra_of_electrons_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"spectra of the kind {kind}, no X-ray absorption"):
        read(write(tmp_path / "s.hspy", signal(kind, uniform=True)))
