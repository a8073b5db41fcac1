"""Orientation maps to files that OIM, Channel 5, MTEX and orix open: .ang, .ctf, .h5.

Euler angles are Bunge's (φ₁, Φ, φ₂) of the rotation from the sample, x right, y down, to the
crystal. Which Cartesian axes a crystal has is the format's: orix has x ∥ a, z ∥ c*; Oxford's
programs x ∥ a*, z ∥ c; EDAX's as orix, but for monoclinic crystals as Oxford. Cells with right
angles know no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.export._target import completed

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

_LAUE = ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m")
"""Laue classes by the number of the .ctf format, from 1."""

_EDAX = ("1", "2", "22", "4", "42", "3", "32", "6", "62", "23", "43")
"""What the .ang format calls them; monoclinic ones with b as their axis are 20."""

_TRICLINIC, _MONOCLINIC = 1, 2
_TRIGONAL = (6, 7)

_MICROMETRES = {"nm": 1e-3, "um": 1.0, "µm": 1.0}

_NO_SOLUTION = 3
"""Oxford's code for a pixel that was not indexed."""

_AS_TEXT = "%.9f"
"""Positions: programs count rows and columns by the first step, so it must not be rounded."""


@dataclass(frozen=True)
class _Map:
    """A full rectangle of pixels in reading order, and the phases that occur."""

    shape: tuple[int, int]
    step: tuple[float, float]
    phase: NDArray[np.int64]
    rotation: NDArray[np.float64]
    quality: Mapping[str, NDArray[np.float64]]
    phases: list[Phase]


