"""What the components of a recipe are found in: registered peaks, or a scan as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from phaseloom.compute.execution import Execution
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.workflow.components.recipe import ComponentsRecipe
from phaseloom.workflow.peaks.input import (
    beam_of_scan,
    peaks_of_folder,
    peaks_of_scan,
    refuse_registering,
)
from phaseloom.workflow.peaks.recipe import is_registered
from phaseloom.workflow.peaks.scan import scan_of, warn_of_pixels

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.crystals import Crystal


class Source(NamedTuple):
    """Patterns or peaks, and what is known of them.

    ``voltage`` in kV (NaN: not known), ``precession`` in degrees, ``distortion`` (four numbers)
    from px of the patterns to corrected px, ``groups`` that the peaks came with, ``inputs``:
    fingerprints.
    """

    patterns: Peaks | xr.Dataset
    voltage: float
    precession: float
    distortion: list[float]
    groups: dict[str, xr.Dataset]
    inputs: dict[str, str]

    @property
    def instrument(self) -> dict[str, float]:
        """What goes with the components, where it is known."""
        known = {"voltage": self.voltage, "precession_angle": self.precession}
        return {name: value for name, value in known.items() if np.isfinite(value)}


_STRAIGHT = [1.0, 0.0, 0.0, 1.0]


def source_of(
    recipe: ComponentsRecipe, crystals: Sequence[Crystal], execution: Execution
) -> Source:
    """Read what a recipe names, and register it where its preparation asks for that.

    Parameters
    ----------
    recipe
        What to do.
    crystals
        That the components are to be indexed with: what this needs must be known. May be none.
    execution
        How; its checkpoints are those of the results' folder.

    Raises
    ------
    InputError
        A file or a value is at fault; a folder of peaks is given for patterns as measured; the
        recipe says how to register patterns that are taken as measured, or wants components
        indexed that have pixels with peaks only.
    """
    patterns, file = recipe.preparation.patterns, recipe.scan.file
    if patterns is None:
        patterns = "registered" if is_registered(file) else "raw"
    if patterns != "registered":
        return _as_measured(recipe, crystals, patterns)
    if is_registered(file):
        found = peaks_of_folder(recipe, crystals)
    else:
        found = peaks_of_scan(recipe, crystals, execution=execution)
    warn_of_pixels(file, found.peaks.units, "patterns")
    return Source(
        found.peaks, found.voltage, found.precession, _STRAIGHT, found.groups, found.inputs
    )


def _as_measured(recipe: ComponentsRecipe, crystals: Sequence[Crystal], patterns: str) -> Source:
    file = recipe.scan.file
    if is_registered(file):
        raise InputError(
            f"holds peaks, and {patterns} patterns are made of the scan",
            "give the scan's file, or --patterns registered",
            source=file,
        )
    if crystals and patterns == "peaks":
        raise InputError(
            "components of pixels with peaks alone cannot be indexed: spots are told from what is "
            "around them",
            "leave --phase out, or give --patterns raw or registered",
            source=file,
        )
    refuse_registering(
        recipe,
        ("correction", "centring", "peaks", "filter"),
        f"{patterns} patterns are taken as measured: {{option}} is for registered ones",
        "leave it out, or give --patterns registered",
    )
    scan, calibration = scan_of(recipe.scan)
    voltage, precession = beam_of_scan(recipe, scan, crystals)
    warn_of_pixels(file, str(scan["ky"].attrs.get("units", "px")), "patterns")
    distortion = _STRAIGHT if calibration is None else np.ravel(calibration.distortion).tolist()
    inputs = {"scan": str(scan.attrs["input_fingerprint"])}
    return Source(scan, voltage, precession, distortion, {}, inputs)
