"""Readings that are none: recognised by what no sample can do, and nothing else taken out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.stxm.preparation.left_out import energies_left_out, field_mask
from phaseloom.stxm.preparation.unusable import leave_out_unusable

Stack = NDArray[np.float32]


def counted(level: float = 3000.0, *, seed: int = 0) -> Stack:
    """Counts (12, 40, 36) behind a disc whose absorption rises in the middle of the energies."""
    y, x = np.mgrid[:40, :36]
    disc = np.clip(1.2 - np.hypot(y - 20, x - 18) / 12, 0, 1)
    edge = np.exp(-(((np.arange(12) - 6) / 2.0) ** 2))
    expected = level * np.exp(-disc * (0.2 + edge)[:, None, None])
    return np.random.default_rng(seed).poisson(expected).astype(np.float32)


def left_out(values: Stack, dtype: str = "int32") -> tuple[Stack, dict[str, tuple[int, int]]]:
    made = values.copy()
    return made, leave_out_unusable(made, np.dtype(dtype)).readings


@given(st.floats(60, 30000), st.integers(0, 5))
def test_nothing_is_taken_out_of_clean_counts(level: float, seed: int) -> None:
    clean = counted(level, seed=seed)
    made, found = left_out(clean)
    assert found == {}
    np.testing.assert_array_equal(made, clean)


def test_faint_counts_may_be_zero() -> None:
    faint = counted(4.0)
    assert (faint == 0).any()
    assert left_out(faint)[1] == {}


@pytest.mark.parametrize(
    ("fill", "dtype", "kind"),
    [
        (np.nan, "float32", "NaN or infinite"),
        (np.inf, "float32", "NaN or infinite"),
        (1e36, "float64", "fill value beyond 1e30"),
        (-1, "int32", "fill value -1"),
        (-9999, "int32", "fill value -9999"),
        (4294967295, "uint32", "fill value 4294967295"),
        (0, "uint16", "not counted (lost lines or readings)"),
    ],
)
def test_scattered_fill_values(fill: float, dtype: str, kind: str) -> None:
    values = counted()
    spoiled = np.random.default_rng(1).random(values.shape) < 0.03
    values[spoiled] = fill
    made, found = left_out(values, dtype)
    np.testing.assert_array_equal(np.isnan(made), spoiled)
    assert found == {kind: (int(spoiled.sum()), 12)}


def _column(values: Stack) -> None:
    values[:, :, 20] = 0


def _noisy_column(values: Stack) -> None:
    values[:, :, 20] = np.random.default_rng(2).poisson(6, values.shape[:2])


def _stuck_row(values: Stack) -> None:
    values[:, 11] = 777


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (_column, np.s_[:, :, 20]),
        (_noisy_column, np.s_[:, :, 20]),
        (_stuck_row, np.s_[:, 11]),
    ],
)
def test_dead_columns_and_rows(spoil: Callable[[Stack], None], where: tuple[slice, ...]) -> None:
    values = counted()
    spoil(values)
    made, found = left_out(values)
    expected = np.zeros(values.shape, dtype=bool)
    expected[where] = True
    np.testing.assert_array_equal(np.isnan(made), expected)
    (kind,) = found
    assert kind.startswith("dead (1 ")


def test_lines_lost_in_some_frames() -> None:
    values = counted()
    expected = np.zeros(values.shape, dtype=bool)
    expected[3, 25:] = expected[7, 5:7] = True
    values[expected] = np.random.default_rng(3).poisson(30, int(expected.sum()))
    made, found = left_out(values)
    np.testing.assert_array_equal(np.isnan(made), expected)
    assert found == {"not counted (lost lines or readings)": (15 * 36 + 2 * 36, 2)}


def _rim(values: Stack) -> None:
    values[:, :, :3] = 0


def test_a_rim_that_was_never_scanned_is_dead() -> None:
    values = counted()
    _rim(values)
    made, found = left_out(values)
    assert np.isnan(made[:, :, :3]).all()
    assert not np.isnan(made[:, :, 3:]).any()
    assert found == {"dead (3 columns)": (12 * 40 * 3, 12)}
    ratio = values / 3000
    spoiled = ratio.copy()
    assert leave_out_unusable(spoiled, np.dtype("float32"), quantity="transmission").total > 0
    np.testing.assert_array_equal(np.isnan(spoiled), np.isnan(made))


@pytest.mark.parametrize("factor", [0.2, 0.6, 0.85, 1.3])
def test_lines_under_another_beam(factor: float) -> None:
    values = counted()
    values[4, 12:25] = np.round(values[4, 12:25] * factor)
    made, found = left_out(values)
    expected = np.zeros(values.shape, dtype=bool)
    expected[4, 12:25] = True
    np.testing.assert_array_equal(np.isnan(made), expected)
    assert found == {"lines under another beam": (13 * 36, 1)}


def test_a_sample_with_straight_edges_is_no_step_of_the_beam() -> None:
    edge = np.exp(-(((np.arange(12) - 6) / 2.0) ** 2))
    density = np.zeros((40, 36))
    density[10:25] = 0.9
    expected = 3000 * np.exp(-density * edge[:, None, None])
    values = np.random.default_rng(0).poisson(expected).astype(np.float32)
    assert left_out(values)[1] == {}


def test_lines_that_repeat_the_one_before() -> None:
    values = counted()
    values[5, 30:] = values[5, 29]
    made, found = left_out(values)
    assert np.isnan(made[5, 30:]).all()
    assert not np.isnan(made[5, :30]).any()
    assert found == {"not counted (lost lines or readings)": (10 * 36, 1)}


def test_a_row_through_a_thick_particle_is_not_lost() -> None:
    y = np.arange(40)[:, None]
    edge = np.exp(-(((np.arange(12) - 6) / 2.0) ** 2))
    density = 1.8 * (np.abs(y - 20) < 8) * np.ones(36)
    values = np.random.default_rng(0).poisson(3000 * np.exp(-density * edge[:, None, None]))
    assert left_out(values.astype(np.float32))[1] == {}


@pytest.mark.parametrize("end", [255, 4095, 65535])
def test_saturation_is_taken_out_and_counted(end: int) -> None:
    values = np.minimum(np.round(counted() * (end / 2800.0)), end).astype(np.float32)
    full = values == end
    made = values.copy()
    found = leave_out_unusable(made, np.dtype("uint16"))
    assert np.isnan(made)[full].mean() > 0.99
    assert not np.isnan(made)[~full].any()
    (sentence,) = found.readings
    assert sentence == f"saturated at {end}"
    assert found.sentence(12).startswith(f"saturated at {end} in ")
    with found.saturated_shown(made):
        np.testing.assert_array_equal(made[full & found.clipped], end)
    assert np.isnan(made[found.clipped]).all()


def test_a_spike_at_the_end_of_the_scale_is_left_to_despiking() -> None:
    values = counted()
    values[4, 10, 10] = values[6, 30, 5] = values[9, 2, 20] = 65535
    assert left_out(values, "uint16")[1] == {}


def test_counts_that_ran_over_16_bits() -> None:
    true = counted(66000.0)
    over = true > 65535
    assert 0 < over.mean() < 0.9
    made, found = left_out(np.where(over, true - 65536, true), "uint16")
    assert "run over 65535" in found
    assert np.isnan(made)[over].mean() > 0.9
    # where most of a frame ran over, what is left is not to be trusted either
    assert np.nanmin(made[~over]) > 10000


def test_optical_densities_lose_only_what_is_no_number() -> None:
    values = np.zeros((5, 8, 8), dtype=np.float32)
    values[2, 3, 3] = np.nan
    made = values.copy()
    found = leave_out_unusable(made, np.dtype("float32"), quantity="optical_density")
    assert found.readings == {"NaN or infinite": (1, 1)}
    np.testing.assert_array_equal(made, values)


ENERGY = np.array([700.0, 705.0, 707.0, 707.5, 710.0, 711.0, 712.0, 720.0])


def test_energies_are_left_out_one_by_one_and_in_ranges() -> None:
    out = energies_left_out("707.2, 710:712", ENERGY)
    assert ENERGY[out].tolist() == [707.0, 710.0, 711.0, 712.0]
    assert not energies_left_out("", ENERGY).any()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("716", "no image at 716 eV to leave out .the nearest is at 712 eV"),
        ("730:740", "no image from 730 to 740 eV"),
        ("abc", "'abc' is no energy"),
        ("712:710", "'712:710' is no energy and no range"),
        ("-5", "'-5' is no energy"),
        ("1:2:3", "is no energy and no range"),
    ],
)
def test_energies_that_are_not_there_are_refused(text: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        energies_left_out(text, ENERGY)


def test_a_mask_is_an_image_or_a_region() -> None:
    image = np.zeros((4, 5))
    image[1, 2] = 255
    np.testing.assert_array_equal(field_mask(image, (4, 5)), image > 0)
    region = field_mask((slice(1, 3), slice(0, 2)), (4, 5))
    assert region.sum() == 4
    assert region[1:3, :2].all()
    with pytest.raises(InputError, match="the mask has 4×5 pixels and the field 5×4"):
        field_mask(image, (5, 4))
    with pytest.raises(InputError, match="leaves nothing"):
        field_mask((slice(9, 12), slice(0, 2)), (4, 5))
