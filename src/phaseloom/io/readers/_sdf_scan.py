"""Scan definition in an SDF header: layout, detectors, regions, axes."""

from __future__ import annotations

import string
import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.energies import UNITS, in_electronvolts
from phaseloom.io.readers._sdf_structures import (
    Axis,
    Structure,
    get_axis,
    get_number,
    get_structure,
    get_structures,
    get_text,
    parse_structures,
)

_MICROMETRES = {"um": 1.0, "µm": 1.0, "μm": 1.0, "microns": 1.0, "mm": 1e3, "nm": 1e-3}
_SETUP_SCANS = ("osa", "focus", "detector", "motor")

Layout = Literal["image", "stack", "line", "points"]


class Scan(NamedTuple):
    """What the header says: everything the four layouts have in common."""

    path: Path
    header: Structure
    definition: Structure
    layout: Layout
    detectors: list[str]
    channel: int
    units: str
    regions: list[Structure]
    numbered_regions: bool  # file names carry the region number


def read_header(
    path: Path, *, detector: str | None, letter: str | None = None, partial: bool
) -> Scan:
    """Parse the header and choose the detector channel, by its name or the letter of its files.

    Raises
    ------
    InputError
        The header is damaged, lacks the scan definition, is of a scan without maps or spectra,
        or names no such detector.
    """
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    header = parse_structures(text, source=path, partial=partial)
    definition = get_structure(header, "ScanDefinition", source=path)
    channels = get_structures(definition, "Channels", source=path)
    detectors = [get_text(channel, "Name") for channel in channels]
    if detector is not None and detectors.count(detector) != 1:
        found = "several detectors" if detector in detectors else "no detector"
        raise InputError(
            f"has {found} named '{detector}'", f"it has {', '.join(detectors)}", source=path
        )
    channel = 0 if detector is None else detectors.index(detector)
    if letter is not None:
        of_letter = string.ascii_lowercase.index(letter)
        if of_letter >= len(detectors) or (detector is not None and of_letter != channel):
            raise InputError(
                f"images with the letter {letter} are not of the detector wanted",
                f"its detectors are, from the letter a on, {', '.join(detectors)}",
                source=path,
            )
        channel = of_letter
    if channel >= len(string.ascii_lowercase):
        raise InputError("more than 26 detector channels have no file letter", source=path)
    regions = get_structures(definition, "Regions", source=path)
    flags = get_text(definition, "Flags").lower()
    return Scan(
        path=path,
        header=header,
        definition=definition,
        layout=_layout(get_text(definition, "Type"), flags, path),
        detectors=detectors,
        channel=channel,
        units=get_text(channels[channel], "Unit") or "counts",
        regions=regions,
        numbered_regions=flags.startswith("multi-region") or len(regions) > 1,
    )


def _layout(scan_type: str, flags: str, path: Path) -> Layout:
    """How (Type, Flags) of the scan definition arrange the data."""
    flags = flags.removeprefix("multi-region").strip()
    kind = scan_type.lower()
    if any(word in kind for word in _SETUP_SCANS):
        raise InputError(
            f"is a '{scan_type}', made to set up the microscope",
            "choose an image stack, image, line scan or point scan",
            source=path,
        )
    layouts: dict[tuple[str, str], Layout] = {
        ("image scan", "image"): "image",
        ("nexafs image scan", "image"): "image",
        ("image scan", "image stack"): "stack",
        ("nexafs image scan", "image stack"): "stack",
        ("nexafs line scan", "image"): "line",
        ("nexafs point scan", "spectra"): "points",
    }
    if (kind, flags) not in layouts:
        raise InputError(
            f"scans of type '{scan_type}' with flags '{flags}' cannot be read",
            "choose an image stack, image, line scan or point scan",
            source=path,
        )
    return layouts[kind, flags]


def length_axis(axis: Axis, role: str, path: Path) -> NDArray[np.float64]:
    """Return the points of an axis in µm.

    Raises
    ------
    InputError
        The unit is no length, or the points neither ascend nor descend throughout.
    """
    factor = _MICROMETRES.get(axis.unit.lower())
    if factor is None:
        raise InputError(f"{role} '{axis.name}' has the unit '{axis.unit}', no length", source=path)
    steps = np.diff(axis.points)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise InputError(
            f"the points of {role} '{axis.name}' neither ascend nor descend throughout",
            "the header is damaged: restore it from its original",
            source=path,
        )
    # No product with 1: the positions stay exactly as written.
    return axis.points if factor == 1.0 else axis.points * factor


def energies_of(axis: Axis, role: str, path: Path) -> NDArray[np.float64]:
    """Return the points of an axis in eV; raise InputError if it is not the energy."""
    if not axis.is_energy or axis.unit.lower() not in UNITS:
        raise InputError(
            f"{role} is '{axis.name}' in '{axis.unit}', not the energy in eV", source=path
        )
    return in_electronvolts(
        axis.points, unit=axis.unit, source=path, what=f"the energies of {role}", stacklevel=5
    )


def stack_energies(scan: Scan) -> NDArray[np.float64]:
    """Return the energies of an image or stack in eV.

    Raises
    ------
    InputError
        The stack is not over energy, or an image has no energy or several.
    """
    if scan.layout == "image" and "StackAxis" not in scan.definition:
        monochromator = scan.header.get("Monochromator")
        position = (
            get_number(monochromator, "LastPosition") if isinstance(monochromator, dict) else None
        )
        if position is None or position <= 0:
            raise InputError("the header names no photon energy", source=scan.path)
        warnings.warn(
            f"{scan.path}: no energy in the scan definition; the monochromator's last position, "
            f"{position} eV, is used",
            InputWarning,
            stacklevel=4,
        )
        return np.array([position])
    axis = get_axis(scan.definition, "StackAxis", source=scan.path)
    energies = energies_of(axis, "the stack axis", scan.path)
    if scan.layout == "image" and energies.size != 1:
        raise InputError(
            f"a single image with {energies.size} energies in its header", source=scan.path
        )
    return energies
