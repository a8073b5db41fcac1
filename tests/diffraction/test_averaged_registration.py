"""Registration of sums over positions of the same grain: what is found, and how often wrongly."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from phaseloom.compute.blocks import row_blocks
from phaseloom.compute.checkpoints import Checkpoints
from phaseloom.compute.execution import Execution
from phaseloom.diffraction import registration
from phaseloom.diffraction.options import Centring, DetectorCorrection, PeakSelection, SpotSearch
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.io import as_scan

SIDE, SIGMA = 64, 1.5
SPOTS = {0: [(12, 20), (50, 17), (40, 48), (22, 52)], 1: [(10, 36), (33, 10), (54, 40), (28, 56)]}


def patterns(grain: np.ndarray, dose: float, seed: int = 0) -> np.ndarray:
    """Of each electron 0.4 to the direct beam, 0.08 to each of four spots, the rest anywhere."""
    y, x = np.mgrid[:SIDE, :SIDE]

    def spot(row: float, column: float) -> np.ndarray:
        r2 = (y - row) ** 2 + (x - column) ** 2
        share: np.ndarray = np.exp(-r2 / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2)
        return share

    models = np.stack(
        [
            0.4 * spot(31, 33) + sum(0.08 * spot(*at) for at in SPOTS[g]) + 0.28 / SIDE**2
            for g in (0, 1)
        ]
    )
    return np.random.default_rng(seed).poisson(dose * models[grain]).astype(np.uint16)


def register(scan: Any, execution: Execution | None = None, **options: Any) -> xr.Dataset:
    # The function below the keywords, which takes the execution itself.
    result: xr.Dataset = registration.register.__wrapped__(  # type: ignore[attr-defined]
        as_scan(scan),
        correction=DetectorCorrection(average_neighbours=options.pop("radius", 2)),
        centring=Centring(centre=(31, 33)),
        search=SpotSearch(sigma=SIGMA, **options),
        selection=PeakSelection(),
        execution=execution or Execution(workers=1),
    )
    return result


@pytest.fixture(scope="module")
def grain() -> np.ndarray:
    grain = np.zeros((12, 14), dtype=int)
    grain[:, 5:7] = 1  # a lamella
    grain[8:, 9:] = 1
    return grain


def found(peaks: Peaks, grain: np.ndarray) -> tuple[float, float]:
    """Part of the spots that are found, and spots per pattern that are not there."""
    row, column = peaks.on_detector()
    places = np.stack([row, column], axis=1)
    right, wrong = 0, 0
    for i, own in enumerate(grain.ravel()):
        at = places[peaks.offset[i] : peaks.offset[i + 1]]
        near = np.hypot(*(at[:, None] - np.array([*SPOTS[own], (31, 33)])).transpose(2, 0, 1)) < 3
        right += int(near[:, :4].any(axis=0).sum())
        wrong += int((~near.any(axis=1)).sum())
    return right / (4 * grain.size), wrong / grain.size


def test_more_is_found_and_nothing_of_the_neighbouring_grain(grain: np.ndarray) -> None:
    counts = patterns(grain, 85)
    alone, averaged = (Peaks(register(counts, radius=radius)) for radius in (0, 2))
    assert "averaged" not in alone.data
    number = averaged.data["averaged"].to_numpy()
    assert averaged.data.attrs["averaged_median"] == np.median(number) > 8
    assert number.max() <= 25
    assert number[:, 5:7].max() <= 10
    recall, wrong = found(averaged, grain)
    assert found(alone, grain)[0] < 0.75
    assert recall > 0.95
    assert wrong < 0.05
    # Intensities are those of one pattern, with the errors of so many.
    row, column = averaged.on_detector()
    beam = np.hypot(row - 31, column - 33) < 2
    intensity, error = (averaged.data[name].to_numpy() for name in ("intensity", "intensity_error"))
    several = number.ravel()[averaged.position]
    assert np.median(intensity[beam]) == pytest.approx(0.4 * 85, rel=0.05)
    assert np.median(error[beam] * np.sqrt(several[beam]) / np.sqrt(0.4 * 85)) == pytest.approx(
        1, rel=0.1
    )


def test_false_spots_are_as_many_as_stated() -> None:
    grain = np.zeros((20, 20), dtype=int)
    peaks = Peaks(register(patterns(grain, 200, seed=1), radius=1, false_alarms=0.3))
    assert np.median(peaks.data["averaged"]) >= 7
    _, wrong = found(peaks, grain)
    assert 0.1 < wrong < 0.6


def test_errors_of_places_hold() -> None:
    grain = np.zeros((20, 20), dtype=int)
    peaks = Peaks(register(patterns(grain, 200, seed=2), radius=1))
    places = np.stack(peaks.on_detector(), axis=1)
    pulls = []
    for spot in SPOTS[0]:
        near = np.hypot(*(places - spot).T) < 3
        error = peaks.data["ky_error"].to_numpy()[near]
        pulls.append((places[near, 0] - spot[0]) / error)
    # Neighbouring sums share patterns: a spread of so many, not of all.
    assert np.sqrt(np.mean(np.concatenate(pulls) ** 2)) == pytest.approx(1, abs=0.25)


def test_blocks_and_an_interruption_make_no_difference(
    grain: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = patterns(grain, 150)
    whole = register(counts)
    # Two rows at a time, which need those beside them.
    few = partial(row_blocks, bytes=2 * 14 * SIDE**2 * 2)
    monkeypatch.setattr(registration, "row_blocks", few)
    checkpoints = Checkpoints(tmp_path / "results.zarr")
    work, blocks = registration.peaks_of_block, []

    def stopping(block: Any, **known: Any) -> xr.Dataset:
        blocks.append(block.index)
        if len(blocks) == 4:
            raise KeyboardInterrupt
        return work(block, **known)

    monkeypatch.setattr(registration, "peaks_of_block", stopping)
    with pytest.raises(KeyboardInterrupt):
        register(counts, Execution(workers=1, checkpoints=checkpoints))
    again = register(counts, Execution(workers=1, checkpoints=Checkpoints(checkpoints.store)))
    assert len(blocks) < 4 + 6
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, err_msg=str(name))
    assert dict(whole.attrs) == {name: again.attrs[name] for name in whole.attrs}


def test_strangers_are_left_alone_and_a_warning_says_so() -> None:
    beam = patterns(np.zeros((6, 6), int), 200)
    for row, column in SPOTS[0]:
        beam[..., row - 5 : row + 6, column - 5 : column + 6] = 0  # nothing but background is left
    with pytest.warns(UserWarning, match="do not tell which neighbours are of the same grain"):
        data = register(beam)
    assert data.attrs["averaged_median"] == 1
