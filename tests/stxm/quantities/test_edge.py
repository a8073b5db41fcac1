"""Edge jump, position, white line and centroid against spectra of known shape."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.special import erf

from phaseloom.errors import InputError
from phaseloom.stxm import edge_quantities
from phaseloom.stxm.options import EdgeWindows
from phaseloom.stxm.quantities.edge import QUANTITIES

Array = NDArray[np.float64]

FINE = np.arange(7080.0, 7200.0, 1e-3)
SHIFTS = (0.0, 0.7, 2.0)
GRIDS = {
    "0.5 eV": np.r_[7090:7110:5, 7110:7140:0.5, 7140:7200:5],
    "1 eV": np.r_[7090:7110:5, 7110:7140:1.0, 7140:7200:5],
    "2 eV": np.r_[7090:7110:5, 7110:7140:2.0, 7140:7200:10],
}


def iron(energy: Array, shift: float) -> Array:
    """A K edge: pre-edge peak, arctangent step and white line, moved by a shift."""
    x = energy - 7120 - shift
    return np.asarray(
        0.1
        + 0.5
        + np.arctan(x / 1.2) / np.pi
        + 0.4 * np.exp(-0.5 * ((x - 6.5) / 2.6) ** 2)
        + 0.03 * np.exp(-0.5 * ((x + 7) / 1.2) ** 2)
    )


def prepared(energy: Array, spectra: Array, counts: float, pixels: int = 2000) -> xr.Dataset:
    """Optical density with counting noise, a row of pixels per spectrum."""
    rng = np.random.default_rng(1)
    expected = counts * np.exp(-np.repeat(spectra[:, :, None], pixels, axis=2))
    density = -np.log(np.maximum(rng.poisson(expected), 0.5) / counts).transpose(1, 0, 2)
    return xr.Dataset(
        {
            "optical_density": (("energy", "y", "x"), density.astype(np.float32)),
            "mask": (("y", "x"), np.ones(density.shape[1:], dtype=bool)),
            "baseline": (("y", "x"), np.zeros(density.shape[1:], dtype=np.float32)),
            "i0": ("energy", np.full(energy.size, counts)),
        },
        coords={"energy": energy, "y": np.arange(len(spectra)), "x": np.arange(pixels)},
        attrs={"quantity": "counts"},
    )


def truth(grid: Array, result: xr.Dataset) -> dict[str, Array]:
    """The definitions on the noise-free spectra at a thousandth of an eV."""
    (b0, b1), (a0, a1) = result.attrs["edge_before"], result.attrs["edge_after"]
    found: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    for shift in SHIFTS:
        sampled, fine = iron(grid, shift), iron(FINE, shift)
        before = sampled[(grid >= b0) & (grid <= b1)].mean()
        jump = sampled[(grid >= a0) & (grid <= a1)].mean() - before
        found["edge_jump"].append(jump)
        found["edge_position"].append(FINE[np.argmax(fine > before + 0.5 * jump)])
        found["white_line"].append(FINE[np.argmax(fine)])
        found["white_line_height"].append(fine.max() - before)
        part = (grid >= b1) & (grid <= a0)
        level = sampled[part] - before
        area = np.trapezoid(level, grid[part])
        found["centroid"].append(np.trapezoid(level * grid[part], grid[part]) / area)
    return {name: np.array(values) for name, values in found.items()}


# What no curve between readings 2 eV apart can follow of a rise 2.4 eV wide is 0.07 eV.
@pytest.mark.parametrize(("name", "position"), [("0.5 eV", 0.02), ("1 eV", 0.02), ("2 eV", 0.1)])
def test_edge_position_is_right_to_a_fiftieth_of_an_electronvolt(
    name: str, position: float
) -> None:
    grid = GRIDS[name]
    result = edge_quantities(prepared(grid, np.stack([iron(grid, s) for s in SHIFTS]), 3000))
    right = truth(grid, result)
    for quantity, margin in (("edge_position", position), ("edge_jump", 0.003), ("centroid", 0.02)):
        error = result[quantity].mean("x").to_numpy() - right[quantity]
        assert np.abs(error).max() < margin, quantity
    assert np.abs(result["white_line"].mean("x").to_numpy() - right["white_line"]).max() < 0.05
    height = result["white_line_height"].mean("x").to_numpy()
    assert np.abs(height - right["white_line_height"]).max() < 0.02


@pytest.mark.parametrize("counts", [1000, 3000, 10_000])
def test_standard_errors_are_those_of_the_scatter(counts: float) -> None:
    grid = GRIDS["0.5 eV"]
    result = edge_quantities(prepared(grid, np.stack([iron(grid, s) for s in SHIFTS]), counts))
    for quantity in QUANTITIES:
        values, errors = result[quantity], result[f"{quantity}_error"]
        assert float(values.isnull().mean()) < 0.03
        pulls = ((values - values.mean("x")) / errors).std().item()
        assert 0.8 < pulls < 1.2, quantity


def test_missing_readings_are_left_out_and_take_with_them_only_what_hangs_on_them() -> None:
    grid = GRIDS["0.5 eV"]
    stack = prepared(grid, np.stack([iron(grid, s) for s in SHIFTS]), 3000)
    whole = edge_quantities(stack)
    rng = np.random.default_rng(2)
    gone = rng.random(stack["optical_density"].shape) < 0.03
    holed = stack.assign(optical_density=stack["optical_density"].where(~gone))
    result = edge_quantities(holed)
    for quantity in QUANTITIES:
        values, errors = result[quantity], result[f"{quantity}_error"]
        assert float(values.isnull().mean()) < 0.15
        assert 0.8 < ((values - whole[quantity].mean("x")) / errors).std().item() < 1.2
        assert abs(float((values.mean("x") - whole[quantity].mean("x")).max())) < 0.03
    # All readings about the edge gone: the jump stays, the place is not made up.
    about = (grid > 7118) & (grid < 7125)
    cut = stack.assign(
        optical_density=stack["optical_density"].where(~xr.DataArray(about, dims="energy"))
    )
    inner = cut.assign(
        optical_density=cut["optical_density"].where(cut["x"] < 1000, stack["optical_density"])
    )
    result = edge_quantities(inner).isel(x=slice(0, 1000))
    assert result["edge_position"].isnull().all()
    assert result["centroid"].isnull().all()
    assert result["edge_jump"].notnull().all()


def test_pixels_without_an_edge_have_no_edge_position() -> None:
    grid = GRIDS["1 eV"]
    flat = np.full(grid.size, 0.4)
    result = edge_quantities(
        prepared(grid, np.stack([iron(grid, 0.0), iron(grid, 0.3), flat]), 3000)
    )
    assert float(result["edge_position"][2].notnull().mean()) < 0.005
    assert float(result["centroid"][2].notnull().mean()) < 0.005
    assert abs(float(result["edge_jump"][2].mean())) < 0.003
    assert result["edge_position"][:2].notnull().all()


def test_two_lines_as_high_as_each_other_have_no_one_energy() -> None:
    energy = np.arange(500.0, 540.0, 0.5)
    step = 0.2 * (1 + erf((energy - 512) / 1.5)) + 0.2 * (1 + erf((energy - 530) / 1.0))
    lines = sum(np.exp(-0.5 * ((energy - at) / 1.2) ** 2) for at in (515.0, 523.0))
    stack = prepared(energy, np.stack([step + lines]), 1000)
    assert float(edge_quantities(stack)["white_line"].notnull().mean()) < 0.2
    chosen = edge_quantities(stack, windows=EdgeWindows(white_line="519:527"))
    assert float(chosen["white_line"].notnull().mean()) > 0.98
    assert float(chosen["white_line"].mean()) == pytest.approx(523.0, abs=0.03)


def test_an_order_of_energies_that_falls_changes_nothing() -> None:
    grid = GRIDS["1 eV"]
    stack = prepared(grid, np.stack([iron(grid, s) for s in SHIFTS]), 3000, pixels=20)
    xr.testing.assert_allclose(
        edge_quantities(stack), edge_quantities(stack.isel(energy=slice(None, None, -1)))
    )


@pytest.mark.parametrize(
    ("energies", "why"),
    [
        (np.arange(7122.0, 7160.0), "begin on the edge"),
        (np.arange(7119.0, 7160.0, 0.1), "begin on the edge"),
        (np.array([7100.0, 7110.0, 7121.0, 7190.0, 7195.0]), "on the edge"),
    ],
)
def test_energies_that_cannot_tell_give_nothing_and_say_why(energies: Array, why: str) -> None:
    result = edge_quantities(prepared(energies, np.stack([iron(energies, 0.0)]), 3000, pixels=5))
    assert why in result.attrs["edge_undetermined"]
    assert all(result[name].isnull().all() for name in result.data_vars)


def test_an_energy_recorded_twice_counts_for_both_readings() -> None:
    grid = GRIDS["1 eV"]
    twice = np.sort(np.r_[grid, grid[(grid > 7115) & (grid < 7126)]])
    once, again = (
        edge_quantities(prepared(e, np.stack([iron(e, 0.0)]), 3000)) for e in (grid, twice)
    )
    assert float(again["edge_position"].mean()) == pytest.approx(
        float(once["edge_position"].mean()), abs=0.02
    )
    assert float(again["edge_position_error"].mean()) < 0.9 * float(
        once["edge_position_error"].mean()
    )
    few = np.array([7100.0, 7118, 7118, 7121, 7121, 7121, 7124, 7190, 7195])
    few_result = edge_quantities(prepared(few, np.stack([iron(few, 0.0)]), 3000, pixels=5))
    assert few_result["edge_jump"].dims == ("y", "x")


def test_unknown_noise_is_refused_and_a_known_scale_taken() -> None:
    grid = GRIDS["1 eV"]
    stack = prepared(grid, np.stack([iron(grid, s) for s in SHIFTS]), 3000, pixels=5)
    unknown = stack.assign(i0=stack["i0"] * np.nan).assign_attrs(quantity="optical_density")
    with pytest.raises(InputError, match="noise is not known"):
        edge_quantities(unknown)
    scaled = edge_quantities(unknown, noise_scale=1 / 3000)
    xr.testing.assert_allclose(scaled, edge_quantities(stack))
