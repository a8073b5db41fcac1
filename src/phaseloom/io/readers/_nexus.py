"""Dialects of NXstxm: names and units of axes, order of dimensions."""

from __future__ import annotations

import re
import warnings
from itertools import permutations
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.energies import UNITS, in_electronvolts
from phaseloom.io.readers import _hdf5 as hdf5

_LENGTHS = {
    "m": 1e6, "meter": 1e6, "metre": 1e6, "meters": 1e6, "metres": 1e6,
    "mm": 1e3,
    "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometers": 1.0, "micrometre": 1.0, "micrometres": 1.0,
    "nm": 1e-3, "nanometer": 1e-3, "nanometers": 1e-3,
}  # fmt: skip
_TIMES = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6}
_CURRENTS = {"ma": 1.0, "a": 1e3}

# Units that positions without units may have, in µm, and what such a scan is usually like (µm): of
# two readings that of the more usual pixel and field is taken. No stage moves further than this.
_UNSAID_LENGTHS = {"µm": 1.0, "mm": 1e3, "metres": 1e6}
_USUAL_PIXEL, _USUAL_FIELD, _STAGE_AT_MOST = 0.05, 10.0, 5e4
# A reading this much less usual than the best (ratio of pixels times ratio of fields) is named too.
_NEARLY_AS_USUAL = 10.0
# Of a single position: no stage stands nearer to zero than this in µm, nor further in metres.
_PLACE_BETWEEN_METRES_AND_UM = 3e-4
# How far, in pixels, positions recorded per pixel may stray from one axis for all lines.
_STRAY_WARNED, _STRAY_REFUSED = 0.1, 0.5

ROLES = {
    "energy": "energy",
    "photon_energy": "energy",
    "photonenergy": "energy",
    "e": "energy",
    "sample_y": "y",
    "y": "y",
    "sampley": "y",
    "sample_x": "x",
    "x": "x",
    "samplex": "x",
    "line_position": "position",
}


def nx_class(item: h5py.Group) -> str:
    """NX_class of a group, or an empty string."""
    return hdf5.attribute_text(item, "NX_class")


def signal(group: h5py.Group) -> h5py.Dataset | None:
    """The dataset of an NXdata group that holds the counts, or None."""
    named = hdf5.attribute_text(group, "signal")
    if named and (found := hdf5.dataset(group, named)) is not None:
        return found
    for name in hdf5.names(group):
        item = hdf5.dataset(group, name)
        if item is not None and hdf5.attribute_text(item, "signal") == "1":
            return item
    return hdf5.dataset(group, "data")


