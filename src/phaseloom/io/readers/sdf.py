"""ALS / SDF scans: an ASCII header ``.hdr`` with text frames ``.xim`` or spectra ``.xsp``.

Written by the STXM control software of the ALS and of beamlines that adopted it. Frame files
lie beside the header: ``STEM_a.xim`` (image, line scan), ``STEM_a012.xim`` (stack),
``STEM_a0120.xim`` (stack of several regions, the region last), ``STEM_0.xsp`` (point
spectra); further detector channels have the letters b, c, ….
"""

from __future__ import annotations

import string
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.readers._sdf_frames import (
    Table,
    find_frames,
    listing,
    read_alignment,
    read_frames,
    read_table,
)
from phaseloom.io.readers._sdf_logs import dwell, image_logs, ring_current, start_time
from phaseloom.io.readers._sdf_scan import (
    Scan,
    energies_of,
    length_axis,
    read_header,
    stack_energies,
)
from phaseloom.io.readers._sdf_structures import get_axis, get_number, get_text

format_name = "SDF"
file_extensions = (".hdr",)
describe = "ALS / SDF scan: .hdr header with .xim frames or .xsp spectra beside it"


def reads_this(path: Path) -> bool:
    """Whether the file is an SDF header."""
    try:
        with path.open("rb") as file:
            return b"ScanDefinition" in file.read(4096)
    except OSError:
        return False


def read(
    path: Path,
    *,
    detector: str | None = None,
    region: int | None = None,
    partial: bool = False,
) -> xr.Dataset:
    """Read an SDF scan.

    Parameters
    ----------
    path
        The ``.hdr`` file; its frame files lie beside it.
    detector
        Name of the detector channel; the first one by default.
    region
        Spatial region, counted from 1; the first by default, with a warning when there are
        more. For point spectra all points by default.
    partial
        Leave out frames that are missing, incomplete, empty or damaged, with a warning that
        names them; likewise the rest of a header that is damaged behind the scan definition.

    Returns
    -------
    xarray.Dataset
        ``counts`` (energy, y, x), (energy, position) or (energy, point): int32 or int64 where
        the frames hold whole numbers, float64 where they have decimals. ``energy`` (eV) as in
        the header, lengths in µm, all ascending. ``dwell`` (energy) in s and, where logged with
        every image, ``ring_current`` (energy) in mA. If aXis2000's ``STEM.aln`` lies beside the
        header: ``alignment_y``, ``alignment_x`` (energy) in pixels, the displacement of the
        sample's image in each frame (not applied).

    Raises
    ------
    InputError
        The header or a frame is missing, damaged or incomplete, header and frames disagree, the
        detector or region does not exist, or the scan holds no map or spectrum (OSA, focus,
        detector and motor scans).
    """
    scan = read_header(path, detector=detector, partial=partial)
    if scan.layout == "points":
        measurement = _read_points(scan, region, partial=partial)
    else:
        index = _region_index(scan, region)
        if scan.layout == "line":
            measurement = _read_line_scan(scan, index, partial=partial)
        else:
            measurement = _read_maps(scan, index, partial=partial)
    attributes = {
        "format": format_name,
        "source": path.name,
        "title": get_text(scan.definition, "Label") or path.stem,
        "detector": scan.detectors[scan.channel],
        "detectors": scan.detectors,
        "scan_type": get_text(scan.definition, "Type"),
    }
    if began := start_time(scan.header):
        attributes["start_time"] = began
    return measurement.assign_attrs(attributes)


def _region_index(scan: Scan, region: int | None) -> int:
    count = len(scan.regions)
    if region is None and count > 1:
        warnings.warn(
            f"{scan.path}: the first of {count} regions is read; choose with region=1…{count}",
            InputWarning,
            stacklevel=3,
        )
    index = 0 if region is None else region - 1
    if not 0 <= index < count:
        raise InputError(f"has no region {region}", f"it has 1 to {count}", source=scan.path)
    return index


def _read_maps(scan: Scan, index: int, *, partial: bool) -> xr.Dataset:
    """An image or an image stack: counts (energy, y, x)."""
    path = scan.path
    energies = stack_energies(scan)
    p_axis = get_axis(scan.regions[index], "PAxis", source=path)
    q_axis = get_axis(scan.regions[index], "QAxis", source=path)
    across = length_axis(p_axis, "PAxis", path)
    down = length_axis(q_axis, "QAxis", path)
    files = find_frames(
        path,
        string.ascii_lowercase[scan.channel],
        count=energies.size,
        stack=scan.layout == "stack",
        region=index if scan.numbered_regions else None,
        partial=partial,
    )
    _check_pairing(scan, files, energies, index)
    frames = read_frames(path, files, (down.size, across.size), partial=partial)
    used = energies[frames.places]
    rows, columns = "y", "x"
    if p_axis.name.upper().endswith("Y") and q_axis.name.upper().endswith("X"):
        rows, columns = "x", "y"  # the fast axis is vertical
    measurement = xr.Dataset(
        {"counts": (("energy", rows, columns), frames.counts, {"units": scan.units})},
        coords={
            "energy": ("energy", used, {"units": "eV"}),
            rows: (rows, down, {"units": "µm"}),
            columns: (columns, across, {"units": "µm"}),
        },
        attrs={"kind": "image" if used.size == 1 else "stack"},
    ).transpose("energy", "y", "x")
    _add_dwell(measurement, scan, frames.places, energies.size)
    current = ring_current(scan.header, frames.numbers, index)
    if current is not None:
        measurement["ring_current"] = ("energy", current, {"units": "mA"})
    drift = read_alignment(path, frames, count=energies.size)
    if drift is not None:
        # Known in rows and columns as filed: the sign follows an axis that is turned round.
        for name, values, filed in ((rows, drift[0], down), (columns, drift[1], across)):
            sign = -1.0 if filed[0] > filed[-1] else 1.0
            measurement[f"alignment_{name}"] = ("energy", sign * values, {"units": "px"})
    if scan.numbered_regions:
        measurement.attrs["region"] = index + 1
    return _ascending(measurement, "y", "x")


