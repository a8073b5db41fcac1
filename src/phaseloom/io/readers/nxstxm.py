"""NXstxm: the NeXus HDF5 files of STXM beamlines, in all their dialects.

The application definition is at https://manual.nexusformat.org/classes/applications/NXstxm.html;
what PolLux, MAXYMUS, HERMES, SoftiMAX, CLS and the ALS make of it differs in names, units,
attributes and in how a scan that was stopped looks. Every NXentry is a spatial region, every
NXdata in it a detector. Copies of such files without any NX_class are read by their names:
``entryN`` holds groups with ``data``, an energy and positions.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.images import file_attrs
from phaseloom.io.readers import _als, _frames, _nexus
from phaseloom.io.readers import _hdf5 as hdf5
from phaseloom.io.readers import _nxstxm_scan as _scan
from phaseloom.io.readers._hdf5_sources import BrokenLinkError

if TYPE_CHECKING:
    import xarray as xr

format_name = "NXstxm"
file_extensions = (".hdf5", ".hdf", ".h5", ".nxs", ".stxm")
describe = "NeXus HDF5 of PolLux, MAXYMUS, HERMES, SoftiMAX, CLS and ALS: stacks, images, spectra"

_REFUSED = ("focus", "osa", "detector", "motor", "generic")
_ENTRY = re.compile(r"entry_?\d*")
_FIRST = "counter"
_FIRST_AT_ALS = "default"


def reads_this(path: Path) -> bool:
    """Whether this is an HDF5 file with STXM data, or an HDF5 file that cannot be opened.

    The latter so that the user is told what is wrong with it.
    """
    if not hdf5.has_signature(path):
        return False
    try:
        with hdf5.open_hdf5(path) as file:
            return bool(_entries(file))
    except InputError:
        return True


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read one NXentry; the detector is the name of an NXdata group, by default a counter.

    Returns
    -------
    xarray.Dataset
        ``counts`` in the dtype of the file, ``dwell`` (s) and ``ring_current`` (mA) per energy
        when the file has them.

    Raises
    ------
    InputError
        The file is damaged or half-written, the scan was aborted, it is a focus, OSA, detector
        or motor scan, or entry or detector do not exist.
    """
    with hdf5.open_hdf5(path) as file:
        entries = _entries(file)
        if not entries:
            raise InputError("holds no NXentry with STXM data", source=path)
        number = choice.entry_among(range(1, len(entries) + 1), path)
        entry = entries[number - 1]
        detectors = _detectors(entry)
        name = _chosen_detector(entry, detectors, choice.detector, path)
        measurement = _measurement(entry, detectors[name], partial=choice.partial, path=path)
        attrs = file_attrs(path, format_name, name, detectors=list(detectors))
        attrs["title"] = hdf5.dataset_text(entry, "title")
        measurement.attrs.update(attrs, entry=number, entries=len(entries))
        if start := hdf5.dataset_text(entry, "start_time"):
            measurement.attrs["start_time"] = start
        return measurement


def _entries(file: h5py.File) -> list[h5py.Group]:
    """Regions of the sample; those behind links that lead nowhere only count if there is no other.

    Raises
    ------
    BrokenLinkError
        All that there may be lies in files that are not there.
    """
    found, broken = [], None
    for name in hdf5.names(file):
        is_entry = _ENTRY.fullmatch(name) is not None
        try:
            group = hdf5.subgroup(file, name)
            is_entry = group is not None and _is_entry(name, group)
            if group is not None and is_entry and _is_scan(group):
                found.append(group)
        except BrokenLinkError as fault:
            if is_entry:  # not so the link of a preview, say
                broken = broken or fault
    if broken is not None and not found:
        raise broken
    return found


def _is_entry(name: str, group: h5py.Group) -> bool:
    given = _nexus.nx_class(group)
    return given == "NXentry" or (not given and _ENTRY.fullmatch(name) is not None)


def _is_scan(entry: h5py.Group) -> bool:
    definition = hdf5.dataset_text(entry, "definition")
    if definition.startswith("NX") and definition != "NXstxm":
        return False
    return bool(_detectors(entry))


