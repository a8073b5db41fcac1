"""Logs in an SDF header: start time, dwell times, ring current."""

from __future__ import annotations

import re
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from phaseloom.io.readers._sdf_structures import Structure, get_number, get_text

_IMAGE = re.compile(r"Image([0-9]{1,6})(?:_([0-9]{1,6}))?")


def image_logs(header: Structure) -> dict[tuple[int, int], Structure]:
    """Return the structures logged with every image by (frame number, region), from 0.

    Two customs are met: ``Image003_0`` has the number in the file name and the region, both
    counted from 0; ``Image4`` counts images from 1 and knows one region only, and the first
    image is logged at the top of the header instead.
    """
    matches = {name: match for name in header if (match := _IMAGE.fullmatch(name))}
    with_region = any(match[2] for match in matches.values())
    logs: dict[tuple[int, int], Structure] = {} if with_region else {(0, 0): header}
    for name, match in matches.items():
        log = header[name]
        if isinstance(log, dict) and bool(match[2]) == with_region:
            number = int(match[1]) - (not with_region)
            logs[number, int(match[2] or 0)] = log
    return logs


def ring_current(header: Structure, numbers: list[int], region: int) -> NDArray[np.float64] | None:
    """Return the ring current (frame,) in mA, None unless logged for every frame.

    A log of zero means that the beamline does not record the current.
    """
    logs = image_logs(header)
    currents = [
        get_number(logs.get((number, region), {}), "StorageRingCurrent") or 0.0
        for number in numbers
    ]
    return np.array(currents) if min(currents) > 0 else None


def dwell(header: Structure, definition: Structure, count: int) -> NDArray[np.float64] | None:
    """Return the dwell time (energy,) in s as far as known.

    The scan definition has one value; the energy regions of the scan may differ in theirs.
    """
    for scan in header.values():
        regions = scan.get("EnergyRegions") if isinstance(scan, dict) else None
        if not isinstance(regions, list):
            continue
        parts = [region for region in regions[1:] if isinstance(region, dict)]
        points = [int(get_number(part, "Points") or 0) for part in parts]
        times = [get_number(part, "DwellTime") or 0.0 for part in parts]
        if parts and sum(points) == count and min(points) > 0 and min(times) > 0:
            return np.repeat(times, points) / 1000.0
    single = get_number(definition, "Dwell")
    return None if single is None or single <= 0 else np.full(count, single / 1000.0)


def start_time(header: Structure) -> str:
    """Return when the scan began, in ISO form where it can be read; else as written."""
    written = get_text(header, "Time")
    for form in ("%Y %B %d %H:%M:%S", "%Y %b %d %H:%M:%S"):
        try:
            return datetime.strptime(written, form).isoformat()
        except ValueError:
            continue
    return written
