from __future__ import annotations

import numpy as np
import pytest

from phaseloom.diffraction.peaks.filtering import amorphous_ring, filter_peaks, hot_positions
from phaseloom.diffraction.peaks.virtual import density, inside, spot_count, spot_sum

PIXEL = 0.0123
SCAN = (20, 20)
REFLECTIONS = np.array([[12.0, 3.3], [-12.0, -3.3], [5.45, -14.2], [-5.45, 14.2]])
HOT = np.array([[20, 45], [50, 14]])


@pytest.fixture
def make_scan(make_table):
    """A single crystal's reflections, the direct beam, false peaks and hot pixels.

    ``descan``: how far the beam wanders over the scan, px; ``still``: scatter of the hot
    pixels' peaks relative to their error; ``sharp``: their prominence relative to spots.
    """

    def make(*, descan=0.0, still=0.05, sharp=4.0, hot=HOT, seed=0):
        rng = np.random.default_rng(seed)
        n, error = SCAN[0] * SCAN[1], 0.12
        y, x = np.mgrid[: SCAN[0], : SCAN[1]]
        wander = descan * np.stack([y / SCAN[0] - 0.5, 0.5 - x / SCAN[1]], axis=-1).reshape(n, 2)
        centre = np.array([31.7, 32.4]) + wander
        false = rng.uniform(2, 61, (n, 2, 2)) - centre[:, None]
        found = np.concatenate(
            [
                rng.normal(0, 0.002, (n, 1, 2)),
                REFLECTIONS + rng.normal(0, error, (n, len(REFLECTIONS), 2)),
                hot + rng.normal(0, error * still, (n, len(hot), 2)) - centre[:, None],
                false,
            ],
            axis=1,
        )
        kinds = np.repeat([0, 1, 2, 3], [1, len(REFLECTIONS), len(hot), 2])
        intensity = np.array([1e5, 500, 400, 100])[kinds] * rng.uniform(0.9, 1.1, (n, kinds.size))
        ratio = np.where(kinds == 2, sharp, 1.0) / 25
        peaks = make_table(
            {
                "ky": found[..., 0].ravel() * PIXEL,
                "kx": found[..., 1].ravel() * PIXEL,
                "intensity": intensity.ravel(),
                "ky_error": np.full(found.size // 2, error * PIXEL),
                "kx_error": np.full(found.size // 2, error * PIXEL),
                "peak_prominence": (intensity * ratio * rng.uniform(0.9, 1.1, ratio.size)).ravel(),
            },
            np.full(n, kinds.size),
            SCAN,
        )
        for index, name in enumerate(("centre_y", "centre_x")):
            peaks.data[name][:] = centre[:, index].reshape(SCAN)
        return peaks, np.tile(kinds, n)

    return make


@pytest.mark.parametrize(
    "options",
    [{"descan": 2.0, "sharp": 1.0}, {"descan": 6.0}, {}, {"sharp": 1.0}, {"still": 0.4}],
    ids=["little descan", "descan", "standing beam", "as broad as spots", "scattered"],
)
def test_hot_pixels_are_told_from_reflections(make_scan, options):
    peaks, kinds = make_scan(**options)
    found = hot_positions(peaks)
    sure = found.isel(candidate=found["verdict"].to_numpy() == "hot")
    places = np.stack([sure["row"], sure["column"]], axis=1)
    np.testing.assert_array_equal(places[np.argsort(places[:, 0])], HOT)
    assert (sure["count"] > 390).all()
    left = filter_peaks(peaks, hot=True)
    kept = np.isin(np.arange(len(peaks)), _kept(peaks, left))
    assert not kept[kinds == 2].any()
    assert kept[kinds < 2].mean() > 0.99
    assert kept[kinds == 0].all()
    assert kept[kinds == 3].mean() > 0.99


def _kept(peaks, left):
    """Rows of the table that are left: no two peaks are the same."""
    old, new = (p.data["ky"].to_numpy() + 1j * p.data["kx"].to_numpy() for p in (peaks, left))
    return np.flatnonzero(np.isin(old, new))


def test_the_same_crystal_without_hot_pixels_loses_nothing(make_scan):
    for descan in (0, 2, 6):
        peaks, _ = make_scan(descan=descan, hot=np.empty((0, 2)))
        found = hot_positions(peaks)
        assert "hot" not in found["verdict"]
        assert len(filter_peaks(peaks, hot=True)) == len(peaks)
    assert (hot_positions(make_scan(hot=np.empty((0, 2)))[0])["verdict"] == "reflection").sum() >= 4


def test_what_cannot_be_decided_is_said(make_scan):
    peaks, _ = make_scan(still=0.4, sharp=1.0)
    found = hot_positions(peaks).set_index(candidate=["row", "column"])
    assert [str(found["verdict"].sel(candidate=tuple(at)).item()) for at in HOT] == [
        "undecided"
    ] * 2
    assert len(filter_peaks(peaks, hot=True)) == len(peaks)


def test_nothing_is_hot_where_nothing_is_crowded(make_peaks):
    peaks = make_peaks((10, 10), 20)
    assert hot_positions(peaks).sizes["candidate"] == 0
    assert hot_positions(peaks.select(np.zeros(len(peaks)))).sizes["candidate"] == 0
    assert len(filter_peaks(peaks, hot=True)) == len(peaks)


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ({"k_min": 0.1}, lambda d: np.hypot(d["ky"], d["kx"]) >= 0.1),
        ({"k_max": 0.2}, lambda d: np.hypot(d["ky"], d["kx"]) <= 0.2),
        ({"intensity_min": 400}, lambda d: d["intensity"] >= 400),
        ({"prominence_min": 10}, lambda d: d["peak_prominence"] >= 10),
        ({"significance_min": 15}, lambda d: d["intensity"] / d["intensity_error"] >= 15),
        ({"keep": (0.1, 0.2)}, lambda d: (np.hypot(d.ky, d.kx) // 0.1) == 1),
        ({"remove": (0.1, 0.2)}, lambda d: (np.hypot(d.ky, d.kx) // 0.1) != 1),
        ({}, lambda d: d["ky"] < np.inf),
    ],
)
def test_filters(make_peaks, condition, passes):
    peaks = make_peaks((4, 5), 20, seed=3)
    for name, measure in (("spot_sum", spot_sum), ("spot_count", spot_count)):
        peaks.data[name] = (("y", "x"), measure(peaks).to_numpy().astype(np.float32))
    left = filter_peaks(peaks, **condition)
    chosen = passes(peaks.data).to_numpy()
    assert len(left) == chosen.sum()
    np.testing.assert_array_equal(left.data["kx"], peaks.data["kx"][chosen])
    np.testing.assert_array_equal(left.position, peaks.position[chosen])
    np.testing.assert_array_equal(
        left.count.ravel(), np.bincount(peaks.position[chosen], minlength=20)
    )
    np.testing.assert_array_equal(left.data["spot_count"], left.count)
    np.testing.assert_allclose(left.data["spot_sum"], spot_sum(left), rtol=1e-6)
    np.testing.assert_array_equal(left[1:3].count, left.count[1:3])


def test_conditions_add_up_and_a_density_may_be_the_region(make_peaks):
    peaks = make_peaks((4, 5), 20, seed=3)
    image = density(peaks, bin_size=0.03) > 1
    left = filter_peaks(peaks, keep=image, k_min=0.05, intensity_min=100)
    expected = (
        inside(peaks, image)
        & (np.hypot(peaks.data.ky, peaks.data.kx) >= 0.05)
        & (peaks.data.intensity >= 100)
    )
    assert 0 < len(left) == int(expected.sum())
    assert len(peaks) == peaks.offset[-1]


def _with_ring(make_table, *, ring, single=True, seed=0):
    rng = np.random.default_rng(seed)
    n = 400
    noise = rng.uniform(-31, 31, (n, 4, 2)) * PIXEL
    k, azimuth = rng.normal(0.2, 0.012, (n, ring)), rng.uniform(0, 2 * np.pi, (n, ring))
    weak = np.stack([k * np.sin(azimuth), k * np.cos(azimuth)], axis=-1)
    spots = np.zeros((n, 5, 2))
    if single:
        spots[:, 1:] = (REFLECTIONS + rng.normal(0, 0.1, (n, 4, 2))) * PIXEL
    else:
        spots[:, 1:] = rng.uniform(-31, 31, (n, 4, 2)) * PIXEL
    found = np.concatenate([spots, noise, weak], axis=1)
    intensity = np.where(np.arange(found.shape[1]) < 5, 1000, 50) * np.ones((n, 1))
    return make_table(
        {"ky": found[..., 0].ravel(), "kx": found[..., 1].ravel(), "intensity": intensity.ravel()},
        np.full(n, found.shape[1]),
        SCAN,
    )


def test_an_amorphous_ring_is_suggested(make_table):
    peaks = _with_ring(make_table, ring=6)
    (ring,) = amorphous_ring(peaks)
    # Four standard deviations to either side, where its density is twice that of the rest.
    assert 0.14 < ring[0] < 0.18
    assert 0.22 < ring[1] < 0.26
    assert len(filter_peaks(peaks, remove=ring)) < 0.7 * len(peaks)


@pytest.mark.parametrize("single", [True, False])
def test_no_ring_where_there_is_none(make_table, single):
    assert amorphous_ring(_with_ring(make_table, ring=0, single=single)) == []


def test_no_ring_without_peaks(make_table):
    peaks = make_table({}, [0, 0], (1, 2))
    assert amorphous_ring(peaks) == []
    peaks.data["centre_y"][:] = np.nan
    assert amorphous_ring(peaks) == []
