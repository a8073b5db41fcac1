"""Tables of spectra as programs write them: layouts, headings, columns that are no phases."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.incident import read_incident
from phaseloom.io.readers import spectra as reader
from phaseloom.io.reading import find_reader, read
from phaseloom.io.spectra import read_references

ENERGY = np.arange(700, 730, 0.5)
FE2 = 0.1 + 1 / (1 + np.exp(708 - ENERGY)) + np.exp(-((ENERGY - 708) ** 2))
FE3 = 0.1 + 1 / (1 + np.exp(710 - ENERGY)) + np.exp(-((ENERGY - 710) ** 2))
I0 = 5000 + 2 * ENERGY


def rows(*columns: np.ndarray, separator: str = " ", comma: bool = False) -> str:
    """Rows of numbers with six decimals."""
    lines = [separator.join(f"{value:.6f}" for value in row) for row in zip(*columns, strict=True)]
    text = "\n".join(lines) + "\n"
    return text.replace(".", ",") if comma else text


def written(folder: Path, text: str, name: str = "s.txt", code: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(code))
    return path


def assert_spectra(path: Path, names: Sequence[str], *truth: np.ndarray) -> None:
    """The file gives these spectra over ENERGY, and read_references the same."""
    assert find_reader(path) is reader
    spectra = reader.read(path)
    assert list(spectra["spectrum"].values) == list(names)
    np.testing.assert_allclose(spectra["energy"], ENERGY, rtol=1e-12)
    np.testing.assert_allclose(spectra["absorption"], truth, atol=2e-6)


PLAIN = "Energy{0}FeII{0}FeIII\n"
UNITS = "eV{0}a.u.{0}a.u.\n"


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("separator", "comma"),
    [
        (",", False),
        (";", False),
        (";", True),
        ("\t", False),
        ("\t", True),
        (" ", False),
        (" ", True),
    ],
)
@pytest.mark.parametrize(
    "above", [PLAIN, PLAIN + UNITS, "# FeII is old\n" + PLAIN, "# {1}" + PLAIN]
)
def test_layouts(tmp_path: Path, above: str, separator: str, comma: bool, code: str) -> None:
    text = above.format(separator, "") + rows(ENERGY, FE2, FE3, separator=separator, comma=comma)
    assert_spectra(written(tmp_path, text, code=code), ["FeII", "FeIII"], FE2, FE3)


@pytest.mark.parametrize("mark", ["#", "!", "%", ";", "'", "*", "//", "#!"])
def test_comments_of_all_programs(tmp_path: Path, mark: str) -> None:
    text = f"{mark} exported 2024\n{mark}\n{mark} energy FeII FeIII\n{rows(ENERGY, FE2, FE3)}"
    text += f"{mark} the end\n"
    if mark == "#!":
        text = text.replace("#! energy", "# energy")
    assert_spectra(written(tmp_path, text), ["FeII", "FeIII"], FE2, FE3)


@pytest.mark.parametrize("extension", [".prn", ".tsv", ".asc", ".dpt", ".dat", ".txt", ".csv", ""])
def test_two_columns_are_named_after_the_file(tmp_path: Path, extension: str) -> None:
    separator = "," if extension in (".csv", ".dpt") else "\t"
    path = written(tmp_path, rows(ENERGY, FE2, separator=separator), f"rust{extension}")
    assert_spectra(path, ["rust"], FE2)


def test_latin_1(tmp_path: Path) -> None:
    text = "Énergie (eV);Fe²;Fe³ (µ)\n" + rows(ENERGY, FE2, FE3, separator=";")
    assert_spectra(written(tmp_path, text, code="latin-1"), ["Fe²", "Fe³ (µ)"], FE2, FE3)


def test_quoted_numbers_with_decimal_commas(tmp_path: Path) -> None:
    lines = [f'"{e:.2f}","{a:.6f}"'.replace(".", ",") for e, a in zip(ENERGY, FE2, strict=True)]
    text = '"Energy","FeII"\n' + "\n".join(lines) + "\n"
    assert_spectra(written(tmp_path, text, "s.csv"), ["FeII"], FE2)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "energy,a\n" + rows(ENERGY, FE2 / 20, separator=",", comma=True),
            "decimal commas as well",
        ),
        (rows(ENERGY, FE2).replace("700.0", "700,0"), "both decimal commas and decimal points"),
        (
            "Bragg angle,a\n" + rows(ENERGY / 50, FE2, separator=","),
            "'Bragg angle', not the photon",
        ),
        ("# k chi\n" + rows(ENERGY - 699, FE2), "first column is 'k', not the photon energy"),
        ("Energy,a\n" + rows(ENERGY - 710, FE2, separator=","), "hold -10, which is no photon"),
        (
            "Energy (eV),a\n" + rows(np.arange(1, 61), FE2, separator=","),
            "1 to 60 eV, which are no",
        ),
        (rows(np.arange(1, 34), FE2[:33]), "1 to 33, which are no energies of X-rays"),
        ("Energy (nm),a\n" + rows(1240 / ENERGY, FE2, separator=","), "no energies|in 'nm'"),
        (
            "# I0 and I1 in counts\n" + rows(ENERGY, I0, I0, FE2),
            "differ in scale by .* readings do",
        ),
        (rows(ENERGY, 1000 * I0, FE2, FE3), "no headings that fit its 4 columns, and these differ"),
        ("energy,I0,It\n" + rows(ENERGY, I0, 0 * I0, separator=","), "I0 and It are nowhere both"),
        ("energy,I1,ring\n" + rows(ENERGY, I0, I0, separator=","), "no absorption can be made"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        reader.read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("heading", "unit"),
    [
        ("Energy (keV)", ""),
        ("E [keV]", ""),
        ("energy_keV", ""),
        ("E/keV", ""),
        ("Energy", "keV,-\n"),
    ],
)
def test_kev_in_headings(tmp_path: Path, heading: str, unit: str) -> None:
    text = f"{heading},FeII\n{unit}" + rows(ENERGY / 1000, FE2, separator=",")
    assert_spectra(written(tmp_path, text), ["FeII"], FE2)


@pytest.mark.parametrize("heading", ["", "Energy,FeII\n", "Energy (eV),FeII\n"])
def test_kev_without_a_word_is_converted_and_said_once(tmp_path: Path, heading: str) -> None:
    path = written(tmp_path, heading + rows(ENERGY / 1000, FE2, separator=","), "FeII.csv")
    with pytest.warns(InputWarning, match="taken as keV") as said:
        spectra = reader.read(path)
    assert len(said) == 1
    np.testing.assert_allclose(spectra["energy"], ENERGY, rtol=1e-9)
    with pytest.warns(InputWarning, match="taken as keV"):
        np.testing.assert_allclose(read_incident(path)["energy"], ENERGY, rtol=1e-9)


NO_PHASES = (
    "I0", "i_zero", "I_0", "Io", "It", "I1", "Itrans", "If", "angle", "theta", "time", "Time (s)",
    "index", "monitor", "mon", "ring current", "Ring Current (mA)", "error", "FeII_err", "stdev",
    "FeII stdev", "uncertainty", "Epoch", "Dwell", "seconds", "±",
)  # fmt: skip


@pytest.mark.parametrize("heading", NO_PHASES)
def test_a_column_that_is_no_phase_never_becomes_one(tmp_path: Path, heading: str) -> None:
    other = np.arange(60.0) if heading == "index" else ENERGY + 0.01
    text = f"energy;FeII;{heading};FeIII\n" + rows(ENERGY, FE2, other, FE3, separator=";")
    path = written(tmp_path, text)
    with pytest.warns(InputWarning, match="left out, as they are no absorption of a phase") as said:
        assert [r.name for r in read_references(path)] == ["FeII", "FeIII"]
    assert heading in str(said[0].message)
    assert len(said) == 1


@pytest.mark.parametrize("heading", ["energy_rbv", "Energy achieved", "E readback", "eV"])
def test_a_second_energy_is_no_phase(tmp_path: Path, heading: str) -> None:
    text = f"energy;{heading};FeII;FeIII\n" + rows(ENERGY, ENERGY, FE2, FE3, separator=";")
    with pytest.warns(InputWarning, match=f"left out, .*: {heading}"):
        assert_spectra(written(tmp_path, text), ["FeII", "FeIII"], FE2, FE3)


@pytest.mark.parametrize(
    "heading",
    ["N", "I", "In", "Ir", "Th", "Er", "Pt", "Se", "K", "V", "E", "FeO std", "ROI 1", "background",
     "delta MnO2", "trans", "mono", "LFP (a)", "Fe (1)", "flux grown", "x = 0.5", "Na2.4VPF"],
)  # fmt: skip
def test_names_of_substances_stay(tmp_path: Path, heading: str) -> None:
    text = f"energy;FeII;{heading}\n" + rows(ENERGY, FE2, FE3, separator=";")
    assert_spectra(written(tmp_path, text), ["FeII", heading], FE2, FE3)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "heading",
    ["", "index,energy,FeII\n", "N,E (eV),FeII\n", ",energy,FeII\n", "Unnamed: 0,energy,FeII\n",
     "#,energy,FeII\n", "scan,energy,FeII\n", "position,energy,FeII\n"],
)  # fmt: skip
def test_columns_that_count_the_rows(tmp_path: Path, heading: str, first: int) -> None:
    text = heading + rows(first + np.arange(60), ENERGY, FE2, separator=",")
    path = written(tmp_path, text, "FeII.csv")
    with pytest.warns(
        InputWarning,
        match=r"left out, .* (?:index|N|scan|position|Unnamed: 0|column 1 \(it counts)",
    ):
        assert_spectra(path, ["FeII"], FE2)


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ("", ["s 1", "s 2"]),
        ("E1,FeII,E2,FeIII\n", ["FeII", "FeIII"]),
        ("Energy,FeII,Energy,FeIII\neV,-,eV,-\n", ["FeII", "FeIII"]),
        ("FeII,,FeIII,\nE,mu,E,mu\n", ["FeII", "FeIII"]),
        ("FeII X,FeII Y,FeIII X,FeIII Y\n", ["FeII", "FeIII"]),
        ("FeII,,FeIII,\n", ["FeII", "FeIII"]),
        ("E_FeII,FeII,E_FeIII,FeIII\n", ["FeII", "FeIII"]),
        ("FeII,FeII,FeIII,FeIII\n", ["FeII", "FeIII"]),
        ("x,y,x,y\n", ["s 1", "s 2"]),
    ],
)
def test_every_spectrum_over_its_own_energies(tmp_path: Path, above: str, names: list[str]) -> None:
    lines = rows(ENERGY, FE2, ENERGY + 0.03, FE3, separator=",").splitlines()
    # The second spectrum is shorter.
    lines[50:] = [",".join([*line.split(",")[:2], "", ""]) for line in lines[50:]]
    path = written(tmp_path, above + "\n".join(lines) + "\n", "s.csv")
    first, second = read_references(path)
    assert [first.name, second.name] == names
    np.testing.assert_allclose(first["energy"], ENERGY)
    np.testing.assert_allclose(second["energy"], ENERGY[:50] + 0.03)
    np.testing.assert_allclose(first, FE2, atol=1e-6)
    np.testing.assert_allclose(second, FE3[:50], atol=1e-6)


def test_axes_of_several_spectra_each(tmp_path: Path) -> None:
    text = "E1,FeII,FeII again,E2,FeIII\n"
    path = written(tmp_path, text + rows(ENERGY, FE2, FE2, ENERGY + 0.2, FE3, separator=","))
    first, again, second = read_references(path)
    assert [first.name, again.name, second.name] == ["FeII", "FeII again", "FeIII"]
    np.testing.assert_allclose(again["energy"], ENERGY)
    np.testing.assert_allclose(second["energy"], ENERGY + 0.2)
    np.testing.assert_allclose(second, FE3, atol=1e-6)


def test_a_line_of_names_below_the_quantities(tmp_path: Path) -> None:
    above = "Energy\tIntensity\tIntensity\neV\ta.u.\ta.u.\n\tFeO\tFe2O3\n"
    path = written(tmp_path, above + rows(ENERGY, FE2, FE3, separator="\t"))
    assert_spectra(path, ["FeO", "Fe2O3"], FE2, FE3)


@pytest.mark.parametrize(
    ("above", "names", "said"),
    [
        ("Beamline X\nEnergy FeII FeIII\n", ["FeII", "FeIII"], "not used: line 1: Beamline X"),
        ("2024-05-01 12:00\nEnergy FeII FeIII\n", ["FeII", "FeIII"], "2024-05-01 12:00"),
        ("my own data file\n", ["s 1", "s 2"], "headings are none; .*: line 1: my own data file"),
        ("# energy FeII\n", ["s 1", "s 2"], r"energy FeII \(not one word per column\)"),
        ("aa bb cc\ndd ee ff\n", ["ee", "ff"], "headings are dd, ee, ff; .* not used: aa, bb, cc"),
    ],
)
def test_lines_above_the_numbers_are_not_dropped_silently(
    tmp_path: Path, above: str, names: list[str], said: str
) -> None:
    path = written(tmp_path, above + rows(ENERGY, FE2, FE3))
    with pytest.warns(InputWarning, match=said):
        assert_spectra(path, names, FE2, FE3)


@pytest.mark.parametrize(
    ("headings", "columns", "truth", "origin"),
    [
        ("energy,I0,It", (I0, I0 * np.exp(-FE2)), FE2, "ln(I0/It)"),
        ("energy,I0,I1,I2", (I0, I0 * np.exp(-FE2), I0), FE2, "ln(I0/I1)"),
        ("energy,Io,It,Ir", (I0, I0 * np.exp(-FE2), I0), FE2, "ln(Io/It)"),
        ("energy,TEY,I0", (I0 * FE3, I0), FE3, "TEY/I0"),
        ("energy,I0,It,aux", (-I0, -I0 * np.exp(-FE2), I0), FE2, "ln(I0/It)"),
        ("energy,TFY,I0", (I0 * (FE3 - 0.5), I0), FE3 - 0.5, "TFY/I0"),
        ("energy,I0,If,angle", (I0, I0 * FE3, I0), FE3, "If/I0"),
        ("energy,i0,it,ir,iff,aux1", (I0, I0 * np.exp(-FE2), *3 * (I0,)), FE2, "ln(i0/it)"),
        ("energy,I0,It,ROI 1,stage", (I0, I0 * np.exp(-FE2), FE3, 0 * I0 + 3), FE2, "ln(I0/It)"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*left out")
def test_absorption_is_made_of_readings_and_said(
    tmp_path: Path, headings: str, columns: tuple[np.ndarray, ...], truth: np.ndarray, origin: str
) -> None:
    path = written(tmp_path, f"{headings}\n" + rows(ENERGY, *columns, separator=","))
    with pytest.warns(InputWarning, match="absorption is made of its columns: ") as said:
        spectra = reader.read(path)
    assert origin in str(said[0].message)
    assert spectra.attrs["absorption_from"] == origin
    assert list(spectra["spectrum"].values) == ["s"]
    np.testing.assert_allclose(spectra["absorption"][0], truth, atol=2e-6)


def test_headings_of_fixed_width(tmp_path: Path) -> None:
    names = (
        "Mono Energy (alt) *",
        "Scaler preset time *",
        "I0-32",
        "It-32",
        "Very long name of a d",
    )
    header = "# Scan\n# Column Headings:\n#" + "".join(f"{name:21}" for name in names) + "\n"
    text = header + rows(ENERGY, 0 * ENERGY + 1, I0, I0 * np.exp(-FE2), I0)
    with pytest.warns(InputWarning, match=r"ln\(I0-32/It-32\)|left out"):
        assert_spectra(written(tmp_path, text), ["s"], FE2)


def test_phases_beside_readings_stay(tmp_path: Path) -> None:
    text = "energy,FeII,I0,It,FeIII,angle,error\n"
    columns = (FE2, I0, I0 * np.exp(-FE2), FE3, ENERGY / 50, FE2 / 10)
    path = written(tmp_path, text + rows(ENERGY, *columns, separator=","))
    with pytest.warns(InputWarning, match="left out, .*: I0, It, angle, error"):
        assert_spectra(path, ["FeII", "FeIII"], FE2, FE3)


def test_i0_is_no_phase_and_a_phase_is_no_i0(tmp_path: Path) -> None:
    one = written(tmp_path, "energy,I0\n" + rows(ENERGY, I0, separator=","))
    np.testing.assert_allclose(read_incident(one)["intensity"], I0)
    with pytest.raises(InputError, match=r"detector readings \(I0\) and no absorption.*--i0"):
        read_references(one)
    two = written(tmp_path, "energy,I0,ring\n" + rows(ENERGY, I0, 0 * I0 + 250, separator=","))
    np.testing.assert_allclose(read_incident(two)["intensity"], I0)
    np.testing.assert_allclose(read_incident(two, channel="RING")["intensity"], 250)
    assert list(read(two)["role"].values) == ["I0", "current"]
    with pytest.raises(InputError, match=r"no channel 'gold'.*I0, ring"):
        read_incident(two, channel="gold")
    bare = written(tmp_path, rows(ENERGY, I0))
    np.testing.assert_allclose(read_incident(bare)["intensity"], I0)
    several = written(tmp_path, "energy,a,b\n" + rows(ENERGY, I0, I0, separator=","))
    with pytest.raises(InputError, match=r"2 channels \(a, b\)"):
        read_incident(several)


def test_of_transmission_and_fluorescence_one_is_taken_and_said(tmp_path: Path) -> None:
    header = "# XDI/1.0\n# Column.1: energy eV\n# Column.2: mufluor\n# Column.3: mutrans\n#---\n"
    path = written(tmp_path, header + rows(ENERGY, FE3, FE2), "s.xdi")
    with pytest.warns(InputWarning, match="of mufluor, mutrans, mutrans is taken"):
        assert_spectra(path, ["s"], FE2)


ATHENA = {
    "new": "# XDI/1.0 Demeter/0.9.26\n# Demeter.output_filetype: xmu\n# Column.1: energy eV\n"
    "# Column.2: norm\n# Column.3: nbkg\n# Column.4: flat\n#-----\n# energy norm nbkg flat\n",
    "old": "# Athena data file -- Athena version 0.8.061\n#---\n# energy norm bkg_norm flat\n",
    "larch": "# larch\n#------\n# energy  mu  pre_edge  flat\n",
}


@pytest.mark.parametrize("header", ATHENA.values(), ids=list(ATHENA))
@pytest.mark.parametrize("extension", [".nor", ".xmu"])
@pytest.mark.filterwarnings("ignore:.*left out")
def test_one_sample_of_athena_is_one_spectrum(tmp_path: Path, header: str, extension: str) -> None:
    path = written(tmp_path, header + rows(ENERGY, FE2, I0, FE3), f"rust{extension}")
    assert_spectra(path, ["rust"], FE2)


def test_several_samples_of_athena_are_several_spectra(tmp_path: Path) -> None:
    header = (
        "# XDI/1.0 Demeter/0.9.26\n# Column.1: energy eV\n# Column.2: FeO\n# Column.3: Fe2O3 a\n"
        "# Scan.start_time: 2024-01-02\n#---\n#  energy  FeO  Fe2O3_a\n"
    )
    path = written(tmp_path, header + rows(ENERGY, FE2, FE3), "m.nor")
    assert_spectra(path, ["FeO", "Fe2O3 a"], FE2, FE3)


def project(groups: Sequence[tuple[str, str, np.ndarray, np.ndarray, float]]) -> str:
    """A project as Demeter writes it, of label, datatype, x, y and energy shift."""

    def words(values: np.ndarray) -> str:
        return "(" + ",".join(f"'{value:.6f}'" for value in values) + ")"

    text = "# Athena project file -- Demeter version 0.9.26\n# created at 2024\n\n"
    for number, (label, kind, x, y, shift) in enumerate(groups):
        quoted = label.replace("\\", "\\\\").replace("'", "\\'")
        text += (
            f"$old_group = 'g{number}';\n@args = ('annotation','@x = (1)','bkg_eshift','{shift}',"
            f"'bkg_z','Fe','fft_edge','l3','datatype','{kind}','label','{quoted}');\n"
            f"@x = {words(x)};\n@y = {words(y)};\n@i0 = {words(I0)};\n[record]   # new\n\n"
        )
    return text + "@journal = ('it''s done','');\n\n1;\n"


def test_what_is_no_sample_in_a_project_is_left_out(tmp_path: Path) -> None:
    text = project(
        [
            ("FeO", "xmu", ENERGY, FE2, 0.0),
            ("  Ref FeO", "xmu", ENERGY, FE3, 0.0),
            ("Ref alone", "xmu", ENERGY, FE3, 0.0),
            ("in R", "xmu", ENERGY, FE3, 0.0),
            ("by pixel", "xmu", np.arange(60.0), FE3, 0.0),
        ]
    ).replace("'label','in R'", "'titles',['a (b','c'],'is_rsp',1,'label','in R'")
    with pytest.warns(InputWarning, match="left out") as said:
        assert_spectra(written(tmp_path, text, "p.prj"), ["FeO", "Ref alone"], FE2, FE3)
    for word in ("Ref FeO (reference channel)", "in R (R)", "by pixel (the energies of by pixel"):
        assert word in str(said[0].message)


def test_old_projects_name_their_groups(tmp_path: Path) -> None:
    text = project([("", "", ENERGY / 1000, FE2, 0.0)])
    text = text.replace("'label',''", "'is_kev',1,'is_xmu',1").replace("'g0'", "'feo_300k'")
    assert_spectra(written(tmp_path, text, "p.prj"), ["feo_300k"], FE2)


@pytest.mark.parametrize("compressed", [True, False])
def test_athena_project(tmp_path: Path, compressed: bool) -> None:
    text = project(
        [
            ("FeO it's", "xmu", ENERGY, FE2, 0.0),
            ("Fe2O3", "xanes", ENERGY, FE3, 0.25),
            ("Fe2O3", "norm", ENERGY, FE3, 0.0),
            ("in k", "chi", ENERGY - 699, FE2, 0.0),
        ]
    )
    path = tmp_path / "p.prj"
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    with pytest.warns(InputWarning) as said:
        first, second, third = read_references(path)
    messages = sorted(str(warning.message) for warning in said)
    assert len(messages) == 2
    assert messages[0].endswith("no absorption over the energy: in k (chi)")
    assert messages[1].endswith("shifted as the project says: Fe2O3 by +0.25 eV")
    assert [first.name, second.name, third.name] == ["FeO it's", "Fe2O3", "Fe2O3 (2)"]
    for spectrum, energy, truth in (
        (first, ENERGY, FE2),
        (second, ENERGY + 0.25, FE3),
        (third, ENERGY, FE3),
    ):
        np.testing.assert_allclose(spectrum["energy"], energy)
        np.testing.assert_allclose(spectrum, truth, atol=1e-6)


def test_project_of_larix(tmp_path: Path) -> None:
    content = {
        "_____emacs_mode": "-*- mode: json -*-",
        "____header1": "# Athena project file -- Demeter version 0.9.24",
        "_____order": ["a", "b"],
        "a": {
            "args": ["label", "FeO", "datatype", "xmu"],
            "x": list(map(str, ENERGY)),
            "y": [*FE2],
        },
        "b": {"args": {"label": "Fe2O3"}, "x": [*ENERGY], "y": [*FE3]},
    }
    path = tmp_path / "p.prj"
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    assert_spectra(path, ["FeO", "Fe2O3"], FE2, FE3)


def test_a_project_is_never_evaluated(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for code in (f"system('touch {mark}')", f"`touch {mark}`", "@{[1]}", "do { 1 }"):
        text = project([("a", "xmu", ENERGY, FE2, 0.0)])
        path = written(tmp_path, text.replace("('annotation'", f"({code},'annotation'"), "p.prj")
        with pytest.raises(InputError, match="damaged Athena project"):
            reader.read(path)
    assert not mark.exists()


def test_a_damaged_project_is_said(tmp_path: Path) -> None:
    whole = gzip.compress(project([("a", "xmu", ENERGY, FE2, 0.0)]).encode())
    path = tmp_path / "p.prj"
    for content, fault in (
        (whole[:300], "breaks off"),
        (whole[:40] + b"\0\0\0" + whole[43:], "damaged|breaks off|no text|not a text"),
        (gzip.compress(project([("a", "chi", ENERGY, FE2, 0.0)]).encode()), r"but a \(chi\)"),
        (
            gzip.compress(project([("a", "xmu", ENERGY[:9], FE2, 0.0)]).encode()),
            "9 energies and 60",
        ),
        (gzip.compress(b"# Athena project file -- Demeter\n1;\n"), "but no spectra"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=fault):
            reader.read(path)


SPEC = """#F fe.spec
#E 1717000000
#O0 energy  th

