"""From a simulated stack to optical density: against plain numpy and the truth."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare, variance

LABELS = [str(r.name) for r in nvpf_references()]


def simulated(shape: tuple[int, int] = (56, 60), **options: float) -> tuple[xr.Dataset, xr.Dataset]:
    sample = particle(LABELS, (0.2,) * 5, shape=shape, margin=12, n_grains=10, seed=1)
    settings = {"counts": 20000.0, "blur": 0.5, "seed": 2} | options
    return measure(sample, nvpf_references(), sparse_energies(), **settings)


def density_of(truth: xr.Dataset) -> np.ndarray:
    """Optical density of the particles above its value at the first energy."""
    spectra = np.stack([r.interp(energy=truth["energy"]) for r in nvpf_references()])
    shares = np.nan_to_num(truth["abundance"].to_numpy()) * truth["thickness"].to_numpy()
    density = np.tensordot(spectra.T, shares, axes=1)
    return density - density[0]


def test_optical_density_is_that_of_plain_numpy() -> None:
    stack, _ = simulated()
    region = (slice(0, 6), slice(0, 60))
    made = prepare(stack, i0=region, align=False, despike=False, baseline=False)
    counts = stack["counts"].to_numpy().astype(float)
    plain = -np.log(counts / counts[:, :6].mean(axis=(1, 2))[:, None, None])
    assert made["optical_density"].dtype == np.float32
    np.testing.assert_allclose(made["optical_density"], plain, atol=2e-3)
    np.testing.assert_array_equal(made["i0_area"][:6], True)
    assert int(made["i0_area"].sum()) == 6 * 60
    np.testing.assert_array_equal(made["energy"], stack["energy"])
    assert stack["counts"].dtype == np.uint16, "the measurement is left as it was"


def test_density_and_mask_come_back_from_counts() -> None:
    stack, truth = simulated((96, 100), drift=0.4)
    made = prepare(stack)
    where = {a: truth.indexes[a].get_indexer(made[a], method="nearest") for a in ("y", "x")}
    true = density_of(truth)[:, where["y"]][:, :, where["x"]]
    inside = made["mask"].to_numpy()
    error = made["optical_density"].to_numpy()[:, inside] - true[:, inside]
    error -= error.mean(axis=0)
    assert np.sqrt(np.mean(error**2)) < 0.03
    thickness = truth["thickness"].to_numpy()[where["y"]][:, where["x"]]
    assert inside[thickness > 0.25].mean() > 0.97
    assert inside[thickness < 0.01].mean() < 0.01
    drift = truth["shift_y"].to_numpy() - truth["shift_y"].to_numpy()[0]
    found = made["shift_y"].to_numpy() - made["shift_y"].to_numpy()[0]
    assert (found - drift).std() < 0.1


def test_i0_is_found_in_the_empty_area() -> None:
    stack, truth = simulated(incident_drift=0.05)
    made = prepare(stack, align=False)
    np.testing.assert_allclose(made["i0"], truth["i0"], rtol=0.004)
    assert (truth["thickness"].to_numpy()[made["i0_area"].to_numpy()] < 0.02).all()


def test_i0_recorded_in_the_file_goes_first_and_a_given_one_before_it() -> None:
    stack, truth = simulated()
    recorded = stack.assign(i0=("energy", 1.5 * truth["i0"].to_numpy()))
    made = prepare(recorded, align=False)
    np.testing.assert_allclose(made["i0"], 1.5 * truth["i0"])
    assert "i0_area" not in made
    given = xr.DataArray([9.0, 9.0], dims="energy", coords={"energy": [500.0, 560.0]})
    made = prepare(recorded, i0=given, align=False)
    np.testing.assert_allclose(made["i0"], 9.0)


def test_transmission_and_optical_density_need_no_i0() -> None:
    stack, truth = simulated()
    ratio = stack["counts"] / truth["i0"]
    from_ratio = prepare(
        xr.Dataset({"transmission": ratio}, attrs={"kind": "stack"}), align=False, baseline=False
    )
    from_density = prepare(
        xr.Dataset({"optical_density": -np.log(ratio)}, attrs={"kind": "stack"}),
        align=False,
        baseline=False,
    )
    np.testing.assert_allclose(
        from_ratio["optical_density"], from_density["optical_density"], atol=1e-5
    )
    assert from_ratio.attrs["quantity"] == "transmission"


def test_dark_level_and_spikes_are_taken_out() -> None:
    clean = prepare(simulated()[0], align=False)
    stack, _ = simulated(dark=400.0, spikes=2e-4)
    made = prepare(stack, dark=400.0, align=False)
    hit = made.attrs["spikes"] - clean.attrs["spikes"]
    assert hit == pytest.approx(2e-4 * stack["counts"].size, abs=12)
    both = (clean["mask"] & made["mask"]).to_numpy()
    error = (made["optical_density"] - clean["optical_density"]).to_numpy()[:, both]
    assert np.abs(error.mean(axis=1)).max() < 0.01
    assert np.abs(error).max() < 0.3, "a spike is an error of 1 and more"


def test_thin_and_thick_pixels_are_counted() -> None:
    stack, _ = simulated()
    made = prepare(stack, align=False, thick=1.5, thin=0.5)
    reason = made["mask_reason"].to_numpy()
    for code, name in enumerate(("particle", "thin", "saturated", "invalid")):
        assert int((reason == code).sum()) == made.attrs[f"{name}_pixels"]
    assert made.attrs["saturated_pixels"] > 0
    highest = (made["optical_density"] + made["baseline"]).max("energy").to_numpy()
    assert highest[reason == 0].max() <= 1.5


def test_variance_is_that_of_counting() -> None:
    stack, _ = simulated()
    made = prepare(stack, align=False, despike=False)
    mask = made["mask"].to_numpy()
    np.testing.assert_allclose(
        variance(made, mask), 1 / stack["counts"].to_numpy()[:, mask], rtol=1e-3
    )


def test_a_region_is_counted_in_pixels_as_read_after_cropping() -> None:
    stack, _ = simulated((96, 100), drift=0.6)
    made = prepare(stack)
    rows, columns = made.attrs["row_offset"], made.attrs["column_offset"]
    assert (made.sizes["y"], made.sizes["x"]) != (96, 100)
    assert float(made["y"][0]) == float(stack["y"][rows])
    region = (slice(20, 26), slice(24, 29))
    spectrum = mean_spectrum(made, region)
    part = made["optical_density"][:, 20 - rows : 26 - rows, 24 - columns : 29 - columns]
    np.testing.assert_allclose(spectrum["absorption"][0], part.mean(("y", "x")), rtol=1e-5)
    np.testing.assert_allclose(spectrum["spread"][0], part.std(("y", "x")), rtol=1e-3)
    assert int(spectrum["pixels"][0]) == 30
    with pytest.warns(InputWarning, match=r"of the 60 pixels"):
        mean_spectrum(made, (slice(20, 26), slice(95, 105)))
    with pytest.raises(InputError, match="field common to all energies"):
        mean_spectrum(made, (slice(120, 125), slice(0, 9)))


def test_mean_of_the_particles_is_the_default() -> None:
    made = prepare(simulated()[0], align=False)
    spectrum = mean_spectrum(made, label="all")
    inside = made["optical_density"].to_numpy()[:, made["mask"].to_numpy()]
    np.testing.assert_allclose(spectrum["absorption"][0], inside.mean(axis=1), rtol=1e-4)
    assert spectrum["spectrum"].to_numpy().tolist() == ["all"]


def test_pixels_without_unit_stay_pixels() -> None:
    stack, _ = simulated()
    for axis in ("y", "x"):
        stack[axis] = (axis, np.arange(stack.sizes[axis], dtype=float), {"units": "px"})
    made = prepare(stack, align=False)
    assert made.attrs["length_unit"] == "px"
    assert made.attrs["pixel_area"] == 1.0


def test_faults_name_the_stack() -> None:
    stack, _ = simulated()
    stack.attrs["source"] = "day2/scan.hdf5"
    with pytest.raises(InputError, match=r"^day2/scan.hdf5: the particle mask is empty"):
        prepare(stack[{"y": slice(0, 5)}], align=False)
    with pytest.raises(InputError, match=r"^day2/scan.hdf5: its numbers reach only"):
        prepare(stack.assign(counts=stack["counts"] / 1e5), align=False)
    with pytest.raises(InputError, match="not a stack of images"):
        prepare(stack.assign_attrs(kind="line_scan"))
    with pytest.raises(InputError, match="at 2 energies only"):
        prepare(stack[{"energy": slice(0, 2)}])
    with pytest.raises(InputError, match="holds no counts"):
        prepare(stack.drop_vars("counts"))
