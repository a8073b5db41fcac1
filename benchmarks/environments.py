"""Build the peers' environments: benchmarks/.envs/NAME from peers/requirements-NAME.txt.

python benchmarks/environments.py [NAME ...]      (all by default; one that is up to date is left)
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
PINS = "peers/requirements-{}.txt"
NAMES = ("epattern", "py4dstem", "pyxem", "quantem", "scipy", "sklearn", "torchnmf")


def python_of(name: str) -> Path:
    """The interpreter of a peer's environment."""
    return HERE / ".envs" / name / "bin" / "python"


def build(name: str) -> None:
    """Make one environment, unless it was made from these very pins before."""
    pins = HERE / PINS.format(name)
    folder = HERE / ".envs" / name
    done = folder / "pins.txt"
    if done.is_file() and done.read_bytes() == pins.read_bytes():
        return
    if folder.exists():
        shutil.rmtree(folder)
    venv.create(folder, with_pip=True)
    subprocess.run(
        [python_of(name), "-m", "pip", "install", "--quiet", "--requirement", pins], check=True
    )
    shutil.copyfile(pins, done)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or NAMES:
        build(wanted)
