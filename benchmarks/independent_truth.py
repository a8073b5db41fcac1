"""Peak tables whose truth is known and was not made by phaseloom's own simulator.

    python benchmarks/independent_truth.py [SET ...]     prints what sets are like

Spots are those of ``independent_spots.py``: kinematic, Gaussian rel-rods exp(−(s/σ)²) with σ of
0.7 to 1 per thickness, intensities varied by a log-normal factor (0.3) per reflection and pattern.
Expected counts are Poisson's; a spot is found above a limit; those closer than 1.5 px are one;
places err by 0.1 to 0.3 px as the error columns state; 0.05 false spots per pattern. ``Departure``
says what else differs from that. Names of sets:

- ``CRYSTAL``: random orientations of one of ``CRYSTALS`` (``benchmarks/crystals``)
- ``mix/NAME``: three phases, in equal parts; ``near/P``: LiFePO4 and the same cell P % larger
- ``pair/CRYSTAL``: two orientations each, the second with 0.2 to 0.5 of the counts
- ``wrong/TRUE>OFFERED``: patterns of one crystal, offered another
- ``foreign/OFFERED+OTHER``: half of the patterns are of a crystal that is not offered
- ``multislice/CRYSTAL/THICKNESS``: what ``multislice_truth.py`` wrote, dynamical scattering
- ``map/NAME``: grains, small grains, lamellae of two pixels, overlaps at boundaries
- any of them with one or more ``/DEPARTURE`` behind it (``DEPARTURES``, or ``scale+2`` for a pixel
  size that is stated 2 % too large): ``lfp/sparse/precession``
"""

from __future__ import annotations

import re
import sys
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from independent_counting import DIRECT_BEAM, RESOLVED, SHAPE, detected, table
from independent_samples import Sample, random_rotations
from independent_samples import sample as made_sample
from independent_spots import FOLDER, Source, source, spots
from phaseloom.diffraction.peaks.table import Peaks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VOLTAGE = 200.0  # kV
COUNTS = 5e4  # diffracted, of the middle pattern
PILOT = 48  # patterns that the dose is set by


class Specimen(NamedTuple):
    """Thickness and extent of the pattern: with these 20 to 60 spots are found in the mean."""

    thickness: float  # Å
    k_max: float  # Å⁻¹


CRYSTALS = {
    "kyanite": Specimen(120, 1.5),  # triclinic
    "li2mno3": Specimen(50, 1.5),  # monoclinic
    "baddeleyite": Specimen(60, 1.5),
    "lfp": Specimen(100, 1.5),  # orthorhombic
    "fp": Specimen(100, 1.5),
    "brookite": Specimen(80, 1.5),
    "li3po4": Specimen(100, 1.5),
    "rutile": Specimen(50, 1.6),  # tetragonal
    "anatase": Specimen(50, 1.6),
    "nvpf": Specimen(160, 1.5),
    "linio2": Specimen(45, 1.6),  # trigonal
    "quartz": Specimen(60, 1.5),
    "corundum": Specimen(50, 1.6),
    "ti": Specimen(50, 1.8),  # hexagonal
    "zno": Specimen(60, 1.8),
    "graphite": Specimen(50, 1.8),
    "au": Specimen(40, 2.0),  # cubic
    "si": Specimen(50, 1.8),
    "limn2o4": Specimen(60, 1.5),
    "srtio3": Specimen(50, 1.8),
    "nio": Specimen(40, 1.8),
}
MIXTURES = {
    "olivines": ("lfp", "fp", "li3po4"),
    "layered": ("linio2", "nio", "li2mno3"),
    "titania": ("rutile", "anatase", "brookite"),
}
MAPS = {
    "lfp": ("lfp",),
    "linio2": ("linio2",),
    "au": ("au",),
    "ti": ("ti",),
    "olivines": ("lfp", "fp", "li3po4"),
    "layered": ("linio2", "nio", "li2mno3"),
}
WRONG = (
    "ti>au", "au>ti", "lfp>rutile", "rutile>anatase", "li2mno3>linio2", "linio2>nio",
    "si>srtio3", "corundum>quartz", "kyanite>lfp", "limn2o4>nvpf", "lfp>nvpf", "zno>graphite",
    "nvpf>lfp", "fp>lfp", "limn2o4>nio", "kyanite>baddeleyite",
)  # fmt: skip
ALIKE = "au>nio", "zno>ti", "nio>limn2o4", "nio>srtio3"
"""Crystals whose lattices agree but for their size, within the search for the scale: one that is
offered in the place of the other is told by the scale that is found."""
KINDS_OF_SETS = ("mix", "near", "pair", "wrong", "foreign", "map")
FOREIGN = ("lfp+fp", "linio2+nio", "au+lfp", "rutile+anatase", "li2mno3+kyanite")


