"""Images and image stacks of one file, labelled: axes, attributes, the energy in a file name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputWarning

# "_8324.0_eV_", "_0250.52eV_", "_8250_0eV", "_8.333keV": an underscore stands for the decimal point
# only between three or more digits and one or two, so that "fov07_8250eV" is not 7.8250 eV.
_ENERGY_IN_NAME = re.compile(
    r"(?<![\d.])(\d{3,5}_\d{1,2}|\d+(?:\.\d+)?)[_ -]?(k?)eV(?![A-Za-z])", re.IGNORECASE
)
# "_0700.5_", "scan-8333.00": a decimal number of its own.
_NUMBER_IN_NAME = re.compile(r"(?:^|(?<=[_\s-]))0?(\d{2,5}\.\d{1,3})(?=[_\s-]|$)")
_PHOTON_ENERGIES = (50.0, 50_000.0)


class EnergyFromName(InputWarning):
    """The energy of an image is taken from the name of its file."""


def energy_in_name(path: Path) -> float | None:
    """Energy in eV written in a file name (``_8324.0_eV_``, ``_8.333keV``, ``_0700.5_``), or None.

    Parameters
    ----------
    path
        The file; only its name is looked at.

    Returns
    -------
    float or None
        The energy in eV; None if the name holds none or several. A number without a unit counts
        where it has decimals and lies between 50 eV and 50 keV.
    """
    # 8.333 keV is 8333 eV: a product of decimals, rounded to what a name can say.
    found = {
        round(float(text.replace("_", ".")) * (1e3 if kilo else 1.0), 6)
        for text, kilo in _ENERGY_IN_NAME.findall(path.stem)
    }
    if not found:
        numbers = {float(text) for text in _NUMBER_IN_NAME.findall(path.stem)}
        low, high = _PHOTON_ENERGIES
        found = {number for number in numbers if low <= number <= high}
    return found.pop() if len(found) == 1 else None


def pixel_axis(name: str, size: int, pixel_size: float | None, centre: float | None) -> xr.Variable:
    """Ascending positions of pixels along one image axis.

    Parameters
    ----------
    name
        Dimension, ``"y"`` or ``"x"``.
    size
        Number of pixels.
    pixel_size
        Pixel size in µm; None if unknown: positions are then pixel indices, ``units="px"``.
    centre
        Position of the centre of the field in µm; None if unknown: the first pixel is then at 0.
    """
    index = np.arange(size, dtype=np.float64)
    if pixel_size is None:
        return xr.Variable((name,), index, {"units": "px"})
    if centre is not None:
        index = index - (size - 1) / 2
    start = 0.0 if centre is None else centre
    return xr.Variable((name,), start + index * pixel_size, {"units": "µm"})


def images_to_stack(
    variables: Mapping[str, tuple[NDArray[Any], str]],
    *,
    energy: NDArray[np.float64],
    y: xr.Variable,
    x: xr.Variable,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Labelled stack (or image) from arrays, sorted by energy.

    Parameters
    ----------
    variables
        Per variable name: array (energy, y, x) or (energy,), and its units.
    energy
        Photon energies in eV, in any order; repeated energies are kept, in their order.
    y, x
        Ascending pixel positions.
    attrs
        Attributes of the measurement; ``kind`` is added.

    Returns
    -------
    xarray.Dataset
        kind "stack", or "image" for one energy.
    """
    order = np.argsort(energy, kind="stable")
    data = {
        name: (("energy", "y", "x")[: values.ndim], values[order], {"units": units})
        for name, (values, units) in variables.items()
    }
    coords = {
        "energy": ("energy", np.asarray(energy, dtype=np.float64)[order], {"units": "eV"}),
        "y": y,
        "x": x,
    }
    kind = "stack" if len(energy) > 1 else "image"
    return xr.Dataset(data, coords, {"kind": kind, **attrs})


def file_attrs(
    path: Path,
    format_name: str,
    detector: str,
    *,
    title: str = "",
    detectors: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Attributes that every measurement from a file of images or spectra has.

    Parameters
    ----------
    path
        The file.
    format_name
        Of the reader.
    detector
        The channel that was read.
    title
        As recorded; the name of the file by default.
    detectors
        All channels of the file; by default the one.
    """
    return {
        "format": format_name,
        "source": path.name,
        "title": title or path.stem,
        "detector": detector,
        "detectors": [detector] if detectors is None else list(detectors),
    }
