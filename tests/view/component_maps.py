"""Components made by hand from simulated grains, with what a real result has."""

from __future__ import annotations

import json
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr

METRICS = ("psnr", "ssim", "gmsd", "mdsi")
THRESHOLDS = (0.75, 0.80, 0.85, 0.90, 0.95)


def grains(
    shape: tuple[int, int], k: int, *, width: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (k, y, x) of Voronoi grains that overlap over ``width`` positions, and where
    there is nothing."""
    place = np.stack(np.indices(shape), axis=-1).astype(float)
    sites = rng.uniform(0, 1, (3 * k, 2)) * shape
    distance = np.linalg.norm(place[..., None, :] - sites, axis=-1)
    owner = np.concatenate([np.arange(k), rng.integers(0, k, 2 * k)])
    nearest = np.stack([distance[..., owner == c].min(axis=-1) for c in range(k)])
    weight = np.exp(-np.clip((nearest - nearest.min(axis=0)) / width, 0, 50))
    weight = np.clip(weight / weight.sum(axis=0) - 0.02, 0, None)
    weight *= rng.uniform(0.85, 1.05, shape)
    empty = np.zeros(shape, dtype=bool)
    empty[-max(1, shape[0] // 12) :, : max(1, shape[1] // 5)] = True
    return np.where(empty, 0.0, weight), empty


def spotted(
    count: int, size: int, background: int, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Patterns (count, ky, kx) of tilted lattices of spots on a diffuse ring, no direct beam; and
    the distances from the middle."""
    axis = np.arange(size) - size // 2
    radius = np.hypot(*np.meshgrid(axis, axis, indexing="ij"))
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    diffuse = 14.0 * np.exp(-radius / (0.16 * size))
    patterns = []
    for component in range(count):
        image = diffuse * rng.uniform(0.8, 1.2)
        if component != background:
            angle, a = rng.uniform(0, np.pi), rng.uniform(0.1, 0.19) * size
            basis = a * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            basis[1] *= rng.uniform(0.9, 1.5)
            for h, k in product(range(-5, 6), repeat=2):
                y, x = h * basis[0] + k * basis[1]
                strength = rng.uniform(20, 260) * np.exp(-np.hypot(y, x) / (0.3 * size))
                sigma = 0.014 * size
                image += strength * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2 / sigma**2)
        patterns.append(image)
    return np.array(patterns), radius


