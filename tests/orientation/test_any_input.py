"""Whatever peaks and crystals are given: a map, or a sentence that says why there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseloom.crystals import Crystal, gold, lithium_iron_phosphate, silver
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError, InputWarning
from phaseloom.orientation import index
from phaseloom.simulate import Beam, Camera, grain_map, simulate_peaks

CRYSTALS = (gold, silver, lithium_iron_phosphate)


def random_peaks(
    seed: int, counts: list[int], pixel_size: float, odd: bool, lattice: bool
) -> xr.Dataset:
    """A table of peaks (1, patterns) at random places or on a lattice, odd numbers among them."""
    rng = np.random.default_rng(seed)
    n = sum(counts)
    steps = rng.integers(-6, 7, (2, n)) * rng.uniform(8, 30) if lattice else 0.0
    ky, kx = (steps if lattice else rng.uniform(-120, 120, (2, n))) * pixel_size
    intensity = np.exp(rng.uniform(np.log(5), np.log(1e5), n))
    errors = rng.uniform(0, 0.5, (2, n)) * pixel_size
    noise = 0.1 * intensity
    if odd and n:
        for column, values in (
            (intensity, (0.0, -3.0, np.nan, np.inf, 1e-38, 1e38)),
            (ky, (np.nan, np.inf, 0.0)),
            (errors[0], (np.nan, np.inf, 0.0)),
            (noise, (np.nan, np.inf, 0.0)),
        ):
            some = rng.random(n) < 0.15
            column[some] = rng.choice(values, int(some.sum()))
    columns = {
        "ky": ky, "kx": kx, "intensity": intensity, "ky_error": errors[0],
        "kx_error": errors[1], "intensity_error": noise,
    }  # fmt: skip
    centre = np.full((1, len(counts)), np.nan if odd and seed % 3 == 0 else 127.5)
    with np.errstate(over="ignore"):
        single = {
            name: ("peak", v.astype(np.float32), {"units": "Å⁻¹"}) for name, v in columns.items()
        }
    return xr.Dataset(
        single
        | {"offset": ("edge", np.concatenate([[0], np.cumsum(counts)]))}
        | dict.fromkeys(("centre_y", "centre_x"), (("y", "x"), centre)),
        attrs={
            "pixel_size": pixel_size, "pixel_size_units": "Å⁻¹", "detector_shape": [256, 256],
            "distortion": [1.0, 0.0, 0.0, 1.0], "spot_sigma": 2.0,
        },
    )  # fmt: skip


def check_map(table: xr.Dataset, crystals: list[Crystal], **options: object) -> None:
    """A map whose unindexed pixels are −1 and NaN, or InputError."""
    try:
        data = index(table, crystals, voltage=200.0, zone_step=6.0, in_plane_step=4.0, **options)
    except InputError:
        return
    indexed = data["phase"].to_numpy() >= 0
    for name in ("correlation", "probability", "phase_probability", "explained", "residual"):
        np.testing.assert_array_equal(np.isfinite(data[name].to_numpy()), indexed, err_msg=name)
    norm = np.linalg.norm(data["rotation"].to_numpy(), axis=-1)
    np.testing.assert_allclose(norm[indexed], 1.0, atol=1e-9)
    assert np.isnan(norm[~indexed]).all()
    assert (data["phase"].to_numpy()[~indexed] == -1).all()
    probability = data["probability"].to_numpy()[indexed]
    assert ((probability >= 0) & (probability <= 1 + 1e-6)).all()


@pytest.mark.filterwarnings("ignore:nothing is indexed", "ignore:the pixel size is", "ignore:only")
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    seed=st.integers(0, 10_000),
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    pixel_size=st.sampled_from([1e-7, 1e-4, 0.004, 0.01, 0.02, 0.04, 1.0]),
    odd=st.booleans(),
    lattice=st.booleans(),
    phases=st.sets(st.sampled_from(range(3)), min_size=1),
    thickness=st.sampled_from([None, 1e-3, 50.0, 800.0, 1e6]),
    overlaps=st.booleans(),
    context=st.booleans(),
)
def test_any_peaks_give_a_map_or_a_sentence(
    seed: int,
    counts: list[int],
    pixel_size: float,
    odd: bool,
    lattice: bool,
    phases: set[int],
    thickness: float | None,
    overlaps: bool,
    context: bool,
) -> None:
    table = random_peaks(seed, counts, pixel_size, odd, lattice)
    crystals = [CRYSTALS[i]() for i in sorted(phases)]
    check_map(table, crystals, thickness=thickness, overlaps=overlaps, context=context)


@pytest.mark.filterwarnings("ignore:nothing is indexed", "ignore:the pixel size is", "ignore:only")
@pytest.mark.parametrize("thickness", [None, 300.0])
@pytest.mark.parametrize("crystal", [gold, lithium_iron_phosphate])
def test_any_pixel_size_and_crystal(
    crystal: Callable[[], Crystal], thickness: float | None
) -> None:
    """Patterns of gold, indexed with either crystal, the pixel size up to 12 % off."""
    sample = grain_map((1, 6), [1.0], n_grains=6, seed=1)
    peaks = Peaks(simulate_peaks(sample, [gold()], seed=2, beam=Beam(dose=1e5), camera=Camera()))
    for factor in (0.88, 0.93, 0.97, 1.0, 1.03, 1.05, 1.12):
        table = peaks.calibrated(factor * peaks.pixel_size)
        check_map(table.data, [crystal()], thickness=thickness, overlaps=factor == 1.03)


def test_where_nothing_is_indexed_one_sentence_says_so() -> None:
    few = random_peaks(3, [5, 4, 3], 0.01, odd=False, lattice=False)
    with pytest.warns(InputWarning, match=r"nothing is indexed.*Au.*0\.01 Å⁻¹ per px"):
        index(few, gold(), voltage=200.0, zone_step=6.0)
    with pytest.raises(InputError, match=r"end at .*check the pixel size"):
        index(random_peaks(3, [9, 9], 1.0, odd=False, lattice=False), gold(), voltage=200.0)