@dataclass(frozen=True)
class Departure:
    """How patterns differ from what the module describes.

    Parameters
    ----------
    profile
        Of the rel-rods: "gaussian", "sinc2", "lorentz".
    width, extent
        Factors on σ and on the extent of the patterns.
    spread
        Of the log-normal factors.
    thickness_range
        Largest over smallest thickness among the patterns.
    precession, told
        Half angle of the beam in degrees, and what is stated.
    affine
        Part by which one direction is stretched (and the other shrunk), not corrected.
    scale
        Part by which the pixel size is stated too large.
    compression
        0: kinematic; else strong reflections go with |F| instead of |F|², from this part of the
        strongest on (a stand-in for two-beam dynamical scattering).
    dose
        Factor on the counts.
    centre
        px by which the direct beam of each pattern is off.
    error
        Factor on the errors of places that is not stated.
    closest
        px between spots that are told apart.
    """

    profile: str = "gaussian"
    width: float = 1.0
    extent: float = 1.0
    spread: float = 0.3
    thickness_range: float = 1.0
    precession: float = 0.0
    told: float = 0.0
    affine: float = 0.0
    scale: float = 0.0
    compression: float = 0.0
    dose: float = 1.0
    centre: float = 0.0
    error: float = 1.0
    closest: float = RESOLVED


DEPARTURES = {
    "sparse": Departure(width=0.5, extent=0.8),
    "sinc2": Departure(profile="sinc2"),
    "lorentz": Departure(profile="lorentz"),
    "wide": Departure(width=2.0),
    "spread": Departure(spread=0.6),
    "thickness": Departure(thickness_range=2.0),
    "precession": Departure(precession=0.5),
    "precession told": Departure(precession=0.5, told=0.5),
    "precession wrong": Departure(precession=0.5, told=1.0),
    "affine": Departure(affine=0.005),
    "dynamical": Departure(compression=0.05),
    "low dose": Departure(dose=0.2),
    "centre": Departure(centre=0.3),
    "errors": Departure(error=2.0),
    "unresolved": Departure(closest=10.0),
}


@dataclass(frozen=True)
class Truth:
    """Patterns with what is true of them; ``n`` of them in scan order.

    ``offered`` are the CIF files to index with; ``phase`` (n,) numbers them (−1: none is right),
    ``rotation`` (n, 4) from sample to crystal, ``turns`` the proper Laue rotations of each.
    ``second_phase`` (−1: alone), ``second_rotation`` and ``share`` are of what lies beside it;
    ``kind`` and ``grain`` (n,) are those of maps, else zeros and the pattern's number.
    """

    peaks: Peaks
    offered: tuple[Path, ...]
    turns: tuple[Floats, ...]
    phase: Ints
    rotation: Floats
    second_phase: Ints
    second_rotation: Floats
    share: Floats
    kind: Ints
    grain: Ints
    precession_angle: float
    departure: Departure
    difference: float  # of the cells of two crystals that are alike otherwise, 0: of others


