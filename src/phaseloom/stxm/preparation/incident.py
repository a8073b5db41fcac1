"""Incident intensity measured apart from the stack: brought to its dwell and ring current, checked.

An I0 counted for longer, or with more current in the ring, is I0 times a factor. What the files
record of both is used; where they record nothing, the empty part of the field gives the factor.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning

Numbers = NDArray[np.float64]

_SAME_DWELL = 0.03
"""I0 within this part of the empty beam has its dwell; a ring that decays does that much."""
_FOLLOWS = 0.1
"""I0 over the empty beam scatters by less than this over the energies, if both are beams."""
_FEWEST_COUNTS = 20.0


@dataclass(frozen=True)
class Scaled:
    """Factors that bring an I0 to a stack.

    Attributes
    ----------
    factor
        (entry,) of each reading (or flat) of I0, its ring current taken out.
    ring
        (energy,) by which each image's ring current multiplies it; 1 where not used.
    known
        Whether the factor follows from what the files record.
    remarks
        What was done, in words, for tables: names and numbers.
    """

    factor: Numbers
    ring: Numbers
    known: bool
    remarks: dict[str, float | str]


def recorded_factors(incident: xr.Dataset, measurement: xr.Dataset) -> Scaled:
    """Factors from dwell, rate and ring current, as far as both files record them.

    Parameters
    ----------
    incident
        ``intensity`` with ``energy``; perhaps ``dwell`` (s) and ``ring_current`` per reading;
        ``attrs["rate"]`` true where it is counts per second.
    measurement
        The stack: perhaps ``dwell`` (energy) in s, ``ring_current`` (energy).

    Returns
    -------
    Scaled
        Ring currents are used when both are recorded; that of a single reading of I0 as well.
    """
    n = incident["energy"].size
    factor, ring = np.ones(n), np.ones(measurement.sizes["energy"])
    remarks: dict[str, float | str] = {}
    dwell = _positive(measurement, "dwell")
    own = _positive(incident, "dwell")
    known = False
    if dwell is not None:
        remarks["dwell"] = float(np.median(dwell))
        if incident.attrs.get("rate") or own is not None:
            at = np.interp(incident["energy"].to_numpy(), measurement["energy"].to_numpy(), dwell)
            own = np.ones(n) if incident.attrs.get("rate") else own
            assert own is not None
            factor *= at / own
            known = True
            remarks["i0_dwell"] = float(np.median(own))
            remarks["dwell_factor"] = float(np.median(at / own))
    current, own_current = (_positive(d, "ring_current") for d in (measurement, incident))
    if current is not None:
        remarks["ring_current"] = f"{current.min():.4g}–{current.max():.4g}"
    if own_current is not None:
        remarks["i0_ring_current"] = f"{own_current.min():.4g}–{own_current.max():.4g}"
    if current is not None and own_current is not None:
        typical = float(np.median(own_current))
        factor *= typical / own_current
        ring = current / typical
        remarks["ring_factor"] = f"{ring.min():.4f}–{ring.max():.4f}"
    return Scaled(factor, ring, known, remarks)


def _positive(data: xr.Dataset, name: str) -> Numbers | None:
    """A variable's numbers where all are positive; else they are no readings."""
    if name not in data.variables:
        return None
    values = np.atleast_1d(data[name].to_numpy()).astype(float)
    return values if values.size and np.isfinite(values).all() and (values > 0).all() else None


def field_factor(
    intensity: Numbers, field: Numbers | None, brightest: Numbers
) -> tuple[float, bool]:
    """Factor that brings an I0 of unknown dwell to the empty beam of the field.

    Parameters
    ----------
    intensity
        I0 (energy,).
    field
        Mean counts (energy,) of what looks empty; None where nothing does.
    brightest
        Brightest part of each image (energy,).

    Returns
    -------
    factor : float
        1 where I0 fits as it is.
    empty : bool
        Whether what looks empty follows I0.
    """
    if field is not None:
        ratio = field / intensity
        factor = float(np.median(ratio))
        if (
            np.median(np.abs(ratio / factor - 1.0)) * 1.4826 < _FOLLOWS
            and np.ptp(np.log(ratio)) < 3 * _FOLLOWS
        ):
            return (1.0 if abs(factor - 1.0) < _SAME_DWELL else factor), True
    # No empty beam to go by: what is brightest is then not brighter than the beam.
    largest = float(np.max(brightest / intensity))
    return (1.0 if 0.1 < largest < 1.2 else largest), False


