"""The chain of this room: peaks and crystals in, phase and orientation of every position out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.compute.blocks import run_blocks
from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.device import Device, uses_gpu
from phaseloom.compute.execution import Execution
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.crystals import Crystal, read_crystal, to_json
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.orientation.assembly import orientation_maps
from phaseloom.orientation.matching.library import Library, make_library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns, direct_beam_radius, patterns_of
from phaseloom.orientation.refinement.solving import solve

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.orientation.refinement.likelihood import Physics

_BLOCK = 512
"""Patterns worked on at once."""

_FURTHER = 4
"""Solutions found beyond those that are kept: probabilities are shared among all."""


def index(
    source: Any,
    crystals: Crystal | str | PathLike[str] | Sequence[Crystal | str | PathLike[str]],
    *,
    voltage: float | None = None,
    pixel_size: float | None = None,
    precession_angle: float | None = None,
    zone_step: float = 2.0,
    in_plane_step: float = 2.0,
    k_max: float | None = None,
    solutions: int = 5,
    thickness: float | None = None,
    overlaps: bool = False,
    context: bool = False,
    seed: int = 0,
    device: Device = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    keep: Checkpoints | None = None,
    progress: Progress = SILENT,
) -> xr.Dataset:
    """Phase and orientation of every position of a scan, and how sure they are.

    Parameters
    ----------
    source
        :class:`phaseloom.diffraction.Peaks`, a dataset of them (group ``/peaks``), or a scan, which
        is registered first with the defaults of :func:`phaseloom.diffraction.register`.
    crystals
        One or several: :class:`phaseloom.crystals.Crystal` or files of them (CIF).
    voltage
        In kV; what the source says by default.
    pixel_size
        Å⁻¹ per detector px; what the source says by default.
    precession_angle
        In degrees; what the source says by default, else 0.
    zone_step, in_plane_step
        Degrees between the templates of the library.
    k_max
        Largest 1/d in Å⁻¹ that counts; where the peaks end by default.
    solutions
        Distinct solutions kept of every position.
    thickness
        Of the crystals in Å; fitted to a sample of the patterns by default.
    overlaps
        Look for a second crystal in the peaks that the first leaves unexplained.
    context
        Let neighbouring positions decide between solutions of an ambiguous one.
    seed
        Same seed, same result.
    device
        Where templates are matched: ``cpu``, ``cuda``, or ``auto``, a GPU when there is one. Same
        result but for rounding.
    workers, scheduler
        Threads, or the address of a dask.distributed cluster.
    keep
        Where finished blocks and the result are kept.
    progress
        Where long work is reported.

    Returns
    -------
    xarray.Dataset
        Group ``/orientation``, see :func:`phaseloom.orientation.assembly.orientation_maps`.

    Raises
    ------
    InputError
        Voltage or pixel size are not known, no pattern has three peaks, or what is given cannot
        be.
    """
    if scheduler is None:
        uses_gpu(device)
    keep = keep or Checkpoints()
    peaks = _peaks(source, pixel_size, workers, scheduler, seed, keep, progress)
    cells = _crystals(crystals)
    voltage = _known("voltage", voltage, peaks, "give it in kV (--voltage)")
    precession_angle = float(
        peaks.data.attrs.get("precession_angle") or 0.0
        if precession_angle is None
        else precession_angle
    )
    if not 1 <= solutions <= 20:
        raise InputError(f"{solutions} solutions cannot be kept", "take 1 to 20, usually 5")
    for name, value in (("thickness", thickness), ("k_max", k_max)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"a {name} of {value} cannot be", "give a positive number")
    k_min = direct_beam_radius(peaks)
    k_max = _extent(peaks, k_min) if k_max is None else k_max
    options = {
        "voltage": voltage, "precession_angle": precession_angle, "zone_step": zone_step,
        "in_plane_step": in_plane_step, "k_min": k_min, "k_max": k_max, "solutions": solutions,
        "thickness": thickness, "overlaps": overlaps, "seed": seed,
    }  # fmt: skip
    columns = ("ky", "kx", "intensity", "ky_error", "kx_error", "intensity_error", "offset")
    table = [peaks.data[name].to_numpy() for name in columns if name in peaks.data]
    key = fingerprint(table, options, to_json(cells))

    def compute() -> xr.Dataset:
        from phaseloom.orientation.refinement.model import estimate, first_physics

        library = make_library(
            cells, voltage=voltage, precession_angle=precession_angle, k_max=k_max,
            zone_step=zone_step, in_plane_step=in_plane_step,
        )  # fmt: skip
        patterns = patterns_of(peaks, k_min=k_min, k_max=k_max)
        _check_counts(patterns)
        physics = first_physics(peaks, library, k_min=k_min, thickness=thickness)
        physics = estimate(patterns, library, physics, thickness=thickness, seed=seed)
        found = _all_blocks(
            patterns, library, physics, key, solutions=solutions + _FURTHER, overlaps=overlaps,
            device=device, workers=workers, scheduler=scheduler, keep=keep, progress=progress,
        )  # fmt: skip
        return orientation_maps(
            peaks, patterns, found, library, physics, solutions=solutions, context=context
        )

    return keep.stage("orientation", "index", fingerprint(key, context), compute, first=True)


def _peaks(
    source: Any,
    pixel_size: float | None,
    workers: int | None,
    scheduler: str | None,
    seed: int,
    keep: Checkpoints,
    progress: Progress,
) -> Peaks:
    """The peak table of whatever was given, in Å⁻¹."""
    import xarray as xr

    if isinstance(source, xr.Dataset) and "offset" in source:
        source = Peaks(source)
    if not isinstance(source, Peaks):
        from phaseloom.diffraction.registration import register
        from phaseloom.io.scans import as_scan

        scan = as_scan(source)
        data = register(
            scan, seed=seed, workers=workers, scheduler=scheduler, keep=keep, progress=progress
        )
        known = ("voltage", "precession_angle")
        data.attrs |= {n: scan.attrs[n] for n in known if scan.attrs.get(n) is not None}
        source = Peaks(data)
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
    crystals = [c if isinstance(c, Crystal) else read_crystal(c) for c in several]
    names = [crystal.name for crystal in crystals]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two phases are called {twice[0]!r}", "name them apart (-p NAME=FILE.cif)"
        )
    return crystals


def _known(name: str, given: float | None, peaks: Peaks, remedy: str) -> float:
    value = peaks.data.attrs.get(name) if given is None else given
    if value is None:
        raise InputError(f"the {name} is not known", remedy)
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"a {name} of {value} cannot be", remedy)
    return float(value)


def _extent(peaks: Peaks, k_min: float) -> float:
    """Where the peaks end, with a little room, but not beyond the detector's corner."""
    radius = np.hypot(*(peaks.data[c].to_numpy().astype(np.float64) for c in ("ky", "kx")))
    radius = radius[radius > k_min]
    corner = 0.5 * float(np.hypot(*peaks.detector_shape)) * peaks.pixel_size
    if radius.size == 0:
        return corner
    return float(min(np.round(1.03 * np.quantile(radius, 0.995), 3), corner))


