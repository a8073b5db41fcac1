"""Signals of HyperSpy and RosettaSciIO with an axis of photon energy, as X-ray stacks.

Rows: HyperSpy shows the first row at the top, as every viewer does; they are reversed, y ascends
upwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.images import file_attrs, images_to_stack, pixel_axis
from phaseloom.io.readers._nexus import length_factor
from phaseloom.io.readers._quantity import concluded_quantity

if TYPE_CHECKING:
    import xarray as xr

_UNITS = {"ev": 1.0, "kev": 1e3}
_ELECTRONS = ("EELS", "EDS")
_DETECTOR = "signal"


def energy_axis(described: Sequence[Mapping[str, Any]], kind: str, path: Path) -> int | None:
    """Which of three axes is one of photon energy, by its unit; None if it is no such signal.

    Parameters
    ----------
    described
        The axes as HyperSpy and RosettaSciIO describe them.
    kind
        The signal type.
    path
        For messages.

    Raises
    ------
    InputError
        The energies are not those of a monochromator: the signal is of electrons or fluorescence.
    """
    found = [i for i, axis in enumerate(described) if str(axis.get("units")).lower() in _UNITS]
    if len(described) != 3 or len(found) != 1:
        return None
    if kind.startswith(_ELECTRONS) or re.search("loss", str(described[found[0]].get("name")), re.I):
        raise InputError(
            f"holds spectra of the kind {kind or 'electron energy loss'}, no X-ray absorption",
            "give a stack over photon energies, or a 4D-STEM scan",
            source=path,
        )
    return found[0]


def stack_of(
    numbers: NDArray[Any],
    described: Sequence[Mapping[str, Any]],
    place: int,
    *,
    format_name: str,
    title: str,
    path: Path,
) -> xr.Dataset:
    """A labelled stack from the numbers of a signal.

    Parameters
    ----------
    numbers
        As stored, three axes.
    described, place
        The axes, and which is that of the energies; one that is not uniform has its values under
        ``axis``.
    format_name, title, path
        Of the file.

    Returns
    -------
    xarray.Dataset
        ``counts``, ``transmission`` or ``optical_density`` (energy, y, x), by their values.
    """
    axis = described[place]
    recorded = axis.get("axis")
    if recorded is None:
        index = np.arange(numbers.shape[place])
        recorded = float(axis.get("offset") or 0.0) + float(axis.get("scale") or 1.0) * index
    energy = np.asarray(recorded, dtype=np.float64) * _UNITS[str(axis.get("units")).lower()]
    if energy.shape != (numbers.shape[place],) or not (np.isfinite(energy) & (energy > 0)).all():
        raise InputError("its axis of energies holds no photon energies", source=path)
    images = np.moveaxis(numbers, place, 0)[:, ::-1]
    rest = [described[i] for i in range(3) if i != place]
    y, x = (
        pixel_axis(role, size, _pixel_size(axis), None)
        for role, size, axis in zip(("y", "x"), images.shape[1:], rest, strict=True)
    )
    quantity = concluded_quantity(images, _DETECTOR, path)
    units = "counts" if quantity == "counts" else "1"
    return images_to_stack(
        {quantity: (images.astype(images.dtype.newbyteorder("=")), units)},
        energy=energy,
        y=y,
        x=x,
        attrs=file_attrs(path, format_name, _DETECTOR, title=title),
    )


def _pixel_size(axis: Mapping[str, Any]) -> float | None:
    """Pixel size in µm, or None."""
    factor = length_factor(str(axis.get("units") or ""))
    size = float(axis.get("scale") or 0.0)
    return None if factor is None or size <= 0 else size * factor
