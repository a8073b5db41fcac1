"""Spectra from text: every kind of file, references, writing and reading back, damage."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.export.spectra import write_spectra
from phaseloom.io.readers import spectra as reader
from phaseloom.io.spectra import read_references

XDI = """# XDI/1.0 GSE/1.0
# Column.1: energy {unit}
# Column.2: {names[0]}
# Column.3: {names[1]} counts || 13BMD:scaler
# Element.symbol: V
# Element.edge: K
# Sample.name:  V2O3  powder
# Scan.start_time: 2005-07-24 02:34:39
# Legend.Start:  Column.N: Name units || EpicsPV
# ///
# a note: not a field
#-----
# energy a b
{rows}
"""


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_axis2000(tmp_path: Path) -> None:
    text = (
        "*********************  X-ray Absorption Data  ********************\n"
        "* Formula: C8H8\n* Common name: Polystyrene\n* Edge: C 1s\n"
        "* ----------------------\n 280.0, 0.011\n285.1, 1.5E0\n 290.3, .75\n"
    )
    path = file(tmp_path, "ps.xas", text)
    assert reader.reads_this(path)
    spectra = reader.read(path)
    assert spectra.attrs["kind"] == "spectra"
    assert list(spectra["spectrum"].values) == ["Polystyrene"]
    np.testing.assert_array_equal(spectra["energy"], [280.0, 285.1, 290.3])
    np.testing.assert_array_equal(spectra["absorption"][0], [0.011, 1.5, 0.75])
    assert spectra["energy"].attrs["units"] == "eV"


@pytest.mark.parametrize(
    "text",
    [
        "700,1,4\n701,2,5\n702,3,6\n",
        "700;1;4\n701;2;5\n702;3;6\n",
        "700,0;1,0;4,0\n701;2;5\n702;3;6\n",
        "700\t1\t4\n701\t2\t5\n702\t3\t6\n",
        "  700   1  4\r\n\r\n7.01E+02 2.0D0 5\r\n702 3 6\r\n",
        "700,1,4,\n701,2,5,\n702,3,6,\n",
    ],
)
def test_separators(tmp_path: Path, text: str) -> None:
    spectra = reader.read(file(tmp_path, "s.csv", text))
    np.testing.assert_array_equal(spectra["energy"], [700, 701, 702])
    np.testing.assert_array_equal(spectra["absorption"], [[1, 2, 3], [4, 5, 6]])
    assert list(spectra["spectrum"].values) == ["s 1", "s 2"]


def test_headings_values_and_spread(tmp_path: Path) -> None:
    text = (
        "# value: Na1VPF=1.0\n# value: Na, half=0.5\n# Value of nothing: 3\n"
        'energy_eV,Na1VPF,Na1VPF_spread,"Na, half",lone_spread\n'
        "701,1,0.1,4,7\n700,2,0.2,5,8\n"
    )
    spectra = reader.read(file(tmp_path, "s.csv", text))
    assert list(spectra["spectrum"].values) == ["Na1VPF", "Na, half", "lone_spread"]
    np.testing.assert_array_equal(spectra["energy"], [700, 701])
    np.testing.assert_array_equal(spectra["absorption"], [[2, 1], [5, 4], [8, 7]])
    np.testing.assert_array_equal(spectra["value"], [1.0, 0.5, np.nan])
    np.testing.assert_array_equal(
        spectra["spread"], [[0.2, 0.1], [np.nan, np.nan], [np.nan, np.nan]]
    )


def test_headings_in_the_last_comment(tmp_path: Path) -> None:
    text = "# three spectra here\n# energy Fe2 Fe3\n700 1 4\n701 2 5\n"
    spectra = reader.read(file(tmp_path, "s.txt", text))
    assert list(spectra["spectrum"].values) == ["Fe2", "Fe3"]


@pytest.mark.parametrize("heading", ["energy,od", "eV,Absorption (a.u.)", "energy,mu", "e,"])
def test_a_heading_that_names_nothing_gives_way_to_the_file(tmp_path: Path, heading: str) -> None:
    spectra = reader.read(file(tmp_path, "rust.csv", f"{heading}\n700,1\n701,2\n"))
    assert list(spectra["spectrum"].values) == ["rust"]


def test_kiloelectronvolts(tmp_path: Path) -> None:
    spectra = reader.read(file(tmp_path, "s.csv", "Energy (keV),a\n5.4,1\n5.5,2\n"))
    np.testing.assert_allclose(spectra["energy"], [5400, 5500], rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no table"),
        ("700 1\n", "no table"),
        ("700\n701\n", "no table"),
        ("hello world\n", "no table"),
        ("700 1\nhello world\n702 2\n", "line 2 is no row of numbers: 'hello world'"),
        ("700 1\n701 2 3\n", "line 2 has 3 columns"),
        ("700 1\n701\n", "line 2 has 1 columns"),
        ("700 1\n701 1e999\n", "line 2"),
        ("700 1\n701 inf\n", "line 2"),
        ("700 1\n7_01 2\n", "line 2"),
        ("700 1\n700 2\n701 3\n", "700 eV is repeated with other values"),
        ("-1 1\n700 2\n", "-1, which is no photon energy"),
        ("0 1\n1 2\n", "0, which is no photon energy"),
        ("angle,a\n12,1\n13,2\n", "'angle', not the photon energy"),
        ("energy,a,a\n700,1,2\n701,1,2\n", "several columns named a"),
        ("energy,a\n700,1,2\n701,1,2\n", "2 headings over 3 columns"),
        ("700 1O\n701 2\n702 3\n", "line 1 is no row"),
        ("700 1\n701 \x002\n", "not a text file"),
    ],
)
def test_garbage_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    path = file(tmp_path, "s.txt", text)
    reader.reads_this(path)
    with pytest.raises(InputError, match=fault):
        reader.read(path)


def test_rows_without_numbers_are_dropped_loudly(tmp_path: Path) -> None:
    path = file(tmp_path, "s.csv", "e,a\n700,1\n701,nan\n702,\n703,4\n")
    with pytest.warns(InputWarning, match="2 of 4 rows"):
        spectra = reader.read(path)
    np.testing.assert_array_equal(spectra["energy"], [700, 703])
    np.testing.assert_array_equal(spectra["absorption"], [[1, 4]])


def test_holes_in_some_columns_stay_missing(tmp_path: Path) -> None:
    path = file(tmp_path, "s.csv", "e,a,b\n700,1,4\n701,,5\n702,3,6\n")
    with pytest.warns(InputWarning, match="a: no number at some"):
        spectra = reader.read(path)
    np.testing.assert_array_equal(spectra["absorption"], [[1, np.nan, 3], [4, 5, 6]])
    with pytest.warns(InputWarning, match="a: no number at some"):
        a, b = read_references(path)
    np.testing.assert_array_equal(a["energy"], [700, 702])
    np.testing.assert_array_equal(b["energy"], [700, 701, 702])


def test_identical_repeats_are_dropped_loudly(tmp_path: Path) -> None:
    path = file(tmp_path, "s.txt", "702 3\n700 1\n700 1\n701 2\n")
    with pytest.warns(InputWarning, match="1 repeated identical rows"):
        spectra = reader.read(path)
    np.testing.assert_array_equal(spectra["energy"], [700, 701, 702])
    np.testing.assert_array_equal(spectra["absorption"], [[1, 2, 3]])


def test_a_last_line_without_end_may_be_cut_off(tmp_path: Path) -> None:
    with pytest.warns(InputWarning, match=r"its last value \(0\.1 at 701\)"):
        reader.read(file(tmp_path, "s.txt", "700 0.15\n701 0.1"))


def test_a_semicolon_in_a_heading_separates_nothing(tmp_path: Path) -> None:
    spectra = reader.read(file(tmp_path, "s.csv", "energy_eV,a;b,c\n700,1,2\n701,3,4\n"))
    assert list(spectra["spectrum"].values) == ["a;b", "c"]


def test_a_value_for_nobody_is_told(tmp_path: Path) -> None:
    path = file(tmp_path, "s.csv", "# value: b=1\ne,a\n700,1\n701,2\n")
    with pytest.warns(InputWarning, match="given for b"):
        assert "value" not in reader.read(path).coords


ROWS = "5465 100 50\n5466 100 25\n5467 100 10"


@pytest.mark.parametrize(
    ("names", "expected", "origin"),
    [
        (("i0", "itrans"), np.log([2, 4, 10]), "ln(i0/itrans)"),
        (("itrans", "i0"), -np.log([2, 4, 10]), "ln(i0/itrans)"),
        (("i0", "ifluor"), [0.5, 0.25, 0.1], "ifluor/i0"),
        (("i0", "mutrans"), [50, 25, 10], "mutrans"),
        (("mu", "itrans"), [100, 100, 100], "mu"),
    ],
)
def test_xdi(tmp_path: Path, names: tuple[str, str], expected: np.ndarray, origin: str) -> None:
    spectra = reader.read(file(tmp_path, "s.xdi", XDI.format(unit="eV", names=names, rows=ROWS)))
    np.testing.assert_array_equal(spectra["energy"], [5465, 5466, 5467])
    np.testing.assert_allclose(spectra["absorption"][0], expected, rtol=1e-15)
    assert spectra.attrs["absorption_from"] == origin
    assert list(spectra["spectrum"].values) == ["V2O3 powder"]
    assert spectra.attrs["edge"] == "K"
    assert spectra.attrs["start_time"] == "2005-07-24 02:34:39"


def test_xdi_units_and_faults(tmp_path: Path) -> None:
    def text(**changes: object) -> str:
        return XDI.format(**{"unit": "eV", "names": ("i0", "itrans"), "rows": ROWS} | changes)

    spectra = reader.read(file(tmp_path, "k.xdi", text(unit="keV", rows="5.1 2 1\n5.2 2 1")))
    np.testing.assert_allclose(spectra["energy"], [5100, 5200], rtol=1e-15)
    for changes, fault in (
        ({"unit": "degrees"}, "energy in 'degrees'"),
        ({"names": ("i0", "irefer")}, "no absorption can be made"),
    ):
        with pytest.raises(InputError, match=fault):
            reader.read(file(tmp_path, "f.xdi", text(**changes)))
    with pytest.raises(InputError, match="no column 'energy' but an angle"):
        reader.read(file(tmp_path, "a.xdi", text().replace("energy eV", "angle degrees")))
    with pytest.raises(InputError, match="names column 3"):
        reader.read(file(tmp_path, "c.xdi", text(rows="5465 1\n5466 2")))
    path = file(tmp_path, "n.xdi", text(rows="5465 100 50\n5466 100 0\n5467 100 -3\n5468 9 3"))
    with pytest.warns(InputWarning, match="2 of 4 rows"):
        spectra = reader.read(path)
    np.testing.assert_allclose(spectra["absorption"][0], np.log([2, 3]))


def test_references_are_named(tmp_path: Path) -> None:
    one = file(tmp_path, "rust.txt", "700 1\n701 2\n")
    (reference,) = read_references(one)
    assert reference.name == "rust"
    assert reference.dims == ("energy",)
    (reference,) = read_references(str(one), label="Fe2O3")
    assert reference.name == "Fe2O3"
    assert "value" not in reference.attrs
    two = file(tmp_path, "two.csv", "# value: a=2.5\nenergy,a,b\n700,1,2\n701,3,4\n")
    a, b = read_references(two)
    assert (a.name, b.name) == ("a", "b")
    assert a.attrs["value"] == 2.5
    assert "value" not in b.attrs
    assert "value" not in a.coords
    np.testing.assert_array_equal(b.sel(energy=701), 4)
    with pytest.raises(InputError, match=r"2 spectra \(a, b\)"):
        read_references(two, label="c")
    with pytest.raises(InputError, match="no such file"):
        read_references(tmp_path / "absent.csv")
    (tmp_path / "stack.tif").write_bytes(b"II*\0")
    with pytest.raises(InputError, match=r"measurement of images \(TIFF\)"):
        read_references(tmp_path / "stack.tif")


LABELS = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8
).filter(lambda label: "_spread" not in label)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_writing_and_reading_back_is_exact(data: st.DataObject) -> None:
    labels = data.draw(st.lists(LABELS, min_size=2, max_size=4, unique=True))
    n = data.draw(st.integers(2, 6))
    dtype = data.draw(st.sampled_from(["f4", "f8"]))
    width = 32 if dtype == "f4" else 64
    number = st.floats(-(2.0**99), 2.0**99, width=width)
    table = st.lists(number, min_size=n, max_size=n)
    energy = sorted(data.draw(st.sets(st.floats(20, 1e5), min_size=n, max_size=n)))
    absorption = np.array([data.draw(table) for _ in labels], dtype)
    spread = np.abs(absorption)
    spread[0] = np.nan
    values = [np.nan, *(data.draw(st.floats(-1e9, 1e9)) for _ in labels[1:])]
    spectra = xr.Dataset(
        {
            "absorption": (("spectrum", "energy"), absorption),
            "spread": (("spectrum", "energy"), spread),
        },
        {"spectrum": labels, "energy": energy, "value": ("spectrum", values)},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.csv"
        write_spectra(path, spectra)
        back = reader.read(path)
    np.testing.assert_array_equal(back["absorption"].values.astype(dtype), absorption)
    np.testing.assert_array_equal(back["spread"].values.astype(dtype), spread)
    np.testing.assert_array_equal(back["energy"], energy)
    np.testing.assert_array_equal(back["value"], values)
    assert list(back["spectrum"].values) == labels


def test_missing_numbers_survive_writing(tmp_path: Path) -> None:
    absorption = np.array([[1, np.nan, 3], [4, 5, 6.0]])
    spectra = xr.Dataset(
        {"absorption": (("spectrum", "energy"), absorption)},
        {"spectrum": ["a", "b"], "energy": [700.0, 701, 702]},
    )
    write_spectra(tmp_path / "s.csv", spectra.transpose("energy", "spectrum"))
    assert (tmp_path / "s.csv").read_text().startswith("energy_eV,a,b\n700.0,1.0,4.0\n701.0,,5.0")
    with pytest.warns(InputWarning, match="a: no number"):
        back = reader.read(tmp_path / "s.csv")
    np.testing.assert_array_equal(back["absorption"], absorption)
    assert "spread" not in back


@pytest.mark.parametrize(
    "labels", [["a", "a"], ["a", "a_spread"], ["a", ""], ["a", "b\nc"], ["a", " b"]]
)
def test_labels_that_a_file_cannot_tell_apart(tmp_path: Path, labels: list[str]) -> None:
    spectra = xr.Dataset(
        {"absorption": (("spectrum", "energy"), np.ones((2, 2)))},
        {"spectrum": labels, "energy": [700.0, 701]},
    )
    with pytest.raises(InputError, match="label"):
        write_spectra(tmp_path / "s.csv", spectra)
    with pytest.raises(InputError, match="variable 'absorption'"):
        write_spectra(tmp_path / "s.csv", spectra.rename(absorption="counts"))


def replace_bytes(data: st.DataObject, content: bytearray) -> None:
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(1, 3))] = data.draw(st.binary(max_size=4))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damage_is_an_error_told_or_harmless(data: st.DataObject, damaged: Any) -> None:
    rows = [f"{700 + i / 4:.7E} {1 + i / 7:.7E} {2 + i / 9:.7E}" for i in range(12)]
    text = data.draw(st.sampled_from(["", "# note\n", "energy a b\n"])) + "\n".join(rows) + "\n"
    numbers = np.array([[float(cell) for cell in row.split()] for row in rows])
    content, cut = damaged(data, text.encode(), replace_bytes)
    told = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.txt"
        path.write_bytes(content)
        reader.reads_this(path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", InputWarning)
            try:
                spectra = reader.read(path)
            except InputError:
                return
        told = bool(caught)
    if cut:
        # All rows but a cut last one, of which the warning tells, are those of the file.
        n = spectra.sizes["energy"] - told
        np.testing.assert_array_equal(spectra["energy"][:n], numbers[:n, 0])
        np.testing.assert_array_equal(spectra["absorption"][:, :n], numbers[:n, 1:].T)
    assert np.isfinite(spectra["energy"]).all()
    assert (np.diff(spectra["energy"]) > 0).all()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.csv"
        path.write_bytes(raw)
        with contextlib.suppress(InputError, InputWarning):
            reader.read(path)


def columns(path: Path) -> np.ndarray:
    return np.loadtxt(path, comments="#", dtype=float)


def test_measured_xdi(measured: Path) -> None:
    paths = sorted((measured / "xas_references").glob("*/*.xdi"))
    assert len(paths) == 17
    for path in paths:
        assert reader.reads_this(path)
        spectra = reader.read(path)
        numbers = columns(path)
        i0, transmitted = (1, 2) if path.parent.name == "Mn" else (2, 3)
        np.testing.assert_array_equal(spectra["energy"], numbers[:, 0])
        np.testing.assert_allclose(
            spectra["absorption"][0], np.log(numbers[:, i0] / numbers[:, transmitted]), rtol=1e-12
        )
        # The edge is where the element has its K edge.
        energy = spectra["energy"].values
        absorption = spectra["absorption"][0].values
        middle = (absorption.max() + absorption[: len(absorption) // 8].min()) / 2
        edge = energy[np.argmax(absorption > middle)]
        assert abs(edge - {"Mn": 6539, "V": 5465}[path.parent.name]) < 20
        assert spectra.attrs["element"] == path.parent.name


def test_measured_valence_shifts_the_vanadium_edge(measured: Path) -> None:
    edges = []
    for name in ("V_foil", "V2O3", "V2O5"):
        (reference,) = read_references(measured / "xas_references" / "V" / f"{name}.xdi")
        energy, mu = reference["energy"].values, reference.values
        before = mu[(energy > 5440) & (energy < 5460)].mean()
        after = mu[(energy > 5490) & (energy < 5510)].mean()
        rising = (energy < 5490) & (mu < before + 0.6 * (after - before))
        edges.append(energy[rising][-1])
    assert edges[0] < edges[1] < edges[2]


def test_measured_region_spectra(measured: Path) -> None:
    folder = measured / "stxm_fe_l23_als" / "71214078_FigS4" / "Aligned"
    for name in ("i0.xsp", "oxidized.r", "oxidized.t", "reduced.r", "reduced.t"):
        path = folder / name
        assert reader.reads_this(path)
        spectra = reader.read(path)
        numbers = columns(path)
        assert numbers.shape == (123, 2)
        np.testing.assert_array_equal(spectra["energy"], numbers[:, 0])
        np.testing.assert_array_equal(spectra["absorption"][0], numbers[:, 1])
        assert list(spectra["spectrum"].values) == [path.stem]


def test_measured_reference_table(measured: Path) -> None:
    path = measured / "nvpf_like_references" / "references.csv"
    spectra = reader.read(path)
    numbers = np.loadtxt(path, delimiter=",", skiprows=1)
    np.testing.assert_array_equal(spectra["energy"], numbers[:, 0])
    np.testing.assert_array_equal(spectra["absorption"], numbers[:, 1:].T)
    assert [reference.name for reference in read_references(path)] == [
        "Na3.0VPF",
        "Na2.4VPF",
        "Na2.0VPF",
        "Na1.0VPF",
        "Na0.8VPF",
    ]
