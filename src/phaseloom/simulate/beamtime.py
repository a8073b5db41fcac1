"""Files of a simulated beamtime: a charge series of particles, each measured twice."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import ndimage

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.io.export.nexus import write_nxstxm
from phaseloom.simulate.particles import particle
from phaseloom.simulate.spectra import dense_energies, nvpf_references, sparse_energies
from phaseloom.simulate.stacks import measure

CHARGE_SERIES = {
    "charge00": (0.0, (0.80, 0.15, 0.05, 0.0, 0.0)),
    "charge30": (30.0, (0.25, 0.55, 0.15, 0.05, 0.0)),
    "charge60": (60.0, (0.05, 0.20, 0.55, 0.15, 0.05)),
    "charge95": (95.0, (0.0, 0.05, 0.10, 0.45, 0.40)),
}
"""State of charge (%) and shares of the grains for each particle."""

_BINNING = 4
_SMALL, _LESS = 256, 2
"""Below this size frames binned by four are too small to be aligned: they are binned by two."""
_BLUR = 1.0
_WINDOW = 3


class PureArea(NamedTuple):
    """Region of a dense stack with one phase only, as a user picks it for a reference."""

    label: str
    value: float
    file: Path
    region: str


class Beamtime(NamedTuple):
    """Files written, and the truth behind them."""

    sparse: dict[str, Path]
    dense: dict[str, Path]
    truth: dict[str, xr.Dataset]
    state_of_charge: dict[str, float]
    pure_areas: list[PureArea]


def write_beamtime(
    folder: Path,
    *,
    size: int = 256,
    counts: float = 1500.0,
    energy_shift: float = 0.15,
    stray_light: float = 0.03,
    drift: float = 0.5,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Beamtime:
    """Simulate a charge series of four particles and write its NXstxm files.

    Each particle is measured as a sparse high-resolution stack (24 energies, ``size``² pixels)
    and as a dense low-resolution one (161 energies, a quarter of the pixels each way;
    half of them below a size of 256).

    Parameters
    ----------
    folder
        Of ``NAME.hdf5`` and ``NAME_dense.hdf5``.
    size
        Pixels along a side of the sparse stacks.
    counts, stray_light, drift
        See :func:`phaseloom.simulate.measure`.
    energy_shift
        How far the sparse stacks' energy axis reads above the dense stacks', in eV.
    """
    folder.mkdir(parents=True, exist_ok=True)
    binning = _BINNING if size >= _SMALL else _LESS
    references = nvpf_references()
    labels = [str(r.name) for r in references]
    sparse: dict[str, Path] = {}
    dense: dict[str, Path] = {}
    truth: dict[str, xr.Dataset] = {}
    dense_truth: dict[str, xr.Dataset] = {}
    for number, (name, (charge, shares)) in enumerate(
        progress.track(CHARGE_SERIES.items(), "simulate", total=len(CHARGE_SERIES))
    ):
        # The margin is for the drift of both scans.
        sample = particle(
            labels,
            shares,
            shape=(size, size),
            margin=32,
            n_grains=max(30, size * size // 700),
            seed=seed + number,
        )
        stack, truth[name] = measure(
            sample,
            references,
            sparse_energies(),
            counts=counts,
            blur=_BLUR,
            stray_light=stray_light,
            drift=drift,
            energy_shift=energy_shift,
            seed=seed + 100 + number,
        )
        coarse, dense_truth[name] = measure(
            sample,
            references,
            dense_energies(),
            counts=4 * counts,
            binning=binning,
            blur=_BLUR,
            stray_light=stray_light,
            drift=drift / binning,
            seed=seed + 200 + number,
        )
        sparse[name] = write_nxstxm(folder / f"{name}.hdf5", stack, title=f"{charge:g} % charged")
        dense[name] = write_nxstxm(folder / f"{name}_dense.hdf5", coarse, title=f"{name} dense")
    areas = [
        _pure_area(index, reference, dense_truth, dense)
        for index, reference in enumerate(references)
    ]
    charges = {name: charge for name, (charge, _) in CHARGE_SERIES.items()}
    return Beamtime(sparse, dense, truth, charges, areas)


def _pure_area(
    index: int, reference: xr.DataArray, truth: dict[str, xr.Dataset], dense: dict[str, Path]
) -> PureArea:
    """The square of 3×3 dense pixels that is purest, and among the pure ones thickest."""
    best: tuple[float, str, int, int] = (-1.0, "", 0, 0)
    for name, maps in truth.items():
        share = np.nan_to_num(maps["abundance"].to_numpy()[index])
        purest = ndimage.minimum_filter(share, _WINDOW, mode="constant")
        score = purest + 0.01 * maps["thickness"].to_numpy()
        row, column = divmod(int(np.argmax(score)), score.shape[1])
        best = max(best, (float(score[row, column]), name, row, column))
    _, name, y, x = best
    half = _WINDOW // 2
    region = f"{y - half}:{y + half + 1},{x - half}:{x + half + 1}"
    return PureArea(str(reference.name), float(reference.attrs["value"]), dense[name], region)
