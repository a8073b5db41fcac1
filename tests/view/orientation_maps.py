"""Orientation maps made by hand from simulated grains, with what real ones have."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import xarray as xr

from phaseloom.crystals import (
    Crystal,
    gold,
    iron_phosphate,
    kinematic_spots,
    lithium_iron_phosphate,
)
from phaseloom.crystals.records import to_json
from phaseloom.simulate import grain_map


def turned(rotation: np.ndarray, angle: float, axis: tuple[float, float, float]) -> np.ndarray:
    """Quaternions (…, 4) turned in the crystal's frame, degrees."""
    from orix.quaternion import Rotation

    turn = Rotation.from_axes_angles(axis, angle, degrees=True)
    return (turn * Rotation(rotation.reshape(-1, 4))).data.reshape(rotation.shape)


@cache
def orientation_map(
    shape: tuple[int, int] = (60, 80),
    names: tuple[str, ...] = ("Au", "LiFePO4"),
    *,
    empty: float = 0.1,
    truth: bool = True,
    overlaps: bool = True,
    grains: bool = True,
    step: float = 5.0,
    seed: int = 3,
) -> xr.DataTree:
    """An orientation map with what a real one has: noise, ambiguous pixels near boundaries."""
    known = {c.name: c for c in (gold(), lithium_iron_phosphate(), iron_phosphate())}
    crystals = [known[name] for name in names]
    rng = np.random.default_rng(seed)
    made = grain_map(
        shape, [1.0] * len(names), n_grains=24, spread=0.4, overlap_width=3.0, empty=empty,
        step=step, seed=seed,
    )  # fmt: skip
    true_phase, true_rotation = made["phase"].to_numpy(), made["rotation"].to_numpy()
    inside = true_phase >= 0
    overlap = made["overlap"].to_numpy()
    quality = np.clip(1.0 - 1.1 * overlap + 0.04 * rng.standard_normal(shape), 0.05, 1.0)
    probability = np.clip(quality**2 - 0.03 * rng.random(shape), 0.02, 0.999)
    wrong = inside & (rng.random(shape) > probability)
    second = np.array(
        [turned(q, 60.0, (1, 1, 1)) for q in true_rotation]  # twin of cubic crystals
    )
    rotation = np.where(wrong[..., None], second, true_rotation)
    rotation = turned(rotation, 0.15, (0.3, 1, 0.2))
    third = turned(rotation, 35.0, (1, 0.3, 0))
    phase = true_phase.astype("int16")
    swapped = wrong & (rng.random(shape) < 0.3)
    phase[swapped] = (phase[swapped] + 1) % len(names)
    ambiguous = inside & (probability < 0.7)
    chances = np.stack([probability, (1 - probability) * 0.7, (1 - probability) * 0.2])
    there = np.stack([inside, ambiguous, ambiguous & (rng.random(shape) < 0.5)])
    outside = np.where(inside, 1.0, np.nan)
    hidden = inside & (overlap > 0.12) & (made["phase_2"].to_numpy() >= 0)

    def image(values: object, kind: str = "float32") -> tuple[tuple[str, str], np.ndarray]:
        return ("y", "x"), np.asarray(values).astype(kind)

    def solution(values: np.ndarray, missing: float) -> np.ndarray:
        return np.where(there if values.ndim == 3 else there[..., None], values, missing)

    turns = np.stack([rotation, second, third])
    single = len(names) == 1
    data = xr.Dataset(
        {
            "phase": image(phase, "int16"),
            "rotation": (
                ("y", "x", "quaternion"),
                np.where(inside[..., None], rotation, np.nan),
            ),
            "correlation": image((0.35 + 0.5 * quality) * outside),
            "orientation_reliability": image(60 * quality**2 * outside),
            "phase_reliability": image((100 if single else 45 * quality) * outside),
            "probability": image(probability * outside),
            "phase_probability": image((1.0 if single else probability**0.5) * outside),
            "ambiguous": image(ambiguous, "bool"),
            "context_changed": image(inside & (rng.random(shape) < 0.02), "bool"),
            "matched": image(np.where(inside, 10 + 20 * quality, -1), "int16"),
            "explained": image((0.4 + 0.55 * quality) * outside),
            "residual": image((0.004 + 0.01 * (1 - quality)) * outside),
            "solution_phase": (
                ("solution", "y", "x"),
                solution(np.stack([phase] * 3), -1).astype("int16"),
            ),
            "solution_rotation": (
                ("solution", "y", "x", "quaternion"),
                solution(turns, np.nan),
            ),
            "solution_correlation": (
                ("solution", "y", "x"),
                solution(np.stack([quality, quality * 0.97, quality * 0.8]), np.nan),
            ),
            "solution_probability": (("solution", "y", "x"), solution(chances, np.nan)),
        },
        coords={
            "y": made["y"],
            "x": made["x"],
            "phase_name": ("crystal", list(names)),
        },
        attrs={
            "crystals": to_json(crystals),
            "voltage": 200.0,
            "precession_angle": 1.0,
            "thickness": 300.0,
            "zone_step": 2.0,
            "in_plane_step": 2.0,
            "k_max": 1.2,
            "refine": 1,
            "context": 1,
            "ambiguous_share": float(ambiguous.mean()),
            "pseudo_symmetry": json.dumps(
                [{"phase": names[0], "angle": 60.0, "axis": [1, 1, 1], "count": 213}]
            ),
            "versions": json.dumps({"phaseloom": "0.3.0"}),
            "inputs": json.dumps({"scan.blo": "sha256:4711"}),
        },
    )
    if overlaps:
        data["overlap_phase"] = image(np.where(hidden, made["phase_2"], -1), "int16")
        data["overlap_rotation"] = (
            ("y", "x", "quaternion"),
            np.where(hidden[..., None], made["rotation_2"], np.nan),
        )
        data["overlap_weight"] = image(np.where(hidden, overlap, 0.0))
        data["overlap_probability"] = image(np.where(hidden, 0.4 + overlap, np.nan))
    if truth:
        data["true_phase"] = image(true_phase, "int16")
        data["true_rotation"] = (("y", "x", "quaternion"), true_rotation)
    groups = {"/orientation": data}
    if grains:
        groups["/orientation/grains"] = xr.Dataset(
            {"grain": image(np.where(inside, made["grain"], -1), "int32")}
        )
    if inside.any():
        groups["/orientation/sample"] = indexed_patterns(data, crystals, rng)
    return xr.DataTree.from_dict(groups)


