"""Results made by hand from simulated stacks, to draw before and apart from the real chain."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from component_maps import components
from orientation_maps import orientation_map
from scipy.interpolate import CubicSpline

from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.view import style


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
            "correlation": (("reference", "y", "x"), (correlation * outside).astype("float32")),
            "phase_pearson": image(pearson, "int8"),
            "ambiguous": image(ambiguous, bool),
            "phase": image(final, "int8"),
            "posterior": (("reference", "y", "x"), (posterior * outside).astype("float32")),
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
            "reference_spectrum": (("reference", "energy"), reference.astype("float32")),
            "energy_shift_trial": ("trial", trial),
            "energy_shift_trial_chi2": ("trial", 1.1 + ((trial - 0.148) / 0.05) ** 2),
        },
        coords={
            **{axis: stack[axis] for axis in ("energy", "y", "x")},
            "reference": names,
            "phase_value": ("reference", value),
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
        for p, phase in enumerate(node["reference"].to_numpy()):
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


@contextmanager
def drawn_texts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, object]]]:
    """Every text that reaches the page, with its box."""
    from matplotlib.text import Text

    seen: list[tuple[str, object]] = []
    original = Text.draw

    def record(self: Text, renderer: object) -> None:
        if self.get_visible() and self.get_text().strip():
            seen.append((self.get_text(), Text.get_window_extent(self, renderer)))
        original(self, renderer)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", record)
        yield seen


def assert_legible(figure: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """No text overlaps another, none leaves the page."""
    with drawn_texts(monkeypatch) as texts, style.publication():
        figure.canvas.draw()
    page = figure.bbox
    for name, box in texts:
        assert box.x0 >= page.x0 - 0.5, name
        assert box.x1 <= page.x1 + 0.5, name
        assert box.y0 >= page.y0 - 0.5, name
        assert box.y1 <= page.y1 + 0.5, name
    for (one, a), (other, b) in combinations(texts, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= 1.0 or high <= 1.0, f"{one!r} overlaps {other!r}"


@pytest.fixture
def legible(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    return lambda figure: assert_legible(figure, monkeypatch)


SPOTS = ((-7.3, 2.4), (4.1, 11.7), (6.6, -8.2))
"""Of every pattern but the first: rows and columns from the direct beam, px; no symmetry."""


@pytest.fixture(scope="session")
def make_scan() -> Callable[..., xr.DataTree]:
    return scan


def scan(
    shape: tuple[int, int] = (5, 7),
    pixel_size: float = 0.02,
    units: str = "Å⁻¹",
    counts: float = 900.0,
    sigma: float = 1.5,
) -> xr.DataTree:
    """A registered scan of asymmetric patterns (32 rows, 40 columns); none in the first."""
    ny, nx = shape
    rng = np.random.default_rng(0)
    y, x = np.indices(shape)
    centre_y, centre_x = 15.0 + 0.2 * y + 0.1 * x, 20.0 - 0.15 * x
    number = np.full(ny * nx, len(SPOTS))
    number[0] = 0
    distortion = np.array([[1.02, 0.01], [0.01, 0.98]])
    vectors = np.tile(pixel_size * np.array(SPOTS) @ distortion.T, (int((number > 0).sum()), 1))
    size = len(vectors)
    strength = counts * np.tile([1.0, 0.5, 0.1], size // 3) * rng.uniform(0.8, 1.2, size)
    error = sigma / np.sqrt(strength)

    def column(values: object) -> tuple[str, np.ndarray]:
        return "peak", np.broadcast_to(values, size).astype("float32")

    def image(values: object) -> tuple[tuple[str, str], np.ndarray]:
        return ("y", "x"), np.broadcast_to(values, shape).astype("float32")

    data = xr.Dataset(
        {
            "ky": column(vectors[:, 0]),
            "kx": column(vectors[:, 1]),
            "intensity": column(strength),
            "intensity_error": column(np.sqrt(strength)),
            "ky_error": column(error * pixel_size),
            "kx_error": column(2 * error * pixel_size),
            "peak_prominence": column(strength / (2 * np.pi * sigma**2)),
            "background": column(0.2),
            "offset": ("edge", np.concatenate([[0], np.cumsum(number)])),
            "centre_y": image(centre_y),
            "centre_x": image(centre_x),
            "bright_field": image(1e4 - 100 * y),
            "spot_sum": image(number.reshape(shape) * counts),
            "spot_count": image(number.reshape(shape)),
            "noise": image(0.4 + 0.01 * x),
            "prominence": image(2.0),
        },
        coords={
            "y": ("y", 4.0 * np.arange(ny), {"units": "nm"}),
            "x": ("x", 4.0 * np.arange(nx), {"units": "nm"}),
        },
        attrs={
            "pixel_size": pixel_size,
            "pixel_size_units": units,
            "detector_shape": [32, 40],
            "distortion": distortion.ravel().tolist(),
            "spot_shape": "gaussian",
            "spot_sigma": sigma,
            "gain": 1.3,
            "beam_scatter": 0.12,
            "false_alarms": 0.05,
            "threshold": 5.1,
            "n_patterns": ny * nx,
            "bytes_in": ny * nx * 32 * 40 * 2,
            "bytes_out": 1000,
            "seconds": 0.5,
            "patterns_per_second": 70.0,
        },
    )
    chosen = np.unique(np.linspace(0, ny * nx - 1, 6).astype(int))
    rows, columns = np.mgrid[:32, :40]
    patterns = []
    for position in chosen:
        cy, cx = centre_y.ravel()[position], centre_x.ravel()[position]
        truth = [(0.0, 0.0, 5 * counts)]
        if position:
            truth += [(*p, counts * w) for p, w in zip(SPOTS, (1, 0.5, 0.1), strict=True)]
        mean = np.full((32, 40), 0.2)
        for dy, dx, strong in truth:
            squared = (rows - cy - dy) ** 2 + (columns - cx - dx) ** 2
            mean += strong / (2 * np.pi * sigma**2) * np.exp(-squared / (2 * sigma**2))
        patterns.append(rng.poisson(mean).astype("float32"))
    sy, sx = np.divmod(chosen, nx)
    sample = xr.Dataset(
        {"pattern": (("sample", "ky", "kx"), np.array(patterns))},
        coords={"y": ("sample", sy), "x": ("sample", sx)},
    )
    ky, kx = ((np.arange(-n, n + 1)) * pixel_size for n in (16, 20))
    edges = [np.append(k - pixel_size / 2, k[-1] + pixel_size / 2) for k in (ky, kx)]
    k = np.arange(0.5, 25) * pixel_size
    radial, _ = np.histogram(np.hypot(*vectors.T), bins=np.arange(26) * pixel_size)
    density = xr.Dataset(
        {
            "density": (
                ("ky", "kx"),
                np.histogram2d(*vectors.T, bins=edges)[0],
                {"units": "1"},
            ),
            "radial": ("k", radial, {"units": "1"}),
        },
        coords={n: (n, v, {"units": units}) for n, v in (("ky", ky), ("kx", kx), ("k", k))},
    )
    tree = xr.DataTree.from_dict(
        {"/peaks": data, "/peaks/sample": sample, "/peaks/density": density}
    )
    tree["peaks"].attrs["versions"] = json.dumps({"phaseloom": "0.2.0"})
    tree["peaks"].attrs["inputs"] = json.dumps({"scan.blo": "sha256:9876"})
    return tree


@pytest.fixture(scope="session")
def make_orientation() -> Callable[..., xr.DataTree]:
    return orientation_map


@pytest.fixture(scope="session")
def make_components() -> Callable[..., xr.DataTree]:
    return components
