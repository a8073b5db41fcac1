"""Find each peer's best settings for every workload: writes benchmarks/peers/settings.json.

python benchmarks/tune_peaks.py [PEER ...]

On a scan of another seed than the benchmark's. Every setting below is run; the cut in the peers'
own peak strength is then set to what serves best (merit in peak_scoring.py: recall at a precision
of at least 0.995, a tenth of the rms in px taken off). The reported cut goes in as the peer's own
threshold. quantem's batch size is the fastest of the list.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peak_scoring import Score, best_threshold, score
from peaks import DOSES, KINDS, SETTINGS, result, run_peer, workload

TUNING_SEED = 100
PATTERNS = 64
FEWER = 6
"""Patterns for programs that take minutes where they find many false peaks."""

GREYS = {
    "low": [0.998, 0.9995, 0.9999],
    "mid": [0.995, 0.998, 0.9995],
    "high": [0.95, 0.98, 0.99, 0.995, 0.998],
}
"""Quantiles of all pixels that are the brightest grey value, which ePattern's users choose; at a
low dose a low one makes grey values of single electrons, and thousands of peaks."""


def product(**lists: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(lists, v, strict=True)) for v in itertools.product(*lists.values())]


def dog(**lists: list[Any]) -> list[dict[str, Any]]:
    find = product(**lists)
    fixed = {
        "method": "difference_of_gaussian",
        "sigma_ratio": 1.6,
        "overlap": 0.5,
        "exclude_border": 2,
    }
    return [{"find": {**fixed, **f}} for f in find]


def of_readme(dose: str) -> list[dict[str, Any]]:
    """Grey values, and those numbers of the call in ePattern's README on which most depends."""
    common = {"threshold": [3.0, 8.0], "min_distance": [5, 8]}
    return [
        *product(quantile=GREYS[dose], root=[False], noise_factor=[1.8, 3.6], **common),
        *product(quantile=[0.9995], root=[True], noise_factor=[3.6, 7.2], **common),
    ]


Grid = list[dict[str, Any]]

# Per peer: its runner and mode, the key of its threshold (None: only what is listed), the grid, or
# what makes it for a dose.
GRIDS: dict[str, tuple[str, str, str | None, Grid | Callable[[str], Grid]]] = {
    "scipy": (
        "scipy",
        "dog",
        "threshold",
        product(
            sigma=[2.0, 2.4, 2.8], background=[3.84, 6.0], noise=["stabilise", "mad"], threshold=[0]
        ),
    ),
    "py4dstem": (
        "py4dstem",
        "poly2",
        "minAbsoluteIntensity",
        product(
            template_sigma=[2.0, 2.4],
            moat=[0.0, 1.6, 2.5],
            root=[False, True],
            corrPower=[1.0, 0.8],
            sigma_cc=[0.0, 1.0],
            minAbsoluteIntensity=[0.0],
        ),
    ),
    "quantem": (
        "quantem",
        "best",
        "min_abs_intensity",
        product(
            template_sigma=[2.0, 2.4],
            background_sigma=[3.84, 6.0],
            root=[False, True],
            corr_power=[1.0, 0.8],
            sigma_cc=[None, 1.0],
            min_abs_intensity=[0.0],
        ),
    ),
    "pyxem_local_max": (
        "pyxem",
        "local_max",
        "threshold_abs",
        product(
            smooth=[2.0, 2.4],
            background=[4.0, 8.0],
            root=[False, True],
            square_size=[6, 8],
            find=[{"method": "local_max", "min_distance": 3, "num_peaks": 150}],
        ),
    ),
    "pyxem_dog": (
        "pyxem",
        "dog",
        None,
        [
            {**common, **found}
            for common in product(root=[False, True], square_size=[6, 8])
            for found in dog(
                min_sigma=[1.5],
                max_sigma=[4.0],
                threshold=[0.1, 0.05, 0.02, 0.01, 0.005],
            )
        ],
    ),
    # The grey values its users make, and nothing of its own: it is measured as it comes.
    **{
        f"epattern_{mode}": (
            "epattern",
            mode,
            None,
            lambda dose: product(quantile=GREYS[dose], root=[False]),
        )
        for mode in ("defaults", "readme")
    },
    "epattern_best": ("epattern", "readme", None, of_readme),
}


def tune(peer: str, kind: str, dose: str) -> tuple[dict[str, Any], Score]:
    runner, mode, threshold, listed = GRIDS[peer]
    grid = listed(dose) if callable(listed) else listed
    n = FEWER if runner == "epattern" else PATTERNS
    patterns, truth = workload(kind, dose, n, TUNING_SEED)
    with tempfile.TemporaryDirectory() as folder:
        out = run_peer(runner, mode, patterns, Path(folder), grid, once=True)
        if threshold is None:
            scores = [score(truth, *result(out, i)[:2]) for i in range(len(grid))]
        else:
            scores = [best_threshold(truth, *result(out, i))[1] for i in range(len(grid))]
        i = max(range(len(grid)), key=lambda i: scores[i].merit)
        best, figures = grid[i], scores[i]
        if threshold is not None:
            cut, figures = best_threshold(truth, *result(out, i), fine=True)
            best = {**best, **with_threshold(threshold, cut)}
        if peer == "quantem":
            sizes = [{**best, "batch_size": size} for size in (4, 8, 16, 32, 64)]
            out = run_peer(runner, mode, patterns, Path(folder), sizes)
            best = sizes[min(range(len(sizes)), key=lambda i: out[f"{i}_seconds"].min())]
    return best, figures


def with_threshold(key: str, cut: float) -> dict[str, Any]:
    """The settings that make a peer cut at this strength itself."""
    if key == "threshold_abs":
        return {"find": {"method": "local_max", "min_distance": 3, key: cut}}
    return {key: cut}


def main(peers: list[str]) -> None:
    kept = json.loads(SETTINGS.read_text()) if SETTINGS.exists() else {}
    for peer, kind, dose in itertools.product(peers or GRIDS, KINDS, DOSES):
        settings, figures = tune(peer, kind, dose)
        kept.setdefault(peer, {})[f"{kind} {dose}"] = settings
        print(peer, kind, dose, figures, settings, flush=True)
        SETTINGS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