def indexed_patterns(
    data: xr.Dataset, crystals: list[Crystal], rng: np.random.Generator
) -> xr.Dataset:
    """Peaks and simulated spots of the best, a middling, the least probable, an ambiguous pixel."""
    p = data["probability"].to_numpy().ravel()
    order = np.argsort(np.nan_to_num(p, nan=2.0))[: int(np.isfinite(p).sum())]
    hard = np.flatnonzero(data["ambiguous"].to_numpy().ravel())
    chosen = [order[-1], order[order.size // 2], order[0], *hard[:1]]
    rows, columns = np.unravel_index(chosen, data["phase"].shape)
    parts = []
    for y, x in zip(rows, columns, strict=True):
        crystal = crystals[int(data["phase"][y, x])]
        quaternion = data["rotation"][y, x].to_numpy()
        parts.append(
            kinematic_spots(
                crystal, quaternion, voltage=200, k_max=1.2, precession_angle=1.0, minimum=2e-3
            )
        )

    def padded(columns: list[np.ndarray]) -> np.ndarray:
        longest = max(map(len, columns))
        shape = (len(columns), longest, *columns[0].shape[1:])
        table = np.full(shape, np.nan)
        for row, values in zip(table, columns, strict=True):
            row[: len(values)] = values
        return table

    peaks: list[list[np.ndarray]] = [[], [], []]
    for spots in parts:
        seen = rng.random(spots.ky.size) < 0.9
        for held, values, noise in zip(
            peaks, (spots.ky, spots.kx, spots.intensity), (0.006, 0.006, 0.0), strict=True
        ):
            extra = rng.uniform(-0.8, 0.8, 3) if noise else np.full(3, values.min(initial=1.0))
            jitter = noise * rng.standard_normal(values.size)
            held.append(np.concatenate([(values + jitter)[seen], extra]))
    units = {"units": "Å⁻¹"}
    return xr.Dataset(
        {
            "peak_ky": (("sample", "peak"), padded(peaks[0]), units),
            "peak_kx": (("sample", "peak"), padded(peaks[1]), units),
            "peak_intensity": (("sample", "peak"), padded(peaks[2])),
            "spot_ky": (("sample", "spot"), padded([s.ky for s in parts]), units),
            "spot_kx": (("sample", "spot"), padded([s.kx for s in parts]), units),
            "spot_intensity": (("sample", "spot"), padded([s.intensity for s in parts])),
            "spot_hkl": (("sample", "spot", "index"), padded([s.hkl for s in parts])),
            "y": ("sample", rows),
            "x": ("sample", columns),
            "crystal": ("sample", data["phase"].to_numpy()[rows, columns]),
            "zone": ("sample", ["[1 0 1]", "[2 1 3]", "[0 1 -2]", "[1 1 4]"][: len(chosen)]),
        }
    )
