"""References that ship, and the files of a simulated beamtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import phaseloom
from phaseloom.simulate import (
    Beamtime,
    dense_energies,
    nvpf_references,
    sparse_energies,
    write_beamtime,
)


@pytest.fixture(scope="module")
def beamtime(tmp_path_factory: pytest.TempPathFactory) -> Beamtime:
    return write_beamtime(tmp_path_factory.mktemp("beamtime"), size=96, seed=1)


def test_references_are_alike_as_measured_ones_are() -> None:
    references = nvpf_references()
    neighbours = np.diag(np.corrcoef([r.to_numpy() for r in references]), 1)
    np.testing.assert_allclose(neighbours, (0.990, 0.994, 0.969, 0.997), atol=5e-4)
    values = [r.attrs["value"] for r in references]
    assert values == sorted(values, reverse=True)
    peaks = [float(r.sel(energy=slice(512, 521)).idxmax()) for r in references]
    assert peaks == sorted(peaks), "oxidation moves the L3 edge up"


def test_energies_cover_the_edges_within_the_references() -> None:
    for energies in (sparse_energies(), dense_energies()):
        assert (np.diff(energies) > 0).all()
        assert energies[0] > 505.0 - 1e-9
        assert energies[-1] < 560.0
    assert (sparse_energies().size, dense_energies().size) == (24, 161)
    edge = (dense_energies() > 513) & (dense_energies() < 533)
    assert np.diff(dense_energies()[edge]).max() == pytest.approx(0.2)


def test_files_hold_what_was_simulated(beamtime: Beamtime) -> None:
    assert set(beamtime.sparse) == set(beamtime.dense) == set(beamtime.state_of_charge)
    for name in beamtime.sparse:
        sparse, dense = phaseloom.read(beamtime.sparse[name]), phaseloom.read(beamtime.dense[name])
        assert sparse["counts"].shape == (24, 96, 96)
        assert dense["counts"].shape == (161, 48, 48)
        np.testing.assert_array_equal(sparse["energy"], sparse_energies())
        np.testing.assert_array_equal(sparse["y"], beamtime.truth[name]["y"])
        field = [float(s["x"][-1] - s["x"][0]) + float(s["x"][1] - s["x"][0])
                 for s in (sparse, dense)]  # fmt: skip
        assert field[0] == pytest.approx(field[1])


def test_charging_takes_the_sodium_out(beamtime: Beamtime) -> None:
    values = np.array([r.attrs["value"] for r in nvpf_references()])
    content = []
    for name in sorted(beamtime.truth, key=beamtime.state_of_charge.__getitem__):
        phase = beamtime.truth[name]["phase"].to_numpy()
        content.append(values[phase[phase >= 0]].mean())
    assert content == sorted(content, reverse=True)


def test_pure_areas_show_their_phase(beamtime: Beamtime) -> None:
    labels = [str(r.name) for r in nvpf_references()]
    assert [area.label for area in beamtime.pure_areas] == labels
    for area in beamtime.pure_areas:
        rows, columns = (slice(*map(int, part.split(":"))) for part in area.region.split(","))
        dense = phaseloom.read(area.file)["counts"].to_numpy()[:, rows, columns]
        assert dense.shape[1:] == (rows.stop - rows.start, columns.stop - columns.start)
        assert min(dense.shape[1:]) > 0
        spectrum = -np.log(dense.mean(axis=(1, 2)))
        fits = {}
        for reference in nvpf_references():
            true = xr.DataArray(reference).interp(energy=dense_energies()).to_numpy()
            # What I0, membrane and stray light add is smooth.
            basis = np.column_stack([true, np.ones(161), dense_energies(), dense_energies() ** 2])
            rest = np.linalg.lstsq(basis, spectrum, rcond=None)[1]
            fits[str(reference.name)] = float(rest[0])
        best = sorted(fits, key=fits.__getitem__)[:2]
        assert area.label in best


def test_same_seed_same_files(tmp_path: Path, beamtime: Beamtime) -> None:
    again = write_beamtime(tmp_path, size=96, seed=1)
    for name, file in beamtime.sparse.items():
        np.testing.assert_array_equal(
            phaseloom.read(file)["counts"], phaseloom.read(again.sparse[name])["counts"]
        )
