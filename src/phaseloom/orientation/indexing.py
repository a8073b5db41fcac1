"""Orientation mapping: phase and orientation of every position, from peaks and crystals."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.compute.blocks import run_blocks
from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.device import Device, uses_gpu
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.crystals import Crystal, named_crystal, to_json
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError, InputWarning
from phaseloom.orientation.assembly import orientation_maps
from phaseloom.orientation.calibration.calibrating import Calibrated, Instrument, calibrate_scan
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.options import Matching
from phaseloom.orientation.refinement.solving import solve
from phaseloom.orientation.remarks import remarks

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.orientation.refinement.likelihood import Physics

_BLOCK = 512
"""Patterns worked on at once."""

_FURTHER = 4
"""Solutions found beyond those that are kept: probabilities are shared among all."""


@takes_options(matching=Matching)
def index(
    source: Any,
    crystals: Crystal | str | PathLike[str] | Sequence[Crystal | str | PathLike[str]],
    *,
    voltage: float | None = None,
    pixel_size: float | None = None,
    precession_angle: float | None = None,
    seed: int = 0,
    matching: Matching,
    execution: Execution,
) -> xr.Dataset:
    """Phase and orientation of every position of a scan, and how sure they are.

    Parameters
    ----------
    source
        :class:`phaseloom.diffraction.Peaks`, a dataset of them (group ``/peaks``), or a scan, which
        is registered first with the defaults of :func:`phaseloom.diffraction.register`.
    crystals
        One or several: :class:`phaseloom.crystals.Crystal`, files of them (CIF), or names of
        built-in ones, see :func:`phaseloom.crystals.named_crystal`.
    voltage
        In kV; what the source says by default.
    pixel_size
        Å⁻¹ per detector px; what the source says by default.
    precession_angle
        In degrees; what the source says by default, else 0.
    seed
        Same seed, same result.
    **options

    Returns
    -------
    xarray.Dataset
        Group ``/orientation``, see :func:`phaseloom.orientation.assembly.orientation_maps`.

    Raises
    ------
    InputError
        Voltage or pixel size are not known, no pattern has three peaks, or what is given cannot
        be.

    Warns
    -----
    InputWarning
        No pattern is explained by any of the crystals at any scale: nothing is indexed. Most
        patterns are not explained. The scale is more than 1 % off what the source says, or open.
    """
    if execution.scheduler is None:
        uses_gpu(execution.device)
    peaks = _peaks(source, pixel_size, seed, execution)
    cells = _crystals(crystals)
    voltage = _required("voltage", voltage, peaks, "give it in kV (--voltage)")
    precession_angle = float(
        peaks.data.attrs.get("precession_angle") or 0.0
        if precession_angle is None
        else precession_angle
    )
    instrument = Instrument(cells, voltage, precession_angle)
    # Context weighs what has been found: it is not among what blocks of solutions depend on.
    parameters = matching.model_dump(exclude={"context"}) | {
        "voltage": voltage, "precession_angle": precession_angle, "pixel_size": peaks.pixel_size,
        "seed": seed,
    }  # fmt: skip
    columns = ("ky", "kx", "intensity", "ky_error", "kx_error", "intensity_error", "offset")
    table = [peaks.data[name].to_numpy() for name in columns if name in peaks.data]
    key = fingerprint(table, parameters, to_json(cells))

    def compute() -> xr.Dataset:
        # The first patterns that are solved compile what solves them.
        for _ in execution.progress.track([None], "fitting scale, thickness and errors"):
            calibrated = calibrate_scan(peaks, instrument, matching, seed=seed)
        solved = _all_blocks(calibrated, key, matching, execution)
        return orientation_maps(
            calibrated, solved, solutions=matching.solutions, context=matching.context, seed=seed,
            execution=execution,
        )  # fmt: skip

    maps = execution.checkpoints.stage(
        "orientation", "index", fingerprint(key, matching.context), compute, first=True
    )
    for sentence in remarks(maps):
        warnings.warn(sentence, InputWarning, stacklevel=2)
    return maps


def _peaks(source: Any, pixel_size: float | None, seed: int, execution: Execution) -> Peaks:
    """The peak table of whatever was given, in Å⁻¹."""
    import xarray as xr

    if isinstance(source, xr.Dataset) and "offset" in source:
        source = Peaks(source)
    if not isinstance(source, Peaks):
        from phaseloom.diffraction.registration import register

        source = Peaks(register(source, seed=seed, execution=execution))
    peaks: Peaks = source
    if pixel_size is not None:
        return peaks.calibrated(pixel_size)
    if peaks.units != "Å⁻¹":
        raise InputError(
            "the pixel size of the detector is not known", "give it in Å⁻¹ per px (--pixel-size)"
        )
    return peaks


def _crystals(
    given: Crystal | str | PathLike[str] | Sequence[Crystal | str | PathLike[str]],
) -> list[Crystal]:
    several = [given] if isinstance(given, (Crystal, str, PathLike)) else list(given)
    crystals = [c if isinstance(c, Crystal) else named_crystal(c) for c in several]
    names = [crystal.name for crystal in crystals]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two phases are called {twice[0]!r}", "name them apart (-p NAME=FILE.cif)"
        )
    return crystals


def _required(name: str, given: float | None, peaks: Peaks, remedy: str) -> float:
    value = peaks.data.attrs.get(name) if given is None else given
    if value is None:
        raise InputError(f"the {name} is not known", remedy)
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"a {name} of {value} cannot be", remedy)
    return float(value)


class _Block(NamedTuple):
    """Some patterns, to be solved at once."""

    number: int
    patterns: Patterns


def _all_blocks(
    calibrated: Calibrated,
    key: str,
    matching: Matching,
    execution: Execution,
) -> dict[str, NDArray[Any]]:
    """Solutions of all patterns in order; finished blocks are kept."""
    patterns = calibrated.patterns
    edges = [*range(0, len(patterns), _BLOCK), len(patterns)]
    blocks = [_Block(i, patterns.part(a, b)) for i, (a, b) in enumerate(pairwise(edges))]
    parts = execution.checkpoints.parts("orientation", "index", key)
    solved = {i: parts.load(i) for i in parts.done() if i < len(blocks)}
    unsolved = [block for block in blocks if block.number not in solved]
    work = partial(
        _solve_block, library=calibrated.library, physics=calibrated.physics,
        solutions=matching.solutions + _FURTHER,
        overlaps=matching.overlaps, device=execution.device,
    )  # fmt: skip
    results = run_blocks(work, unsolved, execution)
    sizes = [len(block.patterns) for block in unsolved]
    for at, part in execution.progress.track(
        results, "indexing patterns", total=sum(sizes), amount=lambda item: sizes[item[0]]
    ):
        parts.save(unsolved[at].number, part)
        solved[unsolved[at].number] = part
    names = [str(name) for name in solved[0]]
    return {
        name: np.concatenate([solved[block.number][name].to_numpy() for block in blocks])
        for name in names
    }


def _solve_block(
    block: _Block,
    *,
    library: Library,
    physics: Physics,
    solutions: int,
    overlaps: bool,
    device: Device,
) -> xr.Dataset:
    """Solutions of some patterns, as arrays that can be kept."""
    import xarray as xr

    starts = match(block.patterns, library, device=device)
    solved = solve(block.patterns, starts, library, physics, solutions=solutions)
    further: dict[str, Any] = {}
    if overlaps:
        from phaseloom.orientation.refinement.overlaps import second_crystals

        second = second_crystals(block.patterns, solved, library, physics)
        solved, further = second.solutions, second.variables()
    variables = {
        "rotation": (("pattern", "solution", "quaternion"), solved.rotation),
        "crystal": (("pattern", "solution"), solved.crystal.astype(np.int16)),
        "facts": (("pattern", "solution", "fact"), solved.facts.astype(np.float32)),
    }
    return xr.Dataset(variables | further)
