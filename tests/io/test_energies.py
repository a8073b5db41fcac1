"""Photon energies in eV: units that are said, left out, or wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.energies import in_electronvolts


def axis(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 17)


@pytest.mark.parametrize("unit", ["eV", None, "ev"])
@pytest.mark.parametrize(("low", "high"), [(50, 80), (280, 320), (700, 727), (8200, 9000)])
def test_electronvolts_stay_exactly_as_they_are(low: float, high: float, unit: str | None) -> None:
    values = axis(low, high)
    np.testing.assert_array_equal(in_electronvolts(values, unit=unit, source="a"), values)


@pytest.mark.parametrize(("low", "high"), [(0.05, 0.08), (0.28, 0.32), (8.2, 9.0), (29.1, 29.3)])
def test_kev_that_is_said_is_converted(low: float, high: float) -> None:
    values = axis(low, high)
    found = in_electronvolts(values, unit="keV", source="a")
    np.testing.assert_allclose(found, values * 1000, rtol=1e-15)


@pytest.mark.parametrize(("low", "high"), [(0.05, 0.08), (0.28, 0.32), (8.2, 9.0), (29.1, 29.3)])
def test_kev_that_is_not_said_is_converted_and_told_once(low: float, high: float) -> None:
    values = axis(low, high)[::-1]
    with pytest.warns(
        InputWarning, match="a: its energies have no unit; .* is taken as keV"
    ) as said:
        found = in_electronvolts(values, unit=None, source="a")
    assert len(said) == 1
    np.testing.assert_allclose(found, values * 1000, rtol=1e-15)


@pytest.mark.parametrize(
    ("values", "unit", "factor"), [(axis(0.7, 0.727), "eV", 1e3), (axis(700, 727), "keV", 1.0)]
)
def test_a_unit_that_cannot_be_is_corrected_loudly(
    values: np.ndarray, unit: str, factor: float
) -> None:
    with pytest.warns(InputWarning, match=f"said to be in {unit}, but .* are no X-rays; they are"):
        found = in_electronvolts(values, unit=unit, source="a")
    np.testing.assert_allclose(found, values * factor, rtol=1e-15)


@pytest.mark.parametrize("unit", ["eV", "keV", None])
@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ([], "missing"),
        ([700, np.nan, 702], "hold 1 values that are no numbers"),
        ([700, np.inf, 702], "hold 1 values that are no numbers"),
        ([700, 0, 702], "hold 0, which is no photon energy"),
        ([-10, 0, 10], "hold -10, which is no photon energy"),
        ([1e7, 2e7], "no energies of X-rays"),
        ([0.001, 0.002], "no energies of X-rays"),
    ],
)
def test_an_axis_that_cannot_be_is_refused(values: list[float], fault: str, unit: str) -> None:
    with pytest.raises(InputError, match=f"^a: its energies .*{fault}"):
        in_electronvolts(values, unit=unit, source="a")


@pytest.mark.parametrize("unit", ["eV", None])
@pytest.mark.parametrize("n", [2, 5, 33, 60, 300])
def test_running_numbers_are_no_energies(n: int, unit: str | None) -> None:
    with pytest.raises(InputError, match=f"1 to {n}(?: eV)?, which are no energies"):
        in_electronvolts(np.arange(1, n + 1), unit=unit, source="a")


def test_one_reading_alone_does_not_contradict_its_unit() -> None:
    with pytest.raises(InputError, match=r"are 0\.7 eV, which are no energies"):
        in_electronvolts([0.7], unit="eV", source="a")
    with pytest.warns(InputWarning, match=r"0\.7 is taken as keV, that is 700 eV"):
        in_electronvolts([0.7], unit=None, source="a")


def test_other_units_are_refused() -> None:
    with pytest.raises(InputError, match="are in 'nm'; convert them to eV first"):
        in_electronvolts([1.7], unit="nm", source="a")


def test_gaps_stay_for_the_reader_to_judge() -> None:
    values = np.array([0.7, np.nan, 0.71, 0.0, -1.0])
    found = in_electronvolts(values, unit="keV", source="a", gaps=True)
    np.testing.assert_allclose(found, [700, np.nan, 710, 0.0, -1.0])
    np.testing.assert_array_equal(values, [0.7, np.nan, 0.71, 0.0, -1.0])


@given(
    low=st.floats(50, 30e3),
    width=st.floats(1e-3, 0.3),
    unit=st.sampled_from(["eV", "keV"]),
    n=st.integers(2, 40),
)
def test_any_axis_is_found_whatever_is_said(low: float, width: float, unit: str, n: int) -> None:
    true = np.linspace(low, low * (1 + width), n)
    written = true if unit == "eV" else true / 1000
    np.testing.assert_allclose(in_electronvolts(written, unit=unit, source="a"), true, rtol=1e-14)
