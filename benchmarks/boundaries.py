"""The boundary test on simulated truth: optics alone, and a real layer between the phases.

python benchmarks/boundaries.py [--seeds 50] [--size 96] [--first 0]

Samples are drawn four times finer than the pixels. The optics are a zone plate with a central
stop (diffraction of its annular pupil), not the model that the test fits.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

import phaseloom
from phaseloom.errors import InputWarning
from phaseloom.simulate import nvpf_references, sparse_energies

Array = NDArray[np.float64]

FINE = 4
"""Parts of a pixel's side in which the sample is drawn."""
STOP = 0.4
"""Radius of the central stop in that of the zone plate."""
FIRST, LAYER, SECOND = 0, 1, 2
"""Phases of the sample: two, and the one between them."""


def transfer_function(shape: tuple[int, ...], resolution: float) -> Array:
    """Transfer function of an annular pupil.

    Parameters
    ----------
    shape
        Of the image in fine pixels.
    resolution
        Radius of the first dark ring of the full pupil (Rayleigh) in fine pixels.
    """
    cut = 1.22 / resolution  # highest frequency that passes, per fine pixel
    frequency = [np.fft.fftfreq(n) for n in shape]
    # The transfer function is the pupil's autocorrelation, worked out on a grid of its own.
    n = 512
    y, x = (np.mgrid[:n, :n] - n / 2) / (n / 4.2)
    radius = np.hypot(y, x)
    pupil = ((radius <= 1) & (radius >= STOP)).astype(float)
    correlation = np.fft.fftshift(np.abs(np.fft.ifft2(np.abs(np.fft.fft2(pupil)) ** 2)))
    profile = correlation[n // 2, n // 2 :] / correlation.max()
    lag = np.arange(profile.size) / (n / 4.2) / 2.0  # 1 at twice the pupil's radius
    return np.interp(np.hypot(frequency[0][:, None], frequency[1][None]) / cut, lag, profile)


def sample(size: int, grains: int, layer: float, seed: int) -> tuple[NDArray[np.intp], Array]:
    """Phase and thickness on the fine grid; −1 outside.

    Parameters
    ----------
    size
        Field in pixels.
    grains
        Voronoi grains in the field.
    layer
        Width in pixels of the layer of the intermediate phase between the two others; 0: none.
    """
    rng = np.random.default_rng(seed)
    n = size * FINE
    y, x = np.mgrid[:n, :n].astype(float)
    points = np.column_stack([y.ravel(), x.ravel()])
    centres = rng.uniform(0, n, (grains, 2))
    _, nearest = cKDTree(centres).query(points)
    kind = rng.permutation(np.arange(grains) % 2)
    first = (kind[nearest] == 0).reshape(n, n)
    label = np.where(first, FIRST, SECOND)
    if layer > 0:
        inside = ndimage.distance_transform_edt(first) + ndimage.distance_transform_edt(~first)
        label[inside - 0.5 <= layer * FINE / 2] = LAYER
    angle = np.arctan2(y - n / 2, x - n / 2)
    radius = 0.42 * n * (1 + 0.06 * np.cos(3 * angle + rng.uniform(0, 6)))
    particle = np.hypot(y - n / 2, x - n / 2) < radius
    relief = ndimage.gaussian_filter(rng.standard_normal((n, n)), n / 12)
    relief *= 0.15 / np.abs(relief).max()
    step = rng.uniform(0.9, 1.1, grains)[nearest].reshape(n, n)
    return np.where(particle, label, -1), np.where(particle, 0.8 * (1 + relief) * step, 0.0)


def stack_of(
    label: NDArray[np.intp],
    thickness: Array,
    references: list[xr.DataArray],
    *,
    resolution: float,
    counts: float,
    seed: int,
) -> xr.Dataset:
    """The stack of a sample on the fine grid.

    Parameters
    ----------
    resolution
        Of the zone plate in pixels (Rayleigh).
    counts
        In the empty beam.
    """
    rng = np.random.default_rng(seed)
    energies = sparse_energies()
    transfer = transfer_function(label.shape, resolution * FINE)
    absorption = np.stack([np.interp(energies, r["energy"], r) for r in references])
    n = label.shape[0] // FINE
    frames = []
    for energy in range(energies.size):
        density = np.where(label >= 0, absorption[label, energy] * thickness, 0.0)
        image = np.fft.ifft2(np.fft.fft2(np.exp(-density)) * transfer).real
        # The beam steps from pixel to pixel: a reading is the image at its middle.
        middle = image.reshape(n, FINE, n, FINE)[:, 1:3, :, 1:3].mean(axis=(1, 3))
        frames.append(rng.poisson(counts * np.clip(middle, 0, None)))
    axis = np.arange(n) * 0.02
    return xr.Dataset(
        {"counts": (("energy", "y", "x"), np.array(frames), {"units": "counts"})},
        coords={
            "energy": ("energy", energies, {"units": "eV"}),
            "y": ("y", axis, {"units": "µm"}),
            "x": ("x", axis, {"units": "µm"}),
        },
        attrs={"kind": "stack", "format": "simulated", "source": "simulated", "title": ""},
    )


def three_phases() -> list[xr.DataArray]:
    """The references of the sample's phases: intermediate in the middle."""
    every = nvpf_references()
    return [every[0], every[len(every) // 2], every[-1]]


def test_one(
    seed: int, *, size: int, layer: float, resolution: float, counts: float, resolve: str
) -> xr.Dataset:
    """Simulate a stack and map it; its group of the results."""
    references = three_phases()
    label, thickness = sample(size, max(6, size * size // 500), layer, seed)
    stack = stack_of(
        label, thickness, references, resolution=resolution, counts=counts, seed=seed + 1000
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        results = phaseloom.stxm.map_phases(
            stack, references, resolve=resolve, align=False, baseline=False, shift=0.0, seed=seed
        )
    return results["stxm/stack"].to_dataset()


def main() -> None:
    """Print a row per condition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--resolution", type=float, nargs="+", default=[1.5, 2.5])
    parser.add_argument("--counts", type=float, default=3000.0)
    parser.add_argument("--layers", type=float, nargs="+", default=[0.0, 2.0])
    parser.add_argument("--resolve", default="likelihood")
    parser.add_argument("--each", action="store_true", help="print every simulation")
    arguments = parser.parse_args()
    print(
        "| resolution (px) | layer (px) | holds 1 | excludes 1, above | no answer | ratio, median "
        "| width found (px) | marked beyond the optics |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for resolution in arguments.resolution:
        for layer in arguments.layers:
            found = []
            for seed in range(arguments.first, arguments.first + arguments.seeds):
                result = test_one(
                    seed,
                    size=arguments.size,
                    layer=layer,
                    resolution=resolution,
                    counts=arguments.counts,
                    resolve=arguments.resolve,
                )
                a = result.attrs
                ratio = [a[f"odds_ratio_relative{end}"] for end in ("", "_low", "_high")]
                beyond = a.get("boundary_transitions_beyond", np.nan)
                found.append(
                    [
                        *ratio,
                        a.get("point_spread_width", np.nan),
                        beyond,
                        a.get("boundary_transitions", np.nan),
                    ]
                )
                if arguments.each:
                    print(
                        seed,
                        np.round(found[-1], 3),
                        a["odds_ratio"],
                        a["odds_ratio_optics"],
                        a.get("point_spread_error"),
                        a.get("point_spread_tails"),
                        a.get("boundary_transitions_optics"),
                        a["boundary_verdict"][:70],
                    )
            ratio, low, high, width, beyond, transitions = np.array(found).T
            answered = np.isfinite(ratio)
            print(
                f"| {resolution:g} | {layer:g} | {int(((low <= 1) & (high >= 1)).sum())} of "
                f"{len(found)} | {int((low > 1).sum())} of {len(found)} | "
                f"{int((~answered).sum())} | {np.nanmedian(ratio):.3g} | "
                f"{np.nanmedian(width):.2f} | {np.nansum(beyond):.0f} of "
                f"{np.nansum(transitions):.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
