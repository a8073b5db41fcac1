"""Whether a stack's transition pixels sit at phase boundaries by more than the optics make them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.maps.boundaries import boundary_pixels
from phaseloom.stxm.boundaries.grains import (
    Grains,
    distance_in_pixels,
    find_grains,
    segments,
)
from phaseloom.stxm.boundaries.null_model import Measured, measured_noise, simulate, transitions
from phaseloom.stxm.boundaries.odds import compare, shares
from phaseloom.stxm.boundaries.point_spread import PointSpread, measure_point_spread
from phaseloom.stxm.options import BoundaryTest
from phaseloom.stxm.preparation.preparation import incident_counts

DISTANCES = 8
"""Classes of distance; the last holds all that are farther, too."""
_BETWEEN = 2
"""Width of what is neither near nor far, in px and in widths of the optics."""
_FEWEST_PIXELS = 50
_FEWEST_SEGMENTS = 5
_INCLUSION = 6
"""Pixels of a foreign phase amid one grain that are more than chance."""
_WIDEST = 512
"""Side of the part of a large map that is tested, in px."""
_SELDOM = 0.05
"""Share of the simulations up to which the optics do not explain a pixel."""
_NM = {"nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "mm": 1e6}
_FWHM = 2.3548
_RIM = 2.0
"""Depth of the particles' rim that is left out, in px and in widths of the optics."""


@dataclass(frozen=True)
class _UntestableError(Exception):
    """The test says nothing, and why."""

    why: str


def boundary_test(
    prepared: xr.Dataset,
    maps: xr.Dataset,
    *,
    options: BoundaryTest,
    seed: int = 0,
    progress: Progress = SILENT,
) -> xr.Dataset:
    """Test whether transition pixels sit at phase boundaries beyond what the optics explain.

    Parameters
    ----------
    prepared
        From :func:`phaseloom.stxm.prepare`.
    maps
        From :func:`phaseloom.stxm.assignment.assignment.complete`.
    options
        Width of the point-spread function, what is near, how many simulations.
    seed
        Same seed, same result.
    progress
        Told about the simulations.

    Returns
    -------
    xarray.Dataset
        ``boundary_distance`` (y, x), px, 1 at the boundary, NaN where nothing was tested;
        ``boundary_transition`` (y, x), the transition pixels of the test;
        ``beyond_optics`` (y, x), those of them that the optics do not explain;
        per ``boundary_class`` (1, 2 … px, the last and beyond): ``boundary_pixels``,
        ``boundary_share`` and ``optics_share``, each with ``…_low``, ``…_high`` (95 %).
        attrs ``odds_ratio``, ``odds_ratio_optics``, ``odds_ratio_relative``, each with
        ``_low``, ``_high``; ``point_spread_width``, ``point_spread_error`` (px),
        ``point_spread_tails``; ``boundary_near`` (px); ``boundary_verdict``, the result in one
        sentence. Numbers are NaN where the test says nothing; the sentence then says why.
    """
    shape = prepared["mask"].shape
    empty = _empty(shape)
    try:
        window = _window(maps["phase"].to_numpy(), shape)
        part = dict(zip(("y", "x"), window, strict=True))
        optics = _optics(prepared, options)
        measured, grains = _grains(prepared.isel(part), maps.isel(part))
        return _tested(empty, window, measured, grains, optics, options, seed, progress)
    except _UntestableError as failure:
        return empty.assign_attrs(boundary_verdict=failure.why, boundary_near=options.near)


