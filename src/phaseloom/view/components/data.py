"""The components of a result, as figures and report read them: the group ``/components``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.view.scans import ScanResult, group_of, scan_maps

COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9",
    "#D55E00", "#F0E442", "#332288", "#661100", "#999933",
    "#0D460D", "#20F259", "#A60D6C", "#6C5933", "#33F2DF",
    "#F20D46", "#9359F2", "#0D6C6C", "#F2A693", "#CCB9F2",
)  # fmt: skip
"""Of components: those of the phases, then the ten that differ most from all others (CIEDE2000,
at least 19 between any two)."""

BACKGROUND_COLOUR = "#BDBDBD"

METRICS = {
    "psnr": ("PSNR", "dB", True),
    "ssim": ("SSIM", "", True),
    "gmsd": ("GMSD", "", False),
    "mdsi": ("MDSI", "", False),
}
"""Name, unit, and whether larger values mean more similar patterns."""

METHOD_NAMES = {
    "nmf": "NMF",
    "kmeans": "k-means",
    "mixture": "Gaussian mixture",
    "hdbscan": "HDBSCAN",
    "gmvae": "GMVAE",
}


@dataclass(frozen=True, eq=False)
class Components(ScanResult):
    """The components of a scan.

    Parameters
    ----------
    data
        Group ``/components``.
    others
        Label maps (y, x) of the other methods, by the name of their group.
    """

    others: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def k(self) -> int:
        """Number of components."""
        return int(self.data.sizes["component"])

    @property
    def metrics(self) -> list[str]:
        """Names of the similarity measures in the order of the group; empty without any."""
        if "metric" not in self.data.coords:
            return []
        return [str(name) for name in self.data["metric"].to_numpy()]

    @property
    def background(self) -> int:
        """Number of the component that is background; −1 when there is none."""
        return int(self.data.attrs.get("background", -1))

    @property
    def label(self) -> NDArray[np.int64]:
        """(y, x) component of every position, −1 where there is nothing."""
        return np.asarray(self.data["label"].to_numpy().astype(np.int64))

    @property
    def partner(self) -> NDArray[np.int64]:
        """(y, x) second component of positions with an overlap, −1 elsewhere."""
        if "partner" not in self.data:
            return np.full(self.label.shape, -1)
        return np.asarray(self.data["partner"].to_numpy().astype(np.int64))

    @property
    def unknown_overlap(self) -> NDArray[np.bool_]:
        """(y, x) whether counts are too few to know if two components overlap."""
        if "overlap" not in self.data or "threshold" not in self.data.coords:
            return np.zeros(self.label.shape, dtype=np.bool_)
        # The thresholds hold the option's ratio or not; the nearest one stands for it.
        at = np.abs(self.data["threshold"].to_numpy() - self.number("overlap_ratio")).argmin()
        return np.asarray((self.data["overlap"][int(at)].to_numpy() < 0) & (self.partner < 0))

    @property
    def colours(self) -> list[str]:
        """Of the components, in their order; the background is grey."""
        return component_colours(self.k, background=self.background)

    def counts(self) -> NDArray[np.int64]:
        """Positions with every label."""
        label = self.label
        return np.bincount(label[label >= 0], minlength=self.k)[: self.k].astype(np.int64)

    def pattern(self, name: str, component: int) -> NDArray[np.float64]:
        """One pattern (ky, kx) of ``pattern``, ``mean_pattern`` or ``brightest_pattern``."""
        return np.asarray(self.data[name][component].to_numpy().astype(np.float64))


def components(tree: xr.DataTree) -> Components:
    """The components of a result: its group ``/components``; refused when it holds none."""
    group = group_of(
        tree,
        "components",
        needs=("pattern", "label"),
        absent=("the result holds no components", "cluster a scan first"),
    )
    others = {
        str(name): np.asarray(node["label"].to_numpy().astype(np.int64))
        for name, node in group.children.items()
        if "label" in node.data_vars
    }
    return Components(scan_maps(group.to_dataset()), others)


def component_colours(k: int, *, background: int = -1) -> list[str]:
    """Colours of components, in their order.

    Parameters
    ----------
    k
        How many; beyond twenty the colours repeat.
    background
        The component that is grey; −1 for none.

    Returns
    -------
    list of str
        Hexadecimal RGB.
    """
    places = count()
    return [
        BACKGROUND_COLOUR if index == background else COLOURS[next(places) % len(COLOURS)]
        for index in range(k)
    ]
