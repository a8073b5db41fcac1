"""Export of results to other programs: ``phaseloom export``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.scan_turning import frame_notes
from phaseloom.workflow.folder import make_folder

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Format = Literal["ang", "ctf", "h5", "nexus", "tiff", "csv", "hspy"]
"""Formats of exported results."""

_ORIENTATIONS = ("ang", "ctf", "h5")
_COMPLETE = ("h5", "nexus")
"""Formats with all solutions and energies; for others these are not read."""
_PATTERNS = ("tiff", "hspy")
"""Formats of component patterns; the last takes nothing else."""
_ENDINGS = {"nexus": "nxs", "tiff": "tif"}
_LABELS = ("reference", "component", "threshold")
"""Dimensions of which every entry is a page, named by its coordinate."""
_QUATERNION = ("a", "b", "c", "d")


class _Result(NamedTuple):
    """A finished map: the name of its files, whether its y axis points up, its variables."""

    name: str
    upwards: bool
    data: xr.Dataset


def export_results(folder: Path, to: Format, out: Path | None = None) -> list[Path]:
    """Write the maps of a result as files of other programs.

    =====  ===============================================================================
    ang    orientations for OIM, MTEX, orix
    ctf    orientations for Channel 5, AZtec, MTEX, orix
    h5     orientations for orix, with all solutions
    nexus  every map as NXdata, with its axes
    tiff   every map a page of 32-bit floating point, for ImageJ; so are patterns of components
    csv    a row per pixel
    hspy   patterns of components for HyperSpy and pyxem
    =====  ===============================================================================

    Parameters
    ----------
    folder
        As a run left it, with orientations (``orientation.…`` is written), components
        (``components.…``, ``component_patterns.…``) or phase maps of stacks (``NAME.…`` per
        stack).
    to
        The format.
    out
        Folder for the files; that of the results by default.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    InputError
        The folder holds no finished maps that this format takes, or the folder for the files
        cannot be made.
    """
    if to not in get_args(Format):
        raise InputError(
            f"results are not written as {to!r}", f"take one of {' '.join(get_args(Format))}"
        )
    complete = to in _COMPLETE
    components = None if to in _ORIENTATIONS else _group(folder, "components", complete=complete)
    results: list[_Result] = []
    if to != "hspy":
        results += _orientations(folder, complete=complete)
        if components is not None:
            results.append(_Result("components", False, components))
        if to not in _ORIENTATIONS:
            results += _stacks(folder, complete=complete)
    if not results and components is None:
        if to not in (*_ORIENTATIONS, "hspy") and _has_outdated_stacks(folder):
            raise InputError(
                "its phase maps were written by an earlier version of phaseloom",
                f"make them again: phaseloom run {folder / 'recipe.toml'} --overwrite",
                source=folder,
            )
        fault, remedy = _missing(to)
        raise InputError(
            fault if folder.exists() else "no such folder",
            f"give the folder that {remedy} wrote",
            source=folder,
        )
    target = folder if out is None else out
    make_folder(target)
    ending = _ENDINGS.get(to, to)
    files = [_write(target / f"{result.name}.{ending}", result, to) for result in results]
    if components is not None and to in _PATTERNS:
        from phaseloom.io.export.component_patterns import write_component_patterns

        files.append(write_component_patterns(target / f"component_patterns.{ending}", components))
    return files


def pixel_table(data: xr.Dataset) -> pd.DataFrame:
    """The maps of a result as a table.

    Parameters
    ----------
    data
        A group of a result: maps (y, x), with references, components, thresholds or quaternions
        as a third dimension.

    Returns
    -------
    pandas.DataFrame
        A row per pixel in the order of the stored rows: ``y_UNIT``, ``x_UNIT``, of phase maps
        ``phase_name`` (empty where there is none), for orientations Bunge's Euler angles
        ``phi1``, ``Phi``, ``phi2`` in degrees (orix's axes), and every map under its name.
    """
    import pandas as pd

    axes = [data[name] for name in ("y", "x")]
    y, x = np.meshgrid(*(axis.to_numpy() for axis in axes), indexing="ij")
    table: dict[str, NDArray[np.generic]] = {}
    for axis, places in zip(axes, (y, x), strict=True):
        units = str(axis.attrs.get("units", "px")).replace("µ", "u")
        table[f"{axis.name}_{units}"] = places.ravel()
    if "phase" in data:
        phase = data["phase"].transpose("y", "x").to_numpy().ravel()
        labels = data["reference" if "reference" in data.coords else "phase_name"].to_numpy()
        names = np.array([*(str(name) for name in labels), ""])
        table["phase_name"] = names[np.where(phase >= 0, phase, -1)]
    if "rotation" in data:
        euler = _euler_angles(data)
        table |= dict(zip(("phi1", "Phi", "phi2"), euler.T, strict=True))
    table |= {name: page.ravel() for name, page in _pages(data)}
    return pd.DataFrame(table)


def _write(path: Path, result: _Result, to: Format) -> Path:
    data = result.data
    if to in _ORIENTATIONS:
        from phaseloom.io.export.orientations import write_orientations
        from phaseloom.orientation.crystal_map import to_crystal_map

        return write_orientations(
            path,
            to_crystal_map(data),
            voltage=data.attrs.get("voltage"),
            title="; ".join(
                str(t)
                for t in (*map(data.attrs.get, ("title", "scale_found")), *frame_notes(data.attrs))
                if t
            ),
        )
    if to == "nexus":
        from phaseloom.io.export.nexus import write_nxdata

        shown = "phase" if "phase" in data else "label"
        return write_nxdata(path, data, default=shown, title=result.name)
    if to == "tiff":
        from phaseloom.io.export.maps import write_map_stack

        # The first row of an image is its top.
        rows = slice(None, None, -1 if result.upwards else 1)
        steps = [_step(data[name].to_numpy()) for name in ("y", "x")]
        return write_map_stack(
            path,
            {name: page[rows] for name, page in _pages(data)},
            pixel_size=(steps[0] or steps[1] or 1.0, steps[1] or steps[0] or 1.0),
            units=str(data["x"].attrs.get("units", "px")),
        )
    unfinished = path.with_name(f".{path.name}.part")
    try:
        pixel_table(data).to_csv(unfinished, index=False)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _orientations(folder: Path, *, complete: bool) -> Iterator[_Result]:
    data = _group(folder, "orientation", complete=complete)
    if data is not None and {"phase", "rotation"} <= set(data.data_vars):
        yield _Result("orientation", False, data)


def _stacks(folder: Path, *, complete: bool) -> Iterator[_Result]:
    group = folder / "results.zarr" / "stxm"
    for path in sorted(group.iterdir()) if group.is_dir() else ():
        data = _group(folder, f"stxm/{path.name}", complete=complete)
        if data is not None and "phase" in data.data_vars:
            yield _Result(path.name, True, data)


def _has_outdated_stacks(folder: Path) -> bool:
    """Whether phase maps are those of an earlier version, with other names."""
    stacks = (folder / "results.zarr" / "stxm").glob("*")
    return any((stack / "phase_name" / "zarr.json").is_file() for stack in stacks)


def _group(folder: Path, name: str, *, complete: bool) -> xr.Dataset | None:
    """A group of the results with at least one finished stage."""
    import xarray as xr

    store = folder / "results.zarr"
    if not (store / name / "zarr.json").is_file():
        return None
    with xr.open_zarr(store, group=name, consolidated=False) as stored:
        # Marks are written last: without one, arrays may still be empty.
        finished = any(str(attribute).startswith("finished_") for attribute in stored.attrs)
        if not finished:
            return None
        unread = () if complete else ("solution", "energy")
        loaded: xr.Dataset = stored.drop_dims(unread, errors="ignore").load()
        return loaded


def _missing(to: Format) -> tuple[str, str]:
    """Fault and remedy where a folder has no results for a format."""
    if to in _ORIENTATIONS:
        fault = f"holds no finished orientation map, and .{to} takes nothing else"
        return fault, "phaseloom index or phaseloom cluster -p CIF"
    if to == "hspy":
        return "holds no finished components, and .hspy takes nothing else", "phaseloom cluster"
    return "holds no finished maps", "phaseloom index, phaseloom cluster or phaseloom stxm"


def _pages(data: xr.Dataset) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Maps (y, x) by name; those per reference, component or threshold one by one."""
    labels = {
        dim: [str(label) for label in data[dim].to_numpy()] for dim in _LABELS if dim in data.coords
    }
    for variable, values in data.data_vars.items():
        others = [dim for dim in values.dims if dim not in ("y", "x")]
        if len(values.dims) - len(others) != 2 or values.dtype.kind not in "biuf":
            continue
        ordered = values.transpose(*others, "y", "x").to_numpy()
        if not others:
            yield str(variable), ordered
        elif len(others) == 1 and others[0] in labels:
            names = (f"{variable} {label}" for label in labels[str(others[0])])
            yield from zip(names, ordered, strict=True)
        elif others == ["quaternion"]:
            yield from zip((f"{variable}_{part}" for part in _QUATERNION), ordered, strict=True)


def _euler_angles(data: xr.Dataset) -> NDArray[np.float64]:
    """Bunge's angles (pixel, 3) in degrees, NaN where unindexed."""
    from orix.quaternion import Rotation

    rotation = data["rotation"].transpose("y", "x", "quaternion").to_numpy().reshape(-1, 4)
    euler = np.full((len(rotation), 3), np.nan)
    indexed = np.isfinite(rotation).all(axis=1)
    euler[indexed] = Rotation(rotation[indexed]).to_euler(degrees=True)
    return euler


def _step(axis: NDArray[np.floating]) -> float | None:
    return float(axis[1] - axis[0]) if axis.size > 1 else None
