"""Run of ``phaseloom peaks``: registration of all spots of a scan."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.errors import InputWarning
from phaseloom.io.scan_axes import ROTATION_REMOVED
from phaseloom.workflow.method import Computed
from phaseloom.workflow.outcome import TIMES, provenance, timed
from phaseloom.workflow.peaks.recipe import PeaksRecipe, ScanRecipe
from phaseloom.workflow.peaks.scan import Image, detector_images, scan_of, warn_of_pixels

if TYPE_CHECKING:
    from phaseloom.diffraction.calibration.calibration import Calibration

_GROUP = "peaks"

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
    "flip",
    "rotate",
)
"""Attributes of the measurement that are copied to the peaks."""

RUN_ATTRIBUTES = (*_INSTRUMENT, "bytes_in", "bytes_out", *TIMES)
"""Attributes of the peaks that a run adds to those of the chain."""


class Registered(NamedTuple):
    """Registered scan: groups of the results, attributes of ``/peaks``, fingerprints of inputs."""

    groups: dict[str, xr.Dataset]
    attributes: dict[str, object]
    inputs: dict[str, str]


def compute_peaks(
    recipe: PeaksRecipe, execution: Execution, truth: xr.Dataset | None = None
) -> Computed:
    """Register all spots of a recipe's scan: groups ``/peaks…``.

    The truth is not kept beside peaks.
    """
    del truth
    scan, calibration = scan_of(recipe.scan)
    warn_of_pixels(recipe.scan.file, str(scan["ky"].attrs.get("units")), "peaks")
    registered = register_scan(scan, recipe, calibration, execution)
    return Computed(
        registered.groups,
        registered.inputs,
        attributes={_GROUP: registered.attributes},
        documented=(_GROUP,),
        owned=(_GROUP,),
    )


def register_scan(
    scan: xr.Dataset, recipe: ScanRecipe, calibration: Calibration | None, execution: Execution
) -> Registered:
    """Register a scan with the options of a recipe, and store the groups ``/peaks…``.

    Parameters
    ----------
    scan, calibration
        From :func:`phaseloom.workflow.peaks.scan.scan_of`.
    recipe
        Its options.
    execution
        Its checkpoints are those of the results' folder.
    """
    from phaseloom.diffraction.spots.finder import warm_up

    checkpoints = execution.checkpoints
    images = detector_images(recipe.correction, scan)
    for _ in execution.progress.track([None], "compiling, once"):
        warm_up()
    data, times = timed(
        lambda: _register(scan, recipe, images, calibration, execution),
        _GROUP,
        recipe.folder,
        execution,
    )
    groups = {
        "/peaks": data,
        "/peaks/sample": _sample(scan, recipe, images, checkpoints),
        "/peaks/density": _density(data, checkpoints),
    }
    attributes = {name: scan.attrs.get(name) for name in (*_INSTRUMENT, ROTATION_REMOVED)}
    attributes["bytes_in"] = int(scan["counts"].nbytes)
    attributes["bytes_out"] = _bytes(recipe.folder / "results.zarr" / _GROUP)
    return Registered(groups, attributes | times, _inputs(scan, images))


def finish_peaks(registered: Registered, recipe: ScanRecipe, execution: Execution) -> Registered:
    """Write the attributes of ``/peaks`` in a run that goes on with the peaks.

    Returns
    -------
    Registered
        The same, with the attributes in ``/peaks``.
    """
    facts = provenance(recipe, registered.inputs)
    attributes = registered.attributes | facts
    execution.checkpoints.finish({"": facts, _GROUP: attributes}, owned=(_GROUP,))
    present = {name: value for name, value in attributes.items() if value is not None}
    peaks = registered.groups["/peaks"].assign_attrs(present)
    return registered._replace(groups=registered.groups | {"/peaks": peaks})


def _register(
    scan: xr.Dataset,
    recipe: ScanRecipe,
    images: dict[str, Image | None],
    calibration: Calibration | None,
    execution: Execution,
) -> xr.Dataset:
    """Call the chain with the options of the recipe."""
    from phaseloom.diffraction.options import DetectorCorrection
    from phaseloom.diffraction.registration import register

    return register(
        scan,
        dark=images["dark"],
        gain=images["gain"],
        mask=images["mask"],
        distortion=None if calibration is None else np.array(calibration.distortion),
        correction=DetectorCorrection(
            # Images count by their content, not by the paths of their files.
            **recipe.correction.model_dump(exclude={"dark", "gain", "mask", "saturation"}),
            saturation=_saturation(scan, recipe),
        ),
        centring=recipe.centring,
        search=recipe.peaks,
        selection=recipe.filter,
        seed=recipe.seed,
        execution=execution,
    )


def _sample(
    scan: xr.Dataset, recipe: ScanRecipe, images: dict[str, Image | None], checkpoints: Checkpoints
) -> xr.Dataset:
    """Some corrected patterns for the figures, which have no access to raw data."""
    from phaseloom.diffraction.detector.correction import corrected, make_correction
    from phaseloom.diffraction.detector.sampling import sample_patterns, sample_size

    correction = recipe.correction

    def compute() -> xr.Dataset:
        patterns, positions = sample_patterns(scan, sample_size(scan))
        with warnings.catch_warnings():
            # The chain has issued the warnings about the detector already.
            warnings.simplefilter("ignore", InputWarning)
            applied = make_correction(
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
                "pattern": (("sample", "ky", "kx"), corrected(patterns[chosen], applied)),
                "y": ("sample", positions[chosen, 0].astype(np.int64)),
                "x": ("sample", positions[chosen, 1].astype(np.int64)),
            }
        )

    arrays = [image for image in images.values() if image is not None]
    options = correction.model_dump(mode="json", exclude={"dark", "gain", "mask"})
    key = fingerprint(_inputs(scan, images), arrays, options, scan["counts"].shape)
    return checkpoints.stage("peaks/sample", "sample", key, compute, first=True)


def _density(data: xr.Dataset, checkpoints: Checkpoints) -> xr.Dataset:
    """Density of the peaks of all patterns about the direct beam."""
    from phaseloom.diffraction.peaks.table import Peaks
    from phaseloom.diffraction.peaks.virtual import density, radial_density

    def compute() -> xr.Dataset:
        peaks = Peaks(data)
        return xr.Dataset({"density": density(peaks), "radial": radial_density(peaks)})

    columns = [data[name].to_numpy() for name in ("ky", "kx", "offset")]
    key = fingerprint(columns, data.attrs["pixel_size"], data.attrs["pixel_size_units"])
    return checkpoints.stage("peaks/density", "density", key, compute, first=True)


def _saturation(scan: xr.Dataset, recipe: ScanRecipe) -> float | None:
    given = recipe.correction.saturation
    return scan.attrs.get("saturation") if given is None else given


def _inputs(scan: xr.Dataset, images: dict[str, Image | None]) -> dict[str, str]:
    inputs = {"scan": str(scan.attrs["input_fingerprint"])}
    return inputs | {
        name: fingerprint(image) for name, image in images.items() if image is not None
    }


def _bytes(group: Path) -> int:
    """Bytes on disk of a group's own arrays."""
    arrays = [
        a for a in group.iterdir()
        if (a / "zarr.json").is_file()
        and json.loads((a / "zarr.json").read_text(encoding="utf-8"))["node_type"] == "array"
    ]  # fmt: skip
    return sum(f.stat().st_size for a in arrays for f in a.rglob("*") if f.is_file())
