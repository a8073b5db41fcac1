"""Peaks for indexing and factorising: of a scan that is registered, or of a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.io.scan_turning import (
    Turn,
    rotation_removed,
    shape_in_file,
    to_scan_axes,
    turn_of,
)
from phaseloom.workflow.outcome import PROVENANCE
from phaseloom.workflow.peaks.recipe import Scan, ScanRecipe
from phaseloom.workflow.peaks.reconstruct import read_peaks
from phaseloom.workflow.peaks.run import RUN_ATTRIBUTES, finish_peaks, register_scan
from phaseloom.workflow.peaks.scan import scan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from phaseloom.crystals import Crystal

_LEAST_K_MAX = 1.0
"""Å⁻¹ up to which every crystal has reflections."""

_SUBGROUPS = ("sample", "density", "virtual")
"""Groups below /peaks that figures show."""


class PeakSource(NamedTuple):
    """Peaks with voltage (kV) and precession angle (degrees), their groups and inputs.

    Without crystals to index them with, peaks may be in px and the voltage may be NaN. ``groups``:
    groups of the results that belong to the peaks; ``inputs``: fingerprints by name; ``turn``: flip
    and rotation of the detector's image.
    """

    peaks: Peaks
    voltage: float
    precession: float
    groups: dict[str, xr.Dataset]
    inputs: dict[str, str]
    turn: Turn = ("none", 0)


def peaks_of_scan(
    recipe: ScanRecipe,
    crystals: Sequence[Crystal],
    *,
    execution: Execution,
    k_max: float | None = None,
) -> PeakSource:
    """Read a scan and register it, as ``phaseloom peaks`` does, with the same stages.

    Parameters
    ----------
    recipe
        What to do.
    crystals
        The phases, which are checked for reflections on the detector; may be none.
    execution
        Its checkpoints are those of the results' folder.
    k_max
        Largest 1/d of them that counts, Å⁻¹.

    Raises
    ------
    InputError
        A file or a value is at fault, voltage or pixel size are not known, or a crystal has no
        reflection on the detector.
    """
    scan, calibration = scan_of(recipe.scan)
    voltage, precession = beam_of_scan(recipe, scan, crystals, k_max=k_max)
    registered = register_scan(scan, recipe, calibration, execution)
    registered = finish_peaks(registered, recipe, execution)
    return PeakSource(
        Peaks(_without_run_attributes(registered.groups["/peaks"])),
        voltage,
        precession,
        registered.groups,
        registered.inputs,
        turn_of(scan.attrs),
    )


def beam_of_scan(
    recipe: ScanRecipe, scan: xr.Dataset, crystals: Sequence[Crystal], *, k_max: float | None = None
) -> tuple[float, float]:
    """Voltage in kV and precession angle in degrees of a scan; with crystals they must be known.

    Parameters
    ----------
    recipe, crystals, k_max
        As for :func:`peaks_of_scan`.
    scan
        From :func:`phaseloom.workflow.peaks.scan.scan_of`.

    Raises
    ------
    InputError
        As for :func:`peaks_of_scan`.
    """
    voltage, units = scan.attrs.get("voltage"), str(scan["ky"].attrs.get("units", "px"))
    if crystals:
        _check_known(recipe.scan.file, voltage, units)
        step = float(abs(scan["kx"][1] - scan["kx"][0])) if scan.sizes["kx"] > 1 else np.inf
        corner = step * float(np.hypot(scan.sizes["ky"], scan.sizes["kx"])) / 2
        _check_reach(recipe, crystals, corner, k_max)
    value = np.nan if voltage is None else float(voltage)
    return value, float(scan.attrs.get("precession_angle") or 0.0)


def peaks_of_folder(
    recipe: ScanRecipe, crystals: Sequence[Crystal], *, k_max: float | None = None
) -> PeakSource:
    """Read the peaks of a folder; values of the recipe come before those of the folder.

    Parameters
    ----------
    recipe, crystals, k_max
        As for :func:`peaks_of_scan`.

    Returns
    -------
    PeakSource
        With the groups of the folder, where the results are to join them.

    Raises
    ------
    InputError
        The folder holds no finished peaks, the recipe says how to register them, voltage or pixel
        size are not known, or a crystal has no reflection on the detector.
    """
    entry, folder = recipe.scan, recipe.scan.file
    refuse_registering(
        recipe,
        ("correction", "centring", "peaks", "filter"),
        "its peaks are registered: {option} comes too late",
        "leave it out, or give the scan's file",
        scan=("detector", "partial", "scan_shape", "scan_rotation", "flip", "rotate"),
    )
    stored = read_peaks(folder)
    attrs = stored.data.attrs
    peaks = Peaks(_without_run_attributes(stored.data))
    if entry.calibration is not None:
        from phaseloom.workflow.peaks.calibrate import calibration_for

        turn = turn_of(attrs)
        shape = shape_in_file(peaks.detector_shape, turn)
        calibration = calibration_for(entry.calibration, shape, turn)
        to_axes = to_scan_axes(rotation_removed(attrs))
        peaks = peaks.calibrated(
            calibration.pixel_size, distortion=to_axes @ np.array(calibration.distortion)
        )
    elif entry.pixel_size is not None:
        peaks = peaks.calibrated(entry.pixel_size)
    if entry.step is not None:
        axes = {
            a: (a, entry.step * np.arange(n), {"units": "nm"})
            for a, n in zip("yx", peaks.shape, strict=True)
        }
        peaks = Peaks(peaks.data.assign_coords(axes))
    voltage = entry.voltage or attrs.get("voltage")
    precession = attrs.get("precession_angle") if entry.precession is None else entry.precession
    if crystals:
        _check_known(folder, voltage, peaks.units)
        corner = peaks.pixel_size * float(np.hypot(*peaks.detector_shape)) / 2
        _check_reach(recipe, crystals, corner, k_max)
    scan_fingerprint = json.loads(str(attrs.get("inputs", "{}"))).get("scan")
    return PeakSource(
        peaks,
        np.nan if voltage is None else float(voltage),
        float(precession or 0.0),
        _groups(folder, stored.data) if recipe.beside else {},
        {"scan": scan_fingerprint or fingerprint(peaks.data)},
        turn_of(attrs),
    )


def _without_run_attributes(data: xr.Dataset) -> xr.Dataset:
    """The peaks as the chain returns them, without the attributes of a run."""
    peaks = data.copy()
    peaks.attrs = {
        name: value
        for name, value in data.attrs.items()
        if name not in (*RUN_ATTRIBUTES, *PROVENANCE) and not str(name).startswith("finished_")
    }
    return peaks


def _groups(folder: Path, data: xr.Dataset) -> dict[str, xr.Dataset]:
    import xarray as xr

    groups = {"/peaks": data}
    for name in _SUBGROUPS:
        group = f"peaks/{name}"
        if (folder / "results.zarr" / group / "zarr.json").is_file():
            with xr.open_zarr(folder / "results.zarr", group=group, consolidated=False) as stored:
                groups[f"/{group}"] = stored.load()
    return groups


def refuse_registering(
    recipe: ScanRecipe, parts: Sequence[str], fault: str, remedy: str, *, scan: Sequence[str] = ()
) -> None:
    """Raise InputError where a recipe has options of registration that cannot take effect.

    Parameters
    ----------
    recipe
        What to do.
    parts, scan
        Its tables, and entries of ``scan``, that must be as they are by default.
    fault, remedy
        What to say; ``{option}`` is the flag that is given.
    """
    default_scan = Scan(file=recipe.scan.file)
    given = [name for name in scan if getattr(recipe.scan, name) != getattr(default_scan, name)]
    for part in parts:
        field = ScanRecipe.model_fields[part]
        default = field.get_default(call_default_factory=True)
        given += [name for name, v in getattr(recipe, part) if v != getattr(default, name)]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise InputError(fault.format(option=option), remedy, source=recipe.scan.file)


def _check_known(source: Path, voltage: Any, units: str) -> None:
    """Raise InputError when voltage or pixel size are not known; the flags are named."""
    missing = []
    if voltage is None:
        missing.append(("the voltage of the beam", "--voltage KV"))
    if units == "px":
        missing.append(("the pixel size in Å⁻¹", "--pixel-size Å⁻¹ (or --calibration FILE.toml)"))
    if missing:
        raise InputError(
            f"does not say {' and '.join(what for what, _ in missing)}",
            f"give {' and '.join(flag for _, flag in missing)}",
            source=source,
        )


def _check_reach(
    recipe: ScanRecipe, crystals: Sequence[Crystal], corner: float, k_max: float | None
) -> None:
    """Raise InputError for a crystal that has no reflection up to the corner of the detector."""
    from phaseloom.crystals import reflections

    reach = min(corner, k_max or np.inf)
    for crystal in crystals:
        # Up to _LEAST_K_MAX every crystal has reflections, which decide what is absent.
        first = reflections(crystal, max(reach, _LEAST_K_MAX)).k[0]
        if first > reach:
            beyond = "--match-k-max" if reach < corner else "the corner of the detector"
            raise InputError(
                f"no reflection of {crystal.name} can be seen: the first, at {first:.3g} Å⁻¹, "
                f"lies beyond {beyond} at {reach:.3g} Å⁻¹",
                "check the pixel size (--pixel-size is in Å⁻¹ per px, k = 1/d) and the crystal",
                source=recipe.scan.file,
            )
