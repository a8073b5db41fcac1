"""The command line from end to end, in this process."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections import defaultdict
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import phaseloom as package
from phaseloom.cli.flags import recipe_data
from phaseloom.errors import InputError
from phaseloom.io.export.nexus import write_nxstxm
from phaseloom.io.spectra import read_references
from phaseloom.simulate import nvpf_references
from phaseloom.workflow.recipe import read_recipe
from phaseloom.workflow.stxm.recipe import Stack, StxmRecipe, example

Call = Callable[..., Any]
Beam = Any


def results(folder: Path, name: str = "a") -> xr.Dataset:
    with xr.open_datatree(folder / "results.zarr", engine="zarr") as tree:
        return tree[f"stxm/{name}"].to_dataset().load()


def test_info_in_words(beam: Beam, phaseloom: Call) -> None:
    ran = phaseloom("info", beam.file("a.hdf5"))
    assert ran.status == 0
    for text in ("a.hdf5", "stack, NXstxm", "24×48×48", "uint16", "not uniform", "µm", "507 511"):
        assert text in ran.out
    assert ran.err == ""


def test_info_as_json_is_what_the_file_holds(beam: Beam, phaseloom: Call) -> None:
    facts = json.loads(phaseloom("info", beam.file("a.hdf5"), "--json").out)
    stack = package.read(beam.file("a.hdf5"))
    assert facts["kind"] == "stack"
    assert facts["energies"] == stack["energy"].to_numpy().tolist()
    assert facts["quantities"]["counts"]["shape"] == [24, 48, 48]
    assert facts["quantities"]["counts"]["max"] == float(stack["counts"].max())
    assert facts["axes"]["x"]["units"] == "µm"
    assert facts["axes"]["x"]["step"] == pytest.approx(0.02)


def test_info_of_spectra(beam: Beam, phaseloom: Call) -> None:
    ran = phaseloom("info", beam.file("Na2.0VPF.csv"))
    assert ran.status == 0
    assert "spectra" in ran.out
    assert "Na2.0VPF" in ran.out


def test_new_prints_a_recipe_that_is_valid(tmp_path: Path, phaseloom: Call) -> None:
    ran = phaseloom("new", "stxm")
    assert ran.status == 0
    data = tomllib.loads(ran.out)
    assert StxmRecipe.model_validate(data) == example()
    (tmp_path / "recipe.toml").write_text(ran.out, encoding="utf-8")
    again = phaseloom("run", tmp_path / "recipe.toml")
    assert "particle.hdf5: no such file" in again.fault
    assert ran.out.count("#") > 20, "every line says what it is"


def test_spectra_averages_the_region_as_read(beam: Beam, tmp_path: Path, phaseloom: Call) -> None:
    """Alignment crops, yet the rows and columns asked for are those of the file."""
    drift = [np.ptp(beam.dense_truth[axis].to_numpy()) for axis in ("shift_y", "shift_x")]
    assert max(drift) > 2, "the field is cropped by this"
    label = "pure"
    target = tmp_path / "pure.csv"
    ran = phaseloom(
        "spectra", beam.file("dense.hdf5"), "--region", "15:20,22:27", "--label", label,
        "--value", "2", "--out", target, "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["pixels"] == 25
    (found,) = read_references(target)
    assert (found.name, found.attrs["value"]) == (label, 2.0)

    # The thickness of just these pixels scales the reference.
    truth = beam.dense_truth
    true = nvpf_references()[2].interp(energy=found["energy"])
    thickness = float(truth["thickness"][15:20, 22:27].mean())
    edge = found - found[0]
    true = true - true[0]
    scale = float((edge * true).sum() / (true * true).sum())
    assert scale == pytest.approx(thickness, rel=0.02)
    assert float(np.sqrt(np.mean((edge - scale * true) ** 2))) < 0.02


def test_spectra_of_the_particles_serve_as_reference(
    beam: Beam, tmp_path: Path, phaseloom: Call, quickly: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    ran = phaseloom("spectra", beam.file("dense.hdf5"))
    assert ran.status == 0
    assert "dense_spectrum.csv" in ran.out
    with_file = phaseloom(
        "stxm", beam.file("b.hdf5"), *quickly, "--out", "file", "--quiet",
        "-r", beam.file("Na3.0VPF.csv"), "-r", "Na2=dense_spectrum.csv",
        "-r", beam.file("Na0.8VPF.csv"),
    )  # fmt: skip
    assert (with_file.status, with_file.out) == (0, "")
    with_stack = phaseloom(
        "stxm", beam.file("b.hdf5"), "--resolve", "pearson", "--out", "stack", "--quiet",
        "-r", beam.file("Na3.0VPF.csv"), "-r", f"Na2={beam.file('dense.hdf5')}",
        "-r", beam.file("Na0.8VPF.csv"),
    )  # fmt: skip
    assert with_stack.status == 0, with_stack.err
    first, second = results(Path("file"), "b"), results(Path("stack"), "b")
    assert list(second["reference"].to_numpy()) == ["Na3.0VPF", "Na2", "Na0.8VPF"]
    # The same spectrum, once by way of a file, once straight from the stack.
    np.testing.assert_allclose(first["reference_spectrum"], second["reference_spectrum"], atol=1e-5)
    truth = beam.truth["b"]
    right = truth["phase"].sel(y=second["y"], x=second["x"], method="nearest").to_numpy()
    inside = second["mask"].to_numpy() & (right >= 0)
    assert (second["phase"].to_numpy() == right)[inside].mean() > 0.9


def test_several_stacks_with_values_and_states_of_charge(
    beam: Beam, tmp_path: Path, phaseloom: Call
) -> None:
    ran = phaseloom(
        "stxm", f"young={beam.file('a.hdf5')}", beam.file("b.hdf5"), *beam.references,
        "--resolve", "likelihood", "--no-align", "--value", "Na2.0VPF=7",
        "--state-of-charge", "young=10", "--state-of-charge", "b=90",
        "--value-name", "sodium content x", "--out", tmp_path, "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    said = json.loads(ran.out)["stacks"]
    assert set(said) == {"young", "b"}
    assert sum(said["b"]["fractions"].values()) + said["b"]["unknown"] == pytest.approx(1.0)
    assert said["young"]["energy_shift"] == pytest.approx(0.1, abs=0.02)
    young = results(tmp_path, "young")
    assert young.attrs["state_of_charge"] == 10.0
    assert young["value"].attrs["long_name"] == "sodium content x"
    # Values of the files, but for the one given.
    assert young["phase_value"].to_numpy().tolist() == [3.0, 7.0, 0.8]
    table = (tmp_path / "tables" / "phase_fractions.csv").read_text().splitlines()
    assert table[0].startswith("stack,state_of_charge")
    assert len(table) >= 1 + 6
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "young" in html


@pytest.fixture(scope="module")
def images(beam: Beam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the images of stack a, each in a file of its own."""
    folder = tmp_path_factory.mktemp("images") / "scan"
    folder.mkdir()
    stack = package.read(beam.file("a.hdf5"))
    for index in range(stack.sizes["energy"])[::-1]:
        write_nxstxm(folder / f"im_{index}.hdf5", stack.isel(energy=[index]))
    return folder