#S 1 ascan th 0 1 59 1
#N 3
#L Theta  Epoch  I0
{angles}
#S 2 escan 0.7 0.73 59 1
#N 6
#L Energy  Epoch  Seconds  I0  It  deadtime corrected
{first}#C scan done

#S 3 escan 0.7 0.73 59 1
#N 6
@MCA 16C
#L Energy  Epoch  Seconds  I0  It  deadtime corrected
{second}"""


def test_spec_scans(tmp_path: Path) -> None:
    seconds = np.ones(60)

    def scan(absorption: np.ndarray) -> str:
        return rows(ENERGY, ENERGY, seconds, I0, I0 * np.exp(-absorption), seconds)

    lines = scan(FE3).splitlines()
    lines[3:3] = ["@A 1 2 3\\", " 4 5 6\\", " 7 8"]
    text = SPEC.format(
        angles=rows(ENERGY / 50, ENERGY, I0), first=scan(FE2), second="\n".join(lines) + "\n"
    )
    path = written(tmp_path, text, "fe.spec")
    with pytest.warns(InputWarning, match=r"scans left out: 1 \(has no column 'energy'"):
        assert_spectra(path, ["fe 2", "fe 3"], FE2, FE3)


def test_kev_of_many_scans_is_said_once(tmp_path: Path) -> None:
    part = "#S {} escan\n#L Energy  mu\n" + rows(ENERGY / 1000, FE2) + "\n"
    path = written(tmp_path, "".join(part.format(n) for n in (1, 2, 7)), "s.spec")
    with pytest.warns(InputWarning, match="taken as keV") as said:
        assert_spectra(path, ["s 1", "s 2", "s 7"], FE2, FE2, FE2)
    assert len(said) == 1


def test_spectra_written_as_a_scan(tmp_path: Path) -> None:
    text = "#S 1 exported\n#N 3\n#L energy  Fe II  Fe III\n" + rows(ENERGY, FE2, FE3)
    assert_spectra(written(tmp_path, text, "s.dat"), ["Fe II", "Fe III"], FE2, FE3)


def test_counters_of_a_scan_are_no_spectra(tmp_path: Path) -> None:
    text = "#S 1 escan\n#L Energy  Epoch  det\n" + rows(ENERGY, ENERGY, FE2)
    with pytest.raises(InputError, match="columns Energy, Epoch, det, of which no absorption"):
        reader.read(written(tmp_path, text, "s.spec"))


def base(cases: Path) -> tuple[np.ndarray, np.ndarray]:
    """The spectra of which those of the cases are copies."""
    numbers = np.loadtxt(cases / "xray" / "base" / "refs.csv", delimiter=",", skiprows=1)
    return numbers[:, 0], numbers[:, 1:].T


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("athena/multi.nor", ["FeII", "FeIII", "FeMix"]),
        ("athena/multi.xdi", ["FeII", "FeIII", "FeMix"]),
        ("athena/s.prn", ["s"]),
        ("athena/s.tsv", ["s"]),
        ("athena/single.xmu", ["single"]),
        ("tables/exclaim.txt", ["exclaim 1", "exclaim 2", "exclaim 3"]),
        ("tables/origin_units_row.txt", ["FeII", "FeIII", "FeMix"]),
        ("tables/tab_decimal_comma.txt", ["FeII", "FeIII", "FeMix"]),
        ("tables/two_header_lines.csv", ["FeII", "FeIII", "FeMix"]),
        ("tables/utf16.txt", ["FeII", "FeIII", "FeMix"]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*not used. line 1. Beamline X")
def test_cases_are_the_spectra_they_are_copies_of(
    cases: Path, name: str, labels: list[str]
) -> None:
    energy, truth = base(cases)
    references = read_references(cases / "xray" / name)
    assert [reference.name for reference in references] == labels
    for reference, spectrum in zip(references, truth, strict=False):
        np.testing.assert_allclose(reference["energy"], energy)
        np.testing.assert_allclose(reference, spectrum, atol=1e-5)


def test_case_of_pairs(cases: Path) -> None:
    energy, truth = base(cases)
    first, second = read_references(cases / "xray" / "tables" / "xy_pairs.csv")
    np.testing.assert_allclose(first["energy"], energy)
    np.testing.assert_allclose(second["energy"], energy + 0.03)
    np.testing.assert_allclose(first, truth[0], atol=1e-5)
    assert (first.name, second.name) == ("FeII", "FeIII")


@pytest.mark.parametrize("name", ["od.tif", "counts.tif", "NiO.txt", "LNO.txt"])
def test_cases_in_kev(cases: Path, name: str) -> None:
    with pytest.warns(InputWarning, match="taken as keV") as said:
        energy = read(cases / "xray" / "kev" / name)["energy"].values
    assert len(said) == 1
    assert 8100 < energy[0] < energy[-1] < 9100


def test_case_in_kev_that_says_ev(cases: Path) -> None:
    with pytest.warns(InputWarning, match=r"said to be in eV, but 0\.7 to 0\.727 eV are no X-rays"):
        energy = read(cases / "xray" / "kev" / "kev_says_eV.hdf5")["energy"].values
    np.testing.assert_allclose(energy, read(cases / "xray/base/base.hdf5")["energy"], rtol=1e-12)


@pytest.mark.parametrize("name", ["comma.tif", "csv.tif"])
def test_cases_of_energy_lists(cases: Path, name: str) -> None:
    energy = read(cases / "xray" / "energy_lists" / name)["energy"]
    np.testing.assert_allclose(energy, read(cases / "xray/base/base.hdf5")["energy"])


@pytest.mark.parametrize("name", ["i0_Hz.csv", "i0_two_channels.csv", "i0_other_dwell.csv"])
def test_cases_of_i0(cases: Path, name: str) -> None:
    path = cases / "xray" / "i0" / name
    np.testing.assert_allclose(
        read_incident(path)["intensity"], np.loadtxt(path, delimiter=",", skiprows=1)[:, 1]
    )
    with pytest.raises(InputError, match="no absorption"):
        read_references(path)
