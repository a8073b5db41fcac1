"""Input of a recipe for components: registered peaks, or the scan as measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from phaseloom.compute.execution import Execution
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.io.scan_axes import ROTATION_REMOVED
from phaseloom.io.scan_turning import (
    Turn,
    rotation_removed,
    to_scan_axes,
    turn_attributes,
    turn_of,
)
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


class PatternSource(NamedTuple):
    """Patterns or peaks to factorise, with beam and calibration.

    ``voltage`` in kV (NaN: not known), ``precession`` in degrees, ``distortion`` (four numbers)
    from px of the patterns to corrected px in the axes of the scan, ``groups`` that the peaks came
    with, ``inputs``: fingerprints, ``turn``: flip and rotation of the detector's image.
    """

    patterns: Peaks | xr.Dataset
    voltage: float
    precession: float
    distortion: list[float]
    groups: dict[str, xr.Dataset]
    inputs: dict[str, str]
    turn: Turn = ("none", 0)

    @property
    def instrument(self) -> dict[str, float]:
        """Attributes of the components: voltage and precession angle where they are known."""
        values = {"voltage": self.voltage, "precession_angle": self.precession}
        return {name: value for name, value in values.items() if np.isfinite(value)}

    @property
    def frame(self) -> dict[str, str | int | float | None]:
        """Attributes that state flip, rotation, and the scan rotation that was taken out."""
        patterns = self.patterns
        attributes = patterns.data.attrs if isinstance(patterns, Peaks) else patterns.attrs
        return {**turn_attributes(self.turn), ROTATION_REMOVED: attributes.get(ROTATION_REMOVED)}


_NO_DISTORTION = [1.0, 0.0, 0.0, 1.0]


def pattern_source(
    recipe: ComponentsRecipe, crystals: Sequence[Crystal], execution: Execution
) -> PatternSource:
    """Read what a recipe names, and register it where its preparation asks for that.

    Parameters
    ----------
    recipe
        What to do.
    crystals
        To index the components with, for which the voltage and the pixel size must be known; may
        be none.
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
        return _unregistered_source(recipe, crystals, patterns)
    if is_registered(file):
        source = peaks_of_folder(recipe, crystals)
    else:
        source = peaks_of_scan(recipe, crystals, execution=execution)
    warn_of_pixels(file, source.peaks.units, "patterns")
    return PatternSource(
        source.peaks,
        source.voltage,
        source.precession,
        _NO_DISTORTION,
        source.groups,
        source.inputs,
        source.turn,
    )


def _unregistered_source(
    recipe: ComponentsRecipe, crystals: Sequence[Crystal], patterns: str
) -> PatternSource:
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
    to_axes = to_scan_axes(rotation_removed(scan.attrs))
    distortion = to_axes @ (np.eye(2) if calibration is None else np.array(calibration.distortion))
    inputs = {"scan": str(scan.attrs["input_fingerprint"])}
    turn = turn_of(scan.attrs)
    return PatternSource(scan, voltage, precession, distortion.ravel().tolist(), {}, inputs, turn)
