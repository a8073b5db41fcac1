"""EMD files (HDF5): Velox, Berkeley (NCEM), Direct Electron (DE5), py4DSTEM and Prismatic.

- Velox keeps ``Data/Image/ID/Data`` (row, column, frame) and JSON about each frame.
- Berkeley EMD keeps ``data`` with its axes in ``dim1``, ``dim2`` …; programs disagree whether x
  or y comes first, so the names of the axes decide where they say it, otherwise x does.
- py4DSTEM and Prismatic keep (Rx, Ry, Qx, Qy), and call x what points down: their order is ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.readers import _hdf5 as hdf5
from phaseloom.io.readers._hdf_scan import choose, lazy_dataset, scalar
from phaseloom.io.scan_axes import Axis, is_length, is_reciprocal
from phaseloom.io.scan_making import make_scan
from phaseloom.io.tags import number, scaled

format_name = "EMD"
file_extensions = (".emd", ".de5", ".h5", ".hdf5")
describe = "EMD: Velox, Berkeley (NCEM), py4DSTEM, Prismatic (.emd, .de5, .h5)"

_DATA = ("datacube", "data", "counted_datacube")
_ROOTS = ("4DSTEM_experiment", "4DSTEM_simulation")
_VELOX = "Data/Image"


def reads_this(path: Path) -> bool:
    """Whether the file has the marks of EMD, or is named as if it had."""
    if path.suffix.lower() in (".emd", ".de5"):
        return hdf5.has_signature(path)
    return hdf5.holds(path, _has_marks)


def _has_marks(file: h5py.File) -> bool:
    if any(hdf5.subgroup(file, root) is not None for root in _ROOTS):
        return True
    groups = [file, *(hdf5.subgroup(file, name) for name in hdf5.names(file))]
    return any(g is not None and "emd_group_type" in hdf5.attributes(g) for g in groups)


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a data cube or a series of patterns; the detector is a cube or a camera of Velox.

    Raises
    ------
    InputError
        The file is damaged or holds no diffraction patterns.
    """
    choice.require_first_entry(path)
    with hdf5.open_hdf5(path) as file:
        if hdf5.subgroup(file, _VELOX) is not None:
            name, axes, order, facts = _velox(file, choice.detector, path)
        else:
            name, axes, order, facts = _cube(file, choice.detector, path)
        item = hdf5.dataset(file, name)
        assert item is not None
        data, axes = lazy_dataset(item, axes, partial=choice.partial, path=path, order=order)
    return make_scan(
        data,
        [Axis(navigate=True)] * (data.ndim - len(axes)) + axes,
        format_name=format_name,
        source=path,
        facts=facts,
    )


def _cube(
    file: h5py.File, detector: str | None, path: Path
) -> tuple[str, list[Axis], list[int], dict[str, float | None]]:
    """Name, axes as stored, their order and facts, of a Berkeley or py4DSTEM cube."""
    found: list[str] = []

    def look(name: str, item: Any) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and name.rpartition("/")[2] in _DATA
            and item.ndim >= 2
            and item.dtype.kind in "uif"
            and "emd_group_type" in item.parent.attrs
        ):
            found.append(name)

    with hdf5.named(path):
        file.visititems(look)
        most = max((file[name].ndim for name in found), default=0)
        found = [name for name in found if file[name].ndim == most]
    if most > 4:
        raise InputError(f"its data have {most} axes", "a scan has four at most", source=path)
    name = choose(found, detector, path=path, first_is_meant=True)
    item, group = file[name], file[name].parent
    first = 0 if hdf5.dataset(group, "dim0") is not None else 1
    axes = [
        _axis(hdf5.dataset(group, f"dim{first + index}"), item.shape[index])
        for index in range(item.ndim)
    ]
    as_stored = first == 0 or any(name.startswith(root) for root in _ROOTS)
    order = list(range(item.ndim)) if as_stored else _order(axes)
    for place, index in enumerate(order):
        axis = axes[index]
        axes[index] = Axis(
            axis.name, axis.units, axis.scale, axis.offset, navigate=place < item.ndim - 2
        )
    return name, axes, order, _facts(file)