def check_is_intensity(
    intensity: Numbers, field: Numbers | None, absorption: Numbers | None, source: str | None
) -> None:
    """Refuse a spectrum that cannot be an incident intensity.

    Parameters
    ----------
    intensity
        As read (energy,).
    field
        Mean counts (energy,) of what looks empty in the field; None where nothing does.
    absorption
        Spectrum (energy,) of what absorbs in the field against what does not.
    source
        Its file.

    Raises
    ------
    InputError
        It is negative or zero somewhere, or has the numbers of an optical density and does not
        follow the beam, or has the absorption edge of the sample, or is another beam.
    """
    remedy = "give --i0 the counts of the beam without a sample"
    low = ~(np.isfinite(intensity) & (intensity > 0))
    if low.any():
        raise InputError(
            f"I0 is zero or missing at {np.count_nonzero(low)} of {low.size} energies (lowest: "
            f"{np.nanmin(intensity):.3g}), and an incident intensity is above zero everywhere",
            remedy,
            source=source,
        )
    swing = float(intensity.max() / intensity.min())
    if field is not None and intensity.max() < _FEWEST_COUNTS:
        ratio = field / intensity
        if ratio.max() / ratio.min() > 1.5:
            raise InputError(
                f"its numbers, {intensity.min():.3g} to {intensity.max():.3g}, are no counts, and "
                "do not follow the beam: an optical density is no incident intensity",
                remedy,
                source=source,
            )
    if absorption is None or intensity.size < 6 or swing < 1.3:
        return
    likeness = max((alike(c, absorption) for c in (np.log(intensity), intensity)), key=abs)
    if abs(likeness) > 0.9:
        what = "rises" if likeness > 0 else "falls"
        raise InputError(
            f"{what} by a factor {swing:.2g} where the sample absorbs (correlation "
            f"{likeness:+.2f}): that is the absorption edge, no incident intensity",
            remedy,
            source=source,
        )
    if field is None or abs(alike(np.log(field), absorption)) > 0.5:
        return  # what looks empty may be sample
    ratio = field / intensity
    if ratio.max() / ratio.min() > 2.0:
        raise InputError(
            f"differs from the empty beam of the field by a factor that changes "
            f"{ratio.max() / ratio.min():.2g}-fold over the energies: it is not the beam of this "
            "stack",
            remedy,
            source=source,
        )


def alike(curve: Numbers, spectrum: Numbers) -> float:
    """Correlation of two curves over the frames, their slow trend taken off.

    The trend is a cubic where twelve frames or more can bear it, else a straight line.
    """
    degree = 3 if curve.size >= 12 else 1
    place = np.linspace(-1.0, 1.0, curve.size)
    a, b = (c - np.polyval(np.polyfit(place, c, degree), place) for c in (curve, spectrum))
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0


def say_scaling(factor: float, remarks: dict[str, float | str], source: str) -> None:
    """Say by which factor an I0 was multiplied that the files do not explain."""
    if factor == 1.0:
        return
    known = [n for n in ("dwell", "i0_dwell") if n in remarks]
    why = "of one of them the dwell is not recorded" if known else "their dwells are not recorded"
    warnings.warn(
        f"I0 of {source} is {1.0 / factor:.4g} times the brightest part of the field ({why}; "
        f"another dwell, or counts per second?); it is multiplied by {factor:.4g}",
        InputWarning,
        stacklevel=3,
    )


def check_empty(intensity: Numbers, density: Numbers, references: Sequence[Numbers]) -> None:
    """Refuse an I0 taken from the field that has the absorption edge of a phase.

    Parameters
    ----------
    intensity
        I0 (energy,), the brightest part of the field.
    density
        Mean optical density (energy,) of the particles over it.
    references
        Spectra (energy,) of the phases at these energies.

    Raises
    ------
    InputError
        The brightest part of the field is a phase; or it gets brighter at the edge, so that the
        numbers are no counts.
    """
    own = -np.log(intensity)
    if intensity.size < 6:
        return
    likeness = [alike(own, reference) for reference in references]
    best = max(likeness, key=abs)
    # An edge of the beam itself (oxide on a mirror) is small beside that of the sample.
    reference = references[likeness.index(best)]
    part = abs(_amount(own, reference)) / max(
        abs(_amount(own, reference)) + abs(_amount(density, reference)), 1e-12
    )
    if abs(best) < 0.9 or part < 0.3 or np.ptp(own) < 0.05:
        return
    if best > 0:
        raise InputError(
            "the field has no empty area: its brightest part has the absorption edge of a phase "
            f"itself (correlation {best:.2f})",
            "give I0 as a file, or as a region that is empty (--i0 FILE or --i0 y0:y1,x0:x1)",
        )
    raise InputError(
        f"its brightest part gets brighter at the absorption edge (correlation {best:.2f}): the "
        "numbers are no counts",
        "say what they are with --quantity optical_density or transmission",
    )


def _amount(curve: Numbers, reference: Numbers) -> float:
    """How much of a reference is in a curve, their means aside."""
    centred = reference - reference.mean()
    return float(centred @ (curve - curve.mean()) / max(float(centred @ centred), 1e-30))
