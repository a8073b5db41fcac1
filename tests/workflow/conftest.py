"""A tiny beamtime, a tiny scan, and the command line called in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr
from threadpoolctl import threadpool_limits

from phaseloom import cli
from phaseloom.compute.blocks import Block, load, row_blocks, run_blocks
from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.crystals import Crystal, gold, silver, to_json
from phaseloom.io.export.nexus import write_nxstxm
from phaseloom.io.export.spectra import write_spectra
from phaseloom.simulate import (
    Camera,
    dense_energies,
    measure,
    nvpf_references,
    particle,
    random_orientations,
    simulate_scan,
    sparse_energies,
)
from phaseloom.workflow.orientation.demo import write_cif
from phaseloom.workflow.peaks.recipe import ScanRecipe

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
        labels = self.truth["a"]["reference"].to_numpy()
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


class Patterns(NamedTuple):
    """A simulated scan, its file and its truth."""

    file: Path
    scan: xr.Dataset
    truth: xr.Dataset


@pytest.fixture(scope="session")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Patterns:
    """A scan of 5×6 gold patterns, 64² px."""
    camera = Camera(shape=(64, 64), pixel_size=0.03, sigma=1.5, descan=((3.0, 0.0), (0.0, 2.0)))
    scan, truth = simulate_scan(
        random_orientations((5, 6), seed=1), [gold()], camera=camera, seed=1
    )
    file = tmp_path_factory.mktemp("scan") / "gold.npy"
    np.save(file, scan["counts"].to_numpy())
    return Patterns(file, scan, truth)


@pytest.fixture
def simple_chain(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the registration by one that finds the brightest pixel of every pattern.

    Yields what it was asked for, call by call.
    """
    asked: list[dict[str, Any]] = []

    def register(
        scan: xr.Dataset,
        recipe: ScanRecipe,
        images: dict[str, Any],
        calibration: Any,
        execution: Execution,
    ) -> xr.Dataset:
        asked.append({"scan": scan, "recipe": recipe, "images": images, "calibration": calibration})
        return brightest(scan, registering(recipe), execution)

    monkeypatch.setattr("phaseloom.workflow.peaks.run._register", register)
    return asked


def registering(recipe: ScanRecipe) -> str:
    """What a recipe says of registering, but for where the scan's file is."""
    said = json.loads(
        recipe.model_dump_json(include=set(ScanRecipe.model_fields) - {"out", "method"})
    )
    del said["scan"]["file"]
    return json.dumps(said)


def brightest(scan: xr.Dataset, options: str, execution: Execution) -> xr.Dataset:
    """One peak per pattern, block by block, with finished blocks kept."""
    key = fingerprint(scan.attrs["input_fingerprint"], options)
    found = row_blocks(scan, bytes=6 * scan["counts"][0, 0].nbytes)
    size = scan.sizes["ky"]
    middle = (size - 1) / 2
    pixel = float(scan["kx"][1] - scan["kx"][0])
    units = scan["kx"].attrs["units"]

    def compute() -> xr.Dataset:
        parts = execution.checkpoints.parts("peaks", "register", key)
        todo = [b for b in found if b.index not in parts.done()]
        made = run_blocks(highest_pixels, todo, execution)
        kept = {i: parts.load(i) for i in parts.done()}
        for place, part in execution.progress.track(made, "registering", total=len(todo)):
            parts.save(todo[place].index, part)
            kept[todo[place].index] = part
        rows, columns, counts = (
            np.concatenate([kept[b.index][n].to_numpy() for b in found])
            for n in ("row", "column", "counts")
        )
        shape = scan.sizes["y"], scan.sizes["x"]
        vectors = {"ky": pixel * (rows - middle), "kx": pixel * (columns - middle)}
        columns_of = vectors | {
            "intensity": counts,
            "intensity_error": np.sqrt(counts),
            "ky_error": np.full(rows.size, 0.3 * pixel),
            "kx_error": np.full(rows.size, 0.3 * pixel),
            "peak_prominence": counts,
            "background": 0 * counts,
        }
        maps = {name: np.full(shape, middle) for name in ("centre_y", "centre_x")}
        maps["spot_count"] = np.ones(shape)
        return xr.Dataset(
            {n: ("peak", v.astype(np.float32), {"units": units}) for n, v in columns_of.items()}
            | {"offset": ("edge", np.arange(rows.size + 1))}
            | {n: (("y", "x"), v) for n, v in maps.items()},
            coords={"y": scan["y"], "x": scan["x"]},
            attrs={
                "pixel_size": pixel if units != "px" else 1.0,
                "pixel_size_units": units,
                "distortion": [1.0, 0.0, 0.0, 1.0],
                "detector_shape": [size, size],
                "spot_shape": "gaussian",
                "spot_sigma": 1.5,
                "beam_scatter": 0.02,
                "gain": 1.0,
                "false_alarms": 0.1,
            },
        )

    return execution.checkpoints.stage("peaks", "register", key, compute, first=True)