def write_orientations(
    path: str | PathLike[str],
    crystal_map: CrystalMap,
    *,
    voltage: float | None = None,
    title: str = "",
) -> Path:
    """Write an orientation map as ``.ang``, ``.ctf`` or ``.h5``.

    ======  ======================================================================
    .ang    EDAX: radians. Image quality is the correlation index, confidence index the probability
            (−1 unindexed), detector signal the orientation reliability, fit 0: not known.
    .ctf    Oxford Channel 5: degrees. BC is 255 times the correlation index, BS the
            orientation reliability, Bands the spots matched, MAD 0: not known. Phase 0 and error 3
            are unindexed.
    .h5     orix: everything, with all solutions and the atoms.
    ======  ======================================================================

    Text files hold the first rotation of every pixel. Their positions begin at zero and are in
    µm, or in pixels where the step is not known. Phases are numbered from 1, in the order of the
    map, only those that occur. Properties that the map does not have are 0. The file appears under
    its name only when it is complete; one that is there already is replaced.

    Parameters
    ----------
    path
        Its extension says the format.
    crystal_map
        With the rotations of orix (sample to crystal) and unindexed pixels of phase −1; its
        properties ``correlation``, ``probability``, ``orientation_reliability`` and ``matched``
        are written where the format has room.
    voltage
        Acceleration voltage in kV.
    title
        Name of the measurement, and what else the file is to say: ``SAMPLEID`` of .ang, ``Prj``
        of .ctf, the attribute ``title`` of .h5.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    InputError
        The extension is unknown, the folder does not exist, no pixel is indexed, a phase has no
        point group, or a trigonal one has rhombohedral axes.

    References
    ----------
    T. B. Britton et al., Materials Characterization 117, 113 (2016): axes of the vendors.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".ang", ".ctf", ".h5"):
        raise InputError(
            f"orientations are not written as {path.suffix or 'a file without extension'}",
            "take one of .ang .ctf .h5",
            source=path,
        )
    with completed(path, suffix=kind) as unfinished:
        if kind == ".h5":
            import h5py
            from orix.io import save

            save(str(unfinished), crystal_map, overwrite=True)
            if title:
                with h5py.File(unfinished, "r+") as written:
                    written.attrs["title"] = title
        else:
            pixels = _full_map(crystal_map, path)
            with unfinished.open("w", encoding="utf-8", newline="\n") as file:
                if kind == ".ang":
                    _write_ang(file, pixels, path, title)
                else:
                    _write_ctf(file, pixels, path, title, voltage)
    return path


def _full_map(crystal_map: CrystalMap, path: Path) -> _Map:
    """The map as a rectangle: pixels that were left out are not indexed."""
    numbers = [int(number) for number in np.unique(crystal_map.phase_id) if number >= 0]
    if not numbers:
        raise InputError("no pixel is indexed", "there is nothing to write", source=path)
    places, shape, steps = [], [], []
    for along, step in ((crystal_map.y, crystal_map.dy), (crystal_map.x, crystal_map.dx)):
        position = np.zeros(crystal_map.size) if along is None else np.asarray(along, dtype=float)
        steps.append(float(step))
        place = np.rint((position - position.min()) / (step or 1.0)).astype(np.int64)
        places.append(place)
        shape.append(int(place.max()) + 1)
    # A single row or column has no step of its own.
    steps = [steps[0] or steps[1] or 1.0, steps[1] or steps[0] or 1.0]
    at = places[0] * shape[1] + places[1]
    scale = _MICROMETRES.get(crystal_map.scan_unit, 1.0)
    phase = np.zeros(shape[0] * shape[1], dtype=np.int64)
    for order, number in enumerate(numbers, start=1):
        phase[at[crystal_map.phase_id == number]] = order
    rotation = np.zeros((phase.size, 4))
    rotations = crystal_map.rotations.data
    rotation[at] = rotations if rotations.ndim == 2 else rotations[:, 0]
    quality = {}
    for name in ("correlation", "probability", "orientation_reliability", "matched"):
        quality[name] = np.zeros(phase.size)
        if name in crystal_map.prop:
            quality[name][at] = np.nan_to_num(crystal_map.prop[name])
        quality[name][phase == 0] = 0.0
    return _Map(
        shape=(shape[0], shape[1]),
        step=(steps[0] * scale, steps[1] * scale),
        phase=phase,
        rotation=rotation,
        quality=quality,
        phases=[crystal_map.phases[number] for number in numbers],
    )


def _write_ang(file: TextIO, pixels: _Map, path: Path, title: str) -> None:
    rows, columns = pixels.shape
    euler = _euler_angles(pixels, path, oxford=False)
    unindexed = pixels.phase == 0
    euler[unindexed] = 4 * np.pi
    head = [
        "TEM_PIXperUM          1.000000",
        "x-star                0.000000",
        "y-star                0.000000",
        "z-star                0.000000",
        "WorkingDistance       0.000000",
        "",
    ]
    # OIM lists the last phase first.
    for number, phase in reversed(list(enumerate(pixels.phases, start=1))):
        laue = _laue_number(phase, path)
        along_b = laue == _MONOCLINIC and _has_axis_b(phase)
        name = _one_line(phase.name) or f"phase {number}"
        head += [
            f"Phase {number}",
            f"MaterialName  \t{name}",
            f"Formula     \t{name}",
            "Info \t\t",
            f"Symmetry              {'20' if along_b else _EDAX[laue - 1]}",
            "LatticeConstants      " + " ".join(f"{v:.4f}" for v in _cell(phase)),
            "NumberFamilies        0",
            "",
        ]
    head += [
        "GRID: SqrGrid",
        f"XSTEP: {pixels.step[1]:.9f}",
        f"YSTEP: {pixels.step[0]:.9f}",
        f"NCOLS_ODD: {columns}",
        f"NCOLS_EVEN: {columns}",
        f"NROWS: {rows}",
        "",
        "OPERATOR: phaseloom",
        "",
        f"SAMPLEID: {_one_line(title)}",
        "",
        "SCANID:",
        "",
    ]
    file.writelines(f"# {line}".rstrip() + "\n" for line in head)
    y, x = _positions(pixels)
    quality = pixels.quality
    table = [
        *euler.T,
        x,
        y,
        quality["correlation"],
        np.where(unindexed, -1.0, quality["probability"]),
        pixels.phase,
        quality["orientation_reliability"],
        np.where(unindexed, 180.0, 0.0),
    ]
    form = "%9.6f %9.6f %9.6f " + f"{_AS_TEXT} {_AS_TEXT}" + " %.5f %.5f %d %.3f %.3f"
    np.savetxt(file, np.column_stack(table), fmt=form)


def _write_ctf(file: TextIO, pixels: _Map, path: Path, title: str, voltage: float | None) -> None:
    rows, columns = pixels.shape
    euler = np.degrees(_euler_angles(pixels, path, oxford=True))
    unindexed = pixels.phase == 0
    euler[unindexed] = 0.0
    head = [
        "Channel Text File",
        f"Prj\t{_one_line(title)}",
        "Author\tphaseloom",
        "JobMode\tGrid",
        f"XCells\t{columns}",
        f"YCells\t{rows}",
        f"XStep\t{pixels.step[1]:.9f}",
        f"YStep\t{pixels.step[0]:.9f}",
        "AcqE1\t0",
        "AcqE2\t0",
        "AcqE3\t0",
        "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t0\tCoverage\t100\t"
        f"Device\t0\tKV\t{0 if voltage is None else voltage:g}\tTiltAngle\t0\tTiltAxis\t0",
        f"Phases\t{len(pixels.phases)}",
    ]
    for number, phase in enumerate(pixels.phases, start=1):
        cell = [f"{v:.4f}" for v in _cell(phase)]
        group = 0 if phase.space_group is None else int(phase.space_group.number)
        name = _one_line(phase.name) or f"phase {number}"
        head.append(
            f"{';'.join(cell[:3])}\t{';'.join(cell[3:])}\t{name}\t"
            f"{_laue_number(phase, path)}\t{group}\t\t\t"
        )
    head.append("Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS")
    file.writelines(f"{line}\n" for line in head)
    y, x = _positions(pixels)
    quality = pixels.quality
    table = [
        pixels.phase,
        x,
        y,
        quality["matched"],
        np.where(unindexed, _NO_SOLUTION, 0),
        *euler.T,
        np.zeros(pixels.phase.size),
        np.clip(np.rint(255 * quality["correlation"]), 0, 255),
        np.clip(np.rint(quality["orientation_reliability"]), 0, 255),
    ]
    form = ["%d", _AS_TEXT, _AS_TEXT, "%d", "%d", "%.5f", "%.5f", "%.5f", "%.4f", "%d", "%d"]
    np.savetxt(file, np.column_stack(table), fmt=form, delimiter="\t")


def _euler_angles(pixels: _Map, path: Path, *, oxford: bool) -> NDArray[np.float64]:
    """Bunge's angles (pixel, 3) in radians, to the crystal axes of the vendor."""
    from orix.quaternion import Rotation

    euler = np.zeros((pixels.phase.size, 3))
    for number, phase in enumerate(pixels.phases, start=1):
        of = pixels.phase == number
        turned = _vendor_axes(phase, path, oxford=oxford) * Rotation(pixels.rotation[of])
        euler[of] = turned.to_euler()
    return euler