def truth(name: str, *, n: int = 400, seed: int = 0, folder: Path | None = None) -> Truth:
    """A set by its name, see the module's description; same seed, same set.

    Parameters
    ----------
    name
        Of the set.
    n
        Patterns (maps have a size of their own).
    seed
        Of everything random.
    folder
        Where ``multislice_truth.py`` has written.
    """
    if name.startswith("multislice/"):
        if folder is None:
            raise ValueError(f"{name} needs the folder that multislice_truth.py has written")
        return _multislice(name, n, seed, folder)
    kind, names, departure = _parsed(name)
    # Sets that differ in their departure alone have the same orientations.
    base = "/".join(name.split("/")[: 1 if kind == "alone" else 2])
    key = [seed, zlib.crc32(base.encode())]
    rng = np.random.default_rng(key)
    offered = [FOLDER / f"{c}.cif" for c in names]
    difference = 0.0
    if kind == "near":
        difference = float(name.split("/")[1]) / 100
        offered = [FOLDER / "lfp.cif", _enlarged(FOLDER / "lfp.cif", difference)]
    true = offered[:1] if kind == "wrong" else offered
    sizes = [CRYSTALS[path.stem if path.stem in CRYSTALS else "lfp"] for path in true]
    k_max = departure.extent * max(size.k_max for size in sizes)
    sources = [source(path, k_max) for path in true]
    sample = made_sample(kind, n, len(true), rng)
    peaks = _peaks(sample, sources, sizes, k_max, departure, key)
    phase = sample.phase
    if kind == "wrong":
        offered, phase = offered[1:], np.full_like(phase, -1)
    if kind == "foreign":
        offered, phase = offered[:1], np.where(phase == 0, 0, -1)
    return Truth(
        peaks, tuple(offered), tuple(source(path, 1.0).turns for path in offered),
        phase, *sample[2:], departure.told, departure, difference,
    )  # fmt: skip


def _parsed(name: str) -> tuple[str, tuple[str, ...], Departure]:
    """Kind of set, its crystals, and how it departs."""
    parts = name.split("/")
    kind = (
        parts.pop(0) if parts[0] in ("mix", "near", "pair", "wrong", "foreign", "map") else "alone"
    )
    what, *further = parts
    departure = Departure()
    for word in further:
        if word.startswith("scale"):
            departure = replace(departure, scale=float(word[5:]) / 100)
        else:
            other = vars(DEPARTURES[word]).items()
            changed = {key: value for key, value in other if value != getattr(Departure, key)}
            departure = replace(departure, **changed)
    named = {"mix": MIXTURES, "map": MAPS}.get(kind, {})
    if kind == "near":
        return kind, (), departure
    return kind, tuple(named.get(what, re.split("[>+]", what))), departure


def _multislice(name: str, n: int, seed: int, folder: Path) -> Truth:
    """Patterns of one thickness, with the counts that the middle one is to have."""
    _, crystal, thickness = name.split("/")
    with np.load(folder / f"multislice_{crystal}.npz") as file:
        data = dict(file)
    m = data["thickness"].size
    number = int(np.flatnonzero(data["thickness"] == float(thickness))[0])
    rotation = data["rotation"][:n]
    parts = [
        slice(*data["offset"][m * i + number : m * i + number + 2]) for i in range(len(rotation))
    ]
    dose = COUNTS / np.median([data["intensity"][part].sum() for part in parts])
    pixel_size = CRYSTALS["lfp"].k_max / (SHAPE / 2 - 3)
    tables = []
    for i, part in enumerate(parts):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), i])
        place = np.stack([data["ky"][part], data["kx"][part]], axis=1) / pixel_size
        tables.append(detected(place, dose * data["intensity"][part], rng))
    path, lone = FOLDER / f"{crystal}.cif", np.zeros(len(rotation))
    return Truth(
        table(tables, (1, len(rotation)), pixel_size), (path,), (source(path, 1.0).turns,),
        lone.astype(int), rotation, lone.astype(int) - 1, rotation, lone, lone.astype(int),
        np.arange(len(rotation)), 0.0, Departure(), 0.0,
    )  # fmt: skip


@lru_cache
def _enlarged(path: Path, part: float) -> Path:
    """The same crystal with a larger cell, as a file."""
    lines = []
    for line in path.read_text().splitlines():
        words = line.split()
        if line.startswith("_cell_length"):
            words[1] = f"{float(words[1]) * (1 + part):.6f}"
        lines.append(" ".join(words))
    target = Path(mkdtemp()) / f"{path.stem}_larger.cif"
    target.write_text("\n".join(lines) + "\n")
    return target