def _detectors(entry: h5py.Group) -> dict[str, h5py.Group]:
    """NXdata groups with counts along axes of a scan; the first counter leads.

    Raises
    ------
    BrokenLinkError
        The counts of all of them lie in files that are not there.
    """
    found, broken = {}, None
    for name in hdf5.names(entry):
        try:
            group = hdf5.subgroup(entry, name)
            if group is not None and _is_detector(group):
                found[name] = group
        except BrokenLinkError as fault:  # as of a camera whose images lie elsewhere
            broken = broken or fault
    if broken is not None and not found:
        raise broken
    leading = [n for n in found if n.lower().startswith(_FIRST)] + [
        n for n in found if n == _FIRST_AT_ALS
    ]
    return {n: found[n] for n in [*leading, *(n for n in found if n not in leading)]}


def _is_detector(group: h5py.Group) -> bool:
    given = _nexus.nx_class(group)
    if given not in ("NXdata", ""):
        return False
    counts = _nexus.signal(group)
    if counts is None:
        return False
    axes = _nexus.axis_datasets(group)
    if given and hdf5.dataset(group, "stxm_scan_type") is not None:
        return True
    if given:
        named = [name.lower() for name in _nexus.named_axes(group, counts)]
        # Of a stack whose axes are called otherwise, as by silx: hdf5_stacks reads it.
        other = "energy" in named and any(name not in _nexus.ROLES for name in named)
        return bool(axes) and not other
    # Nothing says what it is: all axes of a stack or an image have to be there.
    return counts.ndim in (2, 3) and {"energy", "y", "x"} <= set(axes)


def _chosen_detector(
    entry: h5py.Group, detectors: dict[str, h5py.Group], wanted: str | None, path: Path
) -> str:
    if wanted is None:
        return next(iter(detectors))
    for name in detectors:
        if name.lower() == wanted.lower():
            return name
    if (group := hdf5.subgroup(entry, wanted)) is not None:
        _nexus.signal(group)  # says so when its counts lie in a file that is not there
    raise InputError(
        f"there is no detector {wanted!r}", f"detectors are {', '.join(detectors)}", source=path
    )


def _measurement(entry: h5py.Group, group: h5py.Group, *, partial: bool, path: Path) -> xr.Dataset:
    import xarray as xr

    scan_type = _scan_type(entry, group, path)
    axes = _scan.axes_of(entry, group)
    scan = _scan.scan_of(entry, group, axes, scan_type=scan_type.lower(), partial=partial)
    energy = _energies(entry, axes, path)
    cube, dims = _scan.energy_first(scan, path)
    is_image = dims == ("energy", "y", "x") and energy.size == 1 and len(cube) == 1
    if len(cube) > energy.size:
        raise InputError(
            f"{len(cube)} frames are recorded for {energy.size} photon energies",
            "the file is damaged",
            source=path,
        )

    zero, absent, n_missing = _frames.line_states(cube)
    coordinates = _scan.coordinates_of(scan, axes, dims, path)
    if is_image:
        _frames.require_positive(energy, source=path)
        order, lines = np.zeros(1, np.intp), slice(None)
        empty = np.ones(coordinates["y"][1].size, bool)
        empty[: cube.shape[1]] = (zero | absent)[0] | scan.missing
        lines = _frames.measured_lines(empty, partial=partial, source=path)
        cube = cube[:, lines]
        coordinates["y"] = ("y", coordinates["y"][1][lines], coordinates["y"][2])
        n_missing += int(absent[0, lines].sum()) * cube.shape[-1]
    else:
        bad = np.ones(energy.size, bool)
        bad[: len(cube)] = _frames.unmeasured(zero, absent, missing=scan.missing)
        order = _frames.drop_or_raise(energy, bad, partial=partial, source=path)
        cube = _frames.arrange(cube, order)
    _frames.warn_of_missing(n_missing, source=path)

    for axis, name in enumerate(dims):
        if name in ("y", "x", "position") and _nexus.falls(
            coordinates[name][1], name=name, source=path
        ):
            _turn(cube, axis)
            for other, (dim, values, unit) in coordinates.items():
                if dim == name:
                    coordinates[other] = (dim, values[::-1].copy(), unit)
    data = xr.Dataset(
        {"counts": (dims, cube, {"units": "counts"})},
        coords={
            "energy": ("energy", energy[order], {"units": "eV"}),
            **{n: (dim, v, {"units": unit}) for n, (dim, v, unit) in coordinates.items()},
        },
        attrs={"kind": _kind(dims, order.size), "scan_type": scan_type},
    )
    for name, per_energy, unit in (
        ("dwell", _dwell(entry, group, energy.size), "s"),
        ("ring_current", _ring_current(entry, scan, energy.size), "mA"),
    ):
        if per_energy is not None:
            data[name] = ("energy", per_energy[order], {"units": unit})
    return data


