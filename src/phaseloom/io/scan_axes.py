"""Axes of a 4D-STEM scan: units of files converted to nm and Å⁻¹, or px."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning

if TYPE_CHECKING:
    import xarray as xr

DIMS = ("y", "x", "ky", "kx")
ANGSTROM = "Å⁻¹"
DIFFERS = 0.01
"""Calibrations that differ by no more than this share are the same."""
ROTATION_REMOVED = "scan_rotation_removed"
"""Attribute of scans and results: degrees that are taken out of the vectors of the spots."""
_NANOMETRES = {
    "pm": 1e-3,
    "A": 0.1,
    "nm": 1.0,
    "um": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
}
_PER_ANGSTROM = {
    "pm^-1": 1e2,
    "A^-1": 1.0,
    "nm^-1": 0.1,
    "um^-1": 1e-4,
    "mm^-1": 1e-7,
    "m^-1": 1e-10,
}
_RADIANS = {"rad": 1.0, "mrad": 1e-3, "urad": 1e-6, "deg": math.pi / 180, "°": math.pi / 180}
_NONE = {"", "1", "px", "pixel", "pixels", "none", "undefined", "unknown", "channels"}
# What one pixel can span: from a tenth of a picometre to a centimetre on the sample, and in
# the pattern from a millionth of a reciprocal ångström to five of them.
_POSSIBLE_STEP = (1e-4, 1e7)
_POSSIBLE_PIXEL = (1e-6, 5.0)


@dataclass(frozen=True)
class Axis:
    """One axis of the array in a file, as the file says it."""

    name: str = ""
    units: str = ""
    scale: float = 1.0
    offset: float = 0.0
    navigate: bool = False
    """Whether it counts scan positions (True) or pixels of the detector (False)."""


def plain_axes(ndim: int) -> list[Axis]:
    """Uncalibrated axes of an array whose last two count the pixels of the detector."""
    return [Axis(navigate=index < ndim - 2) for index in range(ndim)]


def axes_of(described: Sequence[Mapping[str, Any]]) -> list[Axis]:
    """Axes from the dictionaries that HyperSpy and RosettaSciIO describe them by."""
    return [
        Axis(
            name=_text(axis.get("name")),
            units=_text(axis.get("units")),
            scale=_number(axis.get("scale"), 1.0),
            offset=_number(axis.get("offset"), 0.0),
            navigate=bool(axis.get("navigate", index < len(described) - 2)),
        )
        for index, axis in enumerate(described)
    ]


def is_length(units: str) -> bool:
    """Whether a unit is one of length."""
    return _plain_unit(units) in _NANOMETRES


def is_reciprocal(units: str) -> bool:
    """Whether a unit is one of reciprocal length or of angle."""
    unit = _plain_unit(units)
    return unit in _PER_ANGSTROM or unit in _RADIANS


def per_angstrom(units: str) -> float | None:
    """Factor from a unit of reciprocal length to Å⁻¹; None if it is none."""
    return _PER_ANGSTROM.get(_plain_unit(units))


def wavelength(voltage: float) -> float:
    """Relativistic wavelength in Å of electrons accelerated by `voltage` kV (CODATA 2018)."""
    energy = voltage * 1e3  # eV
    rest = 510998.95  # eV
    return 12398.41984 / math.sqrt(energy * (energy + 2 * rest))


def coordinate(
    axis: Axis,
    n: int,
    *,
    voltage: float | None,
    source: str | PathLike[str],
) -> tuple[NDArray[np.float64], str]:
    """Coordinates of an axis of `n` points and their unit.

    Parameters
    ----------
    axis
        As the file says it.
    n
        Its length.
    voltage
        In kV, to make Å⁻¹ of scattering angles.
    source
        Named in messages.

    Returns
    -------
    values : ndarray of float64
        In nm (scan) or Å⁻¹ (detector), from the offset in the file; otherwise 0, 1, 2 … .
    unit : str
        ``nm``, ``Å⁻¹`` or ``px``.

    Raises
    ------
    InputError
        The detector has axes of length: these are images, not diffraction patterns.
    """
    factor_and_unit = (
        _scan_scale(axis, source)
        if axis.navigate
        else _detector_scale(axis, voltage=voltage, source=source)
    )
    if factor_and_unit is None:
        return np.arange(n, dtype=np.float64), "px"
    factor, unit = factor_and_unit
    offset = factor * axis.offset if math.isfinite(axis.offset) else 0.0
    return offset + factor * axis.scale * np.arange(n, dtype=np.float64), unit


def _scan_scale(axis: Axis, source: str | PathLike[str]) -> tuple[float, str] | None:
    unit = _plain_unit(axis.units)
    if unit in _NANOMETRES:
        step = axis.scale * _NANOMETRES[unit]
        if _possible(axis, abs(step), _POSSIBLE_STEP, what="scan step", unit="nm", source=source):
            return _NANOMETRES[unit], "nm"
    return None  # a time, an index, a tilt: counted


def _detector_scale(
    axis: Axis, *, voltage: float | None, source: str | PathLike[str]
) -> tuple[float, str] | None:
    unit = _plain_unit(axis.units)
    factor = _PER_ANGSTROM.get(unit)
    if unit in _NONE:
        return None
    if unit in _NANOMETRES:
        raise InputError(
            f"its patterns have an axis of length (in {axis.units}): these are images of the "
            "sample, not diffraction patterns",
            "give a 4D-STEM scan",
            source=source,
        )
    if unit in _RADIANS:
        if voltage is None:
            warnings.warn(
                f"{source}: the detector is calibrated in {axis.units} and the voltage is not "
                "known; it is taken as uncalibrated",
                InputWarning,
                stacklevel=2,
            )
            return None
        factor = _RADIANS[unit] / wavelength(voltage)
    if factor is None:
        if unit in ("eV", "keV"):
            raise InputError(
                f"its patterns have an axis of energy (in {axis.units}): these are spectra, not "
                "diffraction patterns",
                "give a 4D-STEM scan",
                source=source,
            )
        warnings.warn(
            f"{source}: detector axis in the unknown unit {axis.units!r}; it is taken as "
            "uncalibrated",
            InputWarning,
            stacklevel=2,
        )
        return None
    step = abs(axis.scale * factor)
    if _possible(axis, step, _POSSIBLE_PIXEL, what="pixel size", unit=ANGSTROM, source=source):
        return factor, ANGSTROM
    return None


def _possible(
    axis: Axis,
    step: float,
    limits: tuple[float, float],
    *,
    what: str,
    unit: str,
    source: str | PathLike[str],
) -> bool:
    if limits[0] <= step <= limits[1] and axis.scale > 0:
        return True
    # Whoever knows nothing writes a scale of 0, with a unit or without.
    if axis.scale != 0:
        warnings.warn(
            f"{source}: a {what} of {axis.scale:g} {axis.units} cannot be right (it would be "
            f"{step:g} {unit}); it is taken as unknown",
            InputWarning,
            stacklevel=2,
        )
    return False


def _plain_unit(text: str) -> str:
    """One spelling of a unit: ``A^-1`` for ``1/Å``, ``$A^{-1}$``, ``1 / Å``, ``Å⁻¹`` …"""
    unit = text.strip().replace("\\u00b5", "u").replace("\\mathrm", "").replace("\\AA", "A")
    unit = re.sub(r"[\s$\\{}\[\]()_]", "", unit)
    for old, new in (("µ", "u"), ("μ", "u"), ("Å", "A"), ("Å", "A"), ("⁻¹", "^-1"), ("**", "^")):
        unit = unit.replace(old, new)
    unit = re.sub(r"(?i)angstroms?|ångström", "A", unit)
    unit = re.sub(r"(?i)nanomet(er|re)s?", "nm", unit)
    unit = re.sub(r"(?i)microns?|micromet(er|re)s?", "um", unit)
    unit = re.sub(r"(?i)\bmet(er|re)s?", "m", unit)
    unit = re.sub(r"(?i)degrees?", "deg", unit)
    inverse = re.fullmatch(r"1/(.+)", unit) or re.fullmatch(r"([A-Za-z]+)\^?-1", unit)
    if inverse:
        return f"{inverse[1]}^-1"
    lowered = unit.lower().strip("<>")
    return lowered if lowered in _NONE else unit


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "" if text.strip() in ("None", "_None_", "<undefined>") else text


def _number(value: Any, otherwise: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return otherwise
    return number if math.isfinite(number) else otherwise


def step_of(axis: xr.DataArray) -> float | None:
    """Step of a calibrated axis, None if it counts pixels or has one point."""
    if axis.attrs.get("units", "px") == "px" or axis.size < 2:
        return None
    return float((axis[-1] - axis[0]) / (axis.size - 1))


def spaced(axis: xr.DataArray, step: float) -> NDArray[np.float64]:
    """Coordinates with another step, the zero at the same place."""
    values = axis.to_numpy()
    old = (values[-1] - values[0]) / (axis.size - 1) if axis.size > 1 else 1.0
    new: NDArray[np.float64] = step * (values[0] / old + np.arange(axis.size, dtype=np.float64))
    return new
