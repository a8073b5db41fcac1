"""X-ray stacks in HDF5 of other programs: read, or refused by name; never a diffraction scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from phaseloom import InputError, InputWarning, read

ENERGY = np.array([8300.0, 8320.0, 8333.0, 8340.0, 8400.0])
Y, X = 0.04 * np.arange(12), 0.04 * np.arange(9)
COUNTS = np.random.default_rng(5).poisson(800, (5, 12, 9)).astype(np.uint16)
DENSITY = np.random.default_rng(6).normal(0.2, 0.2, (5, 12, 9)).astype(np.float32)
UPWARDS = np.s_[:, ::-1]


@pytest.fixture
def file_with(tmp_path: Path) -> Callable[..., Path]:
    """Makes an HDF5 file of datasets; a value with units is a pair, a name with @ an attribute."""

    def make(**contents: Any) -> Path:
        path = tmp_path / "file.h5"
        with h5py.File(path, "w") as file:
            for name, value in contents.items():
                name = name.replace("__", "/")  # noqa: PLW2901
                values, units = value if isinstance(value, tuple) else (value, None)
                file[name] = values
                if units:
                    file[name].attrs["units"] = units
        return path

    return make


def nxdata(path: Path, name: str, axes: list[str]) -> None:
    with h5py.File(path, "a") as file:
        file[name].attrs.update({"NX_class": "NXdata", "signal": "data", "axes": axes})


def test_cases_are_read_as_stacks(cases: Path) -> None:
    base = read(cases / "xray/base/base.hdf5")
    with pytest.warns(InputWarning):
        exchange = read(cases / "xray/other_hdf5/dx.h5")
        hermes = read(cases / "xray/other_hdf5/hermes_plain.hdf5")
        fxi = read(cases / "xray/other_hdf5/fxi.h5")
    for stack in (exchange, hermes):
        np.testing.assert_array_equal(stack["counts"], base["counts"])
        np.testing.assert_allclose(stack["energy"], base["energy"])
        np.testing.assert_allclose(stack["x"], base["x"], atol=1e-9)
    assert fxi.attrs["kind"] == "stack"
    np.testing.assert_allclose(fxi["energy"], base["energy"].to_numpy() * 10)
    assert float(fxi["x"][1] - fxi["x"][0]) == pytest.approx(0.0171)


def test_fxi_with_flats_and_dark(file_with: Callable[..., Path]) -> None:
    flat = np.random.default_rng(0).poisson(1000, COUNTS.shape).astype(np.uint16)
    dark = np.full((3, 12, 9), 90, np.uint16)
    path = file_with(
        img_xanes=COUNTS + np.uint16(90), X_eng=ENERGY / 1e3, img_bkg=flat + np.uint16(90),
        img_dark=dark, **{"Pixel Size": "20.4nm"},
    )  # fmt: skip
    with pytest.warns(InputWarning) as caught:
        stack = read(path)
    said = "\n".join(str(w.message) for w in caught)
    assert "keV" in said
    assert "dark image in the file is subtracted" in said
    np.testing.assert_allclose(stack["counts"], COUNTS[UPWARDS])
    np.testing.assert_allclose(stack["reference_counts"], flat[UPWARDS])
    np.testing.assert_allclose(stack["energy"], ENERGY)
    assert float(stack["x"][1]) == pytest.approx(0.0204)


@pytest.mark.parametrize(
    ("numbers", "quantity"),
    [(DENSITY, "optical_density"), (np.exp(-np.abs(DENSITY)), "transmission")],
)
def test_what_the_numbers_are_is_said(
    numbers: Any, quantity: str, file_with: Callable[..., Path]
) -> None:
    path = file_with(img_xanes=numbers, X_eng=(ENERGY, "eV"), pixel_size=(17.1, "nm"))
    with pytest.warns(InputWarning, match="--quantity"):
        stack = read(path)
    np.testing.assert_array_equal(stack[quantity], numbers[UPWARDS])


def test_mantis_keeps_x_first_and_the_energy_last(file_with: Callable[..., Path]) -> None:
    path = file_with(
        exchange__data=COUNTS.transpose(2, 1, 0), exchange__energy=(ENERGY, "ev"),
        exchange__x=(X, "um"), exchange__y=(Y, "um"),
    )  # fmt: skip
    stack = read(path)
    np.testing.assert_array_equal(stack["counts"], COUNTS)
    np.testing.assert_allclose(stack["y"], Y)


def test_bliss_and_silx(file_with: Callable[..., Path]) -> None:
    path = file_with(
        **{"1.1/measurement/pco": COUNTS, "1.1/measurement/energy": (ENERGY / 1e3, "keV")}
    )
    with h5py.File(path, "a") as file:
        file["1.1"].attrs["NX_class"] = "NXentry"
        file["1.1/measurement"].attrs["NX_class"] = "NXcollection"
    stack = read(path)
    np.testing.assert_array_equal(stack["counts"], COUNTS[UPWARDS])
    np.testing.assert_allclose(stack["energy"], ENERGY)

    path = file_with(
        entry__plot__data=COUNTS[::-1], entry__plot__energy=(ENERGY[::-1], "eV"),
        entry__plot__rows=(Y, "um"), entry__plot__columns=(X, "um"),
    )  # fmt: skip
    nxdata(path, "entry/plot", ["energy", "rows", "columns"])
    with h5py.File(path, "a") as file:
        file["entry"].attrs["NX_class"] = "NXentry"
    stack = read(path)
    assert stack.attrs["format"] == "NXdata"
    np.testing.assert_array_equal(stack["counts"], COUNTS)
    np.testing.assert_allclose(stack["x"], X)


def test_the_energies_of_a_stack_are_those_of_its_own_scan(file_with: Callable[..., Path]) -> None:
    path = file_with(
        **{
            "1.1/measurement/energy": (ENERGY + 100, "eV"),
            "2.1/measurement/energy": (ENERGY, "eV"),
            "2.1/measurement/pco": COUNTS,
        }
    )
    np.testing.assert_allclose(read(path)["energy"], ENERGY)


def test_one_time_of_a_series_is_a_stack(file_with: Callable[..., Path]) -> None:
    stack = read(file_with(sample__intensities=COUNTS[None], sample__energies=(ENERGY, "eV")))
    np.testing.assert_array_equal(stack["counts"], COUNTS[UPWARDS])
    path = file_with(sample__intensities=np.stack([COUNTS] * 2), sample__energies=(ENERGY, "eV"))
    with pytest.raises(InputError, match="series of stacks"):
        read(path)


def test_an_ambiguous_axis_of_energies_is_said(file_with: Callable[..., Path]) -> None:
    path = file_with(stack=COUNTS[:, :5], energies=(ENERGY, "eV"))
    with pytest.warns(InputWarning, match="several axes as long as its 5 energies"):
        np.testing.assert_array_equal(read(path)["counts"], COUNTS[:, :5][UPWARDS])


def test_links_of_bliss_that_lead_nowhere_are_named(file_with: Callable[..., Path]) -> None:
    path = file_with(**{"1.1/measurement/energy": (ENERGY, "eV")})
    with h5py.File(path, "a") as file:
        file["1.1/measurement/data"] = h5py.ExternalLink("scan0001/pco_0000.h5", "/entry/data")
    with pytest.raises(InputError, match=r"pco_0000\.h5, and that file is not there"):
        read(path)


@pytest.mark.parametrize(
    ("contents", "fault"),
    [
        ({"img_tomo": COUNTS, "X_eng": 8.3, "angle": np.arange(5.0)}, "tomography scan of FXI"),
        ({"img_xanes": COUNTS}, "no energy of each"),
        (
            {"exchange__data": COUNTS, "exchange__theta": np.arange(5.0)},
            "data-exchange file of a tomography scan",
        ),
        ({"data": np.ones((5, 4, 6, 7)), "energy": ENERGY}, "XANES tomography"),
        ({"data": np.ones((4, 5, 6, 7)), "X_eng": ENERGY / 1e3}, "XANES tomography"),
        ({"stack": COUNTS[:4], "energies": ENERGY}, "4 images .* lists 5 photon energies"),
    ],
)
def test_what_is_no_stack_is_refused_by_name(
    contents: dict[str, Any], fault: str, file_with: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=fault):
        read(file_with(**contents))


def test_scans_of_patterns_stay_scans(file_with: Callable[..., Path]) -> None:
    patterns = np.random.default_rng(1).poisson(5, (4, 5, 6, 7)).astype(np.uint16)
    assert read(file_with(data=patterns, energy=200.0)).attrs["kind"] == "scan"
    assert read(file_with(data=patterns[0])).attrs["kind"] == "scan"


def test_an_aborted_stack_is_cut_only_on_request(file_with: Callable[..., Path]) -> None:
    counts = COUNTS.copy()
    counts[3:] = 0
    path = file_with(img_xanes=counts, X_eng=(ENERGY, "eV"))
    with pytest.raises(InputError, match="2 of 5 frames"):
        read(path)
    with pytest.warns(InputWarning, match="2 of 5 frames"):
        assert read(path, partial=True).sizes["energy"] == 3
