"""Division by flats, against an uneven beam that is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.preparation.flat_field import Flats, denoise, flat_weights, flatten
from phaseloom.stxm.preparation.preparation import prepare

LABELS = [str(r.name) for r in nvpf_references()]


def uneven(shape: tuple[int, int]) -> NDArray[np.float64]:
    """A beam with an off-centre hump and a grating, of mean 1."""
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    beam = 0.3 + np.exp(-((y - 0.3) ** 2 + (x - 0.6) ** 2) / 0.1) + 0.05 * (np.sin(40 * x) > 0)
    return beam / beam.mean()


def lit(counts: float = 20000.0) -> tuple[xr.Dataset, xr.Dataset, NDArray[np.float64]]:
    """A stack under an uneven beam, its truth with the density of every pixel, and the beam."""
    sample = particle(LABELS, (0.2,) * 5, shape=(56, 60), margin=12, n_grains=10, seed=1)
    stack, truth = measure(sample, nvpf_references(), sparse_energies(), counts=counts, seed=2)
    spectra = np.stack([r.interp(energy=stack["energy"]) for r in nvpf_references()])
    shares = np.nan_to_num(truth["abundance"].to_numpy()) * truth["thickness"].to_numpy()
    density = np.tensordot(spectra.T, shares, axes=1)
    beam = uneven((56, 60))
    bright = np.random.default_rng(3).poisson(counts * np.exp(-density) * beam).astype(np.uint32)
    truth = truth.assign(density=(("energy", "y", "x"), density))
    return stack.assign(counts=stack["counts"].copy(data=bright)), truth, beam


def flats_of(beam: NDArray[np.float64], energy: NDArray[np.float64], counts: float) -> xr.Dataset:
    rng = np.random.default_rng(4)
    images = rng.poisson(counts * beam, (energy.size, *beam.shape)).astype(np.float32)
    return xr.Dataset(
        {"intensity": (("flat", "y", "x"), images)},
        coords={"energy": ("flat", energy)},
        attrs={"source": "flat.tif"},
    )


@given(
    st.lists(st.integers(700, 730), min_size=1, max_size=9),
    st.floats(699, 731),
    st.booleans(),
    st.floats(0, 100),
)
def test_weights_interpolate(energies: list[int], energy: float, timed: bool, time: float) -> None:
    flats = np.array(energies, dtype=float)
    times = np.linspace(0, 100, flats.size) if timed else None
    weights = flat_weights(flats, times, energy, time if timed else None)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1.0)
    if flats.min() <= energy <= flats.max():
        assert weights @ flats == pytest.approx(energy, abs=0.051)
    same = np.abs(flats - energy) < 0.05
    if timed and same.any():
        assert times is not None
        inside = np.clip(time, times[same].min(), times[same].max())
        assert weights @ times == pytest.approx(inside, abs=1e-6)


def test_flattened_counts_are_those_under_an_even_beam() -> None:
    energy = np.array([700.0, 705.0, 710.0])
    beam = uneven((20, 30))
    flats = Flats(np.float32(1000 * beam * np.array([1.0, 3.0])[:, None, None]),
                  np.array([700.0, 710.0]))  # fmt: skip
    counts = np.float32(500 * beam * np.ones((3, 1, 1)))
    level, shape = flatten(counts, energy, flats)
    np.testing.assert_allclose(level, [1000, 2000, 3000], rtol=1e-5)
    np.testing.assert_allclose(counts, 500, rtol=1e-4)
    np.testing.assert_allclose(shape, beam, rtol=1e-4)


def test_pixels_without_a_flat_are_missing() -> None:
    flat = np.full((1, 6, 6), 100, dtype=np.float32)
    flat[0, 2, 2], flat[0, 3, 3] = np.nan, 0.2
    counts = np.full((4, 6, 6), 50, dtype=np.float32)
    flatten(counts, np.arange(4.0), Flats(flat, np.array([0.0])))
    missing = np.zeros((6, 6), dtype=bool)
    missing[2, 2] = missing[3, 3] = True
    np.testing.assert_array_equal(np.isnan(counts), np.broadcast_to(missing, counts.shape))


def test_noise_of_flats_falls_and_their_changes_stay() -> None:
    beam, other = uneven((48, 64)), uneven((64, 48)).T
    drifts = np.linspace(-0.2, 0.2, 20)[:, None, None]
    true = 2000 * (beam + drifts * (other - beam))
    flats = Flats(np.random.default_rng(0).poisson(true).astype(np.float32), np.arange(20.0))
    before = np.std((flats.images - true) / np.sqrt(true))
    gain = denoise(flats)
    after = np.std((flats.images - true) / np.sqrt(true))
    assert gain == pytest.approx(20 / 2)
    assert after**2 / before**2 == pytest.approx(1 / gain, rel=0.3)


def test_flat_fielded_counts_give_the_density_of_even_ones() -> None:
    stack, truth, beam = lit()
    flats = flats_of(beam, stack["energy"].to_numpy(), 20000.0)
    made = prepare(stack, i0=flats, align=False, baseline=False)
    true = truth["density"].to_numpy()
    error = made["optical_density"].to_numpy() - true
    counts = 20000.0 * beam * np.exp(-true)
    # the flats' own noise is that of a twentieth of a frame
    assert np.sqrt(np.mean(error**2 * counts)) == pytest.approx(1.0, abs=0.1)
    thickness = truth["thickness"].to_numpy()
    assert made["mask"].to_numpy()[thickness > 0.25].mean() > 0.97
    assert made["mask"].to_numpy()[thickness < 0.01].mean() < 0.01
    np.testing.assert_allclose(made["beam"], beam, rtol=0.1)


def test_one_flat_gives_the_shape_and_the_field_the_level() -> None:
    stack, _, beam = lit()
    image = xr.DataArray(2500.0 * beam, dims=("y", "x"))
    made = prepare(stack, i0=image, align=False, baseline=False)
    np.testing.assert_allclose(made["i0"], 20000.0, rtol=0.01)
    assert "i0_area" in made


def test_flats_of_another_dwell_and_ring_current_are_scaled() -> None:
    stack, _, beam = lit()
    n = stack.sizes["energy"]
    ring = np.linspace(300.0, 250.0, n)
    dimmed = stack["counts"] * (ring / 300.0)[:, None, None]
    stack = stack.assign(counts=dimmed, dwell=("energy", np.full(n, 0.002)),
                         ring_current=("energy", ring))  # fmt: skip
    flats = flats_of(5 * beam, stack["energy"].to_numpy(), 20000.0).assign(
        dwell=("flat", np.full(n, 0.01)), ring_current=("flat", np.full(n, 300.0))
    )
    made = prepare(stack, i0=flats, align=False, despike=False)
    np.testing.assert_allclose(made["i0"], 20000.0 * ring / 300.0, rtol=0.01)
    assert made.attrs["dwell_factor"] == pytest.approx(0.2)
    assert made.attrs["ring_factor"] == "0.8333–1.0000"


def test_flats_that_cannot_serve_are_refused() -> None:
    stack, _, beam = lit()
    energy = stack["energy"].to_numpy()
    with pytest.raises(InputError, match=r"^flat.tif: the flat field has 28×60 .* stack 56×60"):
        prepare(stack, i0=flats_of(beam[:28], energy, 2e4), align=False)
    with pytest.raises(InputError, match=r"the flat field covers .* but the stack needs"):
        prepare(stack, i0=flats_of(beam, energy[:10], 2e4), align=False)
    with pytest.raises(InputError, match="holds no counts at"):
        prepare(stack, i0=flats_of(0 * beam, energy, 2e4), align=False)


def test_a_dead_column_of_the_flats_is_said_and_costs_its_pixels_only() -> None:
    stack, _, beam = lit()
    flats = flats_of(beam, stack["energy"].to_numpy(), 20000.0)
    flats["intensity"][:, :, 30] = 0
    with pytest.warns(InputWarning, match=r"flat.tif: unusable .* dead \(1 column\)"):
        made = prepare(stack, i0=flats, align=False)
    missing = np.isnan(made["optical_density"].to_numpy()).all(axis=0)
    assert missing[:, 30].all()
    assert not np.delete(missing, 30, axis=1).any()


def test_the_reference_frame_of_a_file_is_its_flat() -> None:
    stack, _, beam = lit()
    recorded = stack.assign(reference_counts=(("y", "x"), 1e7 * beam))
    made = prepare(recorded, align=False)
    np.testing.assert_allclose(made["beam"], beam, rtol=0.1)
    assert "one flat" in made.attrs["i0_kind"]