def _check_counts(patterns: Patterns) -> None:
    most = int(np.diff(patterns.offset).max(initial=0))
    if most < 3:
        raise InputError(
            f"no pattern has three peaks beside the direct beam (the most is {most})",
            "an orientation needs three: look at the peaks, their threshold and --k-max",
        )


class _Part(NamedTuple):
    """Some patterns, to be solved at once."""

    number: int
    patterns: Patterns


def _all_blocks(
    patterns: Patterns,
    library: Library,
    physics: Physics,
    key: str,
    *,
    solutions: int,
    overlaps: bool,
    device: Device,
    workers: int | None,
    scheduler: str | None,
    keep: Checkpoints,
    progress: Progress,
) -> dict[str, NDArray[Any]]:
    """Solutions of all patterns in order; finished blocks are kept."""
    edges = [*range(0, len(patterns), _BLOCK), len(patterns)]
    blocks = [_Part(i, patterns.part(a, b)) for i, (a, b) in enumerate(pairwise(edges))]
    parts = keep.parts("orientation", "index", key)
    done = {i: parts.load(i) for i in parts.done() if i < len(blocks)}
    todo = [block for block in blocks if block.number not in done]
    work = partial(
        _solve_block, library=library, physics=physics, solutions=solutions, overlaps=overlaps,
        device=device,
    )  # fmt: skip
    results = run_blocks(work, todo, Execution(workers=workers, scheduler=scheduler))
    sizes = [len(block.patterns) for block in todo]
    for at, part in progress.track(
        results, "indexing patterns", total=sum(sizes), amount=lambda item: sizes[item[0]]
    ):
        parts.save(todo[at].number, part)
        done[todo[at].number] = part
    names = [str(name) for name in done[0]]
    return {
        name: np.concatenate([done[block.number][name].to_numpy() for block in blocks])
        for name in names
    }


def _solve_block(
    block: _Part,
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
    found = solve(block.patterns, starts, library, physics, solutions=solutions)
    variables = {
        "rotation": (("pattern", "solution", "quaternion"), found.rotation),
        "crystal": (("pattern", "solution"), found.crystal.astype(np.int16)),
        "facts": (("pattern", "solution", "fact"), found.facts.astype(np.float32)),
    }
    if overlaps:
        from phaseloom.orientation.refinement.overlaps import second_crystals

        variables |= second_crystals(block.patterns, found, library, physics)
    return xr.Dataset(variables)
