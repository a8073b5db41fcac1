"""Compiled templates, normal equations and scores equal their plain references."""

import numpy as np
import pytest
import reference

from phaseloom.diffraction.spots import fitting
from phaseloom.diffraction.spots import joint_fit as refinement
from phaseloom.diffraction.spots.fitting import BEYOND, LANES
from phaseloom.diffraction.spots.shape import SpotShape

GAUSSIAN = SpotShape(sigma=1.3)
DISK = SpotShape(kind="disk", radius=6.0, edge=1.0)
SHAPES = pytest.mark.parametrize("shape", [GAUSSIAN, SpotShape(sigma=4.0), DISK])
HEIGHT, WIDTH = 60, 70
GAIN, FLOOR = 1.5, 0.4


class Place:
    """A spot's window in a padded image, and templates on it, as the kernel draws them."""

    def __init__(self, shape, y=31.3, x=28.8):
        self.shape, self.y, self.x = shape, y, x
        self.blocks = -(-(2 * shape.half + 1) // LANES)
        self.margin = LANES * self.blocks
        self.stride = WIDTH + 2 * self.margin
        self.base = self.margin * self.stride + self.margin
        self.y0, self.x0 = fitting.corner(y, x, shape.half, self.blocks)
        size = (2 * shape.half + 1, self.margin)
        self.p, self.q = np.zeros(size, np.float32), np.zeros(size, np.float32)
        lines = np.zeros(200, np.float32), np.zeros(200, np.float32)
        table, per_square = shape.table()
        fitting.window(
            y, x, self.y0, self.x0, self.blocks, shape.filter_sigma, table,
            np.float32(per_square), self.p, self.q, *lines,
        )  # fmt: skip

    def padded(self, image, beyond):
        flat = np.pad(image, self.margin, constant_values=beyond).astype(np.float32).ravel()
        return np.concatenate([flat, np.full(64, beyond, np.float32)])

    def inside(self, flat):
        rows = flat[: (HEIGHT + 2 * self.margin) * self.stride].reshape(-1, self.stride)
        return rows[self.margin : -self.margin, self.margin : -self.margin]

    @property
    def axes(self):
        return self.y0 + np.arange(self.p.shape[0]), self.x0 + np.arange(self.p.shape[1])

    @property
    def at(self):
        """Where the window is in the flat image, and its width."""
        return self.base, self.stride, self.y0, self.x0, self.blocks


def scene(place, *, missing=True, seed=0):
    """A noisy spot on a background: values with NaN, and what a somewhat wrong model leaves."""
    rng = np.random.default_rng(seed)
    y, x = np.arange(HEIGHT), np.arange(WIDTH)
    spot = place.shape.profile(np.hypot(y[:, None] - place.y, x - place.x))
    values = rng.poisson(30 * spot + 4).astype(float)
    rest = values - 27 * spot - 4.2
    if missing:
        values[rng.uniform(size=values.shape) < 0.1] = np.nan
        rest[np.isnan(values)] = rng.normal(0, 100, np.isnan(values).sum())
    image = place.padded(np.nan_to_num(values, nan=BEYOND), BEYOND)
    return values, rest, image, place.padded(rest, 3.0)


@SHAPES
def test_window_is_the_template_and_its_slope(shape):
    place = Place(shape)
    rows, columns = place.axes
    p, py, px = reference.template(shape, place.y, place.x, rows, columns)
    disk = shape.kind == "disk"
    np.testing.assert_allclose(place.p, p, atol=2e-3 if disk else 2e-6)
    near = 2e-2 * np.abs(py).max() if disk else 1e-5
    np.testing.assert_allclose(place.q * (rows - place.y)[:, None], py, atol=near)
    np.testing.assert_allclose(place.q * (columns - place.x), px, atol=near)


@pytest.mark.parametrize("x", [28.8, 2.0, 68.9])
def test_a_spot_drawn_with_its_tail_is_whole(x):
    """Window and tail together are the Gaussian, nothing twice, as far as it shows."""
    place = Place(GAUSSIAN, x=x)
    flat = place.padded(np.zeros((HEIGHT, WIDTH)), 0)
    amplitude, tall, half = 1e5, 0.01, GAUSSIAN.half
    far = refinement.tail_reach(amplitude, 1.3, tall, half, np.zeros(0, np.float32))
    assert far == int(np.ceil(1.3 * np.sqrt(2 * np.log(1e7))))
    fitting.add_window(flat, *place.at, place.p, np.float32(amplitude))
    fitting.add_tail(
        flat, place.base, place.stride, HEIGHT, WIDTH, place.y, x, amplitude, 1.3, 2 * half + 1,
        place.blocks, far, np.zeros(200, np.float32),
    )  # fmt: skip
    expected = np.zeros((HEIGHT, WIDTH))
    reference.draw(expected, GAUSSIAN, reference.Spot(place.y, x, amplitude, far), amplitude)
    np.testing.assert_allclose(place.inside(flat), expected, rtol=1e-4, atol=0.02)
    y, u = np.arange(HEIGHT), np.arange(WIDTH)
    whole = amplitude * GAUSSIAN.profile(np.hypot(y[:, None] - place.y, u - x))
    np.testing.assert_allclose(place.inside(flat), whole, rtol=1e-4, atol=2 * tall)


def test_how_far_a_spot_shows():
    none = np.zeros(0, np.float32)
    assert refinement.tail_reach(0.5, 2.4, 1.0, 7, none) == 0
    assert refinement.tail_reach(10.0, 2.4, 1.0, 7, none) == 0
    assert refinement.tail_reach(1e4, 2.4, 1.0, 7, none) == 11
    assert refinement.tail_reach(1e4, 2.4, 1.0, 7, DISK.table()[0]) == 0


@SHAPES
@pytest.mark.parametrize(("y", "x"), [(31.3, 28.8), (1.2, 30.1), (40.0, 68.4)])
def test_step_and_errors_are_those_of_the_normal_equations(shape, y, x):
    place = Place(shape, y, x)
    values, rest, image, left = scene(place)
    sums, step = np.zeros(9), np.zeros(6)
    fitting.information(
        image, left, place.base, place.stride, y, x, place.y0, place.x0, place.blocks,
        np.float32(GAIN), np.float32(FLOOR), place.p, place.q, sums,
    )  # fmt: skip
    assert fitting.solve(sums, 27.0, step)
    there, grid = reference.window(shape, y, x, values.shape)
    weight = reference.weights(values[there], rest[there], GAIN, FLOOR)
    expected, covariance = reference.scoring_step(*grid, rest[there], weight, 27.0)
    rough = shape.kind == "disk"
    errors = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(step[:3] / errors, expected / errors, atol=0.05 if rough else 1e-3)
    np.testing.assert_allclose(np.sqrt(step[3:]), errors, rtol=0.02 if rough else 1e-4)


def test_nothing_to_see_has_no_step():
    place = Place(GAUSSIAN)
    _, _, image, left = scene(place)
    image[:] = BEYOND
    sums, step = np.zeros(9), np.zeros(6)
    fitting.information(
        image, left, place.base, place.stride, place.y, place.x, place.y0, place.x0, place.blocks,
        np.float32(1), np.float32(0), place.p, place.q, sums,
    )  # fmt: skip
    assert (sums == 0).all()
    assert not fitting.solve(sums, 27.0, step)


@SHAPES
def test_score_and_misfit(shape):
    place = Place(shape)
    values, rest, image, left = scene(place)
    got = fitting.score(image, left, *place.at, np.float32(GAIN), np.float32(FLOOR), place.p, 27.0)
    there, (p, _, _) = reference.window(shape, place.y, place.x, values.shape)
    expected = reference.score(p, values[there], rest[there], 27.0, GAIN, FLOOR)
    np.testing.assert_allclose(got, expected, rtol=5e-3)


def test_score_of_a_hidden_spot_is_that_of_no_spot():
    place = Place(GAUSSIAN)
    _, _, image, left = scene(place)
    image[:] = BEYOND
    got = fitting.score(image, left, *place.at, np.float32(1), np.float32(0), place.p, 27.0)
    assert got == (0, 1, 0, 0)


def test_scores_of_noise_are_standard_normal_and_the_misfit_is_one():
    rng = np.random.default_rng(0)
    place = Place(SpotShape(sigma=2.4))
    scores, misfits, wrong = [], [], []
    for _ in range(500):
        noise = rng.poisson(40.0, (HEIGHT, WIDTH)).astype(float)
        image, left = place.padded(noise, BEYOND), place.padded(noise - 40, 0)
        got = fitting.score(image, left, *place.at, np.float32(1), np.float32(0), place.p, 0.0)
        scores.append(got[0])
        misfits.append((got[1] - 1) / got[2])
        wrong.append(got[3])
    assert np.mean(scores) == pytest.approx(0, abs=0.15)
    assert np.std(scores) == pytest.approx(1, abs=0.1)
    assert np.mean(misfits) == pytest.approx(0, abs=0.15)
    assert np.std(misfits) == pytest.approx(1, abs=0.15)
    assert np.mean(np.array(wrong) > 0) < 0.06, "two standard deviations are chance"


@pytest.mark.parametrize("by", [4.0, 12.0])
def test_what_the_template_is_wrong_by_is_told_without_the_noise(by):
    rng = np.random.default_rng(0)
    place = Place(SpotShape(sigma=2.4))
    wrong = []
    for _ in range(100):
        noise = rng.poisson(40.0, (HEIGHT, WIDTH)).astype(float)
        left = noise - 40 + by * np.sign(rng.uniform(-1, 1, noise.shape))
        images = place.padded(left + 40, BEYOND), place.padded(left, 0)
        got = fitting.score(*images, *place.at, np.float32(1), np.float32(0), place.p, 0.0)
        wrong.append(got[3] ** 2 + 2 * got[2] * 40)
    # what two standard deviations of chance may be is taken off
    assert np.sqrt(np.mean(wrong)) == pytest.approx(by, rel=0.1)
