"""Amorphous haloes make no spots, and do not move the direct beam."""

from __future__ import annotations

import numpy as np
import pytest

from phaseloom.diffraction import Peaks, register
from phaseloom.diffraction.spots import halo

SIZE, SIGMA, PIXEL = 192, 2.0, 0.0123


def scan(dose: float, spots: int, *, seed: int = 0, positions: tuple[int, int] = (8, 8)):
    """Haloes at 0.3 and 0.5 Å⁻¹ with widths (sigma) of 12 and 14 %, in electrons per pattern.

    Also where the direct beam is, and the spots.
    """
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIZE, SIZE))
    counts = np.empty((*positions, SIZE, SIZE), np.uint16)
    beams = SIZE / 2 + rng.uniform(-1, 1, 2) + np.zeros((*positions, 2))
    beams[..., 0] += np.linspace(0, 3, positions[0])[:, None]
    places = rng.uniform(8, SIZE - 8, (*positions, spots, 2))
    for at in np.ndindex(positions):
        r = np.hypot(y - beams[at][0], x - beams[at][1])
        mean = np.zeros((SIZE, SIZE))
        for share, part in (
            (0.35, np.exp(-0.5 * ((r * PIXEL - 0.3) / 0.036) ** 2)),
            (0.20, np.exp(-0.5 * ((r * PIXEL - 0.5) / 0.07) ** 2)),
            (0.20, np.exp(-r / 12) + 0.03),
            (0.25, np.exp(-0.5 * (r / SIGMA) ** 2)),
        ):
            mean += dose * share * part / part.sum()
        for row, column in places[at]:
            spot = np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) / SIGMA**2)
            level = max(mean[round(row), round(column)], 0.1)
            mean += 5 * np.sqrt(level) * rng.lognormal(0, 0.5) * spot
        counts[at] = rng.poisson(mean)
    return counts, beams, places


@pytest.mark.parametrize("dose", [3e4, 3e5])
@pytest.mark.parametrize("spots", [0, 15])
def test_no_spots_on_haloes_and_those_between_are_found(dose, spots):
    counts, beams, places = scan(dose, spots)
    peaks = Peaks(register(counts))
    row, column = peaks.on_detector()
    pattern = peaks.position
    true = np.concatenate([beams.reshape(64, 1, 2), places.reshape(64, spots, 2)], axis=1)[pattern]
    away = np.hypot(row[:, None] - true[..., 0], column[:, None] - true[..., 1])
    false = (away.min(axis=1) > 4).sum() / 64
    # before, two to twenty-five per pattern; one more in 64 patterns is chance
    assert false < 0.1
    found = np.unique(pattern[:, None] * 100 + away.argmin(axis=1)[:, None])
    assert found.size > (0.97 if spots == 0 else 0.93) * 64 * (spots + 1)
    centre = np.stack([peaks.data["centre_y"], peaks.data["centre_x"]], axis=-1)
    assert np.hypot(*np.moveaxis(centre - beams, -1, 0)).max() < 0.05
    assert peaks.data.attrs["spot_sigma"] == pytest.approx(SIGMA, rel=0.1)


def test_a_falling_background_is_no_ring():
    rng = np.random.default_rng(0)
    y, x = np.indices((160, 160))
    r = np.hypot(y - 80.2, x - 79.6)
    mean = 40 * np.exp(-r / 30) + 2
    for row, column in rng.uniform(5, 155, (40, 2)):
        mean = mean + rng.lognormal(3, 1) * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)
    ringed = mean + 20 * np.exp(-0.5 * ((r - 40) / 4) ** 2)
    noise = (np.float32(1), np.float32(0))
    for expected, seen in ((mean, False), (ringed, True)):
        image = rng.poisson(expected).astype(np.float32)
        rest = image.ravel().copy()
        crest = np.zeros((40, 40), np.float32)
        room = (
            np.zeros((160, 160), np.int32),
            *(np.zeros(16 * 500, np.float32) for _ in range(2)),
            *(np.zeros(500, np.float32) for _ in range(6)),
        )
        frame = (160, 160, 160, 0)
        halo.places(frame, 80.2, 79.6, room[0])
        found = halo.without_rings(
            image.ravel(), rest, frame, (80.2, 79.6, 8.0), noise, room, 4, crest
        )
        assert found == seen
        assert crest.any() == seen


def test_quantiles_over_sectors_know_no_spots():
    total = np.array([4, 5, 6, 5, 90, 80, 4, 6] * 2, np.float32)
    number = np.ones(16, np.float32)
    means = np.empty(16, np.float32)
    median, low, high, bins = halo.quantiles_of_sectors(total, number, 0, np.float32(0), means)
    assert (median, low, high, bins) == (5.5, 5, 6, 16)
    # few counts: the mean, of which the median is no measure
    few = np.array([0, 0, 0, 0, 0, 0, 1, 2] * 2, np.float32)
    assert halo.quantiles_of_sectors(few, number, 0, np.float32(100), means)[0] == 0.375
