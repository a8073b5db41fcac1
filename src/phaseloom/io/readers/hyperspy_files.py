"""HyperSpy and pyxem ``.hspy`` (HDF5) and ``.zspy`` (zarr).

``Experiments/NAME`` holds ``data`` and a group of attributes per axis, which say whether an axis
navigates. HyperSpy shows the first axis of a pattern downwards whatever it is called, so it is ky.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.hyperspy_signals import facts_of
from phaseloom.io.readers import _hdf5 as hdf5
from phaseloom.io.readers import _zarr
from phaseloom.io.readers._hdf_scan import choose, lazy_dataset
from phaseloom.io.readers._signal_stack import energy_axis, stack_of
from phaseloom.io.scan_axes import Axis, axes_of
from phaseloom.io.scan_making import make_scan

format_name = "HyperSpy"
file_extensions = (".hspy", ".zspy", ".hdf5", ".h5")
describe = "HyperSpy / pyxem (.hspy, .zspy)"

_EXPERIMENTS = "Experiments"


def reads_this(path: Path) -> bool:
    """Whether the file holds experiments of HyperSpy, or is named as if it did."""
    if path.suffix.lower() == ".zspy":
        return _zarr.is_store(path)
    if path.suffix.lower() == ".hspy":
        return hdf5.has_signature(path)
    return hdf5.holds(path, lambda file: hdf5.subgroup(file, _EXPERIMENTS) is not None)


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read the patterns of a signal; the detector is the name of an experiment.

    A signal with an axis of photon energy is read as a stack, whole.

    Raises
    ------
    InputError
        The file is damaged or holds no diffraction patterns.
    """
    choice.require_first_entry(path)
    stack = _stack_in_zarr if path.suffix.lower() == ".zspy" else _stack_in_hdf5
    if (found := stack(path, choice)) is not None:
        return found
    if path.suffix.lower() == ".zspy":
        data, axes, metadata, package, name = _from_zarr(path, choice.detector)
    else:
        data, axes, metadata, package, name = _from_hdf5(
            path, choice.detector, partial=choice.partial
        )
    title = str(dict(metadata.get("General") or {}).get("title") or "")
    return make_scan(
        data,
        [Axis(navigate=True)] * (data.ndim - len(axes)) + axes,
        format_name=format_name,
        source=path,
        title=title or (name if name != "__unnamed__" else ""),
        facts=facts_of(metadata, pyxem=package == "pyxem"),
    )


def _from_hdf5(
    path: Path, detector: str | None, *, partial: bool
) -> tuple[Any, list[Axis], Mapping[str, Any], str, str]:
    with hdf5.open_hdf5(path) as file:
        experiments = hdf5.subgroup(file, _EXPERIMENTS)
        if experiments is None:
            raise InputError("holds no signal", "the file is damaged", source=path)
        names = [
            name
            for name in hdf5.names(experiments)
            if hdf5.dataset(experiments, f"{name}/data") is not None
        ]
        name = choose(names, detector, path=path, first_is_meant=True)
        group, item = experiments[name], hdf5.dataset(experiments, f"{name}/data")
        assert item is not None
        described = []
        for index in range(item.ndim):
            axis = hdf5.subgroup(group, f"axis-{index}")
            if axis is None:
                raise InputError(f"axis {index} is missing", "the file is damaged", source=path)
            described.append(hdf5.attributes(axis))
        axes = axes_of(described)
        _require_patterns(axes, path)
        data, axes = lazy_dataset(item, axes, partial=partial, path=path)
        metadata = hdf5.subgroup(group, "metadata")
        tree = {} if metadata is None else hdf5.tree(metadata)
        return data, axes, tree, hdf5.attribute_text(group, "package"), name