def _scan_type(entry: h5py.Group, group: h5py.Group, path: Path) -> str:
    """The scan type as recorded; an InputError when it is none that maps the sample."""
    scan_type = (
        hdf5.dataset_text(group, "stxm_scan_type")
        or hdf5.dataset_text(group, "scan_type")
        or hdf5.dataset_text(entry, "scan_type")
    )
    if any(word in _REFUSED for word in re.findall("[a-z]+", scan_type.lower())):
        raise InputError(
            f"a {scan_type!r} scan holds no map of the sample",
            "give an image, stack, line scan or point spectrum",
            source=path,
        )
    return scan_type


def _energies(entry: h5py.Group, axes: dict[str, h5py.Dataset], path: Path) -> NDArray[np.float64]:
    item = axes.get("energy")
    if item is None:
        item = hdf5.dataset(entry, "instrument/monochromator/energy")
    if item is None:
        raise InputError("holds no photon energies", "the file is damaged", source=path)
    return _nexus.energies(item)


def _turn(cube: NDArray[Any], axis: int) -> None:
    """Reverse one axis in place, frame by frame."""
    for frame in cube:
        frame[:] = np.flip(frame, axis - 1)


def _kind(dims: tuple[str, ...], n_energies: int) -> str:
    if dims[1] == "position":
        return "line_scan"
    if dims[1] == "point":
        return "point_spectra"
    return "stack" if n_energies > 1 else "image"


def _dwell(entry: h5py.Group, group: h5py.Group, n: int) -> NDArray[np.float64] | None:
    """Counting time per energy in s."""
    item = hdf5.dataset(group, "count_time")
    if item is None:
        return None
    unit = "ms" if _als.is_als(entry) else "s"
    return _per_energy(_nexus.seconds(item, unit_if_unsaid=unit), n, item)


def _ring_current(entry: h5py.Group, scan: _scan.Scan, n: int) -> NDArray[np.float64] | None:
    """Ring current in mA, averaged over the pixels of each frame."""
    item = hdf5.dataset(entry, "control/data")
    factor = None if item is None else _nexus.current_factor(item)
    if item is None or factor is None:
        return None
    hdf5.require_numbers(item)
    if item.ndim > 1 and item.shape[0] == n and scan.dims[0] == "energy":
        if not hdf5.written(item).all():
            return None
        # frame by frame: it is as large as the counts
        return factor * np.array([np.mean(hdf5.frame(item, i)) for i in range(n)])
    return _per_energy(factor * hdf5.values(item), n, item)


def _per_energy(
    recorded: NDArray[np.float64], n: int, item: h5py.Dataset
) -> NDArray[np.float64] | None:
    if recorded.size == n:
        return recorded.ravel()
    if recorded.size == 1 or n == 1:
        return np.full(n, recorded.mean())
    if recorded.shape[0] == n:
        return np.asarray(recorded.reshape(n, -1).mean(axis=1))
    warnings.warn(
        f"{item.file.filename}: {item.name} has {recorded.size} values for {n} energies; "
        "it is left out",
        InputWarning,
        stacklevel=6,
    )
    return None