def axis_datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Datasets of a group that are axes of the scan: energy, y, x, position (those it has)."""
    found: dict[str, h5py.Dataset] = {}
    for name in hdf5.names(group):
        role = ROLES.get(name.lower())
        if role and role not in found and (item := hdf5.dataset(group, name)) is not None:
            found[role] = item
    return found


def dimensions(
    group: h5py.Group,
    counts: h5py.Dataset,
    axes: dict[str, h5py.Dataset],
    *,
    scan_type: str,
) -> tuple[str, ...]:
    """Role of each dimension of the counts: energy, y, x, position, point or single.

    Asked in this order: the attribute ``axes`` of the group or of the counts, the attribute
    ``axis`` (counted from 1) of each axis, the lengths. ``single`` is a dimension of length 1
    that line scans and point spectra carry for nothing.

    Raises
    ------
    InputError
        The axes are not those of an image or spectrum of the sample, or fit no dimension.
    """
    shape: tuple[int, ...] = counts.shape
    sizes = {role: item.size for role, item in axes.items()}
    if not 1 <= len(shape) <= 3:
        raise InputError(
            f"counts of shape {shape} make no map of the sample", source=group.file.filename
        )
    short = _line_or_point(shape, sizes, scan_type)
    if short:
        return short
    named = named_axes(group, counts)
    if len(named) == len(shape):
        strange = [name for name in named if name.lower() not in ROLES]
        if strange:
            raise InputError(
                f"a scan over {' and '.join(strange)} holds no map of the sample",
                "give an image, stack, line scan or point spectrum",
                source=group.file.filename,
            )
        roles = tuple(ROLES[name.lower()] for name in named)
        if len(set(roles)) == len(roles):
            return roles
    numbered = {
        int(number) - 1: role
        for role, item in axes.items()
        if (number := hdf5.attribute_text(item, "axis")).isdigit()
    }
    if len(numbered) == len(shape) and sorted(numbered) == list(range(len(shape))):
        return tuple(numbered[i] for i in range(len(shape)))
    return _by_length(group, shape, sizes, scan_type=scan_type)


def _line_or_point(
    shape: tuple[int, ...], sizes: dict[str, int], scan_type: str
) -> tuple[str, ...] | None:
    n_energies = sizes.get("energy", 1)
    if "point" in scan_type:
        if len(shape) == 1:
            return ("energy",)
        if len(shape) == 2 and shape[0] <= n_energies:
            return ("energy", "point")
        if len(shape) == 3 and shape[1] == 1:
            return ("energy", "single", "point")
    if "line" in scan_type and len(shape) == 3 and 1 in shape[1:]:
        return ("energy", "single", "position") if shape[1] == 1 else (
            "energy", "position", "single")  # fmt: skip
    return None


def named_axes(group: h5py.Group, counts: h5py.Dataset) -> list[str]:
    """Names of the axes of the counts, from the attribute ``axes``; none if there is none."""
    for item in (group, counts):
        named = hdf5.texts(hdf5.attribute(item, "axes"))
        if len(named) == 1:  # the older way: one string, "energy:sample_y:sample_x"
            named = [name for name in re.split(r"[\s:,\[\]]+", named[0]) if name]
        if named and "." not in named:  # a dot stands for an axis without a name
            return named
    return []


def _by_length(
    group: h5py.Group, shape: tuple[int, ...], sizes: dict[str, int], *, scan_type: str
) -> tuple[str, ...]:
    layouts: dict[int, tuple[tuple[str, ...], ...]] = {
        1: (("energy",),),
        2: (("y", "x"), ("energy", "position")),
        3: (("energy", "y", "x"),),
    }
    several = sizes.get("energy", 1) > 1
    if "line" in scan_type or (several and sizes["energy"] != sizes.get("y")):
        layouts[2] = layouts[2][::-1]
    for layout in layouts.get(len(shape), ()):
        length = dict(sizes)
        if "position" in layout:
            length.setdefault("position", max(sizes.get("x", 0), sizes.get("y", 0)))
        fits = [
            order
            for order in permutations(layout)
            if all(length.get(r, n) == n for r, n in zip(order, shape, strict=True))
        ]
        if layout in fits:
            return layout
        if len(fits) == 1:
            return fits[0]
    known = ", ".join(f"{role} ({size})" for role, size in sizes.items()) or "no axes"
    raise InputError(
        f"counts of shape {shape} do not fit {known}",
        "the scan was aborted or the file is damaged",
        source=group.file.filename,
    )


def _factor(item: h5py.Dataset, known: dict[str, float]) -> float | None:
    return known.get(hdf5.attribute_text(item, "units").lower())


def length_factor(unit: str) -> float | None:
    """What makes µm of a length in this unit; None when the unit is none of length."""
    return _LENGTHS.get(unit.strip().lower())


def _guessed(item: h5py.Dataset, unit: str, more: str = "") -> None:
    written = hdf5.attribute_text(item, "units")
    said = f"has the unknown units {written!r}" if written else "has no units"
    warnings.warn(
        f"{item.file.filename}: {item.name} {said}; by its values it is in {unit}{more}",
        InputWarning,
        stacklevel=5,
    )


def energies(item: h5py.Dataset) -> NDArray[np.float64]:
    """Photon energies in eV, exactly as recorded when they were recorded in eV."""
    unit = hdf5.attribute_text(item, "units")
    known = unit.lower() in UNITS
    recorded = hdf5.values(item).ravel()
    in_ev = in_electronvolts(
        recorded,
        unit=unit if known else None,
        source=item.file.filename,
        what=f"the energies in {item.name}",
        gaps=True,
        stacklevel=5,
    )
    if not known and np.array_equal(in_ev, recorded, equal_nan=True):
        _guessed(item, "eV")
    return in_ev


def positions(
    item: h5py.Dataset, *, dims: tuple[str, ...], shape: tuple[int, ...], role: str
) -> NDArray[np.float64]:
    """One axis of the sample stage in µm, from a vector or from positions of every pixel.

    Raises
    ------
    InputError
        The positions do not fit the counts, or are no axis: the lines are sheared or warped by
        more than half a pixel.
    """
    n = shape[dims.index(role)]
    if item.size == n:
        recorded = hdf5.values(item).ravel()
    elif item.shape == shape or (
        dims[0] == "energy" and item.shape == shape[1:] and len(shape) == 3
    ):
        recorded = _one_axis_from_every_pixel(item, dims[-item.ndim :], role)
    else:
        raise InputError(
            f"{item.name} has the shape {item.shape}, the counts have {shape}",
            "the scan was aborted or the file is damaged",
            source=item.file.filename,
        )
    return in_micrometres(item, recorded)


def in_micrometres(item: h5py.Dataset, recorded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions in µm by the units of their dataset, or else by their size, with a warning."""
    factor = _factor(item, _LENGTHS)
    if factor is None:
        unit, more = _unsaid_length(recorded)
        factor = _UNSAID_LENGTHS[unit]
        _guessed(item, unit, more)
    return recorded if factor == 1.0 else recorded * factor


