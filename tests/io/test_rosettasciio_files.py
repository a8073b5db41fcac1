"""Formats that RosettaSciIO reads for us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseloom import InputError, read

SERIES = np.arange(1, 421, dtype="<u2").reshape(12, 5, 7)


def make_ripple(path: Path, data: np.ndarray = SERIES, record: str = "image") -> None:
    depth, height, width = data.shape if record == "image" else (*data.shape[2:], *data.shape[:2])
    lines = {
        "key": "value", "width": width, "height": height, "depth": depth, "offset": 0,
        "data-length": 2, "data-type": "unsigned", "byte-order": "little-endian",
        "record-by": record, "width-scale": 0.1, "width-units": "1/nm", "height-scale": 0.1,
        "height-units": "1/nm", "title": "gold",
    }  # fmt: skip
    if record == "vector":
        lines |= {"width-units": "nm", "height-units": "nm"}
    path.write_text("".join(f"{key}\t{value}\n" for key, value in lines.items()))
    path.with_suffix(".raw").write_bytes(data.tobytes())


def make_semper(path: Path) -> None:
    from rsciio import semper

    axes = [
        {"name": name, "size": 5 + 2 * i, "scale": 0.1, "offset": 0.0, "units": "1/nm",
         "navigate": False, "index_in_array": i}
        for i, name in enumerate("yx")
    ]  # fmt: skip
    signal = {
        "data": SERIES[3].astype("f4"), "axes": axes, "original_metadata": {},
        "metadata": {"General": {"title": "gold"}, "Signal": {}},
    }  # fmt: skip
    semper.file_writer(str(path), signal)


def test_ripple(tmp_path: Path) -> None:
    make_ripple(tmp_path / "a.rpl")
    scan = read(tmp_path / "a.rpl")
    np.testing.assert_array_equal(scan["counts"][0], SERIES)
    assert scan["counts"].chunks is not None
    assert scan["kx"].attrs["units"] == "Å⁻¹"
    np.testing.assert_allclose(np.diff(scan["kx"]), 0.01)
    assert (scan.attrs["format"], scan.attrs["title"]) == ("Ripple", "gold")
    raw = tmp_path / "a.raw"
    raw.write_bytes(raw.read_bytes()[:-9])
    with pytest.raises(InputError, match="damaged or truncated Ripple file"):
        read(tmp_path / "a.rpl")
    raw.unlink()
    with pytest.raises(InputError, match=r"its numbers, a\.raw, are missing"):
        read(tmp_path / "a.rpl")


def test_spectra_in_ripple_are_refused(tmp_path: Path) -> None:
    make_ripple(tmp_path / "a.rpl", record="vector")
    with pytest.raises(InputError, match="holds spectra"):
        read(tmp_path / "a.rpl")


def test_semper(tmp_path: Path) -> None:
    make_semper(tmp_path / "a.unf")
    scan = read(tmp_path / "a.unf")
    np.testing.assert_array_equal(scan["counts"][0, 0], SERIES[3])
    assert scan.attrs["format"] == "Semper"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["a.rpl", "a.unf"])
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_gives_a_sentence_or_numbers(
    tmp_path: Path, damaged: Any, name: str, data: st.DataObject
) -> None:
    path = tmp_path / name
    (make_ripple if name == "a.rpl" else make_semper)(path)
    path.write_bytes(damaged(data, path.read_bytes())[0])
    try:
        assert read(path)["counts"][:1, :1].to_numpy().ndim == 4
    except InputError as fault:
        assert str(path) in str(fault)