def _tested(
    empty: xr.Dataset,
    window: tuple[slice, slice],
    measured: Measured,
    grains: Grains,
    optics: PointSpread,
    options: BoundaryTest,
    seed: int,
    progress: Progress,
) -> xr.Dataset:
    distance = distance_in_pixels(grains.phase)
    # At the rim the thickness changes within a pixel: its mean transmission is no mixture.
    rim = max(_RIM, _RIM * _FWHM * optics.width)
    depth = ndimage.distance_transform_edt(np.pad(measured.mask, 1))[1:-1, 1:-1]
    distance[depth <= rim] = np.nan
    segment = segments(grains.phase)
    mixed, foreign = transitions(measured, measured.density.to_numpy(), grains.nearby)
    distance[_lost(foreign & (grains.nearby.sum(axis=0) < 2))] = np.nan
    used = np.isfinite(distance)
    if not used.any():
        raise _UntestableError("No boundary between two phases: nothing to test.")
    near = used & (distance <= options.near)
    # Between the two lie pixels that the layer or the optics just reach: they speak for neither.
    between = _BETWEEN * max(1.0, _FWHM * optics.width)
    compared = near | (used & (distance > options.near + between))
    _, of_segment = np.unique(segment[used], return_inverse=True)
    counted = int(near.sum()), int((compared & ~near).sum())
    if min(counted) < _FEWEST_PIXELS or int(of_segment.max()) + 1 < _FEWEST_SEGMENTS:
        raise _UntestableError(
            f"Too little boundary to test: {counted[0]} pixels within {options.near} px of it, "
            f"{counted[1]} more than {options.near + between:.1f} px away, "
            f"{int(of_segment.max()) + 1} segments."
        )
    mixed_null, foreign_null = simulate(
        measured, grains, optics, simulations=options.simulations, seed=seed, progress=progress
    )
    transition, simulated = mixed | foreign, mixed_null | foreign_null
    odds = compare(
        transition[compared],
        simulated[:, compared],
        near[compared],
        of_segment[compared[used]],
        seed=seed,
    )
    beyond = transition & (_seldom(simulated, used) | (foreign & _seldom(foreign_null, used)))
    classes = np.arange(1, DISTANCES + 1)
    member = np.minimum(distance[used], DISTANCES)[None] == classes[:, None]
    share, low, high = shares(transition[used], member, of_segment, seed=seed)
    null = np.stack([(simulated[:, used] * of).sum(axis=1) for of in member])
    with np.errstate(invalid="ignore", divide="ignore"):
        null = null / member.sum(axis=1)[:, None]
    null_low, null_high = np.quantile(null, [0.025, 0.975], axis=1)

    result = empty.copy(deep=True)
    for name, values in (
        ("boundary_distance", np.where(used, distance, np.nan)),
        ("boundary_transition", transition & used),
        ("beyond_optics", beyond & used),
    ):
        result[name].to_numpy()[window] = values
    for name, values in (
        ("boundary_pixels", member.sum(axis=1)),
        ("boundary_share", share),
        ("boundary_share_low", low),
        ("boundary_share_high", high),
        ("optics_share", null.mean(axis=1)),
        ("optics_share_low", null_low),
        ("optics_share_high", null_high),
    ):
        result[name].to_numpy()[:] = values
    attributes: dict[str, float | int | str] = {
        "boundary_near": options.near,
        "boundary_simulations": options.simulations,
        "boundary_segments": int(of_segment.max()) + 1,
        "boundary_transitions": int((transition & used).sum()),
        "boundary_transitions_optics": float(simulated[:, used].sum(axis=1).mean()),
        "boundary_transitions_beyond": int((beyond & used).sum()),
        "boundary_noise": measured.noise,
        "point_spread_width": optics.width,
        "point_spread_error": optics.error,
        "point_spread_tails": optics.tails,
    }
    for name, triple in (
        ("odds_ratio", odds.observed),
        ("odds_ratio_optics", odds.optics),
        ("odds_ratio_relative", odds.ratio),
    ):
        attributes |= dict(zip((name, f"{name}_low", f"{name}_high"), triple, strict=True))
    result = result.assign_attrs(attributes)
    return result.assign_attrs(boundary_verdict=_verdict(result.attrs))


def _verdict(numbers: dict[str, float]) -> str:
    ratio, low, high = (numbers[f"odds_ratio_relative{end}"] for end in ("", "_low", "_high"))
    if low > 1:
        answer = "more than the optics explain"
    elif high < 1:
        answer = "less than the optics alone would give"
    else:
        answer = "as the optics alone explain"
    return (
        f"Transition pixels gather within {numbers['boundary_near']} px of the phase boundary "
        f"{answer}: odds ratio {numbers['odds_ratio']:.3g}, {ratio:.3g} times "
        f"(95 % interval {low:.3g} to {high:.3g}) that expected from a point-spread function of "
        f"{numbers['point_spread_width'] * _FWHM:.2g} px full width; "
        f"{numbers['boundary_transitions_beyond']:,} of {numbers['boundary_transitions']:,} "
        f"transition pixels remain beyond the optics."
    )