def highest_pixels(block: Block) -> xr.Dataset:
    """Position and counts of the brightest pixel of every pattern."""
    loaded = load(block)
    flat = loaded.reshape(-1, loaded.shape[2] * loaded.shape[3])
    row, column = np.divmod(flat.argmax(axis=1), loaded.shape[3])
    counts = flat.max(axis=1).astype(np.float64)
    return xr.Dataset(
        {"row": ("peak", row), "column": ("peak", column), "counts": ("peak", counts)}
    )


@pytest.fixture
def simple_index(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the indexing by one that turns every row of the scan a little more.

    Yields what it was asked for, call by call.
    """
    asked: list[dict[str, Any]] = []

    def indexed(
        found: Any, crystals: list[Crystal], recipe: Any, execution: Execution
    ) -> xr.Dataset:
        asked.append({"found": found, "crystals": crystals, "recipe": recipe})
        return turning(found, crystals, recipe, execution)

    monkeypatch.setattr("phaseloom.workflow.orientation.run._index", indexed)
    return asked


def turning(found: Any, crystals: list[Crystal], recipe: Any, execution: Execution) -> xr.Dataset:
    """Rows of the scan turned by 0°, 20°, 40° … about the beam, phase after phase; none at 0, 0."""
    data = found.peaks.data
    columns = [data[name].to_numpy() for name in ("ky", "kx", "intensity", "offset")]
    key = fingerprint(
        columns, found.voltage, found.precession, recipe.matching.model_dump(), to_json(crystals)
    )

    def compute() -> xr.Dataset:
        rows, width = found.peaks.shape
        parts = execution.checkpoints.parts("orientation", "index", key)
        for y in execution.progress.track(range(rows), "indexing"):
            if y not in parts.done():
                parts.save(y, turned_row(y, width, len(crystals)))
        made = xr.concat([parts.load(y) for y in range(rows)], dim="y")
        phase = made["phase"].to_numpy().astype(np.int16)
        rotation = made["rotation"].to_numpy()
        phase[0, 0], rotation[0, 0] = -1, np.nan
        sure = np.where(phase >= 0, np.linspace(1, 0.5, phase.size).reshape(phase.shape), np.nan)
        maps = ("y", "x")
        measures = ("correlation", "orientation_reliability", "phase_reliability", "probability",
                    "phase_probability", "explained", "residual")  # fmt: skip
        return xr.Dataset(
            {
                "phase": (maps, phase),
                "rotation": ((*maps, "quaternion"), rotation),
                "matched": (maps, np.where(phase >= 0, 9, -1).astype(np.int16)),
                "ambiguous": (maps, sure < 0.7),
            }
            | {name: (maps, sure.astype(np.float32)) for name in measures},
            coords={
                **{axis: data[axis] for axis in maps},
                "phase_name": ("crystal", [crystal.name for crystal in crystals]),
            },
            attrs={
                "crystals": to_json(crystals),
                "voltage": found.voltage,
                "precession_angle": found.precession,
                "thickness": 200.0,
                "k_min": 0.1,
                "k_max": 0.9,
                "zone_step": recipe.matching.zone_step,
                "in_plane_step": recipe.matching.in_plane_step,
                "pseudo_symmetry": json.dumps(
                    [{"phase": crystals[0].name, "angle": 60.0, "axis": [1, 1, 1], "count": 3}]
                ),
            },
        )

    return execution.checkpoints.stage("orientation", "index", key, compute, first=True)


def turned_row(y: int, width: int, phases: int) -> xr.Dataset:
    """Phase and orientation of one row."""
    half = np.radians(10.0 * y)
    turn = np.array([np.cos(half), 0.0, 0.0, np.sin(half)])
    return xr.Dataset(
        {
            "phase": ("x", np.full(width, y % phases)),
            "rotation": (("x", "quaternion"), np.tile(turn, (width, 1))),
        }
    )


@pytest.fixture(scope="session")
def cifs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Au.cif and Ag.cif."""
    folder = tmp_path_factory.mktemp("crystals")
    for crystal in (gold(), silver()):
        write_cif(folder / f"{crystal.name}.cif", crystal)
    return folder


@pytest.fixture
def simple_components(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the chain of components by one that has them at hand; yields what it was asked."""
    from component_stand_in import by_hand

    asked: list[dict[str, Any]] = []

    def made(found: Any, recipe: Any, execution: Execution) -> xr.Dataset:
        asked.append({"found": found, "recipe": recipe})
        return by_hand(found, recipe, execution)

    monkeypatch.setattr("phaseloom.workflow.components.run._cluster", made)
    return asked
