"""Registered patterns of a scan: do what their recipe says."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputWarning
from phaseloom.workflow.outcome import (
    TIMES,
    Outcome,
    collected,
    earlier,
    make_folder,
    publish,
    stated,
    write_tables,
)
from phaseloom.workflow.peaks.recipe import PeaksRecipe, ScanRecipe
from phaseloom.workflow.peaks.scan import Image, detector_images, scan_of

if TYPE_CHECKING:
    import pandas as pd

    from phaseloom.diffraction.calibration.calibration import Calibration

_OWNED = ("peaks",)
"""Groups of the results that belong to this method."""

_REGISTERED = "peaks: register"
"""The chain's stage whose time is told."""

_SHOWN = 12
"""Patterns kept for the figures."""

_INSTRUMENT = (
    "title",
    "voltage",
    "precession_angle",
    "camera_length",
    "convergence_angle",
    "exposure",
    "scan_rotation",
)
"""What is known of the measurement goes with the peaks."""

TOLD = (*_INSTRUMENT, "bytes_in", "bytes_out", *TIMES)
"""What a run says of its work, and of the scan, in the attributes of the peaks."""


class Registered(NamedTuple):
    """A scan whose spots are known: groups of the results, and what was done."""

    groups: dict[str, xr.Dataset]
    facts: dict[str, str]


