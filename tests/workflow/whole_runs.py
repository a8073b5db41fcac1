"""Whole runs of the real chains in this process, and what they leave."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr

from phaseloom import cli
from phaseloom.crystals import Crystal
from phaseloom.simulate import simulate_scan

CALIBRATED = ("--pixel-size", "0.03", "--step", "5", "--voltage", "200")
"""What the file of the simulated gold does not say."""


class Whole(NamedTuple):
    """The folder of a whole run from file to exports, its tree, and the truth."""

    folder: Path
    tree: xr.DataTree
    truth: xr.Dataset


def opened(folder: Path) -> xr.DataTree:
    """The results in a folder."""
    return xr.open_datatree(folder / "results.zarr", engine="zarr").load()


def opened_without_warning(folder: Path) -> xr.DataTree:
    """The results in a folder, read without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return opened(folder)


def run_whole(folder: Path, *arguments: str) -> Path:
    """Run a command, figures and all; the folder of its results, which was not there before."""
    out = folder / "made" / "by the run"
    given = ["phaseloom", *arguments, "--out", str(out), "--quiet"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr("sys.argv", given)
        cli.main()
    assert stop.value.code == 0
    return out


def write_simulated(
    file: Path, sample: xr.Dataset, crystals: Sequence[Crystal], **given: Any
) -> xr.Dataset:
    """Write the patterns of a sample; the truth."""
    scan, truth = simulate_scan(sample, crystals, seed=2, **given)
    np.save(file, scan["counts"].to_numpy())
    return truth
