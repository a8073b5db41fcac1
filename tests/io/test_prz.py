"""Archives of Panta Rhei made by numpy: with JSON, with pickles that nobody may open, damaged."""

from __future__ import annotations

import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseloom import InputError, InputWarning, read
from phaseloom.io import read_pattern

CUBE = np.arange(1, 421, dtype=np.uint16).reshape(3, 4, 5, 7)
STEP = {"unit": "m", "value": 1e-9, "offset": 0.0, "pixel_factor": 2.0}
ANGLE = {"unit": "rad", "value": 1e-3, "offset": -3.0}
TAGS: dict[str, Any] = {
    "content.types": ["CameraX", "CameraY", "ScanX", "ScanY"],
    "device.calib": [ANGLE, ANGLE, STEP, STEP],
    "electron_gun.voltage": 200000.0,
    "condenser.convergence_semi_angle": 2e-3,
    "repo_id": "lamella.17",
}


class Trap:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("unpickled",)


def make(path: Any, data: np.ndarray = CUBE, tags: Any = TAGS, *, packed: bool = False) -> None:
    more = {} if tags is None else {"meta_data_json": np.array(json.dumps([tags]))}
    with io.BytesIO() as buffer:
        (np.savez_compressed if packed else np.savez)(buffer, data=data, **more)
        Path(path).write_bytes(buffer.getvalue())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("columns", [False, True])
def test_a_scan_with_its_calibration(tmp_path: Path, packed: bool, columns: bool) -> None:
    path = tmp_path / "a.prz"
    make(path, np.asfortranarray(CUBE) if columns else CUBE, packed=packed)
    scan = read(path)
    np.testing.assert_array_equal(scan["counts"], CUBE)
    np.testing.assert_array_equal(scan["counts"][1:, 2, 1:, ::3], CUBE[1:, 2, 1:, ::3])
    assert scan["counts"].dtype == np.uint16
    np.testing.assert_allclose(np.diff(scan["x"]), 2.0)
    assert scan["x"].attrs["units"] == "nm"
    # 1 mrad at 200 kV, 0.025079 Å
    np.testing.assert_allclose(np.diff(scan["kx"]), 1e-3 / 0.0250793, rtol=1e-5)
    assert scan.attrs["voltage"] == 200
    assert scan.attrs["convergence_angle"] == 2
    assert scan.attrs["title"] == "lamella"


def test_axes_are_put_in_order(tmp_path: Path) -> None:
    tags = TAGS | {
        "content.types": ["ScanX", "ScanY", "CameraX", "CameraY"],
        "device.calib": [STEP, STEP, ANGLE, ANGLE],
    }
    make(tmp_path / "a.prz", CUBE.transpose(2, 3, 0, 1), tags)
    np.testing.assert_array_equal(read(tmp_path / "a.prz")["counts"], CUBE)
    make(tmp_path / "a.prz", CUBE[:, :, None], TAGS | {
        "content.types": ["CameraX", "CameraY", "Index", "ScanX", "ScanY"], "device.calib": None,
    })  # fmt: skip
    scan = read(tmp_path / "a.prz")
    np.testing.assert_array_equal(scan["counts"], CUBE)
    assert scan["kx"].attrs["units"] == "px"


@pytest.mark.parametrize("packed", [False, True])
def test_series_and_single_patterns(tmp_path: Path, packed: bool) -> None:
    make(tmp_path / "a.prz", CUBE[0], None, packed=packed)
    scan = read(tmp_path / "a.prz")
    np.testing.assert_array_equal(scan["counts"], CUBE[:1])
    np.testing.assert_array_equal(scan["counts"][0, 2, 1:], CUBE[0, 2, 1:])
    make(tmp_path / "a.prz", CUBE[0, 0], {"type": "2D"}, packed=packed)
    np.testing.assert_array_equal(read_pattern(tmp_path / "a.prz"), CUBE[0, 0])


def test_pickled_metadata_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    traps = np.array([Trap()], dtype=object)
    with (tmp_path / "a.prz").open("wb") as file:
        np.savez(file, data=CUBE, meta_data=traps, file_format_version=2)
    with pytest.warns(InputWarning, match="pickled, which could run code, and are not read"):
        scan = read(tmp_path / "a.prz")
    np.testing.assert_array_equal(scan["counts"], CUBE)
    with (tmp_path / "b.prz").open("wb") as file:
        np.savez(file, data=traps.repeat(9).reshape(3, 3))
    with pytest.raises(InputError, match="holds object"):
        read(tmp_path / "b.prz")
    with (tmp_path / "c.prz").open("wb") as file:
        np.savez(file, data=CUBE, meta_data_json=traps)
    assert read(tmp_path / "c.prz")["kx"].attrs["units"] == "px"
    assert not (tmp_path / "unpickled").exists()


def test_what_rosettasciio_writes(tmp_path: Path) -> None:
    from rsciio import pantarhei

    axes = [
        {"name": name, "size": n, "scale": 0.1, "offset": 0.0, "units": "nm", "navigate": i < 2}
        for i, (name, n) in enumerate(zip("yxkq", CUBE.shape, strict=True))
    ]
    signal = {"data": CUBE, "axes": axes, "metadata": {}, "original_metadata": {}}
    pantarhei.file_writer(str(tmp_path / "a.prz"), signal)
    with pytest.warns(InputWarning, match="pickled"):
        np.testing.assert_array_equal(read(tmp_path / "a.prz")["counts"], CUBE)


def test_spectra_and_what_is_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {"content.types": ["Energy", "ScanX", "ScanY"]}
    make(tmp_path / "a.prz", CUBE[0], tags)
    with pytest.raises(InputError, match="holds spectra"):
        read(tmp_path / "a.prz")
    monkeypatch.setattr("phaseloom.io.readers.prz._UNPACKED_AT_MOST", 100)
    make(tmp_path / "a.prz", packed=True)
    with pytest.raises(InputError, match="compressed numbers; save it uncompressed"):
        read(tmp_path / "a.prz")
    (tmp_path / "a.prz").write_text("none")
    with pytest.raises(InputError, match="not the content"):
        read(tmp_path / "a.prz")


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), packed=st.booleans())
def test_damage_gives_a_sentence_or_numbers(
    tmp_path: Path, damaged: Any, data: st.DataObject, packed: bool
) -> None:
    path = tmp_path / "a.prz"
    make(path, CUBE[:, :, :2, :2], packed=packed)
    path.write_bytes(damaged(data, path.read_bytes())[0])
    with warnings.catch_warnings(action="ignore"):
        try:
            assert read(path)["counts"].to_numpy().ndim == 4
        except InputError as fault:
            assert str(path) in str(fault)