class _Expected(NamedTuple):
    """Spots of one pattern on the detector, px from the direct beam, before counting."""

    place: Floats
    intensity: Floats


def _expected(
    crystal: Source, size: Specimen, rotation: Floats, departure: Departure, factor: float,
    width: float, rng: np.random.Generator,
) -> _Expected:  # fmt: skip
    """``factor`` on the thickness, ``width`` σ times thickness."""
    found = spots(
        crystal, rotation, sigma=departure.width * width / (size.thickness * factor),
        shape=departure.profile, voltage=VOLTAGE, precession_angle=departure.precession,
    )  # fmt: skip
    strength = found.strength * found.profile
    if departure.compression:
        level = departure.compression * crystal.strength.max()
        strength = found.profile * found.strength / np.sqrt(1 + found.strength / level)
    varied = strength * np.exp(departure.spread * rng.standard_normal(strength.size))
    return _Expected(np.stack([found.ky, found.kx], axis=1), varied)


def _peaks(
    sample: Sample, sources: list[Source], sizes: list[Specimen], k_max: float,
    departure: Departure, key: list[int],
) -> Peaks:  # fmt: skip
    pixel_size = k_max / (SHAPE / 2 - 3)
    rng = np.random.default_rng([*key, 1])
    width = rng.uniform(0.7, 1.0)
    doses = [
        _dose(c, s, width, np.random.default_rng(7)) for c, s in zip(sources, sizes, strict=True)
    ]
    angle = rng.uniform(0, np.pi)
    axis = np.array([np.cos(angle), np.sin(angle)])
    stretch = np.eye(2) + departure.affine * (2 * np.outer(axis, axis) - np.eye(2))
    tables = []
    for i in range(sample.phase.size):
        rng = np.random.default_rng([*key, 2, i])
        factor = departure.thickness_range ** rng.uniform(-0.5, 0.5)
        parts = []
        shares = ((sample.phase[i], sample.rotation[i], 1 - sample.share[i]),
                  (sample.second_phase[i], sample.second_rotation[i], sample.share[i]))  # fmt: skip
        total = 0.0
        for phase, rotation, share in shares:
            if share > 0 and phase >= 0:
                part = _expected(
                    sources[phase], sizes[phase], rotation, departure, factor, width, rng
                )
                counts = doses[phase] * departure.dose * part.intensity
                total = total or counts.sum()
                parts.append(_Expected(part.place, share * total * counts / counts.sum()))
        both = _Expected(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        found = detected(
            both.place @ stretch / pixel_size, both.intensity, rng, centre=departure.centre,
            error_factor=departure.error, closest=departure.closest,
        )  # fmt: skip
        tables.append(found)
    return table(tables, sample.shape, pixel_size * (1 + departure.scale))


def _dose(crystal: Source, size: Specimen, width: float, rng: np.random.Generator) -> float:
    """Counts per unit of intensity that make ``COUNTS`` of the middle pattern."""
    patterns = [
        _expected(crystal, size, rotation, Departure(), 1.0, width, rng).intensity.sum()
        for rotation in random_rotations(PILOT, rng)
    ]
    return COUNTS / float(np.median(patterns))


if __name__ == "__main__":
    for wanted in sys.argv[1:] or [*CRYSTALS, *(f"mix/{m}" for m in MIXTURES)]:
        made = truth(wanted, n=100)
        count = made.peaks.count - 1
        strong = made.peaks.data["intensity"].to_numpy()
        strong = strong[strong < 0.9 * DIRECT_BEAM]
        print(
            f"{wanted}: {count.size} patterns, {count.mean():.1f} spots each "
            f"({np.percentile(count, 5):.0f} to {np.percentile(count, 95):.0f}), counts "
            f"{np.median(strong):.0f} (99 %: {np.percentile(strong, 99):.0f})"
        )
