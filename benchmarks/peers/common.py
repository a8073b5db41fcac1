"""What all runners share: the command line, warm-up, timing, peak memory, the output file.

    python NAME_peaks.py patterns.npy out.npz --threads 2
        [--mode MODE] [--settings JSON] [--first N] [--once]

``settings`` is one object or, for tuning, a list of them. The output holds, per settings number i,
``i_offset`` (pattern + 1), ``i_row``, ``i_column``, ``i_strength``, ``i_seconds`` (one per run,
finding the peaks only, after a run to warm up), and the words in ``about`` (JSON: version,
settings, peak memory of the process in MB, threads). numpy and the standard library only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Found = Sequence[np.ndarray]  # per pattern: (n, 3) of row, column, strength
Prepare = Callable[[np.ndarray, dict[str, Any], int], Callable[[], Found]]

_shared: dict[str, Any] = {}


def _slice(bounds: tuple[int, int]) -> list[np.ndarray]:
    return list(_shared["function"](_shared["patterns"][slice(*bounds)]))


class Processes:
    """The same call in several forked processes, each on its share of the patterns (or numbers).

    The processes are started here, before the clock; patterns reach them by the fork.
    """

    def __init__(self, function: Callable[[np.ndarray], Found], patterns: np.ndarray, count: int):
        _shared.update(function=function, patterns=patterns)
        edges = np.linspace(0, len(patterns), count + 1).astype(int)
        self._bounds = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        self._pool = multiprocessing.get_context("fork").Pool(count)

    def __call__(self) -> list[np.ndarray]:
        return [one for part in self._pool.map(_slice, self._bounds, chunksize=1) for one in part]


def runs(detect: Callable[[], Any], once: bool) -> tuple[Any, list[float]]:
    """Warm up, then at least three runs, or one where a run takes longer than twenty seconds."""
    start = time.perf_counter()
    found = detect()
    first = time.perf_counter() - start
    if once:
        return found, [first]
    seconds = []
    while len(seconds) < (3 if first < 20 else 1):
        start = time.perf_counter()
        found = detect()
        seconds.append(time.perf_counter() - start)
    return found, seconds


def peak_mb() -> float:
    """Most memory this process or one of its own held at once.

    Not ``ru_maxrss``, which begins with what the process that started this one held.
    """
    peaks = []
    for pid in ["self", *(str(child.pid) for child in multiprocessing.active_children())]:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        peaks += [int(x.split()[1]) / 1024 for x in lines if x.startswith("VmHWM")]
    return max(peaks)


def command_line(worked_on: str, modes: dict[str, dict[str, Any]]) -> argparse.ArgumentParser:
    """The arguments of all runners: file, output, threads, mode, whether one cold run will do."""
    parser = argparse.ArgumentParser()
    parser.add_argument(worked_on)
    parser.add_argument("out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mode", choices=sorted(modes), default=next(iter(modes)))
    parser.add_argument("--once", action="store_true", help="one cold run")
    return parser


def main(prepare: Prepare, defaults: dict[str, dict[str, Any]], version: str) -> None:
    """Run a peer from the command line.

    Parameters
    ----------
    prepare
        From patterns (n, ky, kx), settings and threads, what finds the peaks; it is not timed.
    defaults
        Settings of every mode; ``--settings`` goes over them.
    version
        Name and version of the peer.
    """
    parser = command_line("patterns", defaults)
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--first", type=int, help="only so many patterns")
    given = parser.parse_args()
    patterns = np.load(given.patterns)[: given.first]
    asked = json.loads(given.settings)
    many = asked if isinstance(asked, list) else [asked]
    out: dict[str, Any] = {}
    for i, settings in enumerate(many):
        used = {**defaults[given.mode], **settings}
        found, seconds = runs(prepare(patterns, used, given.threads), given.once)
        table = np.concatenate([np.asarray(f, dtype=np.float64).reshape(-1, 3) for f in found])
        out[f"{i}_offset"] = np.cumsum([0, *map(len, found)])
        out[f"{i}_row"], out[f"{i}_column"], out[f"{i}_strength"] = table.T
        out[f"{i}_seconds"] = np.array(seconds)
    about = {
        "version": version,
        "mode": given.mode,
        "settings": many,
        "threads": given.threads,
        "peak_mb": peak_mb(),
    }
    np.savez(given.out, about=np.array(json.dumps(about)), **out)
