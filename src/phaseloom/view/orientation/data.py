"""The orientation map of a result, as figures and report read it: the group ``/orientation``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError
from phaseloom.view.orientation.sectors import Sector, rotated, sector_of
from phaseloom.view.scans import ScanResult, group_of, scan_maps, subgroups
from phaseloom.view.style import OUTSIDE_COLOUR

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

SURE = 0.95
"""Probability from which on a pixel counts as reliably indexed."""

DARKEST = 0.25
"""Brightness of the colour of a pixel of probability 0."""


@dataclass(frozen=True, eq=False)
class Oriented(ScanResult):
    """An orientation map.

    Parameters
    ----------
    data
        Group ``/orientation``: ``phase`` (y, x; −1 unindexed), ``rotation`` (y, x, quaternion)
        and what else there is.
    crystals
        In the order of their numbers in ``phase``.
    grains
        Group ``/orientation/grains`` with ``grain`` (y, x; −1 unindexed); None when it is absent.
    sample
        Group ``/orientation/sample``: peaks and simulated spots of some pixels; None when it is
        absent.
    """

    crystals: Sequence[Crystal]
    grains: xr.Dataset | None = None
    sample: xr.Dataset | None = None
    sectors: Sequence[Sector] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sectors", tuple(sector_of(crystal) for crystal in self.crystals))

    @property
    def names(self) -> list[str]:
        """Names of the crystals."""
        return [crystal.name for crystal in self.crystals]

    @property
    def phase(self) -> NDArray[np.int64]:
        """Number of the crystal, (y, x); −1 unindexed."""
        return self.data["phase"].to_numpy().astype(np.int64)

    @property
    def rotation(self) -> NDArray[np.float64]:
        """Unit quaternions (y, x, 4); NaN where unindexed."""
        return quaternions(self.data["rotation"])

    @property
    def indexed(self) -> NDArray[np.bool_]:
        """Pixels with a solution, (y, x)."""
        return np.asarray(self.phase >= 0)

    @property
    def grain(self) -> NDArray[np.int64] | None:
        """Number of the grain, (y, x), −1 unindexed; None when grains were not made."""
        if self.grains is None or "grain" not in self.grains:
            return None
        return self.grains["grain"].to_numpy().astype(np.int64)

    def remarks(self) -> list[str]:
        """What stands against the map, the gravest first."""
        return [line for line in str(self.data.attrs.get("remarks", "")).split("\n") if line]

    def values(self, name: str) -> NDArray[np.float64]:
        """A variable in double precision, NaN where it is not known or the pixel unindexed."""
        values = self.data[name].to_numpy().astype(np.float64)
        return np.where(self.indexed & (values >= 0), values, np.nan)

    def shares(self) -> NDArray[np.float64]:
        """Fraction of the pixels of each phase."""
        phase = self.phase
        counts = np.bincount(phase[phase >= 0], minlength=len(self.crystals))
        return np.asarray(counts / max(1, phase.size))

    def painted(
        self,
        axis: int,
        *,
        phase: ArrayLike | None = None,
        rotation: ArrayLike | None = None,
        brightness: ArrayLike | None = None,
    ) -> NDArray[np.uint8]:
        """Colours of the crystal directions along a sample axis.

        Parameters
        ----------
        axis
            0, 1, 2: x (right), y (down), z (along the beam).
        phase, rotation
            (y, x) and (y, x, 4) of another solution; by default the map's.
        brightness
            (y, x), 0 to 1: where it is low the colours get darker.

        Returns
        -------
        numpy.ndarray
            (y, x, 3) uint8 RGB; the neutral colour where unindexed.
        """
        from matplotlib.colors import to_rgb

        numbers = self.phase if phase is None else np.asarray(phase, dtype=np.int64)
        turns = self.rotation if rotation is None else np.asarray(rotation, dtype=np.float64)
        image = np.broadcast_to(to_rgb(OUTSIDE_COLOUR), (*numbers.shape, 3)).copy()
        for number, sector in enumerate(self.sectors):
            chosen = (numbers == number) & np.isfinite(turns).all(axis=-1)
            if not chosen.any():
                continue
            colours = sector.colours(rotated(turns[chosen], axis))
            if brightness is not None:
                light = np.nan_to_num(np.asarray(brightness, dtype=np.float64)[chosen])
                colours = colours * (DARKEST + (1 - DARKEST) * np.clip(light, 0, 1))[:, None]
            image[chosen] = colours
        return np.asarray(np.rint(255 * image), dtype=np.uint8)


GROUPS = ("grains", "sample")


def oriented(tree: xr.DataTree) -> Oriented:
    """The orientation map of a result: its group ``/orientation``.

    It is refused when it holds none, or does not say which crystals it maps.
    """
    from phaseloom.crystals.records import crystals_from_json

    group = group_of(
        tree,
        "orientation",
        needs=("rotation",),
        absent=("the result holds no orientation map", "index a scan first"),
    )
    if "crystals" not in group.attrs:
        raise InputError(
            "the orientation map does not say which crystals it maps", "index the scan again"
        )
    crystals = crystals_from_json(str(group.attrs["crystals"]))
    return Oriented(scan_maps(group.to_dataset()), crystals, **subgroups(group, GROUPS))


def quaternions(array: xr.DataArray) -> NDArray[np.float64]:
    """Quaternions with their four numbers on the last axis."""
    return array.transpose(..., "quaternion").to_numpy().astype(np.float64)
