"""References that are off, or do not belong to the stack: found, or no map."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import phaseloom
from phaseloom.errors import InputError, InputWarning
from phaseloom.io.spectra import read_references
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import map_phases
from phaseloom.stxm.assignment.description import UnfittingReferencesError

REFERENCES = nvpf_references()
LABELS = [str(r.name) for r in REFERENCES]


def right(data: xr.Dataset, truth: np.ndarray) -> float:
    """Part of the mapped pixels that have the true phase."""
    row, column = data.attrs["row_offset"], data.attrs["column_offset"]
    there = truth[row : row + data.sizes["y"], column : column + data.sizes["x"]]
    counted = data["mask"].to_numpy() & (there >= 0)
    return float((data["phase"].to_numpy() == there)[counted].mean())


@pytest.mark.parametrize("resolve", ["likelihood", "gmvae"])
def test_an_ordinary_stack_is_right_to_the_last_pixels(cases: Path, resolve: str) -> None:
    base = cases / "xray" / "base"
    stack, references = phaseloom.read(base / "base.hdf5"), read_references(base / "refs.csv")
    data = map_phases(stack, references, resolve=resolve)["stxm/stack"].to_dataset()
    assert right(data, np.load(base / "truth.npz")["label"]) > 0.998
    assert (data["phase"].to_numpy() == -2)[data["mask"].to_numpy()].mean() <= 0.005


@pytest.mark.parametrize(("name", "off"), [("off+1.csv", -1.0), ("off+2.csv", -2.0)])
def test_references_off_by_volts_are_found(cases: Path, name: str, off: float) -> None:
    folder = cases / "xray"
    stack = phaseloom.read(folder / "base" / "base.hdf5")
    references = read_references(folder / "wrong_references" / name)
    data = map_phases(stack, references, resolve="likelihood")["stxm/stack"].to_dataset()
    assert data.attrs["energy_shift"] == pytest.approx(off, abs=0.02)
    assert data.attrs["energy_shift_reason"] == ""
    assert right(data, np.load(folder / "base" / "truth.npz")["label"]) > 0.998


def test_references_that_are_counts_or_short_give_no_map(cases: Path) -> None:
    folder = cases / "xray"
    stack = phaseloom.read(folder / "base" / "base.hdf5")
    counts = read_references(folder / "wrong_references" / "counts_not_od.csv")
    with pytest.raises(UnfittingReferencesError, match="counts instead of absorption") as caught:
        map_phases(stack, counts, resolve="likelihood")
    assert "limit of ±5 eV, which is no answer" in str(caught.value)
    shown = caught.value.shown["stack"]
    assert {"mean_spectrum", "mixture", "mixture_shifted", "energy_shift_trial"} <= set(shown)
    short = read_references(folder / "wrong_references" / "short.csv")
    with pytest.raises(InputError, match=r"spans 703.00 to 725.80 eV"):
        map_phases(stack, short, resolve="likelihood")


@pytest.mark.parametrize(("name", "quantity"), [("od", "optical_density"), ("counts", "counts")])
def test_an_axis_two_volts_high_is_found(cases: Path, name: str, quantity: str) -> None:
    folder = cases / "xray" / "kev"
    energy = np.loadtxt(folder / f"{name}_energies.txt") * 1000
    with pytest.warns(InputWarning, match="taken as keV"):
        read = phaseloom.read(folder / f"{name}.tif")["counts"]
    stack = read.rename(quantity).assign_coords(energy=energy).to_dataset()
    references = []
    for label in ("NiO", "LNO"):
        e, absorption = np.loadtxt(folder / f"{label}.txt").T
        references.append(
            xr.DataArray(absorption, dims="energy", coords={"energy": 1000 * e}, name=label)
        )
    tree = map_phases(
        stack.assign_attrs(kind="stack"), references, align=False, resolve="likelihood"
    )
    data = tree["stxm/stack"].to_dataset()
    assert data.attrs["energy_shift"] == pytest.approx(2.0, abs=0.03)
    truth = np.load(folder / "truth.npz")["label"]
    assert right(data, truth) > 0.95


def simulated(
    shift: float, present: list[xr.DataArray], seed: int = 0
) -> tuple[xr.Dataset, xr.Dataset]:
    sample = particle(LABELS, (0.2,) * 5, shape=(80, 80), margin=8, n_grains=14, seed=seed)
    return measure(sample, present, sparse_energies(), energy_shift=shift, blur=0.5, seed=seed)


def other_species(seed: int) -> xr.DataArray:
    """A spectrum of lines that have nothing to do with the references'."""
    energy = REFERENCES[0]["energy"].to_numpy()
    rng = np.random.default_rng(seed)
    lines = zip(
        rng.uniform(515, 519, 3), rng.uniform(0.4, 1.2, 3), rng.uniform(0.3, 1, 3), strict=True
    )
    spectrum = sum(h * w**2 / ((energy - c) ** 2 + w**2) for c, w, h in lines)
    spectrum = spectrum + 0.3 / (1 + np.exp(-(energy - 516) / 0.5))
    return REFERENCES[0].copy(data=spectrum * float(REFERENCES[0].max() / spectrum.max()))


@pytest.mark.parametrize("lacking", [0, 2, 4])
@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_no_shift_is_applied_when_a_phase_is_missing(lacking: int, shift: float) -> None:
    """Na2.4 and Na1.0 are mixtures of the others: without them the shift is still right."""
    stack, _ = simulated(shift, REFERENCES)
    known = [r for k, r in enumerate(REFERENCES) if k != lacking]
    options = {"align": False, "resolve": "likelihood", "force": True}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = map_phases(stack, known, **options)["stxm/stack"].to_dataset()
    assert data.attrs["energy_shift_applied"] == 0
    said = [str(w.message) for w in caught if "reference" in str(w.message)]
    assert len(said) <= 1, "the fault is said once"
    if shift:
        assert "is not applied" in said[0]
        own = data["phase_energy_shift"].to_numpy()
        assert np.nanmin(np.abs(own - shift)) < 0.02, "phases that are there still tell"
        with pytest.raises(UnfittingReferencesError):
            map_phases(stack, known, **(options | {"force": False}))


@pytest.mark.parametrize("seed", range(3))
def test_no_shift_is_applied_when_a_phase_is_another_species(seed: int) -> None:
    present = list(REFERENCES)
    present[seed] = other_species(seed)
    stack, _ = simulated(0.0, present, seed)
    with pytest.warns(InputWarning, match="reference"):
        data = map_phases(stack, REFERENCES, align=False, resolve="likelihood", force=True)
    assert data["stxm/stack"].attrs["energy_shift_applied"] == 0


def test_a_reference_that_is_off_by_itself_is_told_by_phase() -> None:
    stack, _ = simulated(0.0, REFERENCES)
    wrong = [r.assign_coords(energy=r["energy"] + 0.3) if k < 1 else r
             for k, r in enumerate(REFERENCES)]  # fmt: skip
    with pytest.warns(InputWarning):
        tree = map_phases(stack, wrong, align=False, resolve="likelihood", force=True)
    data = tree["stxm/stack"].to_dataset()
    assert data.attrs["energy_shift_applied"] == 0
    own, error = data["phase_energy_shift"].to_numpy(), data["phase_energy_shift_error"].to_numpy()
    told = np.isfinite(own)
    assert (own[told].max() - own[told].min()) > 3 * np.nanmax(error) or np.isnan(own[0])
