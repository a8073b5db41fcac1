"""Input at fault: one clear sentence and exit status 1, through the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import phaseloom as package
from phaseloom.io.export.nexus import write_nxstxm

Beam = Any
Call = Callable[..., Any]


@pytest.fixture
def maps(beam: Beam, tmp_path: Path, phaseloom: Call, quickly: Sequence[str]) -> Callable[..., Any]:
    """``phaseloom stxm FILE`` with good references and options, and more of them."""

    def call(*arguments: object, references: Sequence[str] | None = None) -> Any:
        return phaseloom("stxm", *arguments, *(references or beam.references), *quickly,
                         "--quiet", "--out", tmp_path / "out")  # fmt: skip

    return call


@pytest.fixture
def changed(beam: Beam, tmp_path: Path) -> Callable[..., Path]:
    """A copy of b.hdf5 that holds other numbers, or fewer of them."""

    def make(change: Callable[[xr.DataArray], xr.DataArray]) -> Path:
        counts = package.read(beam.file("b.hdf5"))["counts"].astype(np.float32)
        new = change(counts).rename("counts")
        stack = xr.Dataset({"counts": new}, attrs={"title": "changed"})
        return write_nxstxm(tmp_path / "changed.hdf5", stack)

    return make


def reference(path: Path, of: str, change: Callable[[float, str], str | None]) -> str:
    """A reference file made from another, line by line."""
    lines = Path(of).read_text().splitlines()
    kept = []
    for line in lines:
        energy, _, number = line.partition(",")
        new = change(float(energy), number) if energy[:1].isdigit() else line
        if new is not None:
            kept.append(new)
    path.write_text("\n".join(kept) + "\n")
    return str(path)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
def test_truncated_hdf5(beam: Beam, tmp_path: Path, maps: Call, part: float) -> None:
    whole = Path(beam.file("b.hdf5")).read_bytes()
    (tmp_path / "cut.hdf5").write_bytes(whole[: int(part * len(whole))])
    fault = maps(tmp_path / "cut.hdf5").fault
    assert "cut.hdf5: truncated" in fault
    assert "copy it again" in fault


def test_half_written_hdf5(tmp_path: Path, maps: Call, changed: Callable[..., Path]) -> None:
    """A scan in progress: frames that were never written read as zeros or NaN."""
    file = changed(lambda counts: counts.where(counts["energy"] < 525, 0))
    fault = maps(file).fault
    assert "changed.hdf5: 8 of 24 frames were not measured" in fault
    assert "525.2" in fault
    ran = maps(file, "--partial")
    assert ran.status == 0
    assert "8 of 24 frames" in ran.err
    assert "dropped" in ran.err
    result = xr.open_zarr(tmp_path / "out" / "results.zarr", group="stxm/changed")
    assert result.sizes["energy"] == 16
    assert float(result["energy"][-1]) == 524.2


def test_missing_frames_of_sdf_are_named(tmp_path: Path, beam: Beam, maps: Call) -> None:
    stack = package.read(beam.file("b.hdf5"))

    def points(name: str) -> str:
        values = ", ".join(f"{v:.5f}" for v in stack[name].to_numpy())
        return f"Points = ({stack.sizes[name]}, {values});"

    def axis(name: str, called: str, unit: str) -> str:
        return (
            f'{{ Name = "{called}"; Unit = "{unit}"; Min = 0; Max = 1; Dir = 1; {points(name)} }}'
        )

    (tmp_path / "scan.hdr").write_text(
        'ScanDefinition = { Label = "scan"; Type = "NEXAFS Image Scan"; Flags = "Image Stack"; '
        f"Dwell = 1; Regions = (1, {{ PAxis = {axis('x', 'X', 'um')}; "
        f"QAxis = {axis('y', 'Y', 'um')}; }}); StackAxis = {axis('energy', 'Energy', 'eV')}; "
        'Channels = (1, { Name = "PMT"; Unit = "counts"; }); };\n'
    )
    for e, frame in enumerate(stack["counts"].to_numpy()):
        if e not in (22, 23):
            rows = "\n".join("\t".join(map(str, row)) for row in frame)
            (tmp_path / f"scan_a{e:03d}.xim").write_text(rows + "\n")
    fault = maps(tmp_path / "scan.hdr").fault
    assert "scan.hdr" in fault
    assert "scan_a022.xim" in fault
    ran = maps(tmp_path / "scan.hdr", "--partial")
    assert ran.status == 0, ran.err
    assert "scan_a022.xim" in ran.err
    result = xr.open_zarr(tmp_path / "out" / "results.zarr", group="stxm/scan")
    assert result.sizes["energy"] == 22


def test_frames_without_numbers(maps: Call, changed: Callable[..., Path]) -> None:
    nothing = maps(changed(lambda counts: counts.where(counts["energy"] != 520, np.nan))).fault
    assert "1 of 24 frames" in nothing
    assert "520" in nothing
    assert "not one frame" in maps(changed(lambda counts: 0 * counts)).fault
    assert "constant" in maps(changed(lambda counts: 0 * counts + 100)).fault


def test_one_or_two_energies(maps: Call, changed: Callable[..., Path]) -> None:
    assert "not a stack" in maps(changed(lambda counts: counts[:1])).fault
    assert "2 different energies" in maps(changed(lambda counts: counts[:2])).fault


def test_fields_too_small_or_empty(maps: Call, changed: Callable[..., Path]) -> None:
    assert "1×48 pixels" in maps(changed(lambda counts: counts[:, :1])).fault
    fault = maps(changed(lambda counts: counts[:, :4])).fault
    assert "changed.hdf5: the particle mask is empty" in fault


def test_stacks_of_different_energies(
    beam: Beam, maps: Call, changed: Callable[..., Path], tmp_path: Path
) -> None:
    fault = maps(beam.file("b.hdf5"), changed(lambda counts: counts[2:])).fault
    assert "changed (22, 513–538.5 eV)" in fault
    assert "b (24, 507–538.5 eV)" in fault
    assert "separate runs" in fault


def test_what_are_no_counts(maps: Call, changed: Callable[..., Path]) -> None:
    file = changed(lambda counts: -np.log(counts / 5000))
    fault = maps(file).fault
    assert "changed.hdf5" in fault
    assert "--quantity optical_density" in fault
    assert maps(file, "--quantity", "optical_density").status == 0


def test_incident_intensity(beam: Beam, tmp_path: Path, maps: Call) -> None:
    def i0(text: str) -> str:
        return str(maps(beam.file("b.hdf5"), "--i0", text).fault)

    assert "I0 is zero" in i0(spectrum(tmp_path, "zero", [(500, 0), (560, 0)]))
    assert "I0 is zero or missing at" in i0(spectrum(tmp_path, "neg", [(500, 9), (560, -9)]))
    short = i0(spectrum(tmp_path, "short", [(510, 9), (520, 9)]))
    assert "short.csv: I0 spectrum covers 510–520 eV" in short
    assert "none.csv: no such file" in i0("none.csv")
    assert "lies outside the field of 48×48" in i0("0:4,60:70")
    for text in ("0:4", "4:4,0:3", "1:2,3:4,5:6"):
        assert "y0:y1,x0:x1" in i0(text)


def spectrum(folder: Path, name: str, points: Sequence[tuple[float, float]]) -> str:
    path = folder / f"{name}.csv"
    path.write_text("energy_eV,i0\n" + "".join(f"{e},{i}\n" for e, i in points))
    return str(path)


def test_i0_of_zero_in_the_field(beam: Beam, maps: Call, changed: Callable[..., Path]) -> None:
    dark = changed(lambda counts: counts.where(counts["x"] > counts["x"][4], 0))
    assert "changed.hdf5: I0 is zero" in maps(dark, "--i0", "0:48,0:4").fault


def test_references(beam: Beam, tmp_path: Path, maps: Call) -> None:
    good = beam.references
    middle = beam.file("Na2.0VPF.csv")

    def fault(*third: str) -> str:
        return str(maps(beam.file("b.hdf5"), references=[*good[:2], *third]).fault)

    short = reference(tmp_path / "s.csv", middle, lambda e, v: f"{e},{v}" if e < 530 else None)
    assert "'x' spans 505.00 to 529.90 eV but the stack 507.00 to 538.50" in fault(
        "-r", f"x={short}"
    )
    flat = reference(tmp_path / "f.csv", middle, lambda e, _: f"{e},1.5")
    assert "reference 'x' is constant" in fault("-r", f"x={flat}")
    twin = f"twin={good[1]}"
    assert "'Na3.0VPF' and 'twin' cannot be told apart" in fault("-r", twin)
    assert "2 references carry the label 'Na3.0VPF'" in fault("-r", good[1])
    assert "at least two phases" in fault()
    assert "gone.csv: no such file" in fault("-r", "gone.csv")
    words = tmp_path / "words.csv"
    words.write_text("these are\nonly words\n")
    assert "words.csv" in fault("-r", str(words))
    assert "cannot be called '..'" in fault("-r", f"..={middle}")
    assert (tmp_path / "out").exists()
    assert not (tmp_path / "out" / "report.html").exists()


def test_labels_and_names_that_are_not_there(beam: Beam, maps: Call) -> None:
    stack = beam.file("b.hdf5")
    fault = maps(stack, "--value", "Na5=5").fault
    assert "'Na5'" in fault
    assert "Na3.0VPF, Na2.0VPF, Na0.8VPF" in fault
    assert "--state-of-charge names c" in maps(stack, "--state-of-charge", "c=5").fault
    assert "two stacks are called 'b'" in maps(stack, stack).fault
    assert "cannot be '../b'" in maps(f"../b={stack}").fault
    assert "detectors are counter0" in maps(stack, "--detector", "i1").fault


@pytest.mark.parametrize("text", ["1,2", "5", "a:b,c:d", "3:3,0:9", "9:3,0:9", "", "1:2;3:4"])
def test_regions_in_other_words(beam: Beam, tmp_path: Path, phaseloom: Call, text: str) -> None:
    ran = phaseloom("spectra", beam.file("b.hdf5"), f"--region={text}", "--out", tmp_path / "x.csv")
    assert "y0:y1,x0:x1" in ran.fault
    assert not (tmp_path / "x.csv").exists()


def test_regions_outside_the_field(beam: Beam, tmp_path: Path, phaseloom: Call) -> None:
    arguments = ("spectra", beam.file("b.hdf5"), "--no-align", "--out", tmp_path / "x.csv")
    assert "0:48,0:48" in phaseloom(*arguments, "--region", "60:70,0:9").fault
    partly = phaseloom(*arguments, "--region", "20:30,40:50")
    assert partly.status == 0
    assert "80 of the 100 pixels" in partly.err


GOOD = '[[stack]]\nfile = "b.hdf5"\n[[reference]]\nfile = "Na2.0VPF.csv"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("this is = not TOML = at all", "is not a recipe in TOML"),
        ("\x00\x01", "is not a recipe in TOML"),
        ("", "stack is missing"),
        ('[[stack]]\nfile = "b.hdf5"\n', "reference is missing"),
        (GOOD + "[mapping]\nmargn = 0.1\n", "mapping.margn is not a key of the recipe"),
        ("colour = 1\n" + GOOD, "colour is not a key of the recipe"),
        (GOOD + "[mapping]\nmargin = 'wide'\n", "mapping.margin must be 'noise' or a number"),
        (GOOD + "[mapping]\nmargin = -1\n", "greater than or equal to 0, not -1"),
        (GOOD + "[mapping]\nsmooth = nan\n", "mapping.smooth must be a finite number"),
        (GOOD + "[mapping]\nresolve = 'magic'\n", "'gmvae', 'likelihood' or 'pearson'"),
        (GOOD + "[mapping]\nlatent_dims = 2.5\n", "latent_dims must be a whole number"),
        (GOOD + "[preparation]\nalign = 'maybe'\n", "preparation.align must be a boolean"),
        (GOOD + "[values]\nNa2 = 'two'\n", "values.Na2 must be a number, not 'two'"),
        ("stack = []\n" + GOOD.partition("[[ref")[0], "is not a recipe in TOML"),
        ('stack = "b.hdf5"\n[[reference]]\nfile = "x"\n', "one or more tables [[stack]]"),
        (GOOD.replace('"b.hdf5"', "3"), "stack 1.file must be a path or a list, not 3"),
        (GOOD.replace('"b.hdf5"', "[]"), "stack 1.file must be a path or a list with something"),
        (GOOD.replace('"b.hdf5"', "[3]"), "must be a path"),
        (GOOD.replace('"b.hdf5"', '["b.hdf5", "gone.hdf5"]'), "gone.hdf5: no such file"),
        (GOOD.replace('"b.hdf5"', '"none*.hdf5"'), "no file fits this pattern"),
        (GOOD.replace('"b.hdf5"', '"gone.hdf5"'), "gone.hdf5: no such file"),
        (GOOD.replace("Na2.0VPF", "gone"), "gone.csv: no such file"),
        ("method = 'magic'\n" + GOOD, "method must be 'stxm'"),
        ("seed = 1e99\n" + GOOD, "seed must be"),
    ],
)
def test_recipes_at_fault(
    beam: Beam, tmp_path: Path, phaseloom: Call, text: str, said: str
) -> None:
    for name in ("b.hdf5", "Na2.0VPF.csv"):
        shutil.copy(beam.file(name), tmp_path / name)
    (tmp_path / "recipe.toml").write_text(text)
    assert said in phaseloom("run", tmp_path / "recipe.toml", "--out", tmp_path / "out").fault


def test_recipes_that_cannot_be_read(tmp_path: Path, phaseloom: Call) -> None:
    assert "no such recipe" in phaseloom("run", tmp_path / "gone.toml").fault
    assert "cannot be read" in phaseloom("run", tmp_path).fault


def test_output_that_cannot_be_written(
    beam: Beam, tmp_path: Path, phaseloom: Call, quickly: Sequence[str]
) -> None:
    arguments = ("stxm", beam.file("b.hdf5"), *beam.references, *quickly, "--out")
    (tmp_path / "note").write_text("my notes")
    for place in ("note", "note/below"):
        fault = phaseloom(*arguments, tmp_path / place).fault
        assert f"{place}: cannot be the folder of the results" in fault
        assert "another --out" in fault
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.zarr").write_text("my notes")
    assert "results.zarr: is a file" in phaseloom(*arguments, tmp_path / "run").fault
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tables").write_text("my notes")
    assert "tables" in phaseloom(*arguments, tmp_path / "other").fault
    for notes in ("note", "run/results.zarr", "other/tables"):
        assert (tmp_path / notes).read_text() == "my notes"
    spectra = phaseloom("spectra", beam.file("b.hdf5"), "--out", tmp_path / "gone" / "x.csv")
    assert "x.csv: its folder does not exist" in spectra.fault


def test_memory_and_disk_that_run_out(
    beam: Beam, phaseloom: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, said in (
        (MemoryError("5 GiB"), "not enough memory (5 GiB)"),
        (OSError(28, "No space left on device", "x.csv"), "x.csv: No space left on device"),
    ):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(package.io, "read", fail)
        assert phaseloom("info", beam.file("b.hdf5")).fault == said


def test_names_that_are_no_text(beam: Beam, tmp_path: Path, maps: Call, phaseloom: Call) -> None:
    """A file name in an old encoding cannot stand in a recipe."""
    odd = str(tmp_path) + "/Pr\udcfcfung.hdf5"
    shutil.copy(beam.file("b.hdf5"), odd)
    for argument in (odd, f"b={odd}"):
        assert "'Pr\\udcfcfung" in maps(argument).fault.replace(f"{tmp_path}/", "")
    assert "Pr\\udcfcfung.hdf5" in phaseloom("info", odd).out
    third = f"Na\udcfc={beam.file('Na0.8VPF.csv')}"
    label = maps(beam.file("b.hdf5"), references=[*beam.references[:4], "-r", third])
    assert label.status in (0, 1)
    assert "Traceback" not in label.err


def test_damage_behind_a_sound_head(beam: Beam, tmp_path: Path, phaseloom: Call) -> None:
    """A block of the counts overwritten on disk: its checksum tells."""
    file = tmp_path / "b.hdf5"
    shutil.copy(beam.file("b.hdf5"), file)
    with h5py.File(file) as opened:
        data = opened["entry1/counter0/data"]
        place = data.id.get_chunk_info(3).byte_offset
    content = bytearray(file.read_bytes())
    content[place + 20 : place + 60] = bytes(40)
    file.write_bytes(content)
    assert "b.hdf5" in phaseloom("info", file).fault
