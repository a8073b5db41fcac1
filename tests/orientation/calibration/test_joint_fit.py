from __future__ import annotations

import numpy as np

from phaseloom.orientation.calibration.joint_fit import _fitted


def pulls(seed, heavy):
    """Of scale, ellipse and centre, on spots with a turn and a shift of their own per pattern."""
    rng = np.random.default_rng(seed)
    peaks, places, numbers = [], [], []
    true = np.array([2e-3, -1e-3, 5e-4, 2e-3, -1e-3])
    for number in range(40):
        place = rng.uniform(-1.2, 1.2, (rng.integers(4, 40), 2))
        y, x = place.T
        moved = place - np.stack([
            true[0] * y + true[1] * y + true[2] * x, true[0] * x + true[2] * y - true[1] * x
        ], 1)  # fmt: skip
        turn, shift = 3e-3 * rng.standard_normal(), 2e-3 * rng.standard_normal(2)
        moved = moved + turn * np.stack([x, -y], 1) + true[3:] + shift
        noise = 2e-3 * rng.standard_normal(place.shape)
        if heavy:
            noise *= np.sqrt(3 / rng.chisquare(3, len(place)))[:, None]
        peaks.append(moved + noise)
        places.append(place)
        numbers.append(np.full(len(place), number))
    place, of = np.concatenate(places), np.concatenate(numbers)
    fit = _fitted(np.concatenate(peaks), place, np.full(len(place), 4e-6), of)
    return (fit.parameters - true) / fit.error


def test_errors_are_right_with_and_without_outliers():
    for heavy in (False, True):
        all_pulls = np.array([pulls(seed, heavy) for seed in range(60)])
        spread = np.sqrt((all_pulls**2).mean(axis=0))
        assert (spread > 0.75).all(), spread
        assert (spread < 1.3).all(), spread