def _stack_in_hdf5(path: Path, choice: Choice) -> xr.Dataset | None:
    """The X-ray stack in a file, or None if its signal is none."""
    with hdf5.open_hdf5(path) as file:
        for group in _chosen(hdf5.subgroup(file, _EXPERIMENTS), choice.detector):
            item = hdf5.dataset(group, "data")
            axes = [hdf5.subgroup(group, f"axis-{index}") for index in range(3)]
            if item is None or item.ndim != 3 or None in axes:
                continue
            described = []
            for axis in axes:
                assert axis is not None
                values = hdf5.dataset(axis, "axis")  # of an axis that is not uniform
                own = {} if values is None else {"axis": hdf5.values(values)}
                described.append(_plain(hdf5.attributes(axis)) | own)
            metadata = hdf5.subgroup(group, "metadata")
            kind, title = _kind_and_title({} if metadata is None else hdf5.tree(metadata))
            place = energy_axis(described, kind, path)
            if place is None:
                continue
            if not hdf5.written(item).all():
                raise InputError("was not written completely", "copy it again", source=path)
            numbers = hdf5.frames(item, item.shape[0])
            return stack_of(
                numbers, described, place, format_name=format_name, title=title, path=path
            )
    return None


def _stack_in_zarr(path: Path, choice: Choice) -> xr.Dataset | None:
    """As :func:`_stack_in_hdf5`."""
    with _zarr.opened(path) as root:
        if _EXPERIMENTS not in root:
            return None
        experiments = root[_EXPERIMENTS]
        names = sorted(name for name in experiments if choice.detector in (None, name))
        for group in (experiments[name] for name in names):
            if "data" not in group or group["data"].ndim != 3:
                continue
            described = []
            for axis in (group[f"axis-{index}"] for index in range(3)):
                own = {"axis": axis["axis"][:]} if "axis" in axis else {}
                described.append(_plain(dict(axis.attrs)) | own)
            kind, title = _kind_and_title(
                _zarr.tree(group["metadata"]) if "metadata" in group else {}
            )
            place = energy_axis(described, kind, path)
            if place is not None:
                return stack_of(
                    group["data"][:], described, place,
                    format_name=format_name, title=title, path=path,
                )  # fmt: skip
    return None


def _chosen(experiments: h5py.Group | None, detector: str | None) -> list[h5py.Group]:
    if experiments is None:
        return []
    names = [name for name in hdf5.names(experiments) if detector in (None, name)]
    return [g for name in names if (g := hdf5.subgroup(experiments, name)) is not None]


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with bytes as text."""
    return {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }


def _kind_and_title(metadata: Mapping[str, Any]) -> tuple[str, str]:
    signal, general = (dict(metadata.get(part) or {}) for part in ("Signal", "General"))
    return str(signal.get("signal_type") or ""), str(general.get("title") or "")


def _from_zarr(
    path: Path, detector: str | None
) -> tuple[Any, list[Axis], Mapping[str, Any], str, str]:
    with _zarr.opened(path) as root:
        if _EXPERIMENTS not in root:
            raise InputError("holds no signal", "the file is damaged", source=path)
        experiments = root[_EXPERIMENTS]
        names = [name for name, group in experiments.groups() if "data" in group]
        name = choose(sorted(names), detector, path=path, first_is_meant=True)
        group = experiments[name]
        item = group["data"]
        axes = axes_of([dict(group[f"axis-{index}"].attrs) for index in range(item.ndim)])
        _require_patterns(axes, path)
        data, axes = _zarr.lazy_array(path, item, axes)
        tree = _zarr.tree(group["metadata"]) if "metadata" in group else {}
        return data, axes, tree, str(group.attrs.get("package", "")), name


def _require_patterns(axes: list[Axis], path: Path) -> None:
    """Two axes of a detector and at most two of a scan."""
    detector = sum(not axis.navigate for axis in axes)
    if detector != 2 or len(axes) > 4:
        raise InputError(
            f"its signal has {len(axes) - detector} axes of a scan and {detector} of a detector",
            "diffraction patterns have two of a detector, on a scan of two at most",
            source=path,
        )
