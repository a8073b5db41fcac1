"""Drift found against simulated truth, and stacks resampled without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.preparation.alignment import align, estimate_drift

ENERGIES = np.arange(16.0) + 500.0
EDGE = 1.0 / (1.0 + np.exp(-(ENERGIES - 506.0) / 0.7))


def residual(drift: xr.Dataset, truth: xr.Dataset) -> np.ndarray:
    """Length of the error per image; the common frame is free, so the mean is taken out."""
    error = np.stack([drift[name] - truth[name] for name in ("shift_y", "shift_x")])
    return np.hypot(*(error - error.mean(axis=1, keepdims=True)))


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def reference(values: np.ndarray, name: str) -> xr.DataArray:
    return xr.DataArray(values, dims="energy", coords={"energy": ENERGIES}, name=name)


def two_phase_stack(
    first: np.ndarray, second: np.ndarray, **kwargs: float
) -> tuple[xr.Dataset, xr.Dataset]:
    seed = int(kwargs.setdefault("seed", 1))
    sample = particle(["a", "b"], [1, 1], shape=(160, 160), n_grains=20, seed=seed, margin=24)
    references = [reference(first, "a"), reference(second, "b")]
    return measure(sample, references, ENERGIES, **{"drift": 1.5, **kwargs})  # type: ignore[arg-type]


def blobs(shift_y: float = 0.0, shift_x: float = 0.0, *, size: int = 96) -> np.ndarray:
    """A smooth image whose content lies shift_y, shift_x further up the axes."""
    y, x = np.mgrid[:size, :size]
    places = np.random.default_rng(4).uniform(5, size - 5, (25, 2))
    return sum(
        np.exp(-((y - v - shift_y) ** 2 + (x - u - shift_x) ** 2) / (2 * 3.0**2)) for v, u in places
    )


def stack_of(images: np.ndarray, name: str = "optical_density") -> xr.DataArray:
    n, ny, nx = images.shape
    return xr.DataArray(
        images,
        dims=("energy", "y", "x"),
        coords={
            "energy": ("energy", 500.0 + np.arange(n), {"units": "eV"}),
            "y": ("y", 10 + 0.05 * np.arange(ny), {"units": "µm"}),
            "x": ("x", -3 + 0.05 * np.arange(nx), {"units": "µm"}),
        },
        name=name,
    )


def shifts_of(shift: np.ndarray) -> xr.Dataset:
    energy = {"energy": 500.0 + np.arange(len(shift))}
    return xr.Dataset(
        {"shift_y": ("energy", shift[:, 0]), "shift_x": ("energy", shift[:, 1])}, coords=energy
    )


@pytest.mark.parametrize(
    ("step", "counts", "limit"), [(0.7, 3000.0, 0.07), (2.0, 3000.0, 0.07), (2.0, 500.0, 0.14)]
)
def test_random_walk_is_found(step: float, counts: float, limit: float) -> None:
    references = nvpf_references()
    names = [str(r.name) for r in references]
    sample = particle(names, [1] * 5, shape=(160, 160), n_grains=20, seed=3, margin=16)
    stack, truth = measure(
        sample,
        references,
        sparse_energies(),
        counts=counts,
        drift=step,
        stray_light=0.05,
        spikes=0.002,
        seed=3,
    )
    drift = estimate_drift(stack["counts"])
    error = residual(drift, truth)
    assert rms(error) < limit
    # the error bars (of one component) are those of the scatter
    assert 0.3 < rms(error / drift["shift_error"].to_numpy()) / np.sqrt(2) < 2.5
    assert float(drift["shift_y"][0]) == 0.0 == float(drift["shift_x"][0])


def test_contrast_that_inverts_in_one_phase() -> None:
    stack, truth = two_phase_stack(1.0 - 0.5 * EDGE, 0.3 + 1.3 * EDGE, stray_light=0.03)
    assert rms(residual(estimate_drift(stack["counts"]), truth)) < 0.1


def test_contrast_that_inverts_everywhere() -> None:
    stack, truth = two_phase_stack(1.0 - 0.3 * EDGE, 0.6 + 0.6 * EDGE)
    density = -np.log(np.maximum(stack["counts"].astype(float), 0.5))
    density[:7] *= -1
    assert rms(residual(estimate_drift(density.rename("optical_density")), truth)) < 0.1


def test_faint_images_before_the_edge_follow_where_they_can() -> None:
    stack, truth = two_phase_stack(0.08 + EDGE, 0.1 + 0.6 * EDGE, counts=3000.0)
    error = residual(estimate_drift(stack["counts"]), truth)
    assert error.max() < 0.5
    assert np.median(error) < 0.1


def test_counts_and_optical_density_agree() -> None:
    stack, truth = two_phase_stack(0.3 + EDGE, 0.3 + 0.6 * EDGE)
    density = -np.log(np.maximum(stack["counts"], 0.5) / truth["i0"])
    by_counts = estimate_drift(stack["counts"])
    by_density = estimate_drift(density.rename("optical_density"))
    np.testing.assert_allclose(by_counts["shift_y"], by_density["shift_y"], atol=0.03)
    np.testing.assert_allclose(by_counts["shift_x"], by_density["shift_x"], atol=0.03)


def test_blank_images_are_named_and_interpolated() -> None:
    stack, truth = two_phase_stack(0.4 + EDGE, 0.3 + 0.6 * EDGE, drift=0.3)
    blank = [3, 9, 10]
    counts = stack["counts"].copy()
    rng = np.random.default_rng(0)
    counts[blank] = rng.poisson(3000, (3, 160, 160))
    counts[9] = 0
    with pytest.warns(InputWarning, match=r"503, 509, 510 eV"):
        drift = estimate_drift(counts)
    assert np.flatnonzero(np.isnan(drift["quality"])).tolist() == blank
    for name in ("shift_y", "shift_x"):
        shift = drift[name].to_numpy()
        assert shift[3] == pytest.approx((shift[2] + shift[4]) / 2)
        assert shift[10] == pytest.approx(shift[8] + (shift[11] - shift[8]) * 2 / 3)
    good = np.setdiff1d(np.arange(16), blank)
    assert rms(residual(drift.isel(energy=good), truth.isel(energy=good))) < 0.1


@pytest.mark.parametrize("n", [2, 12])
def test_noise_alone_is_refused(n: int) -> None:
    noise = np.random.default_rng(1).poisson(1000, (n, 96, 96))
    with pytest.raises(InputError, match="no two images share any structure"):
        estimate_drift(stack_of(noise, "counts"))


def test_unfinished_and_missing_lines_do_not_pull() -> None:
    truth = np.array([[0, 0], [3.4, -2.2], [-1.6, 4.7], [2.0, 1.0]])
    images = np.stack([blobs(*s) for s in truth])
    images += np.random.default_rng(0).normal(0, 0.02, images.shape)
    images[3, 60:] = np.nan
    images[1, 20:23] = np.nan
    drift = estimate_drift(stack_of(images))
    found = np.column_stack([drift["shift_y"], drift["shift_x"]])
    np.testing.assert_allclose(found, truth, atol=0.1)


@pytest.mark.parametrize("rows", [(10, 30), (30, 55), (50, 75), (0, 40)])
def test_a_block_of_missing_lines_invents_no_drift(rows: tuple[int, int]) -> None:
    truth = np.array([[0, 0], [1.4, -2.2], [-1.6, 2.7], [2.0, 1.0], [0.3, 0.1], [-2.0, 1.6]])
    images = np.stack([blobs(*s) for s in truth])
    images += np.random.default_rng(0).normal(0, 0.02, images.shape)
    images[3, rows[0] : rows[1]] = np.nan
    images[np.random.default_rng(1).random(images.shape) < 0.02] = np.nan
    drift = estimate_drift(stack_of(images))
    found = np.column_stack([drift["shift_y"], drift["shift_x"]])
    np.testing.assert_allclose(found, truth, atol=0.12)


@pytest.mark.parametrize("size", [12, 16, 20, 30])
def test_narrow_fields_are_aligned(size: int) -> None:
    truth = np.array([[0, 0], [0.4, -0.6], [-0.5, 0.8], [0.3, 0.5], [-0.2, -0.4]])
    images = np.stack([blobs(*s, size=96)[30 : 30 + size] for s in truth])
    images += np.random.default_rng(0).normal(0, 0.01, images.shape)
    drift = estimate_drift(stack_of(images))
    found = np.column_stack([drift["shift_y"], drift["shift_x"]])
    np.testing.assert_allclose(found, truth, atol=0.4 if size < 20 else 0.2)


def test_mask_leaves_out_what_does_not_move() -> None:
    truth = np.array([[0, 0], [3.0, -2.0], [6.0, -4.0]])
    images = np.stack([blobs(*s) for s in truth])
    images += np.random.default_rng(0).normal(0, 0.02, images.shape)
    dust = 20 * (np.random.default_rng(5).random((30, 96)) < 0.2)
    images[:, :30] = dust
    mask = np.ones((96, 96), dtype=bool)
    mask[:34] = False
    drift = estimate_drift(stack_of(images), mask=mask)
    found = np.column_stack([drift["shift_y"], drift["shift_x"]])
    np.testing.assert_allclose(found, truth, atol=0.15)


def test_reference_image_defines_the_common_frame() -> None:
    stack = stack_of(np.stack([blobs(), blobs(2.0, 1.0), blobs(-1.0, 3.0)]))
    by_first, by_last = estimate_drift(stack), estimate_drift(stack, reference=-1)
    assert float(by_last["shift_x"][-1]) == 0.0
    np.testing.assert_allclose(by_first["shift_y"] - by_last["shift_y"], -1.0, atol=0.05)
    with pytest.raises(InputError, match="no image 3"):
        estimate_drift(stack, reference=3)


def test_one_image_has_nothing_to_align_to() -> None:
    drift = estimate_drift(stack_of(blobs()[None]))
    assert drift["shift_y"].item() == drift["shift_x"].item() == 0.0


def test_two_measured_images_far_apart(measured: Path) -> None:
    folder = measured / "stxm_ni_cosmic"
    images = [np.loadtxt(folder / f"stxm-scan_a{n}.xim") for n in ("003", "019")]
    drift = estimate_drift(stack_of(np.stack(images), "counts"))
    # (−23.9, 14.7) is the move that brings the second image onto the first; its content lies
    # the other way
    assert float(drift["shift_y"][1]) == pytest.approx(23.9, abs=0.3)
    assert float(drift["shift_x"][1]) == pytest.approx(-14.7, abs=0.3)
    aligned = align(stack_of(np.log(np.stack(images))), drift).to_numpy()
    assert np.corrcoef(aligned.reshape(2, -1))[0, 1] > 0.99


def test_align_undoes_the_shifts_and_keeps_coordinates() -> None:
    shift = np.array([[0, 0], [2.37, -3.61], [-1.25, 0.5]])
    stack = stack_of(np.stack([blobs(*s) for s in shift]).astype(np.float32))
    aligned = align(stack, shifts_of(shift))
    assert aligned.dtype == np.float32
    # y: 2.37 past the end, 1.25 before the start; x: 0.5 past the end, 3.61 before the start
    assert aligned.sizes == {"energy": 3, "y": 96 - 2 - 3, "x": 96 - 4 - 1}
    assert float(aligned["y"][0]) == pytest.approx(10 + 0.05 * 2)
    assert float(aligned["x"][0]) == pytest.approx(-3 + 0.05 * 4)
    assert aligned["y"].attrs["units"] == "µm"
    expected = blobs()[2 : 96 - 3, 4 : 96 - 1]
    inner = (slice(None), slice(4, -4), slice(4, -4))  # the spline does not know beyond the rim
    np.testing.assert_allclose(aligned.to_numpy()[inner], [expected[inner[1:]]] * 3, atol=2e-3)
    assert np.isfinite(aligned).all()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(-12, 12, allow_subnormal=False),
    st.floats(-12, 12, allow_subnormal=False),
)
def test_resampling_is_the_cubic_spline_in_two_dimensions(
    ny: int, nx: int, shift_y: float, shift_x: float
) -> None:
    # the common field takes a shift within 1e-6 px of the rim as on it, the plain spline does not
    shift = np.round([shift_y, shift_x], 3)
    image = 3 * np.random.default_rng(0).random((ny, nx), dtype=np.float32)
    expected = ndimage.shift(image, -shift, order=3, mode="constant", cval=np.nan)
    aligned = align(stack_of(image[None]), shifts_of(shift[None]), crop=False)
    np.testing.assert_allclose(aligned.to_numpy()[0], expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=4))
def test_whole_pixel_shifts_lose_nothing(moves: list[tuple[int, int]]) -> None:
    world = np.random.default_rng(0).random((60, 60), dtype=np.float32)
    images = np.stack([world[10 - v : 50 - v, 10 - u : 50 - u] for v, u in moves])
    whole = align(stack_of(images), shifts_of(np.array(moves, dtype=float)), crop=False)
    cropped = align(stack_of(images), shifts_of(np.array(moves, dtype=float)))
    inside = np.isfinite(whole.to_numpy())
    expected = np.broadcast_to(world[10:50, 10:50], whole.shape)
    np.testing.assert_allclose(whole.to_numpy()[inside], expected[inside], atol=1e-5)
    assert cropped[0].size == inside.all(axis=0).sum()


def test_align_takes_datasets_and_missing_readings() -> None:
    images = np.stack([blobs(), blobs(1.5, 0)])
    images[1, 40, 50] = np.nan
    stack = xr.Dataset(
        {
            "optical_density": stack_of(images),
            "dwell": ("energy", [1.0, 2.0]),
            "mask": (("y", "x"), np.ones((96, 96), dtype=bool)),
        }
    )
    shifts = shifts_of(np.array([[0.0, 0.0], [1.5, 0.0]]))
    aligned = align(stack, shifts)
    assert aligned["mask"].shape == aligned["optical_density"].shape[1:] == (94, 96)
    assert aligned["dwell"].to_numpy().tolist() == [1.0, 2.0]
    lost = np.argwhere(np.isnan(aligned["optical_density"].to_numpy()))
    # 40 lies half way between the rows sampled at 38 + 1.5 and 39 + 1.5
    assert lost.tolist() == [[1, 38, 50], [1, 39, 50]]


def test_align_in_place_needs_no_second_stack() -> None:
    shift = np.array([[0, 0], [2.5, 1.5]])
    images = np.stack([blobs(*s) for s in shift]).astype(np.float32)
    stack = stack_of(images.copy())
    expected = align(stack, shifts_of(shift))
    np.testing.assert_array_equal(stack.to_numpy(), images)
    aligned = align(stack, shifts_of(shift), in_place=True)
    assert np.shares_memory(aligned.to_numpy(), stack.to_numpy())
    xr.testing.assert_identical(aligned, expected)


def test_wrong_input_is_refused() -> None:
    stack = stack_of(np.stack([blobs(), blobs()]))
    with pytest.raises(InputError, match="3 shifts for a stack of 2"):
        align(stack, shifts_of(np.zeros((3, 2))))
    with pytest.raises(InputError, match="not finite"):
        align(stack, shifts_of(np.array([[0, 0], [np.nan, 0]])))
    with pytest.raises(InputError, match="share no field"):
        align(stack, shifts_of(np.array([[0, 0], [97.0, 0]])))
    with pytest.raises(InputError, match="mask"):
        estimate_drift(stack, mask=np.ones((3, 3), dtype=bool))
    with pytest.raises(InputError, match="dimensions"):
        estimate_drift(stack.rename(energy="position"))


def test_images_of_different_places_are_refused() -> None:
    images = np.stack([blobs(size=24), blobs(9.0, 0, size=24)])
    with pytest.raises(InputError, match="no field that could be compared"):
        estimate_drift(stack_of(images))
