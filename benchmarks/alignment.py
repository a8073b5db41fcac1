"""Drift left after alignment, and seconds, on simulated 512² × 24 stacks.

Run: python benchmarks/alignment.py [seeds]
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np

from phaseloom.errors import InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.preparation.alignment import align, estimate_drift

CONDITIONS = {
    "0.7 px/step, 3000 counts": {"drift": 0.7, "counts": 3000.0},
    "2 px/step, 3000 counts": {"drift": 2.0, "counts": 3000.0},
    "4 px/step, 3000 counts": {"drift": 4.0, "counts": 3000.0},
    "2 px/step, 1000 counts": {"drift": 2.0, "counts": 1000.0},
    "2 px/step, 300 counts": {"drift": 2.0, "counts": 300.0},
    "2 px/step, 3000 counts, 1 % spikes": {"drift": 2.0, "counts": 3000.0, "spikes": 0.01},
}


def main(seeds: int = 3) -> None:
    """Print one line per condition: rms and largest error over images and seeds, seconds."""
    references = nvpf_references()
    names = [str(r.name) for r in references]
    for label, settings in CONDITIONS.items():
        lengths, spans, seconds, resampling, lost = [], [], [], [], 0
        for seed in range(1, seeds + 1):
            sample = particle(names, [1] * 5, seed=seed, margin=40)
            stack, truth = measure(
                sample, references, sparse_energies(), stray_light=0.05, seed=seed, **settings
            )
            begin = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InputWarning)
                drift = estimate_drift(stack["counts"])
            seconds.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            align(stack, drift)
            resampling.append(time.perf_counter() - begin)
            error = np.stack([drift[v] - truth[v] for v in ("shift_y", "shift_x")])
            error -= error.mean(axis=1, keepdims=True)
            lengths.append(np.hypot(*error))
            spans.append(max(np.ptp(truth[v].to_numpy()) for v in ("shift_y", "shift_x")))
            lost += int(drift["quality"].isnull().sum())
        length = np.concatenate(lengths)
        print(
            f"{label:36s} span {max(spans):5.1f} px   rms {np.sqrt((length**2).mean()):.3f} px   "
            f"largest {length.max():.2f} px   without structure {lost}   "
            f"drift {np.median(seconds):.1f} s   resampling {np.median(resampling):.1f} s"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