def _optics(prepared: xr.Dataset, options: BoundaryTest) -> PointSpread:
    """The point-spread function, given in nm (px where the pixel size is unknown) or measured."""
    if options.blur != "auto":
        unit = str(prepared.attrs["length_unit"])
        pixel = float(np.sqrt(prepared.attrs["pixel_area"]))
        in_pixels = options.blur / (pixel * _NM[unit]) if unit in _NM else options.blur
        return PointSpread(float(in_pixels) / _FWHM, 0.0, options.tails, 0.0, 0)
    density = prepared["optical_density"].transpose("energy", "y", "x").to_numpy()
    transmission = np.exp(-density - prepared["baseline"].to_numpy())
    transmission[~np.isfinite(transmission)] = 1.0
    found = measure_point_spread(
        transmission.mean(axis=0, dtype=np.float64), prepared["mask"].to_numpy()
    )
    if found is None:
        raise _UntestableError(
            "The optics' width cannot be measured, the particles have too few clean edges: give "
            "the full width at half maximum with --blur."
        )
    return found


def _grains(prepared: xr.Dataset, maps: xr.Dataset) -> tuple[Measured, Grains]:
    density = prepared["optical_density"].transpose("energy", "y", "x")
    mask = prepared["mask"].to_numpy()
    values = density.to_numpy().astype(np.float64)
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    usable = np.maximum(finite.sum(axis=0), 1)
    # A missing reading is the pixel's mean for finding grains; the fits leave it out.
    filled = np.where(finite, values, filled.sum(axis=0) / usable)
    references = maps["reference_spectrum"].transpose("reference", "energy")
    grains = find_grains(maps["phase"].to_numpy(), filled, references.to_numpy(), mask)
    if grains is None:
        raise _UntestableError("No two phases have grains of 5 px or more: no boundary to test.")
    counts = incident_counts(prepared)
    i0 = np.ones(len(values)) if counts is None else np.asarray(counts, dtype=float)
    baseline = np.nan_to_num(prepared["baseline"].to_numpy().astype(np.float64))
    noise = measured_noise(filled, grains, i0, baseline)
    if not noise > 0:
        raise _UntestableError("The noise of the stack cannot be measured: nothing to simulate.")
    return Measured(density, references, i0, baseline, filled, mask, noise), grains


def _seldom(simulated: NDArray[np.bool_], used: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that the simulations seldom make a transition, nor any neighbour of theirs.

    The boundary is known to about a pixel: what the optics do beside it they may do here.
    """
    often = np.where(used, simulated.mean(axis=0), 0.0)
    return np.asarray(ndimage.maximum_filter(often, size=3) <= _SELDOM)


def _lost(inclusion: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Surroundings of what is no layer between two grains but a grain too thin to be one."""
    number, _ = ndimage.label(inclusion, structure=np.ones((3, 3)))
    size = np.bincount(number.ravel())
    size[0] = 0
    wide = size[number] >= _INCLUSION
    return np.asarray(ndimage.binary_dilation(wide, iterations=DISTANCES)) if wide.any() else wide


def _window(phase: NDArray[np.integer], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """All of a map; of a large one the part of 512² px that holds most boundary."""
    if max(shape) <= _WIDEST:
        return slice(None), slice(None)
    boundary = boundary_pixels(phase).astype(np.float32)
    sides = [min(_WIDEST, n) for n in shape]
    within = np.pad(boundary.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    step_y, step_x = sides
    total = (
        within[step_y:, step_x:]
        - within[:-step_y, step_x:]
        - within[step_y:, :-step_x]
        + within[:-step_y, :-step_x]
    )
    top, left = np.unravel_index(int(total.argmax()), total.shape)
    return slice(int(top), int(top) + step_y), slice(int(left), int(left) + step_x)


def _empty(shape: tuple[int, ...]) -> xr.Dataset:
    """The result without an answer."""
    space, classes = ("y", "x"), "boundary_class"
    nothing = np.full(DISTANCES, np.nan)
    variables = {
        name: (classes, nothing.copy())
        for quantity in ("boundary_share", "optics_share")
        for name in (quantity, f"{quantity}_low", f"{quantity}_high")
    }
    numbers = {
        f"{name}{end}": float("nan")
        for name in ("odds_ratio", "odds_ratio_optics", "odds_ratio_relative")
        for end in ("", "_low", "_high")
    }
    return xr.Dataset(
        {
            "boundary_distance": (space, np.full(shape, np.nan, np.float32), {"units": "px"}),
            "boundary_transition": (space, np.zeros(shape, dtype=bool)),
            "beyond_optics": (space, np.zeros(shape, dtype=bool)),
            "boundary_pixels": (classes, np.zeros(DISTANCES, dtype=np.int64)),
            **variables,
        },
        coords={classes: (classes, np.arange(1, DISTANCES + 1), {"units": "px"})},
        attrs=numbers,
    )