def test_single_images_are_one_stack_and_a_stack_beside_them_makes_a_series(
    beam: Beam, images: Path, tmp_path: Path, phaseloom: Call
) -> None:
    files = [str(file) for file in images.iterdir()]
    ran = phaseloom(
        "stxm", *files, beam.file("b.hdf5"), *beam.references, "--resolve", "pearson",
        "--state-of-charge", "im=5", "--out", tmp_path / "series",
    )  # fmt: skip
    assert ran.status == 0, ran
    plain = phaseloom(
        "stxm", beam.file("a.hdf5"), beam.file("b.hdf5"), *beam.references, "--resolve", "pearson",
        "--out", tmp_path / "plain",
    )  # fmt: skip
    assert plain.status == 0, plain
    joined, stack = results(tmp_path / "series", "im"), results(tmp_path / "plain")
    np.testing.assert_array_equal(joined["phase"], stack["phase"])
    assert joined.attrs["state_of_charge"] == 5
    np.testing.assert_array_equal(
        results(tmp_path / "series", "b")["phase"], results(tmp_path / "plain", "b")["phase"]
    )
    # The recipe names all files, and repeats the run.
    again = phaseloom("run", tmp_path / "series" / "recipe.toml")
    assert again.status == 0, again
    assert "kept from an earlier run" in again.out


