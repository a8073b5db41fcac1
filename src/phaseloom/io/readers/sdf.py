"""ALS / SDF scans: an ASCII header ``.hdr`` with text frames ``.xim`` or spectra ``.xsp``.

Written by the STXM control software of the ALS and of beamlines that adopted it. Frame files
lie beside the header: ``STEM_a.xim`` (image, line scan), ``STEM_a012.xim`` (stack),
``STEM_a0120.xim`` (stack of several regions, the region last), ``STEM_0.xsp`` (point
spectra); further detector channels have the letters b, c, ….
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.images import file_attrs
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._sdf_frames import (
    FrameFile,
    Table,
    find_frames,
    frames_beside,
    header_of,
    listing,
    pair_frames,
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
file_extensions = (".hdr", ".xim")
describe = "ALS / SDF scan: .hdr header with .xim frames or .xsp spectra beside it; one .xim"


def reads_this(path: Path) -> bool:
    """Whether the file is an SDF header, or an image of a scan by its name."""
    return path.suffix.lower() == ".xim" or b"ScanDefinition" in first_bytes(path, 4096)


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read an SDF scan, given its header; given one ``.xim``, that image of the scan.

    Entries are its spatial regions; all points by default for point spectra. Partial reading
    leaves out frames that are missing, incomplete, empty or damaged, with a warning that names
    them; likewise the rest of a header that is damaged behind the scan definition.

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
        detector or entry does not exist, or the scan holds no map or spectrum (OSA, focus,
        detector and motor scans).
    """
    header, letter = path, None
    if path.suffix.lower() == ".xim":
        header, letter = header_of(path)
    scan = read_header(header, detector=choice.detector, letter=letter, partial=choice.partial)
    if scan.layout == "points":
        if letter is not None:
            raise InputError(f"{header.name} describes point spectra, not images", source=path)
        measurement = _read_points(scan, choice)
    else:
        if letter is not None:
            index, image = _image(path, scan, choice)
        else:
            index, image = choice.entry_among(_entries(scan), path) - 1, None
        read_images = _read_line_scan if scan.layout == "line" else _read_maps
        measurement = read_images(scan, index, image, partial=choice.partial)
    attributes = file_attrs(
        path,
        format_name,
        scan.detectors[scan.channel],
        title=get_text(scan.definition, "Label"),
        detectors=scan.detectors,
    )
    attributes["scan_type"] = get_text(scan.definition, "Type")
    if began := start_time(scan.header):
        attributes["start_time"] = began
    return measurement.assign_attrs(attributes)


def _entries(scan: Scan) -> Sequence[int]:
    return range(1, len(scan.regions) + 1)


def _image(path: Path, scan: Scan, choice: Choice) -> tuple[int, FrameFile]:
    """Index of the region which one image shows, and the image with its place in the scan."""
    count = 1 if scan.layout == "line" else stack_energies(scan).size
    for index in range(len(scan.regions)):
        for image in pair_frames(frames_beside(scan, index), count):
            if image.file.name == path.name:
                choice.entry_among([index + 1], path)
                return index, image
    raise InputError(
        f"is none of the images that {scan.path.name} describes ({count} energies)",
        "correct the energies in the header",
        source=path,
    )


def _read_maps(scan: Scan, index: int, image: FrameFile | None, *, partial: bool) -> xr.Dataset:
    """The images of a region, or just one of them: counts (energy, y, x)."""
    path = scan.path
    energies = stack_energies(scan)
    p_axis = get_axis(scan.regions[index], "PAxis", source=path)
    q_axis = get_axis(scan.regions[index], "QAxis", source=path)
    across = length_axis(p_axis, "PAxis", path)
    down = length_axis(q_axis, "QAxis", path)
    files = [image] if image else find_frames(scan, index, energies.size, partial=partial)
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
        measurement.attrs["entry"] = index + 1
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
    scan: Scan, files: Sequence[FrameFile], energies: NDArray[np.float64], index: int
) -> None:
    """Frames whose numbers are not their places: their logged energies must bear them out."""
    if all(image.place == image.number for image in files):
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


def _read_line_scan(
    scan: Scan, index: int, image: FrameFile | None, *, partial: bool
) -> xr.Dataset:
    """A line scan over energy: counts (energy, position)."""
    path = scan.path
    energies = energies_of(get_axis(scan.regions[index], "PAxis", source=path), "PAxis", path)
    position = length_axis(get_axis(scan.regions[index], "QAxis", source=path), "QAxis", path)
    files = [image] if image else find_frames(scan, index, 1, partial=partial)
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


def _read_points(scan: Scan, choice: Choice) -> xr.Dataset:
    """Spectra at points, one region and one ``.xsp`` each: counts (energy, point)."""
    path = scan.path
    entries = _entries(scan)
    if choice.entry is not None:
        entries = [choice.entry_among(entries, path)]
    axes = [
        energies_of(get_axis(scan.regions[k - 1], "PAxis", source=path), "PAxis", path)
        for k in entries
    ]
    energies = axes[0]
    if any(not np.array_equal(energies, axis) for axis in axes):
        raise InputError(
            "the points were measured at different energies",
            "read them one by one with --entry (entry=1, 2, …)",
            source=path,
        )
    spectra: dict[int, Table] = {}
    faults: list[str] = []
    for k in entries:
        try:
            spectra[k] = _read_spectrum(scan, k - 1, energies)
        except InputError as fault:
            if not choice.partial:
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
            "restore it, or choose another point with --entry (entry=)",
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
