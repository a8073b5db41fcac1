"""Results made by hand from simulated stacks, to draw before and apart from the real chain."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.interpolate import CubicSpline

from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    return centred / np.sqrt((centred**2).sum(axis=0))


@cache
def result(
    shape: tuple[int, int] = (48, 48),
    n_phases: int = 5,
    seed: int = 1,
    counts: float = 3000.0,
    unequal: bool = False,
) -> xr.Dataset:
    """One stack's result: Pearson by hand, principal components as latent space."""
    energy = sparse_energies()
    base = nvpf_references()
    mix = np.linspace(0, len(base) - 1, n_phases)
    spectra = np.stack([CubicSpline(r["energy"], r)(energy) for r in base])
    reference = np.stack(
        [
            (1 - w % 1) * spectra[int(w)] + (w % 1) * spectra[min(int(w) + 1, len(base) - 1)]
            for w in mix
        ]
    )
    value = np.interp(mix, range(len(base)), [r.attrs["value"] for r in base])
    dense = [xr.DataArray(r, dims="energy", coords={"energy": energy}) for r in reference]
    names = [f"Na{v:.1f}VPF" for v in value]
    weights = np.roll(np.arange(1.0, n_phases + 1), seed) if unequal else np.ones(n_phases)
    sample = particle(names, weights, shape=shape, n_grains=30, seed=seed)
    stack, truth = measure(sample, dense, energy, counts=counts, seed=seed, drift=0.4)
    density = -np.log(np.maximum(stack["counts"], 1) / truth["i0"]).to_numpy()
    mask = truth["phase"].to_numpy() >= 0
    correlation = np.einsum("ep,eyx->pyx", _standardised(reference.T), _standardised(density))
    ordered = np.sort(correlation, axis=0)
    pearson = np.where(mask, correlation.argmax(0), -1)
    ambiguous = mask & (ordered[-1] - ordered[-2] <= 0.005)
    final = np.where(ambiguous, truth["phase"], pearson)
    rng = np.random.default_rng(seed)
    unknown = mask & (rng.random(shape) < 0.004)
    final[unknown] = -2
    posterior = np.exp((correlation - ordered[-1]) / 0.004)
    posterior /= posterior.sum(0)
    scores = _standardised(density)[:, mask].T
    _, _, axes = np.linalg.svd(scores - scores.mean(0), full_matrices=False)
    latent = np.full((2, *shape), np.nan)
    latent[:, mask] = ((scores - scores.mean(0)) @ axes[:2].T).T
    trial = np.linspace(-0.5, 0.5, 41)
    reason = np.where(mask, 0, 1)
    reason[:2] = 3
    reason[mask & (density.max(0) > np.percentile(density.max(0)[mask], 99))] = 2
    outside = np.where(mask, 1.0, np.nan)

    def image(
        values: np.ndarray, kind: type | str = "float32"
    ) -> tuple[tuple[str, str], np.ndarray]:
        return ("y", "x"), np.asarray(values).astype(kind)

    return xr.Dataset(
        {
            "optical_density": (("energy", "y", "x"), density.astype("float32")),
            "mask": image(mask, bool),
            "mask_reason": image(reason, "int8"),
            "correlation": (("phase", "y", "x"), (correlation * outside).astype("float32")),
            "phase_pearson": image(pearson, "int8"),
            "ambiguous": image(ambiguous, bool),
            "phase": image(final, "int8"),
            "posterior": (("phase", "y", "x"), (posterior * outside).astype("float32")),
            "value": (
                *image(np.where(final >= 0, value[final], np.nan)),
                {"long_name": "Sodium content x"},
            ),
            "value_mean": (
                *image(np.tensordot(value, posterior, 1) * outside),
                {"long_name": "Sodium content x"},
            ),
            "false_assignment": image(mask & ~ambiguous & (rng.random(shape) < 0.01), bool),
            "transition": image(unknown, bool),
            "latent": (("latent", "y", "x"), latent.astype("float32")),
            "chi2": image(rng.chisquare(20, shape) / 20 * outside),
            "particle": image(np.where(mask, 0, -1), "int32"),
            "i0": ("energy", truth["i0"].to_numpy()),
            "shift_y": ("energy", truth["shift_y"].to_numpy()),
            "shift_x": ("energy", truth["shift_x"].to_numpy()),
            "reference": (("phase", "energy"), reference.astype("float32")),
            "energy_shift_trial": ("trial", trial),
            "energy_shift_trial_chi2": ("trial", 1.1 + ((trial - 0.148) / 0.05) ** 2),
        },
        coords={
            **{axis: stack[axis] for axis in ("energy", "y", "x")},
            "phase_name": ("phase", names),
            "phase_value": ("phase", value),
        },
        attrs={
            "energy_shift": 0.148,
            "energy_shift_error": 0.006,
            "energy_shift_chi2": 1.12,
            "energy_shift_applied": 1,
            "margin": 0.005,
            "pixel_area": 0.0004,
            "length_unit": "µm",
            "quantity": "counts",
            "spikes": 41,
            "pre_edge_energies": 3,
        },
    )


@pytest.fixture(scope="session")
def make_result() -> Callable[..., xr.Dataset]:
    return result


def series(n: int = 3, shape: tuple[int, int] = (48, 48)) -> xr.DataTree:
    nodes = {}
    for i in range(n):
        stack = result(shape=shape, seed=i + 1, unequal=True).copy()
        stack.attrs = {**stack.attrs, "state_of_charge": 100.0 * (n - 1 - i) / max(1, n - 1)}
        nodes[f"/stxm/particle_{i + 1}"] = stack
    tree = xr.DataTree.from_dict(nodes)
    tree["stxm"].attrs = {
        "recipe": '[mapping]\nresolve = "gmvae"\n',
        "versions": json.dumps({"phaseloom": "0.1.0", "numpy": "2.3"}),
        "inputs": json.dumps({"particle_1.hdf5": "sha256:1234abcd"}),
    }
    return tree


@pytest.fixture(scope="session")
def make_series() -> Callable[..., xr.DataTree]:
    return series


def fractions(tree: xr.DataTree) -> pd.DataFrame:
    rows = []
    for name, node in tree["stxm"].children.items():
        labels = node["phase"].to_numpy()
        inside = int((labels != -1).sum())
        for p, phase in enumerate(node["phase_name"].to_numpy()):
            share = float((labels == p).sum() / inside)
            rows.append(
                {
                    "stack": name,
                    "phase": str(phase),
                    "fraction": share,
                    "fraction_low": max(0.0, share - 0.02),
                    "fraction_high": share + 0.02,
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def make_fractions() -> Callable[[xr.DataTree], pd.DataFrame]:
    return fractions