@cache
def components(
    shape: tuple[int, int] = (40, 52),
    k: int = 8,
    *,
    size: int = 64,
    choose: str = "sound",
    patterns: str = "raw",
    background: bool = True,
    compared: bool = True,
    units: str = "nm",
    truth: bool = False,
    seed: int = 5,
) -> xr.DataTree:
    """A result of components; ``choose="given"`` has nothing that depends on k."""
    rng = np.random.default_rng(seed)
    weight, empty = grains(shape, k, width=1.0, rng=rng)
    order = np.argsort(-weight.sum(axis=(1, 2)))
    weight = weight[order]
    ground = 1 if background and k > 1 else -1
    pattern, radius = spotted(k, size, ground, rng=rng)
    masked = radius < 0.05 * size
    if patterns == "peaks":
        masked |= pattern.max(axis=0) < 25
    first = np.argmax(weight, axis=0)
    ranked = np.sort(weight, axis=0)[::-1]
    ratio = np.divide(ranked[min(1, k - 1)], ranked[0], out=np.zeros(shape), where=ranked[0] > 0)
    second = np.argsort(-weight, axis=0)[min(1, k - 1)]
    label = np.where(empty, -1, first)
    overlapping = (
        ~empty & (second != first) & (ratio >= 0.75) & (first != ground) & (second != ground)
    )
    unknown = ~empty & (first != ground) & (second != ground) & (ratio >= 0.65) & (ratio < 0.75)
    partner = np.where(overlapping, second, -1)
    usable = np.where(masked, np.nan, 1.0)

    def measured(mean: np.ndarray) -> np.ndarray:
        return (rng.poisson(mean) * usable).astype("float32")

    def image(values: object, kind: str = "float32") -> tuple[tuple[str, str], np.ndarray]:
        return ("y", "x"), np.asarray(values).astype(kind)

    brightest = [np.unravel_index(np.argmax(w), shape) for w in weight]
    means = np.stack(
        [
            np.tensordot(weight[:, label == c].mean(axis=1), pattern, 1)
            if (label == c).any()
            else np.full_like(pattern[c], np.nan)
            for c in range(k)
        ]
    )
    alike = rng.uniform(0.2, 0.6, (k, k))
    alike = (alike + alike.T) / 2
    np.fill_diagonal(alike, np.nan)
    scaled = {
        "psnr": 12 + 20 * alike,
        "ssim": alike,
        "gmsd": 0.3 - 0.25 * alike,
        "mdsi": 0.5 - 0.2 * alike,
    }
    well = rng.uniform(0.75, 0.97, k)
    agreed = np.stack([12 + 20 * well, well, 0.3 - 0.25 * well, 0.5 - 0.2 * well])
    axis = (np.arange(size) - size // 2) * 0.03
    seen, other = np.nonzero(overlapping)
    chosen = np.unique(np.linspace(0, len(seen) - 1, 4).astype(int)) if len(seen) else []
    data = xr.Dataset(
        {
            "pattern": (("component", "ky", "kx"), (pattern * usable).astype("float32")),
            "weight": (("component", "y", "x"), weight.astype("float32")),
            "label": image(label, "int16"),
            "partner": image(partner, "int16"),
            "overlap": (
                ("threshold", "y", "x"),
                np.where(
                    unknown, -1, np.stack([overlapping & (ratio >= s) for s in THRESHOLDS])
                ).astype("int8"),
            ),
            "variation": ("component", np.linspace(0.1, 0.7, k)),
            "shared_variation": ("component", np.linspace(0.0, 0.3, k)),
            "residual": image(np.where(empty, np.nan, 0.12 + 0.06 * ratio + 0.01 * rng.random())),
            "mean_pattern": (("component", "ky", "kx"), (means * usable).astype("float32")),
            "brightest_pattern": (
                ("component", "ky", "kx"),
                np.stack(
                    [measured(np.tensordot(weight[:, y, x], pattern, 1)) for y, x in brightest]
                ),
            ),
            "similarity": (
                ("metric", "component", "component_2"),
                np.stack([scaled[m] for m in METRICS]),
            ),
            "agreement": (("metric", "component"), agreed),
        },
        coords={
            "y": ("y", 5.0 * np.arange(shape[0]), {"units": units}),
            "x": ("x", 5.0 * np.arange(shape[1]), {"units": units}),
            "ky": ("ky", axis, {"units": "Å⁻¹"}),
            "kx": ("kx", axis, {"units": "Å⁻¹"}),
            "component": np.arange(k),
            "component_2": np.arange(k),
            "threshold": list(THRESHOLDS),
            "metric": list(METRICS),
        },
        attrs={
            "k": k,
            "grains": k - (ground >= 0),
            "background": ground,
            "choose": choose,
            "reason": f"{k} components: the largest number without two that are alike (largest "
            "similarity 0.61, 0.94 with one more), found alike from all 5 seeds (0.98), and the "
            "held-out error falls no further.",
            "patterns": patterns,
            "size": size,
            "mask_radius": 6.0,
            "aligned": 1,
            "scaling": "poisson",
            "loss_kind": "frobenius",
            "start": "pure",
            "error": 0.0184,
            "noise_floor": 0.0181,
            "background_ratio": 0.65,
            "overlap_ratio": 0.75,
            "variation_limit": 0.6,
            "shared_variation_limit": 0.2,
            "varying": f"within component {k - 1} the patterns change from place to place",
            "seed": 0,
            "seeds": 5,
            "versions": json.dumps({"phaseloom": "0.4.0"}),
            "inputs": json.dumps({"scan.blo": "sha256:1a2b"}),
        },
    )
    if len(chosen):
        y, x = seen[chosen], other[chosen]
        at = list(zip(y, x, strict=True))
        data["overlap_example"] = (
            ("example", "ky", "kx"),
            np.stack([measured(np.tensordot(weight[:, a, b], pattern, 1)) for a, b in at]),
        )
        data = data.assign_coords(
            example_y=("example", y),
            example_x=("example", x),
            example_component=("example", first[y, x]),
            example_partner=("example", partner[y, x]),
        )
    if truth:
        data["true_grain"] = image(np.where(first == ground, -1, 7 * first % (k + 5)), "int32")
        data["true_overlap"] = image(ratio / (1 + ratio), "float32")
    groups = {"/components": data if choose == "given" else swept(data, choose, rng=rng)}
    if compared:
        methods = ["nmf", "kmeans", "mixture", "hdbscan", "gmvae"]
        for name in methods[1:]:
            turn = rng.permutation(k)
            found = np.where(rng.random(shape) < 0.06, rng.integers(0, k, shape), first)
            found = np.where(empty, -1, turn[found])
            if name == "hdbscan":
                found = np.where(overlapping, -1, found)
            groups[f"/components/{name}"] = xr.Dataset({"label": image(found, "int16")})
        agreement = 0.8 + 0.15 * rng.random((5, 5))
        agreement = (agreement + agreement.T) / 2
        np.fill_diagonal(agreement, 1.0)
        groups["/components"] = groups["/components"].assign(
            agreement_of_methods=(("method", "method_2"), agreement)
        )
        groups["/components"] = groups["/components"].assign_coords(
            method=methods, method_2=methods
        )
    return xr.DataTree.from_dict(groups)


def network_of(tree: xr.DataTree) -> pd.DataFrame:
    """The table of components that touch."""
    from phaseloom.components.overlap import boundary_network

    data = tree["components"].to_dataset()
    maps = (data[name].to_numpy() for name in ("weight", "label", "partner"))
    return boundary_network(*maps, background=int(data.attrs["background"]))


def swept(data: xr.Dataset, choose: str, *, rng: np.random.Generator) -> xr.Dataset:
    """The dataset with what was found for every k."""
    k = int(data.attrs["k"])
    tried = np.arange(3 if choose == "published" else 2, 21)
    missing = np.clip(k - tried, 0, None)
    loss = 0.0181 + 0.012 * missing / k + 0.02 * (missing / k) ** 2 + 2e-5 * (20 - tried)
    quality = np.stack([20 + 0.1 * tried, *(b * (1 - 0.01 * tried) for b in (0.3, 0.2, 0.4))])
    data = data.assign_coords(k=tried).assign(loss=("k", loss), quality=(("metric", "k"), quality))
    if choose == "published":
        votes = np.zeros((4, tried.size), dtype=np.int16)
        votes[np.arange(4), np.clip(k - 3 + np.array([-1, 0, 0, 2]), 0, tried.size - 1)] = 1
        data["votes"] = (("metric", "k"), votes)
        data.attrs |= {"knee": max(3, k - 1)}
        data.attrs["reason"] = (
            f"{k} components: two of four votes within the knee of the loss ({k - 1}) ± 4."
        )
        return data
    more = np.clip(tried - k, 0, None)
    data.attrs |= {"redundancy_limit": 0.25, "stability_limit": 0.5}
    return data.assign(
        held_out=("k", loss + 0.0006 + 4e-5 * more + 5e-5 * rng.standard_normal(tried.size)),
        held_out_error=("k", np.full(tried.size, 1.5e-4)),
        stability=("k", np.clip(0.98 - 0.06 * more - 0.02 * rng.random(tried.size), 0.2, 1)),
        redundancy=("k", np.clip(0.1 + 0.7 * (more > 0) + 0.02 * rng.random(tried.size), 0, 1)),
    )
