"""References that do not describe a stack: no map without --force, but what helps is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.io.spectra import read_references

Beam = Any
Call = Callable[..., Any]


def turned(beam: Beam, folder: Path) -> list[str]:
    """The beamtime's references as counts instead of absorption, as arguments."""
    arguments = []
    for k, path in enumerate(beam.references[1::2]):
        (spectrum,) = read_references(path)
        counts = 5000 * np.exp(-spectrum.to_numpy() / float(spectrum.max()))
        rows = "\n".join(
            f"{e:.3f},{c:.4f}" for e, c in zip(spectrum["energy"].to_numpy(), counts, strict=True)
        )
        (folder / f"turned{k}.csv").write_text(f"energy,p{k}\n{rows}\n")
        arguments += ["-r", str(folder / f"turned{k}.csv")]
    return arguments


def test_no_map_is_written_but_what_helps_is(beam: Beam, tmp_path: Path, phaseloom: Call) -> None:
    arguments = ("stxm", beam.file("b.hdf5"), *turned(beam, tmp_path), "--no-align",
                 "--resolve", "likelihood", "--quiet", "--out", tmp_path / "out")  # fmt: skip
    fault = phaseloom(*arguments).fault
    assert "the references do not describe this stack" in fault
    assert "are they counts instead of absorption?" in fault
    assert "--force" in fault
    assert fault.count("b.hdf5") == 1
    out = tmp_path / "out"
    figures, tables = out / "figures", out / "tables"
    assert {f.name for f in figures.iterdir()} == {"b_energy_shift.png", "b_references.png"}
    assert {f.name for f in tables.iterdir()} == {"b_energy_shift.csv", "b_mean.csv"}
    (mean,) = read_references(tables / "b_mean.csv")
    assert mean.name == "b"
    assert not (out / "report.html").exists()
    stored = xr.open_datatree(out / "results.zarr", engine="zarr")
    assert "phase" not in stored["stxm/b"]

    forced = phaseloom(*arguments, "--force")
    assert forced.status == 0
    assert "the map was forced" in forced.err
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "the map was forced" in html
    assert "phase" in xr.open_datatree(out / "results.zarr", engine="zarr")["stxm/b"]


def test_what_was_written_goes_with_the_folder(beam: Beam, tmp_path: Path, phaseloom: Call) -> None:
    """Files of a refused stack are removed with --overwrite, like all results."""
    out = tmp_path / "out"
    phaseloom("stxm", beam.file("b.hdf5"), *turned(beam, tmp_path), "--no-align",
              "--resolve", "likelihood", "--quiet", "--out", out)  # fmt: skip
    ran = phaseloom("stxm", beam.file("a.hdf5"), *beam.references, "--no-align",
                    "--resolve", "likelihood", "--quiet", "--overwrite", "--out", out)  # fmt: skip
    assert ran.status == 0, ran.err
    assert not (out / "figures" / "b_references.png").exists()
