"""Calculated reference spectra, and the energies of a typical beamtime.

The five NaxV2(PO4)2F3-like spectra are calculated, not measured: V L2,3 multiplets of
d2/d1/d0 vanadium mixed by valence (x = 1 and 0.8 disproportionated into V3+ and V5+),
edge steps and a modelled O K edge. Neighbours correlate with 0.97 to 0.997, as measured
ones do.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import xarray as xr
from numpy.typing import NDArray


def nvpf_references() -> list[xr.DataArray]:
    """Five NaxV2(PO4)2F3-like absorption spectra, 505 to 560 eV in steps of 0.1 eV.

    Returns
    -------
    list of xarray.DataArray
        One per phase, dims (energy,) in eV, named by phase; ``attrs["value"]`` is the sodium
        content x.
    """
    with (files("phaseloom.simulate") / "nvpf_references.csv").open() as handle:
        labels = handle.readline().strip().split(",")[1:]
        table = np.loadtxt(handle, delimiter=",")
    references = []
    for column, label in enumerate(labels, start=1):
        spectrum = xr.DataArray(
            table[:, column],
            dims="energy",
            coords={"energy": ("energy", table[:, 0], {"units": "eV"})},
            name=label,
            attrs={"value": float(label.removeprefix("Na").removesuffix("VPF"))},
        )
        references.append(spectrum)
    return references


def sparse_energies() -> NDArray[np.float64]:
    """24 energies (eV) as an experienced user picks them: pre-edge, peaks, valleys, O K."""
    return np.array(
        [
            507.0, 511.0, 513.0, 514.6, 515.6, 516.4, 517.0, 517.6, 518.4, 519.0, 519.5, 520.0,
            520.8, 521.6, 522.8, 524.2, 525.2, 526.0, 527.0, 528.4, 529.6, 531.8, 534.5, 538.5,
        ]
    )  # fmt: skip


def dense_energies() -> NDArray[np.float64]:
    """161 energies (eV) of a dense scan: coarse before and after the edges, fine on them."""
    return np.concatenate(
        [
            np.arange(505.0, 512.0, 0.5),
            np.arange(512.0, 534.0, 0.2),
            np.arange(534.0, 542.0, 0.4),
            np.arange(542.0, 558.1, 1.0),
        ]
    ).round(6)