def run_peaks(
    recipe: PeaksRecipe,
    *,
    fresh: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Every spot of every pattern of a recipe's scan.

    Parameters
    ----------
    recipe
        What to do.
    fresh
        Compute everything again, also what an earlier run finished.
    workers
        Blocks of the scan worked on at once; the number of cores by default.
    scheduler
        Address of a dask.distributed scheduler that works on the blocks.
    progress
        Where long work is reported.

    Returns
    -------
    Outcome
        Results as written to ``recipe.out``.

    Raises
    ------
    InputError
        A file or a value is at fault.
    """
    folder = recipe.out
    make_folder(folder)
    keep = Checkpoints(folder / "results.zarr", fresh=fresh)
    with collected() as notes:
        scan, calibration = scan_of(recipe.scan)
        if str(scan["ky"].attrs.get("units")) == "px":
            warnings.warn(
                f"{recipe.scan.file}: the pixel size is not known, so peaks are in px; "
                "--pixel-size or --calibration gives it",
                InputWarning,
                stacklevel=2,
            )
        found = register_scan(
            scan, recipe, calibration,
            keep=keep, fresh=fresh, workers=workers, scheduler=scheduler, progress=progress,
        )  # fmt: skip
        results = xr.DataTree.from_dict(found.groups)
        results.attrs.update(found.facts)
        tables = peaks_tables(found.groups["/peaks"])
        write_tables(folder / "tables", tables)
        publish(recipe, results, tables, notes)
    return Outcome(folder, results, tables, _facts(results), notes, keep.reused)


def register_scan(
    scan: xr.Dataset,
    recipe: ScanRecipe,
    calibration: Calibration | None,
    *,
    keep: Checkpoints,
    fresh: bool,
    workers: int | None,
    scheduler: str | None,
    progress: Progress,
) -> Registered:
    """Register a scan as its recipe says, and keep the groups ``/peaks…``, finished.

    Parameters
    ----------
    scan, calibration
        From :func:`phaseloom.workflow.peaks.scan.scan_of`.
    recipe
        What to do; ``out`` is the folder of the results.
    keep
        Of that folder.
    fresh, workers, scheduler, progress
        As for :func:`run_peaks`.

    Returns
    -------
    Registered
        ``groups`` by path; ``facts``: recipe, versions and inputs.
    """
    from phaseloom.diffraction.spots.finder import warm_up

    folder = recipe.out
    continued = not fresh and any((folder / "unfinished").glob("peaks-*"))
    images = detector_images(recipe.correction, scan)
    for _ in progress.track([None], "compiling, once"):
        warm_up()
    begun = time.monotonic()
    data = _register(
        scan, recipe, images, calibration,
        workers=workers, scheduler=scheduler, keep=keep, progress=progress,
    )  # fmt: skip
    seconds = time.monotonic() - begun
    groups = {
        "/peaks": data,
        "/peaks/sample": _sample(scan, recipe, images, keep),
        "/peaks/density": _density(data, keep),
    }
    facts = stated(recipe, _inputs(scan, images))
    told = {name: scan.attrs.get(name) for name in _INSTRUMENT}
    told["bytes_in"] = int(scan["counts"].nbytes)
    told["bytes_out"] = _bytes(folder / "results.zarr" / "peaks")
    if _REGISTERED in keep.reused:
        told |= earlier(folder, "peaks", TIMES)
    elif not continued:
        told |= {"seconds": seconds, "patterns_per_second": _patterns(data) / seconds}
    keep.finish({"": facts, "peaks": told | facts}, owned=_OWNED)
    groups["/peaks"] = data.assign_attrs({n: v for n, v in told.items() if v is not None})
    return Registered(groups, facts)


def _register(
    scan: xr.Dataset,
    recipe: ScanRecipe,
    images: dict[str, Image | None],
    calibration: Calibration | None,
    **how: Any,
) -> xr.Dataset:
    """The one place where the recipe's words meet those of the chain."""
    from phaseloom.diffraction.registration import register

    correction = recipe.correction
    return register(
        scan,
        dark=images["dark"],
        gain=images["gain"],
        mask=images["mask"],
        saturation=_saturation(scan, recipe),
        hot=correction.hot,
        beam_stop=correction.beam_stop,
        scan_mean=correction.scan_mean,
        distortion=None if calibration is None else np.array(calibration.distortion),
        **recipe.centring.model_dump(),
        **recipe.peaks.model_dump(),
        **recipe.filter.model_dump(),
        seed=recipe.seed,
        **how,
    )


def _sample(
    scan: xr.Dataset, recipe: ScanRecipe, images: dict[str, Image | None], keep: Checkpoints
) -> xr.Dataset:
    """A handful of corrected patterns, for the figures: these see no raw data."""
    from phaseloom.diffraction.detector.correction import corrected, make_correction
    from phaseloom.diffraction.detector.sampling import sample_patterns, sample_size

    correction = recipe.correction

    def compute() -> xr.Dataset:
        patterns, positions = sample_patterns(scan, sample_size(scan))
        with warnings.catch_warnings():
            # The chain has said already what there is to say of the detector.
            warnings.simplefilter("ignore", InputWarning)
            made = make_correction(
                patterns,
                **images,
                saturation=_saturation(scan, recipe),
                hot=correction.hot,
                beam_stop=correction.beam_stop,
            )
        count = min(_SHOWN, len(patterns))
        chosen = np.unique(np.linspace(0, len(patterns) - 1, count).round().astype(int))
        return xr.Dataset(
            {
                "pattern": (("sample", "ky", "kx"), corrected(patterns[chosen], made)),
                "y": ("sample", positions[chosen, 0].astype(np.int64)),
                "x": ("sample", positions[chosen, 1].astype(np.int64)),
            }
        )

    arrays = [image for image in images.values() if image is not None]
    options = correction.model_dump(mode="json", exclude={"dark", "gain", "mask"})
    key = fingerprint(_inputs(scan, images), arrays, options, scan["counts"].shape)
    return keep.stage("peaks/sample", "sample", key, compute, first=True)


def _density(data: xr.Dataset, keep: Checkpoints) -> xr.Dataset:
    """How the peaks of all patterns lie about the direct beam."""
    from phaseloom.diffraction.peaks.table import Peaks
    from phaseloom.diffraction.peaks.virtual import density, radial_density

    def compute() -> xr.Dataset:
        peaks = Peaks(data)
        return xr.Dataset({"density": density(peaks), "radial": radial_density(peaks)})

    found = [data[name].to_numpy() for name in ("ky", "kx", "offset")]
    key = fingerprint(found, data.attrs["pixel_size"], data.attrs["pixel_size_units"])
    return keep.stage("peaks/density", "density", key, compute, first=True)


def _saturation(scan: xr.Dataset, recipe: ScanRecipe) -> float | None:
    given = recipe.correction.saturation
    return scan.attrs.get("saturation") if given is None else given


def _inputs(scan: xr.Dataset, images: dict[str, Image | None]) -> dict[str, str]:
    known = {"scan": str(scan.attrs["input_fingerprint"])}
    return known | {name: fingerprint(i) for name, i in images.items() if i is not None}


def _patterns(data: xr.Dataset) -> int:
    return int(data.sizes["y"] * data.sizes["x"])


def _bytes(group: Path) -> int:
    """Bytes on disk of a group's own arrays."""
    arrays = [
        a for a in group.iterdir()
        if (a / "zarr.json").is_file()
        and json.loads((a / "zarr.json").read_text(encoding="utf-8"))["node_type"] == "array"
    ]  # fmt: skip
    return sum(f.stat().st_size for a in arrays for f in a.rglob("*") if f.is_file())


def _facts(results: xr.DataTree) -> dict[str, Any]:
    """Patterns, peaks, how fast, how sure, how many bytes."""
    data = results["peaks"].to_dataset()
    patterns, peaks = _patterns(data), int(data.sizes["peak"])
    attrs = data.attrs
    said: dict[str, Any] = {
        "patterns": patterns,
        "scan_shape": [int(data.sizes["y"]), int(data.sizes["x"])],
        "peaks": peaks,
        "peaks_per_pattern": peaks / patterns,
        "pixel_size": float(attrs["pixel_size"]),
        "pixel_size_units": str(attrs["pixel_size_units"]),
    }
    for name in ("beam_scatter", "gain", "threshold", "false_alarms"):
        said[name] = float(attrs.get(name, np.nan))
    said["spot_shape"] = str(attrs.get("spot_shape", "gaussian"))
    size = "spot_radius" if said["spot_shape"] == "disk" else "spot_sigma"
    said[size] = float(attrs.get(size, np.nan))
    said |= {"bytes_in": int(attrs["bytes_in"]), "bytes_out": int(attrs["bytes_out"])}
    said["compression"] = said["bytes_in"] / max(1, said["bytes_out"])
    for name in ("seconds", "patterns_per_second"):
        said[name] = float(attrs.get(name, np.nan))
    return {"method": "peaks", "scan": said}


def peaks_tables(data: xr.Dataset) -> dict[str, pd.DataFrame]:
    """Tables of a registered scan: few rows, however many peaks.

    Parameters
    ----------
    data
        Group ``/peaks``.

    Returns
    -------
    dict of pandas.DataFrame
        ``registration`` (a row per quantity: its quartiles over all peaks or patterns),
        ``peaks_per_pattern`` (how many patterns have so many peaks).
    """
    import pandas as pd

    columns = ("intensity", "intensity_error", "ky_error", "kx_error", "peak_prominence")
    maps = ("spot_count", "spot_sum", "bright_field", "noise", "prominence", "centre_y", "centre_x")
    rows = []
    for name in (*columns, "background", *maps):
        if name not in data:
            continue
        values = data[name].to_numpy().astype(np.float64).ravel()
        values = values[np.isfinite(values)]
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]) if values.size else [np.nan] * 3
        rows.append(
            {
                "quantity": name,
                "unit": data[name].attrs.get("units", ""),
                "per": "peak" if data[name].dims == ("peak",) else "pattern",
                "number": values.size,
                "first_quartile": low,
                "median": middle,
                "third_quartile": high,
            }
        )
    each, patterns = np.unique(np.diff(data["offset"].to_numpy()), return_counts=True)
    return {
        "registration": pd.DataFrame(rows),
        "peaks_per_pattern": pd.DataFrame({"peaks": each, "patterns": patterns}),
    }
