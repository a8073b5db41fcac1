"""CXI reconstructions: physics of energy and pixel size, rows, damage."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import constants
from scipy.ndimage import gaussian_filter, zoom
from scipy.signal import fftconvolve

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import Choice
from phaseloom.io.readers import cxi


def an_object(height: int = 6, width: int = 5) -> np.ndarray:
    """Modulus between 0.5 and 1, phase rising along the rows."""
    modulus = np.linspace(0.5, 1.0, height * width).reshape(height, width)
    phase = np.linspace(-3.0, 3.0, width)[None, :]
    return (modulus * np.exp(1j * phase)).astype(np.complex64)


def write(
    path: Path, data: np.ndarray, *, energy: float | None = 1.371312e-16, entry: int = 1
) -> None:
    with h5py.File(path, "a") as file:
        if "cxi_version" not in file:
            file["cxi_version"] = 130
        group = file.create_group(f"entry_{entry}")
        group["image_1/data"] = data
        if energy is not None:
            group["instrument_1/source_1/energy"] = energy


def test_transmission_phase_and_energy(tmp_path: Path) -> None:
    data = an_object()
    path = tmp_path / "a.cxi"
    write(path, data)
    assert cxi.reads_this(path)
    measurement = cxi.read(path)
    assert measurement.attrs["kind"] == "image"
    assert measurement["transmission"].dtype == np.float32
    # The first stored row is the top: the largest y.
    np.testing.assert_allclose(measurement["transmission"][0], (np.abs(data) ** 2)[::-1], rtol=1e-6)
    np.testing.assert_allclose(measurement["phase_shift"][0], np.angle(data)[::-1], rtol=1e-5)
    assert float(measurement["energy"][0]) == pytest.approx(1.371312e-16 / constants.e, rel=1e-12)
    assert measurement["x"].attrs["units"] == "px"


def test_pixel_size_from_each_source(tmp_path: Path) -> None:
    def pixel(**datasets: object) -> float:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.cxi"
        write(path, an_object(8, 8))
        with h5py.File(path, "a") as file:
            for name, value in datasets.items():
                file[f"entry_1/{name.replace('__', '/')}"] = value
        x = cxi.read(path)["x"]
        assert x.attrs["units"] == "µm"
        return float(x[1] - x[0])

    assert pixel(image_1__image_size=[80e-9, 160e-9, 0.0]) == pytest.approx(0.01)
    assert pixel(process_1__Param__pixnm=5e-9) == pytest.approx(0.005)
    # Full half angle of 30° and 855.9 eV: λ / (2 sin 30°) = λ = h c / E.
    corner = [np.tan(np.pi / 6) * 0.1, np.tan(np.pi / 6) * 0.1, 0.1]
    wavelength = constants.h * constants.c / 1.371312e-16 * 1e6
    assert pixel(instrument_1__detector_1__corner_position=corner) == pytest.approx(wavelength)


def test_arbitrary_scale_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.cxi"
    write(path, 10 * an_object())
    with pytest.warns(InputWarning, match="its scale is arbitrary"):
        measurement = cxi.read(path)
    assert measurement["transmission"].attrs["units"] == "arbitrary"


def test_energy_in_electronvolts_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.cxi"
    write(path, an_object(), energy=856.0)
    with pytest.warns(InputWarning, match="taken as eV"):
        assert float(cxi.read(path)["energy"][0]) == 856.0


def test_entries_are_chosen_by_number(tmp_path: Path) -> None:
    path = tmp_path / "a.cxi"
    write(path, an_object())
    write(path, an_object()[::-1], entry=2)
    with pytest.warns(InputWarning, match="entry 1 is read"):
        first = cxi.read(path)
    second = cxi.read(path, Choice(entry=2))
    np.testing.assert_array_equal(first["transmission"][:, ::-1], second["transmission"])
    with pytest.raises(InputError, match="no entry 3"):
        cxi.read(path, Choice(entry=3))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (np.ones((4, 4)), "no reconstructed object"),
        (np.zeros((4, 4), np.complex64), "not completely written"),
        (np.full((4, 4), np.nan, np.complex64), "not finite"),
        (np.ones((2, 4, 4), np.complex64), "one image"),
        (np.ones(4, np.complex64), "one image"),
    ],
)
def test_what_is_no_object(tmp_path: Path, data: np.ndarray, fault: str) -> None:
    path = tmp_path / "a.cxi"
    write(path, data)
    with pytest.raises(InputError, match=fault):
        cxi.read(path)


def test_half_written_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.cxi"
    write(path, an_object())
    with h5py.File(path, "a") as file:
        del file["entry_1/image_1/data"]
        data = file.create_dataset("entry_1/image_1/data", (8, 8), "c8", chunks=(4, 8))
        data[:4] = 1
    with pytest.raises(InputError, match="not completely written"):
        cxi.read(path)


@pytest.mark.parametrize("energy", [None, 0.0, 1e-19, np.nan])
def test_energies_that_are_none(tmp_path: Path, energy: float | None) -> None:
    path = tmp_path / "a.cxi"
    write(path, an_object(), energy=energy)
    with pytest.raises(InputError, match="photon energy"):
        cxi.read(path)


def test_other_files(tmp_path: Path, refuses_rubbish: Any) -> None:
    refuses_rubbish(cxi, ".cxi")
    with h5py.File(tmp_path / "c.cxi", "w") as file:
        file["cxi_version"] = 130
    with pytest.raises(InputError, match="no entry_1"):
        cxi.read(tmp_path / "c.cxi")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damage_is_an_error_or_harmless(data: st.DataObject, damaged: Any) -> None:
    values = an_object(20, 20)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.cxi"
        write(path, values)
        content, cut = damaged(data, path.read_bytes())
        path.write_bytes(content)
        cxi.reads_this(path)
        try:
            measurement = cxi.read(path)
        except (InputError, InputWarning):
            return
    if cut:
        np.testing.assert_allclose(
            measurement["transmission"][0], np.abs(values[::-1]) ** 2, rtol=1e-5
        )
    assert measurement["transmission"].values.any()


def correlation(image: np.ndarray, template: np.ndarray) -> float:
    """Highest normalised cross-correlation of the template at any place of the image."""
    template = template - template.mean()
    box = np.ones_like(template)
    product = fftconvolve(image, template[::-1, ::-1], "valid")
    mean = fftconvolve(image, box, "valid") / template.size
    spread = fftconvolve(image**2, box, "valid") - mean**2 * template.size
    return float((product / np.sqrt(np.maximum(spread, 1e-9) * (template**2).sum())).max())


def test_measured_object_against_h5py_and_the_stxm_image(measured: Path) -> None:
    folder = measured / "stxm_ni_cosmic"
    path = folder / "ptycho-scan-856eV.cxi"
    with pytest.warns(InputWarning, match="its scale is arbitrary"):
        measurement = cxi.read(path)
    with h5py.File(path) as file:
        stored = file["entry_1/image_1/data"][()].astype(complex)
    np.testing.assert_allclose(measurement["transmission"][0], np.abs(stored[::-1]) ** 2, rtol=1e-6)
    np.testing.assert_allclose(
        measurement["phase_shift"][0], np.angle(stored[::-1]), rtol=1e-5, atol=1e-6
    )
    assert float(measurement["energy"][0]) == pytest.approx(855.906, abs=1e-3)
    assert float(measurement["x"][1]) == pytest.approx(6.0436e-3, rel=1e-3)  # as xanespy has it

    # The same particle in a scan whose y axis is recorded, ascending, decides which row is up.
    scan = np.loadtxt(folder / "stxm-scan_a019.xim")
    scan = -np.log(np.maximum(scan, 1) / np.median(scan))
    smooth = gaussian_filter(measurement["transmission"].values[0], 12)
    density = zoom(-np.log(smooth / np.median(smooth)), 0.196, order=1)
    upwards, downwards = correlation(scan, density), correlation(scan, density[::-1])
    assert upwards > 0.9
    assert upwards > downwards + 0.08
