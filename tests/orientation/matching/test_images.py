"""Matching of images against templates that are drawn and correlated pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from phaseloom.crystals import iron_phosphate, kinematic_spots, lithium_iron_phosphate
from phaseloom.errors import InputError
from phaseloom.maps.misorientation import misorientation_angles
from phaseloom.orientation.certainty.reliability import correlation_reliability
from phaseloom.orientation.matching.images import match_images
from phaseloom.orientation.matching.library import Library, make_library
from phaseloom.orientation.matching.starts import Starts
from phaseloom.orientation.refinement.solutions import Solutions, ranked
from phaseloom.simulate.grains import random_quaternions

SHAPE = 120, 136
BEAM = np.array([58.3, 71.6])
SIGMA = 2.0
PIXEL = 1.0 / 55.0
OPTIONS = {"pixel_size": PIXEL, "k_min": 0.15, "spot_sigma": SIGMA}


@pytest.fixture(scope="module")
def library() -> Library:
    return make_library(
        [lithium_iron_phosphate(), iron_phosphate()],
        voltage=200.0, precession_angle=1.0, k_max=1.0, zone_step=4.0, in_plane_step=3.0,
    )  # fmt: skip


def drawn(ky: np.ndarray, kx: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    y, x = np.indices(SHAPE)
    image = np.zeros(SHAPE)
    for v, u, i in zip(BEAM[0] + ky / PIXEL, BEAM[1] + kx / PIXEL, intensity, strict=True):
        image += i * np.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * SIGMA**2))
    return image


def template(library: Library, zone: int, bin_: int, mirror: bool) -> np.ndarray:
    t = library.templates
    own = slice(t.offset[zone], t.offset[zone + 1])
    radius, angle, weight = (column[own].astype(float) for column in (t.radius, t.angle, t.weight))
    kept = radius > OPTIONS["k_min"]
    turn = np.radians(library.in_plane_step) * (bin_ - angle if mirror else bin_ + angle)
    ky, kx = radius * np.sin(turn), radius * np.cos(turn)
    return drawn(ky[kept], kx[kept], ((weight / np.sqrt(radius)) ** 4)[kept])


def masked(image: np.ndarray, library: Library) -> np.ndarray:
    y, x = np.indices(SHAPE)
    k = np.hypot(y - BEAM[0], x - BEAM[1]) * PIXEL
    return np.where((k >= OPTIONS["k_min"]) & (k <= library.k_max), image, 0.0)


def patterns_at(rotations: np.ndarray) -> np.ndarray:
    spots = kinematic_spots(
        lithium_iron_phosphate(), rotations, voltage=200.0, precession_angle=1.0,
        thickness=120.0, k_max=1.0,
    )  # fmt: skip
    parts = zip(spots.offset, spots.offset[1:], strict=False)
    return np.stack([drawn(spots.ky[a:b], spots.kx[a:b], spots.intensity[a:b]) for a, b in parts])


def matched(images: np.ndarray, beam: np.ndarray, library: Library, **options) -> Solutions:
    """Solutions of all crystals, the highest correlation first."""
    return ranked(match_images(images, beam, library, **options))


def test_index_is_that_of_the_drawn_images(library: Library) -> None:
    from phaseloom.orientation.matching.image_reading import (
        FINE,
        read_polar,
        read_template,
        template_norms,
    )
    from phaseloom.orientation.matching.images import _convolved, _spots

    rng = np.random.default_rng(1)
    image = patterns_at(random_quaternions(1, rng))[0] + rng.exponential(0.002, SHAPE)
    spots = _spots(library, PIXEL, OPTIONS["k_min"], 1.0)
    bins = library.n_angles
    norm = np.zeros(library.n_zones)
    template_norms(spots.offset, spots.radius, spots.angle, spots.intensity, bins, SIGMA, norm)
    blurred, norms = _convolved(image[None], BEAM[None], 0.15 / PIXEL, 1.0 / PIXEL, SIGMA, 1.0)
    polar = np.empty((60, FINE, 2 * bins), dtype=np.float32)
    read_polar(blurred[0], *BEAM, bins, polar)
    votes = np.empty((2, bins + 1), dtype=np.float32)
    seen = masked(image, library)
    for zone in (3, 100, 170, 300):
        own = slice(spots.offset[zone], spots.offset[zone + 1])
        read_template(
            polar,
            np.rint(spots.radius[own]).astype(np.int64),
            np.rint(spots.angle[own] * FINE).astype(np.int64) % (FINE * bins),
            spots.intensity[own],
            votes,
        )
        index = votes / (norm[zone] * norms[0])
        for bin_ in (0, 17, int(index[0, :bins].argmax()), int(index[1, :bins].argmax())):
            for mirror in (False, True):
                t = template(library, zone, bin_, mirror)
                expected = (seen * t).sum() / np.sqrt((seen**2).sum() * (t**2).sum())
                assert index[int(mirror), bin_] == pytest.approx(expected, abs=0.02)


def test_a_template_finds_itself_with_index_one(library: Library) -> None:
    from phaseloom.orientation.matching.voting import placed

    found = matched(
        np.stack([template(library, 40, 11, False), template(library, 200, 77, True)]),
        BEAM, library, **OPTIONS,
    )  # fmt: skip
    # The ring that is looked at cuts a few of the spots.
    assert found.fact("correlation")[:, 0] == pytest.approx([1.0, 1.0], abs=0.05)
    assert (found.crystal[:, 0] == 0).all()
    for i, (zone, bin_, mirror) in enumerate([(40, 11, False), (200, 77, True)]):
        true = np.empty(4)
        placed(library.templates.rotation[zone], bin_, mirror, library.n_angles, true)
        laue = library.crystals[0].laue_rotations
        assert misorientation_angles(found.rotation[i, 0], true, laue) < 2.0


def test_orientations_are_found_in_the_frame_of_the_scan(library: Library) -> None:
    # Random orientations have no symmetry that would hide a mirrored or transposed frame.
    true = random_quaternions(12, np.random.default_rng(4))
    found = matched(patterns_at(true), BEAM, library, **OPTIONS, exponent=0.35)
    laue = library.crystals[0].laue_rotations
    angle = misorientation_angles(found.rotation[:, 0], true, laue)
    # A few look the same in several orientations; in another frame nearly all would be wrong.
    assert (angle < 4.0).mean() > 0.8
    assert np.median(angle) < 2.0
    assert (found.crystal[:, 0] == 0).all()


def test_counts_outside_the_ring_do_not_matter_and_scale_neither(library: Library) -> None:
    image = patterns_at(random_quaternions(1, np.random.default_rng(5)))
    spoiled = 7.0 * image
    spoiled[0, 55:62, 68:75] += 1e4
    spoiled[0, 0, 0] = np.nan
    spoiled[0, 1, 1] = -50.0
    one, other = (matched(i, BEAM[None], library, **OPTIONS) for i in (image, spoiled))
    np.testing.assert_allclose(one.fact("correlation"), other.fact("correlation"), atol=1e-5)
    assert (np.nan_to_num(one.fact("correlation")) <= 1.02).all()


def test_reliabilities_are_those_of_the_definition(library: Library) -> None:
    turn = np.array([[1.0, 0, 0, 0], [np.cos(0.035), np.sin(0.035), 0, 0], [0.9, 0.43589, 0, 0]])
    rotation = np.broadcast_to(turn, (1, 2, 3, 4)).copy()
    correlation = np.array([[[0.8, 0.79, 0.6], [0.7, np.nan, np.nan]]])
    found = ranked(Starts(rotation, correlation))
    assert found.crystal[0].tolist() == [0, 0, 1, 0, -1, -1]
    rated = correlation_reliability(found, library)
    # The solution 4° away is the same one.
    assert rated.orientation_reliability[0] == pytest.approx(100 * (1 - 0.6 / 0.8))
    assert rated.phase_reliability[0] == pytest.approx(100 * (1 - 0.7 / 0.8))


def test_an_empty_pattern_has_no_solution(library: Library) -> None:
    found = matched(np.zeros((1, *SHAPE)), BEAM, library, **OPTIONS)
    assert (found.crystal == -1).all()
    assert np.isnan(found.rotation).all()
    assert np.isnan(correlation_reliability(found, library).orientation_reliability).all()


@pytest.mark.parametrize(
    ("change", "fault"),
    [({"k_min": 1.0}, "k_min"), ({"spot_sigma": 0.0}, "spot sigma"), ({"exponent": 0}, "exponent")],
)
def test_what_cannot_be_is_told(library: Library, change: dict[str, float], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        match_images(np.ones((1, *SHAPE)), BEAM, library, **{**OPTIONS, **change})
    with pytest.raises(InputError, match="belong together"):
        match_images(np.ones((3, *SHAPE)), np.zeros((2, 2)), library, **OPTIONS)
    with pytest.raises(InputError, match="unknown"):
        match_images(np.ones(SHAPE), BEAM, library, **OPTIONS)
