"""Photon energies in eV, whichever unit they were written in.

X-ray microscopes work between 20 eV and 200 keV, and one measurement spans a small part of that: so
numbers that were written without a unit, or with the wrong one, tell their unit nearly always.
"""

from __future__ import annotations

import warnings
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError, InputWarning

UNITS = {"ev": 1.0, "electronvolt": 1.0, "electronvolts": 1.0, "kev": 1e3}
"""Factors to eV, by the lower-case name."""

_LOWEST, _HIGHEST = 20.0, 200e3
# Numbers of which none is higher are keV unless a unit says otherwise: 40 eV lies below the edges
# that are measured in transmission, 40 keV above them.
_BETWEEN_KEV_AND_EV = 40.0
# Numbers that span more than this factor are no keV unless they say so: running numbers do.
_WIDEST = 3.0


def in_electronvolts(
    energies: ArrayLike,
    *,
    unit: str | None,
    source: str | PathLike[str],
    what: str = "its energies",
    gaps: bool = False,
    stacklevel: int = 2,
) -> NDArray[np.float64]:
    """Photon energies in eV, in the order given.

    Parameters
    ----------
    energies
        Numbers of any shape.
    unit
        As the file says, "eV" or "keV"; None where it says nothing. A unit that cannot be, where
        the other one can, is corrected with a warning; so is keV told that nobody wrote.
    source
        The file, for messages.
    what
        What the numbers are there, for messages, in the plural.
    gaps
        Numbers that are not finite or not positive stay as they are: a scan that was stopped has
        them, and its reader knows what to do.
    stacklevel
        Of the warning, from the caller.

    Returns
    -------
    numpy.ndarray
        float64; the numbers exactly as they are when they are in eV already.

    Raises
    ------
    InputError
        Another unit is given; a number is not finite or not positive; or they are energies of
        X-rays in neither unit, as running numbers are.
    """
    values = np.asarray(energies, dtype=np.float64)
    if gaps:
        known = np.isfinite(values) & (values > 0)
        if not known.all():
            whole = values.copy()
            if known.any():
                whole[known] = in_electronvolts(
                    values[known], unit=unit, source=source, what=what, stacklevel=stacklevel + 1
                )
            return whole
    if values.size == 0:
        raise InputError(f"{what} are missing", "give one energy in eV each", source=source)
    if not np.isfinite(values).all():
        raise InputError(
            f"{what} hold {np.count_nonzero(~np.isfinite(values))} values that are no numbers",
            "an energy in eV is needed everywhere",
            source=source,
        )
    low, high = float(values.min()), float(values.max())
    if low <= 0:
        raise InputError(
            f"{what} hold {low:g}, which is no photon energy",
            "give energies in eV, neither relative to an edge nor running numbers",
            source=source,
        )
    said = None if unit is None else unit.strip().lower()
    running = high <= _BETWEEN_KEV_AND_EV and bool(np.all(values == np.round(values)))
    if said is not None and said not in UNITS:
        raise InputError(f"{what} are in {unit!r}", "convert them to eV first", source=source)
    if said is None:
        factor = 1.0 if high > _BETWEEN_KEV_AND_EV else 1e3
        possible = _are_energies(values, factor)
        if factor == 1e3:
            possible = possible and not running and high / low <= _WIDEST
        if possible and factor == 1e3:
            _warn(
                f"{source}: {what} have no unit; {_span(low, high)} is taken as keV, that is "
                f"{_span(low * 1e3, high * 1e3)} eV",
                stacklevel,
            )
    else:
        factor = UNITS[said]
        possible = _are_energies(values, factor)
        other = 1e3 / factor
        narrow = 1.0 < high / low <= _WIDEST and not running
        if not possible and narrow and _are_energies(values, other):
            wrong, right = ("eV", "keV") if factor == 1.0 else ("keV", "eV")
            _warn(
                f"{source}: {what} are said to be in {wrong}, but {_span(low, high)} {wrong} "
                f"are no X-rays; they are taken as {right}",
                stacklevel,
            )
            factor, possible = other, True
    if not possible:
        raise InputError(
            f"{what} are {_span(low, high)}{'' if unit is None else ' ' + unit.strip()}, which "
            "are no energies of X-rays",
            "give photon energies in eV",
            source=source,
        )
    # No product with 1: the energies stay exactly as written.
    return values if factor == 1.0 else values * factor


def _are_energies(values: NDArray[np.float64], factor: float) -> bool:
    return bool(values.min() * factor >= _LOWEST and values.max() * factor <= _HIGHEST)


def _span(low: float, high: float) -> str:
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _warn(text: str, stacklevel: int) -> None:
    warnings.warn(text, InputWarning, stacklevel=stacklevel + 2)