def _axis(item: h5py.Dataset | None, n: int) -> Axis:
    """An axis from the first two of its values: all that some programs store."""
    if item is None or item.dtype.kind not in "uif":
        return Axis()
    values = hdf5.values(item).ravel()
    known = values.size > 1 or n == 1
    return Axis(
        name=hdf5.attribute_text(item, "name"),
        units=hdf5.attribute_text(item, "units") if known else "",
        scale=float(values[1] - values[0]) if values.size > 1 else 1.0,
        offset=float(values[0]) if values.size else 0.0,
    )


def _order(axes: list[Axis]) -> list[int]:
    """Order of the axes of Berkeley EMD: scan before detector, y before x."""
    stored = list(range(len(axes)))[::-1]
    detector = [i for i in stored if _of_detector(axes[i])]
    if len(detector) != 2:
        detector = stored[-2:]
    scan = [i for i in stored if i not in detector]
    for pair in (scan, detector):
        if len(pair) == 2 and _direction(axes[pair[0]]) == "x" != _direction(axes[pair[1]]):
            pair.reverse()
    return scan + detector


def _of_detector(axis: Axis) -> bool:
    if is_reciprocal(axis.units) or is_length(axis.units):
        return is_reciprocal(axis.units)
    return axis.name.lower().startswith(("k", "q", "d"))


def _direction(axis: Axis) -> str:
    """X or y if the last letter of the name says so."""
    last = axis.name.strip().lower()[-1:]
    return last if last in ("x", "y") else ""


def _facts(file: h5py.File) -> dict[str, float | None]:
    """Microscope settings that py4DSTEM and Prismatic record."""
    facts: dict[str, float | None] = {}

    def look(_: str, item: Any) -> None:
        if not isinstance(item, h5py.Group):
            return
        tags = hdf5.attributes(item)
        if item.name.endswith("simulation_parameters") and "E" in tags:
            facts["voltage"] = number(tags["E"])
        for name in ("accelerating_voltage", "beam_energy"):
            value = number(tags[name]) if name in tags else scalar(item, name)
            if value:
                facts["voltage"] = value * 1e-3 if value > 5000 else value
        for name in ("convergence_semiangle_mrad", "convergence_angle"):
            value = number(tags[name]) if name in tags else scalar(item, name)
            if value:
                facts["convergence_angle"] = value

    with hdf5.named(file.filename):
        file.visititems(look)
    return facts


def _velox(
    file: h5py.File, detector: str | None, path: Path
) -> tuple[str, list[Axis], list[int], dict[str, float | None]]:
    """Name, axes, their order and facts of a series of camera images of Velox."""
    images = hdf5.subgroup(file, _VELOX)
    assert images is not None
    described = {}
    for key in hdf5.names(images):
        item = hdf5.dataset(images, f"{key}/Data")
        if item is not None and item.ndim == 3 and item.dtype.kind in "uif":
            described[key] = _json(hdf5.dataset(images, f"{key}/Metadata"))
    patterns = [k for k, tags in described.items() if is_reciprocal(_unit(tags))]
    if not patterns and described:
        raise InputError(
            "holds images of the sample, not diffraction patterns",
            "give a 4D-STEM scan",
            source=path,
        )
    key = choose(patterns, detector, path=path, first_is_meant=True)
    tags = described[key]
    size = tags.get("BinaryResult", {}).get("PixelSize", {})
    optics = tags.get("Optics", {})
    axes = [
        Axis("ky", _unit(tags), number(size.get("height")) or 0.0),
        Axis("kx", _unit(tags), number(size.get("width")) or 0.0),
        Axis("frame", navigate=True),
    ]
    return (
        f"{_VELOX}/{key}/Data",
        axes,
        [2, 0, 1],
        {
            "voltage": scaled(number(optics.get("AccelerationVoltage")), 1e-3),
            "camera_length": scaled(number(optics.get("CameraLength")), 1e3),
        },
    )


def _unit(tags: dict[str, Any]) -> str:
    return str(tags.get("BinaryResult", {}).get("PixelUnitX", ""))


def _json(item: h5py.Dataset | None) -> dict[str, Any]:
    """Metadata of Velox for the first frame: text as numbers, one column per frame."""
    if item is None or item.ndim != 2 or item.dtype.kind not in "ui":
        return {}
    text = hdf5.part(item, (slice(None), 0)).astype(np.uint8).tobytes().split(b"\0")[0]
    try:
        tags = json.loads(text)
    except ValueError:
        return {}
    return {k: v for k, v in tags.items() if isinstance(v, dict)} if isinstance(tags, dict) else {}
