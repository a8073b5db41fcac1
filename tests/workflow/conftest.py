"""A tiny beamtime, its reference files, and the command line called in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import xarray as xr
from threadpoolctl import threadpool_limits

from phaseloom import cli
from phaseloom.io.export.nexus import write_nxstxm
from phaseloom.io.export.spectra import write_spectra
from phaseloom.simulate import dense_energies, measure, nvpf_references, particle, sparse_energies

PHASES = (0, 2, 4)


class Beam(NamedTuple):
    """Files in one folder; their truths."""

    folder: Path
    truth: dict[str, xr.Dataset]
    dense_truth: xr.Dataset

    def file(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def references(self) -> list[str]:
        """Arguments that give the three reference files, in the order of the truth's labels."""
        labels = self.truth["a"]["phase_name"].to_numpy()
        return [part for label in labels for part in ("-r", self.file(f"{label}.csv"))]


class Ran(NamedTuple):
    """What a command left on the console."""

    status: int
    out: str
    err: str

    @property
    def fault(self) -> str:
        """The one sentence of a command that failed."""
        assert self.status == 1, self
        assert "Traceback" not in self.err
        assert self.out == ""
        lines = [line for line in self.err.splitlines() if line.startswith("error ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("error ")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny arrays on many threads are slow where the cores are shared."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def beam(tmp_path_factory: pytest.TempPathFactory) -> Beam:
    """Stacks a.hdf5 (energies 0.1 eV high) and b.hdf5, dense.hdf5, three reference files."""
    folder = tmp_path_factory.mktemp("beam")
    references = [nvpf_references()[i] for i in PHASES]
    labels = [str(r.name) for r in references]
    sample = particle(labels, (0.4, 0.3, 0.3), shape=(48, 48), margin=12, n_grains=8, seed=1)
    truth = {}
    for name, shift in (("a", 0.1), ("b", 0.0)):
        stack, truth[name] = measure(
            sample, references, sparse_energies(), counts=5000, blur=0.5, energy_shift=shift, seed=3
        )
        write_nxstxm(folder / f"{name}.hdf5", stack, title=name)
    pure = particle(labels[1:2], (1.0,), shape=(40, 40), margin=12, n_grains=4, seed=2)
    dense, dense_truth = measure(
        pure, references[1:2], dense_energies()[::3], counts=20000, blur=0.5, drift=0.25, seed=4
    )
    write_nxstxm(folder / "dense.hdf5", dense)
    for reference in references:
        write_reference(folder / f"{reference.name}.csv", reference)
    return Beam(folder, truth, dense_truth)


def write_reference(path: Path, *references: xr.DataArray) -> None:
    """Spectra on one grid as a reference file."""
    spectra = xr.Dataset(
        {"absorption": (("spectrum", "energy"), [r.to_numpy() for r in references])},
        coords={
            "spectrum": [str(r.name) for r in references],
            "energy": references[0]["energy"],
            "value": ("spectrum", [r.attrs.get("value", float("nan")) for r in references]),
        },
    )
    write_spectra(path, spectra)


@pytest.fixture
def phaseloom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """``phaseloom ARGUMENTS`` in this process; figures are not drawn."""

    def call(*arguments: object) -> Ran:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["phaseloom", *map(str, arguments)])
            patch.setattr("phaseloom.view.figures.write_figures", lambda *_, **__: {})
            with pytest.raises(SystemExit) as stop:
                cli.main()
        said = capsys.readouterr()
        return Ran(int(stop.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def quickly() -> Sequence[str]:
    """Options that make a run short."""
    return ("--resolve", "pearson", "--no-align")
