"""Run a program in a process, and a peer in an environment, of its own."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from environments import python_of

HERE = Path(__file__).parent
LIBRARIES = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA")


def command_line(text: str) -> argparse.ArgumentParser:
    """The options of all comparisons: rounds, threads, which programs, and a dry run."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", help="runners: phaseloom, and of environments.py")
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    return parser


def run_script(
    runner: str, kind: str, file: Path, mode: str, *more: object, threads: int
) -> dict[str, Any]:
    """Run a ``RUNNER_KIND.py`` in its environment; the arrays it wrote, beside its file.

    Parameters
    ----------
    runner
        A peer of ``environments.py``, or phaseloom.
    kind
        Of the benchmark: peaks, orientation, components.
    file
        What the program works on.
    mode
        Its mode, see the script.
    more
        Further arguments of the script.
    threads
        For the program and the libraries it uses.
    """
    own = runner == "phaseloom"
    python = Path(sys.executable) if own else python_of(runner)
    if not python.exists():
        raise SystemExit(f"no environment for {runner}: run python benchmarks/environments.py")
    script = (HERE if own else HERE / "peers") / f"{runner}_{kind}.py"
    out = file.with_name(f"{runner}_{mode}.npz")
    paths = [str(HERE / "peers"), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES}
    done = subprocess.run(
        [python, script, file, out, "--threads", str(threads), "--mode", mode, *map(str, more)],
        capture_output=True,
        text=True,
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(paths)},
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"{runner} {mode} failed on {file.name}")
    with np.load(out) as written:
        return dict(written)