def _ascending(measurement: xr.Dataset, *lengths: str) -> xr.Dataset:
    """Turn lengths that descend, sort energies stably: repeated ones keep their order."""
    order = np.argsort(measurement["energy"].values, kind="stable")
    return measurement.sortby(list(lengths)).isel(energy=order)


def _add_dwell(measurement: xr.Dataset, scan: Scan, places: NDArray[np.intp], count: int) -> None:
    times = dwell(scan.header, scan.definition, count)
    if times is not None:
        measurement["dwell"] = ("energy", times[places], {"units": "s"})


def _check_pairing(
    scan: Scan, files: list[tuple[int, int, Path]], energies: NDArray[np.float64], index: int
) -> None:
    """Frames whose numbers are not their places: their logged energies must bear them out."""
    if all(place == number for place, number, _ in files):
        return
    logs = image_logs(scan.header)
    gaps = np.diff(np.unique(energies))
    # The energy that was reached differs a little from the one asked for.
    tolerance = max(gaps.min() / 2, 0.1) if gaps.size else 1.0
    for place, number, file in files:
        logged = get_number(logs.get((number, index), {}), "Energy")
        if logged is not None and abs(logged - energies[place]) > tolerance:
            raise InputError(
                f"paired in order, {file.name} would have {energies[place]} eV but was logged "
                f"at {logged} eV",
                "restore the missing frames or correct the energies in the header",
                source=scan.path,
            )


def _read_line_scan(scan: Scan, index: int, *, partial: bool) -> xr.Dataset:
    """A line scan over energy: counts (energy, position)."""
    path = scan.path
    energies = energies_of(get_axis(scan.regions[index], "PAxis", source=path), "PAxis", path)
    position = length_axis(get_axis(scan.regions[index], "QAxis", source=path), "QAxis", path)
    files = find_frames(
        path,
        string.ascii_lowercase[scan.channel],
        count=1,
        stack=False,
        region=index if scan.numbered_regions else None,
        partial=partial,
    )
    frames = read_frames(path, files, (position.size, energies.size), partial=partial)
    measurement = xr.Dataset(
        {"counts": (("position", "energy"), frames.counts[0], {"units": scan.units})},
        coords={
            "energy": ("energy", energies, {"units": "eV"}),
            "position": ("position", position, {"units": "µm"}),
        },
        attrs={"kind": "line_scan"},
    ).transpose("energy", "position")
    _add_dwell(measurement, scan, np.arange(energies.size), energies.size)
    return _ascending(measurement, "position")


def _read_points(scan: Scan, region: int | None, *, partial: bool) -> xr.Dataset:
    """Spectra at points, one region and one ``.xsp`` each: counts (energy, point)."""
    path = scan.path
    chosen = range(len(scan.regions)) if region is None else [_region_index(scan, region)]
    axes = [
        energies_of(get_axis(scan.regions[k], "PAxis", source=path), "PAxis", path) for k in chosen
    ]
    energies = axes[0]
    if any(not np.array_equal(energies, axis) for axis in axes):
        raise InputError(
            "the points were measured at different energies",
            "read them one by one with region=1, 2, …",
            source=path,
        )
    spectra: dict[int, Table] = {}
    faults: list[str] = []
    for k in chosen:
        try:
            spectra[k + 1] = _read_spectrum(scan, k, energies)
        except InputError as fault:
            if not partial:
                raise
            faults.append(str(fault))
    if not spectra:
        raise InputError(f"no spectrum can be used: {listing(faults)}", source=path)
    if faults:
        warnings.warn(f"{path}: points left out: {listing(faults)}", InputWarning, stacklevel=3)
    counts = np.stack([table.values[:, 1 + scan.channel] for table in spectra.values()], axis=1)
    measurement = xr.Dataset(
        {"counts": (("energy", "point"), counts, {"units": scan.units})},
        coords={
            "energy": ("energy", energies, {"units": "eV"}),
            "point": ("point", np.array(list(spectra))),
        },
        attrs={"kind": "point_spectra"},
    )
    _add_dwell(measurement, scan, np.arange(energies.size), energies.size)
    return _ascending(measurement)


def _read_spectrum(scan: Scan, index: int, energies: NDArray[np.float64]) -> Table:
    file = scan.path.with_name(f"{scan.path.stem}_{index}.xsp")
    if not file.is_file():
        raise InputError(
            f"the spectrum {file.name} is missing beside the header",
            "restore it, or choose another point with region=",
            source=scan.path,
        )
    table = read_table(file, (energies.size, 1 + len(scan.detectors)))
    steps = np.abs(np.diff(energies))
    tolerance = max(float(np.median(steps)) / 2, 0.1) if steps.size else 1.0
    if np.abs(table.values[:, 0] - energies).max() > tolerance:
        raise InputError(
            f"the energies in the first column are not those of {scan.path.name}", source=file
        )
    if not table.values[:, 1 + scan.channel].any():
        raise InputError("is all zeros, as in a scan that was stopped", source=file)
    if not table.ended:
        raise InputError("breaks off in its last value", source=file)
    return table
