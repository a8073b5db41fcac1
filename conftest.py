"""Examples of README and documentation: each page runs in a folder of its own with small files.

A page may use ``particle.hdf5``, ``references.csv``, ``scan.blo``, ``LiFePO4.cif`` and
``FePO4.cif`` as if they were the reader's. They are simulated when the first page asks for them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def example_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of measurements of known truth, small enough for an example."""
    import numpy as np
    import xarray as xr

    from phaseloom.crystals import iron_phosphate, lithium_iron_phosphate
    from phaseloom.io.export.nexus import write_nxstxm
    from phaseloom.io.export.patterns import write_patterns
    from phaseloom.io.export.spectra import write_spectra
    from phaseloom.simulate import (
        Beam,
        Camera,
        grain_map,
        measure,
        nvpf_references,
        particle,
        simulate_scan,
        sparse_energies,
    )
    from phaseloom.workflow.orientation.demo import write_cif

    folder = tmp_path_factory.mktemp("examples")
    references = nvpf_references()[::2]
    names = [str(reference.name) for reference in references]
    sample = particle(names, [1] * len(names), shape=(64, 80))
    stack, _ = measure(sample, references, sparse_energies())
    write_nxstxm(folder / "particle.hdf5", stack)
    spectra = xr.concat(references, xr.Variable("spectrum", names), coords="minimal")
    write_spectra(folder / "references.csv", spectra.to_dataset(name="absorption"))

    crystals = [lithium_iron_phosphate(), iron_phosphate()]
    for crystal in crystals:
        write_cif(folder / f"{crystal.name}.cif", crystal)
    shape = (10, 12)
    grains = grain_map(shape, (0.5, 0.5), n_grains=3, spread=0.1, overlap_width=1.0, seed=2)
    camera = Camera(shape=(96, 96), pixel_size=0.03, sigma=1.5, descan=((1.0, 0.5), (0.0, 1.0)))
    scan, _ = simulate_scan(grains, crystals, beam=Beam(dose=3e4, direct=0.1), camera=camera)
    patterns = np.clip(scan["counts"].to_numpy(), 0, 255).astype(np.uint8)
    write_patterns(
        folder / "scan.blo",
        [(slice(0, shape[0] * shape[1]), patterns.reshape(-1, *camera.shape))],
        scan_shape=shape,
        pattern_shape=camera.shape,
        pixel_size=camera.pixel_size,
        units="Å⁻¹",
        step=5.0,
        step_units="nm",
        voltage=200.0,
    )
    return folder


@pytest.fixture(autouse=True)
def _example_folder(request: pytest.FixtureRequest) -> None:
    """Let the examples of a page find the files, and leave theirs, in a folder of their own."""
    if request.path.suffix != ".md":
        return
    folder: Path = request.getfixturevalue("tmp_path")
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    for file in request.getfixturevalue("example_files").iterdir():
        shutil.copy(file, folder)
