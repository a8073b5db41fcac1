from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import cKDTree

from phaseloom.crystals import Crystal, gold, lithium_iron_phosphate
from phaseloom.diffraction.peaks.table import COLUMNS, Peaks
from phaseloom.diffraction.registration import register
from phaseloom.errors import InputError
from phaseloom.simulate import (
    Beam,
    Camera,
    grain_map,
    random_orientations,
    simulate_peaks,
    simulate_scan,
)

BEAM = Beam(dose=3e5, intensity_spread=0.3)
CAMERA = Camera(jitter=0.5)
ONE = {"seed": 7, "camera": CAMERA, "beam": BEAM}


def nearest(data: xr.Dataset, other: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Distance (Å⁻¹) of every peak from the closest one of the same pattern, and which that is."""
    columns = []
    for peaks in (Peaks(data), Peaks(other)):
        vectors = np.stack([peaks.data["ky"], peaks.data["kx"]], axis=-1)
        columns.append(np.column_stack([vectors, 100.0 * peaks.position]))
    distance, which = cKDTree(columns[1]).query(columns[0])
    return distance, which


@pytest.mark.parametrize("crystal", [gold(), lithium_iron_phosphate()], ids=["au", "lfp"])
def test_peaks_are_those_that_registering_the_same_scan_finds(crystal: Crystal) -> None:
    sample = random_orientations((4, 4), seed=7)
    scan, _ = simulate_scan(sample, [crystal], **ONE)
    registered, simulated = register(scan), simulate_peaks(sample, [crystal], **ONE)
    assert set(COLUMNS) <= set(simulated)
    for name in (*COLUMNS, "centre_y", "centre_x"):
        assert simulated[name].dtype == registered[name].dtype
        assert simulated[name].attrs["units"] == registered[name].attrs["units"]
    for name in ("pixel_size", "pixel_size_units", "distortion", "detector_shape"):
        assert simulated.attrs[name] == pytest.approx(registered.attrs[name])
    # The plane through 16 jittered beams is known to 0.5 px / √16 along each axis, less outside.
    shift = [
        float((registered[c] - simulated[c]).mean()) * CAMERA.pixel_size
        for c in ("centre_y", "centre_x")
    ]
    strong = simulated.intensity > 20 * simulated.intensity_error
    moved = simulated.assign(ky=simulated.ky - shift[0], kx=simulated.kx - shift[1])
    distance, which = nearest(moved, registered)
    close = distance < 1.0 * CAMERA.pixel_size
    # Of two close spots registration sees one, or each somewhere else.
    assert close[strong].mean() > 0.94
    ratio = registered["intensity"].to_numpy()[which] / simulated["intensity"]
    assert np.median(ratio[strong.to_numpy() & close]) == pytest.approx(1, abs=0.03)
    assert len(Peaks(simulated)) == pytest.approx(len(Peaks(registered)), rel=0.12)


def test_positions_and_counts_err_as_they_say() -> None:
    sample = random_orientations((10, 10), seed=2)
    camera = Camera(background=0.3)
    one = {"beam": Beam(dose=7e4), "camera": camera, "seed": 2}
    peaks = simulate_peaks(sample, [gold()], false_peaks=0.0, **one)
    # Without noise: so many electrons that all spots are found where they are.
    truth = simulate_peaks(sample, [gold()], false_peaks=0.0, **one | {"beam": Beam(dose=7e10)})
    distance, which = nearest(peaks, truth)
    assert (distance < 5 * camera.pixel_size).all()
    for name in ("ky", "kx"):
        pull = (peaks[name] - truth[name].to_numpy()[which]) / peaks[f"{name}_error"]
        assert float(np.sqrt((pull**2).mean())) == pytest.approx(1, abs=0.06)
    clear = (peaks["intensity"] > 15 * peaks["intensity_error"]).to_numpy()
    expected = truth["intensity"].to_numpy()[which] / 1e6
    pull = ((peaks["intensity"] - expected) / np.sqrt(expected)).to_numpy()[clear]
    assert pull.std() == pytest.approx(1, abs=0.08)
    assert abs(pull.mean()) < 0.15


def test_weak_spots_go_and_the_direct_beam_stays() -> None:
    sample = random_orientations((6, 6), seed=1)
    counts = []
    for dose in (1e4, 1e5, 1e6):
        peaks = simulate_peaks(sample, [gold()], beam=Beam(dose=dose), false_peaks=0.0)
        middle = np.hypot(peaks["ky"], peaks["kx"]) < 3 * Camera().pixel_size
        assert (np.add.reduceat(middle.to_numpy(), peaks["offset"].to_numpy()[:-1]) == 1).all()
        significance = peaks["intensity"] / peaks["intensity_error"]
        assert float(significance.min()) > 2.5
        counts.append(peaks.sizes["peak"])
    assert counts[0] < counts[1] < counts[2]


def test_close_spots_are_one_peak() -> None:
    wide = Camera(sigma=8.0)
    sample = random_orientations((3, 3), seed=1)
    peaks = simulate_peaks(
        sample, [lithium_iron_phosphate()], beam=Beam(dose=1e12), camera=wide, false_peaks=0.0
    )
    offset = peaks["offset"].to_numpy()
    for first, last in pairwise(offset):
        at = np.stack([peaks["ky"][first:last], peaks["kx"][first:last]], axis=-1)
        distance, _ = cKDTree(at).query(at, k=2)
        # Joined ones lie at their centre of mass, somewhat closer to others.
        assert distance[:, 1].min() > 1.0 * 8.0 * wide.pixel_size


def test_false_peaks_come_at_their_rate() -> None:
    sample = random_orientations((30, 30), seed=1)
    one = {"beam": Beam(dose=1e5), "seed": 3}
    without = simulate_peaks(sample, [gold()], false_peaks=0.0, **one)
    some = simulate_peaks(sample, [gold()], false_peaks=2.0, **one)
    extra = some.sizes["peak"] - without.sizes["peak"]
    assert extra / 900 == pytest.approx(2.0, abs=5 * np.sqrt(2.0 / 900))
    xr.testing.assert_identical(some, simulate_peaks(sample, [gold()], false_peaks=2.0, **one))


def test_overlapping_grains_give_the_spots_of_both() -> None:
    sample = grain_map((10, 10), [1, 1], n_grains=4, overlap_width=6.0, spread=0.0, seed=1)
    crystals = [gold(), lithium_iron_phosphate()]
    beam = Beam(dose=3e5)
    both = simulate_peaks(sample, crystals, beam=beam, false_peaks=0.0)
    first = simulate_peaks(
        sample.assign(overlap=xr.zeros_like(sample["overlap"])), crystals, beam=beam,
        false_peaks=0.0,
    )  # fmt: skip
    half = (sample["overlap"] > 0.3).to_numpy()
    assert half.sum() > 20
    count = Peaks(both).count - Peaks(first).count
    assert np.median(count[half]) > 5
    assert (
        not count[sample["overlap"].to_numpy() == 0].any()
        or abs(count[sample["overlap"].to_numpy() == 0]).mean() < 2
    )
    with pytest.raises(InputError, match="phase 1"):
        simulate_peaks(sample, crystals[:1])


def test_an_ellipse_is_taken_out_and_disks_are_refused() -> None:
    sample = random_orientations((3, 3), seed=1)
    one = {"beam": Beam(dose=1e10), "false_peaks": 0.0}
    straight = simulate_peaks(sample, [gold()], **one)
    bent = replace(Camera(), ellipticity=1.03, ellipse_angle=20.0, shape=(280, 280))
    peaks = simulate_peaks(sample, [gold()], camera=bent, **one)
    distance, _ = nearest(straight, peaks)
    assert np.median(distance) < 0.01 * Camera().pixel_size
    with pytest.raises(InputError, match="disks"):
        simulate_peaks(sample, [gold()], camera=Camera(radius=5.0, sigma=0.6))