def _unsaid_length(recorded: NDArray[np.float64]) -> tuple[str, str]:
    """The unit in which positions make the more usual scan, and the sentence that says how usual.

    Metres, mm and µm are a factor of 1000 apart, pixels of microscopes hardly more: the field and
    the range of the stage decide with them.
    """
    steps = np.abs(np.diff(recorded))
    if not np.any(steps > 0):
        place = np.abs(recorded).max(initial=0.0)
        return "metres" if 0 < place < _PLACE_BETWEEN_METRES_AND_UM else "µm", ""
    pixel, field = float(np.median(steps[steps > 0])), float(np.ptp(recorded))
    furthest = np.abs(recorded).max()
    unusual = {
        unit: np.abs(np.log(pixel * factor / _USUAL_PIXEL))
        + np.abs(np.log(field * factor / _USUAL_FIELD))
        for unit, factor in _UNSAID_LENGTHS.items()
        if furthest * factor <= _STAGE_AT_MOST or factor == 1.0
    }
    best, *others = sorted(unusual, key=lambda unit: float(unusual[unit]))
    more = f" (pixels of {1e3 * pixel * _UNSAID_LENGTHS[best]:.4g} nm)"
    if others and unusual[others[0]] - unusual[best] < np.log(_NEARLY_AS_USUAL):
        more += f", and could be in {others[0]}: write the units into the file"
    return best, more


def _one_axis_from_every_pixel(
    item: h5py.Dataset, dims: tuple[str, ...], role: str
) -> NDArray[np.float64]:
    if not hdf5.written(item).all():
        raise InputError(f"{item.name} was not written completely", source=item.file.filename)
    hdf5.require_numbers(item)
    across = dims.index(role)
    if across == 0:
        every = hdf5.values(item).reshape(item.shape[0], -1)
        profiles, within = np.median(every, axis=1)[None], np.ptp(every, axis=1).max()
    elif item.ndim == 2:
        every = hdf5.values(item)
        profiles, within = np.median(every, axis=0)[None], np.ptp(every, axis=0).max()
    else:  # a stack: frame by frame, it may be large
        profiles, within = np.empty((item.shape[0], item.shape[across])), 0.0
        for i in range(item.shape[0]):
            frame = hdf5.frame(item, i)
            other = 1 if across == 1 else 0
            profiles[i] = np.median(frame, axis=other)
            within = max(within, float(np.ptp(frame, axis=other).max()))
    axis = np.median(profiles, axis=0)
    step = np.abs(np.diff(axis)).min(initial=np.inf)
    stray = (np.abs(profiles - axis).max() + within / 2) / step
    if not stray <= _STRAY_REFUSED:
        raise InputError(
            f"{item.name}: the positions of single lines differ by {stray:.2g} pixels, "
            "so the pixels form no rectangular grid",
            "re-grid the scan with the beamline's software first",
            source=item.file.filename,
        )
    if stray > _STRAY_WARNED:
        warnings.warn(
            f"{item.file.filename}: {item.name}: single lines are off their axis by up to "
            f"{stray:.2g} pixels; the median position is used",
            InputWarning,
            stacklevel=6,
        )
    return np.asarray(axis, dtype=np.float64)


def seconds(item: h5py.Dataset, *, unit_if_unsaid: str) -> NDArray[np.float64]:
    """Counting times in s."""
    factor = _factor(item, _TIMES)
    recorded = hdf5.values(item)
    return recorded * (_TIMES[unit_if_unsaid] if factor is None else factor)


def current_factor(item: h5py.Dataset) -> float | None:
    """What makes mA of a ring current; None when the units are those of something else."""
    return 1.0 if not hdf5.attribute_text(item, "units") else _factor(item, _CURRENTS)


def falls(axis: NDArray[np.float64], *, name: str, source: Path) -> bool:
    """Whether an axis falls throughout instead of rising.

    Raises
    ------
    InputError
        It does neither, or is not finite.
    """
    steps = np.diff(axis)
    if np.isfinite(axis).all():
        if (steps > 0).all():
            return False
        if (steps < 0).all():
            return True
    raise InputError(
        f"the positions along {name} neither rise nor fall throughout",
        "the file is damaged, or the scan was no raster scan",
        source=source,
    )