def test_a_folder_a_pattern_and_a_folder_of_stacks(
    beam: Beam, images: Path, tmp_path: Path
) -> None:
    def stacks(*texts: str) -> list[tuple[str, object]]:
        data = recipe_data(StxmRecipe, defaultdict(lambda: None, stack=list(texts)))
        return [
            (Stack(file=e["file"], name=e.get("name", "")).name, e["file"]) for e in data["stack"]
        ]

    assert stacks(str(images)) == [("scan", str(images))]
    assert stacks(f"{images}/im_*.hdf5") == [("im", f"{images}/im_*.hdf5")]
    assert stacks(f"one={images}", beam.file("a.hdf5")) == [
        ("one", str(images)), ("a", beam.file("a.hdf5")),
    ]  # fmt: skip
    many = tmp_path / "many"
    many.mkdir()
    for name in ("b", "a"):
        shutil.copy(beam.file(f"{name}.hdf5"), many)
    assert [name for name, _ in stacks(str(many))] == ["a", "b"]
    with pytest.raises(InputError, match="2 stacks, to which one name is given"):
        stacks(f"one={many}")


def test_options_reach_the_chain(beam: Beam, tmp_path: Path, phaseloom: Call) -> None:
    arguments = ("stxm", beam.file("b.hdf5"), *beam.references, "--resolve", "likelihood",
                 "--no-align", "--out", tmp_path)  # fmt: skip
    plain = phaseloom(*arguments)
    assert "Na2.0VPF" in plain.out
    assert "report.html" in plain.out
    first = results(tmp_path, "b")
    noise = phaseloom(*arguments, "--margin", "noise", "--shift", "0.05", "--smooth", "1.5")
    assert noise.status == 0, noise.err
    second = results(tmp_path, "b")
    assert second.attrs["margin"] == "noise"
    assert first.attrs["margin"] == 0.005
    assert second.attrs["energy_shift"] == 0.05
    assert int(second["ambiguous"].sum()) > int(first["ambiguous"].sum())
    edges = [int((np.diff(d["phase"].to_numpy(), axis=1) != 0).sum()) for d in (first, second)]
    assert edges[1] < edges[0], "the prior makes smoother maps"


def test_i0_from_a_region_or_a_file(
    beam: Beam, tmp_path: Path, phaseloom: Call, quickly: Sequence[str]
) -> None:
    truth = beam.truth["b"]["i0"]
    file = tmp_path / "i0.csv"
    lines = [f"{e},{i}" for e, i in zip(truth["energy"].values, truth.values, strict=True)]
    file.write_text("energy_eV,i0\n" + "\n".join(lines) + "\n")
    for i0 in ("0:6,0:48", str(file)):
        ran = phaseloom("stxm", beam.file("b.hdf5"), *beam.references, *quickly, "--i0", i0,
                        "--out", tmp_path / "out", "--quiet")  # fmt: skip
        assert (ran.status, ran.out, ran.err) == (0, "", "")
        found = results(tmp_path / "out", "b")
        np.testing.assert_allclose(found["i0"], truth, rtol=0.01)
        assert ("i0_area" in found) == (i0 != str(file))
    recipe = read_recipe(tmp_path / "out" / "recipe.toml")
    assert Path(recipe.stack[0].i0).resolve() == file.resolve()


def test_quiet_says_nothing_and_a_warning_is_said_once(
    beam: Beam, tmp_path: Path, phaseloom: Call, quickly: Sequence[str]
) -> None:
    """Two regions in one file: the reader warns; console and report say so, once."""
    import h5py

    twice = tmp_path / "twice.hdf5"
    shutil.copy(beam.file("b.hdf5"), twice)
    with h5py.File(twice, "a") as file:
        file.copy("entry1", "entry2")
    arguments = ("stxm", twice, *beam.references, *quickly, "--out", tmp_path / "out", "--quiet")
    for _ in range(2):  # as computed, and as kept
        ran = phaseloom(*arguments)
        assert (ran.status, ran.out) == (0, "")
        assert len(ran.err.splitlines()) == 1
        assert ran.err.startswith("warning ")
        assert "twice.hdf5" in ran.err
        html = unescape((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
        assert ran.err.removeprefix("warning ").strip() in html
    clean = phaseloom("stxm", beam.file("b.hdf5"), *beam.references, *quickly, "--quiet",
                      "--out", tmp_path / "clean")  # fmt: skip
    assert clean == (0, "", "")