def _vendor_axes(phase: Phase, path: Path, *, oxford: bool) -> Any:
    """The rotation from orix's crystal axes (x ∥ a, z ∥ c*) to those of the vendor."""
    from orix.quaternion import Rotation

    laue = _laue_number(phase, path)
    lattice = np.asarray(phase.structure.lattice.base, dtype=np.float64)
    if laue in _TRIGONAL and abs(_cell(phase)[3] - 90.0) > 0.1:
        raise InputError(
            f"{phase.name} has rhombohedral axes, which the format does not know",
            "index with its cell in hexagonal axes, or write .h5",
            source=path,
        )
    if not oxford and laue != _MONOCLINIC:
        return Rotation.identity()
    x = np.cross(lattice[1], lattice[2])
    z = lattice[2]
    x, z = x / np.linalg.norm(x), z / np.linalg.norm(z)
    return Rotation.from_matrix(np.stack([x, np.cross(z, x), z]))


def _laue_number(phase: Phase, path: Path) -> int:
    """Number of the Laue class, from 1."""
    if phase.point_group is None:
        raise InputError(f"{phase.name} has no point group", "give it one", source=path)
    return _LAUE.index(phase.point_group.laue.name) + 1


def _has_axis_b(phase: Phase) -> bool:
    """Whether b is the axis of a monoclinic cell, as in the tables' standard setting."""
    alpha, _, gamma = _cell(phase)[3:]
    return bool(abs(alpha - 90.0) < 0.01 and abs(gamma - 90.0) < 0.01)


def _cell(phase: Phase) -> tuple[float, ...]:
    return tuple(float(v) for v in phase.structure.lattice.abcABG())


def _positions(pixels: _Map) -> NDArray[np.float64]:
    """Y and x of every pixel."""
    places = np.indices(pixels.shape, dtype=np.float64).reshape(2, -1)
    return np.asarray(places * np.array(pixels.step)[:, None])


def _one_line(text: str) -> str:
    return " ".join(text.split())
