"""How well the latent space resolves pixels, against Pearson, on simulated particles.

    python benchmarks/gmvae.py [--size 256] [--seeds 5]

Per scene and seed: accuracy over all / ambiguous pixels of Pearson, of the smallest distance to a
phase's centre, and of the final map; calibration error over all / ambiguous pixels; adjusted Rand
index between two trainings; false assignments (share, how many rightly contradicted); unknown;
smallest occupancy of a component, restarts, seconds.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from sklearn.metrics import adjusted_rand_score

from phaseloom.latent.diagnostics import calibration_error
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.assignment.latent_space import resolve

SCENES: dict[str, dict[str, Any]] = {
    "1000 counts": {"counts": 1000},
    "3000 counts": {},
    "10 000 counts": {"counts": 10_000},
    "energy +0.15 eV": {"energy_shift": 0.15},
    "energy -0.15 eV": {"energy_shift": -0.15},
    "stray light 8 %": {"stray_light": 0.08},
    "drift left in": {"drift": 0.3},
    "phases 1, 3, 5": {"fractions": [1, 0, 1, 0, 1]},
    "phases 1, 2": {"fractions": [1, 1, 0, 0, 0]},
    "one phase": {"fractions": [0, 0, 1, 0, 0]},
}


def pixels(
    size: int, seed: int, fractions: list[float], *, counts: float = 3000, **scene: Any
) -> dict[str, Any]:
    """Optical densities of the particle's pixels, Pearson's labels and the truth."""
    references, energies = nvpf_references(), sparse_energies()
    names = [str(r.name) for r in references]
    expected = np.stack([CubicSpline(r["energy"], r)(energies) for r in references])
    sample = particle(names, fractions, shape=(size, size), n_grains=120, seed=seed)
    stack, truth = measure(sample, references, energies, counts=counts, seed=seed, **scene)
    inside = truth["phase"].to_numpy() >= 0
    seen = np.maximum(stack["counts"].to_numpy()[:, inside].T.astype(float), 1.0)
    spectra = -np.log(seen / truth["i0"].to_numpy())
    unit = [a - a.mean(axis=1, keepdims=True) for a in (spectra, expected)]
    unit = [a / np.sqrt((a**2).sum(axis=1, keepdims=True)) for a in unit]
    correlation = unit[0] @ unit[1].T
    ordered = np.sort(correlation, axis=1)
    return {
        "truth": truth["phase"].to_numpy()[inside].astype(int),
        "input": {
            "spectra": spectra.astype(np.float32),
            "labels": correlation.argmax(axis=1),
            "ambiguous": ordered[:, -1] - ordered[:, -2] <= 0.005,
            "references": expected,
            "phase_names": names,
            "variance": (1.0 / seen).astype(np.float32),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--covariance", default="noise", choices=["noise", "pooled"])
    parser.add_argument("--latent-dims", type=int, default=3)
    given = parser.parse_args()
    for name, scene in SCENES.items():
        for seed in range(given.seeds):
            data = pixels(given.size, seed, **{"fractions": [1] * 5, **scene})
            truth, known = data["truth"], data["input"]
            ambiguous = known["ambiguous"]
            found = []
            seconds = []
            for training in (seed, seed + 1000):
                start = time.perf_counter()
                found.append(
                    resolve(
                        **known,
                        seed=training,
                        covariance=given.covariance,
                        latent_dims=given.latent_dims,
                    )
                )
                seconds.append(time.perf_counter() - start)
            result = found[0]
            nearest = np.where(np.isnan(result.distance), np.inf, result.distance).argmin(axis=1)
            best = result.posterior.argmax(axis=1)
            false = result.false_assignment
            right = f"{(best == truth)[false].mean():.2f}" if false.any() else "–"
            agreement = adjusted_rand_score(found[0].phase, found[1].phase)
            occupied = np.bincount(best, minlength=5)[result.present].min() / len(best)
            line = [f"{name:<16} {seed:2d}"]
            for label, phase in (
                ("pearson", known["labels"]),
                ("centres", nearest),
                ("final", result.phase),
            ):
                score = (phase == truth).mean(), (phase == truth)[ambiguous].mean()
                line.append(f"{label} {score[0]:.3f}/{score[1]:.3f}")
            calibration = (
                calibration_error(result.posterior, truth),
                calibration_error(result.posterior[ambiguous], truth[ambiguous]),
            )
            line.append(f"calibration {calibration[0]:.3f}/{calibration[1]:.3f}")
            line.append(f"ARI {agreement:.4f}  false {false.mean():.4f} ({right})")
            line.append(f"unknown {result.unknown.mean():.4f}  occupied {occupied:.3f}")
            line.append(f"phases {int(result.present.sum())}  restarts {result.model.restarts}")
            line.append(f"{min(seconds):.1f} s for {len(truth)}")
            print("  ".join(line), flush=True)


if __name__ == "__main__":
    main()
