"""Scans of the materials on which the published claims are made again, by two simulators.

One is :func:`phaseloom.simulate.simulate_scan`. The other shares nothing with phaseloom but how a
spot is drawn: structure factors and geometry come from independent_spots.py (gemmi, scattering
factors of the International Tables, Gaussian rel-rods).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from comparison import GRAINS, K_MAX, Scan
from independent_spots import FOLDER, Source, source, spots
from phaseloom.crystals import read_crystal
from phaseloom.io.scans import as_scan
from phaseloom.simulate import Beam, Camera, grain_map, simulate_scan
from phaseloom.simulate.patterns import add_radial, add_spots

if TYPE_CHECKING:
    import xarray as xr

PRECESSION = 1.0  # degrees
INTENSITY_SPREAD = 0.3  # log-normal
RELROD = 0.0045  # Å⁻¹, of the independent simulator: as wide as that of 120 Å
FAINTEST = 1e-5  # of a pattern's spots: weaker ones are not drawn
SIMULATORS = ("phaseloom", "independent")


@dataclass(frozen=True)
class Material:
    """Two phases that are hard to tell apart, and the dose that shows some 50 spots of them."""

    name: str
    files: tuple[str, str]
    dose: float  # electrons per pattern
    strain: float = 0.0  # of the second: a and b shorter by it, c longer by half of it


MATERIALS = {
    "nvpf 1 %": Material("Na₃V₂(PO₄)₂F₃, cells 1 % apart", ("nvpf", "nvpf"), 2e5, 0.01),
    "nvpf 2 %": Material("Na₃V₂(PO₄)₂F₃, cells 2 % apart", ("nvpf", "nvpf"), 2e5, 0.02),
    "nvpf 3 %": Material("Na₃V₂(PO₄)₂F₃, cells 3 % apart", ("nvpf", "nvpf"), 2e5, 0.03),
    "perovskite": Material("SrTiO₃, BaTiO₃", ("srtio3", "batio3"), 3e5),
    "layered oxide": Material("LiNiO₂, NiO", ("linio2", "nio"), 3e5),
}


def strained(path: Path, strain: float, folder: Path) -> Path:
    """A copy of a CIF file of a tetragonal crystal with another cell.

    Parameters
    ----------
    path
        The file.
    strain
        Part that a and b get shorter by, c longer by half of it, as when sodium leaves.
    folder
        Where the copy goes.
    """
    factors = {"a": 1 - strain, "b": 1 - strain, "c": 1 + strain / 2}
    text = re.sub(
        r"(_cell_length_([abc])\s+)([\d.]+)",
        lambda found: f"{found[1]}{float(found[3]) * factors[found[2]]:.5f}",
        path.read_text(encoding="utf-8"),
    )
    copy = folder / f"{path.stem}_{1000 * strain:.0f}.cif"
    copy.write_text(text, encoding="utf-8")
    return copy


def paths(material: Material, folder: Path) -> list[Path]:
    """CIF files of both phases."""
    first, second = (FOLDER / f"{name}.cif" for name in material.files)
    return [first, strained(second, material.strain, folder) if material.strain else second]


def material_scan(
    key: str, simulator: str, side: int, seed: int, folder: Path, *, grains: int = GRAINS,
    timed: bool = False,
) -> Scan:  # fmt: skip
    """A scan of grains of both phases, with precession of 1° and descan, registered.

    Parameters
    ----------
    key
        Of :data:`MATERIALS`.
    simulator
        One of :data:`SIMULATORS`.
    side
        Scan positions along y and x.
    seed
        Same seed, same grains, whatever the simulator.
    folder
        Of the CIF files that are made.
    grains
        How many.
    timed
        See :class:`comparison.Scan`.
    """
    material = MATERIALS[key]
    files = paths(material, folder)
    crystals = [read_crystal(path) for path in files]
    sample = grain_map((side, side), [0.5, 0.5], n_grains=grains, seed=seed)
    camera = Camera(descan=((4.0, 1.0), (-1.0, 4.0)), jitter=0.3)
    beam = Beam(dose=material.dose, precession_angle=PRECESSION, intensity_spread=INTENSITY_SPREAD)
    if simulator == "phaseloom":
        data, _ = simulate_scan(sample, crystals, beam=beam, camera=camera, seed=seed)
    else:
        sources = [source(path, K_MAX) for path in files]
        data = as_scan(independent_patterns(sample, sources, beam, camera, seed))
    name = f"{material.name}; {simulator}"
    return Scan(name, data, sample, crystals, camera, PRECESSION, timed=timed)


def independent_patterns(
    sample: xr.Dataset, sources: list[Source], beam: Beam, camera: Camera, seed: int
) -> NDArray[np.uint16]:
    """Counts (y, x, ky, kx) of the other simulator, the dose shared out as phaseloom's does.

    Parameters
    ----------
    sample
        From :func:`phaseloom.simulate.grain_map`, without overlaps.
    sources
        The phases.
    beam, camera
        Dose and geometry.
    seed
        Of the beam's jitter, the intensities' spread and the counting noise.
    """
    rng = np.random.default_rng([seed, 7])
    shape = sample["phase"].shape
    centre = camera.beam(shape).reshape(-1, 2)
    centre = centre + camera.jitter * rng.standard_normal(centre.shape)
    phase, rotation = sample["phase"].to_numpy().ravel(), sample["rotation"].to_numpy()
    rotation = rotation.reshape(-1, 4)
    profile = beam.dose * camera.radial_profile()[None]
    patterns = np.empty((len(phase), *camera.shape), dtype=np.uint16)
    for i in range(len(phase)):
        found = spots(
            sources[phase[i]], rotation[i], sigma=RELROD, precession_angle=beam.precession_angle
        )
        weight = found.strength * found.profile
        weight = weight * np.exp(beam.intensity_spread * rng.standard_normal(weight.size))
        kept = weight > FAINTEST * weight.sum()
        share = 1.0 - camera.background - beam.direct
        counts = beam.dose * np.append(share * weight[kept] / weight[kept].sum(), beam.direct)
        at = np.stack([found.ky[kept], found.kx[kept]], axis=1) / camera.pixel_size
        at = centre[i] + np.vstack([at, np.zeros((1, 2))])
        expected = np.zeros((1, *camera.shape), dtype=np.float32)
        add_radial(expected, centre[i : i + 1], profile)
        ends = np.array([0, len(counts)])
        add_spots(
            expected, ends, at[:, 0].copy(), at[:, 1].copy(), counts, camera.sigma, camera.radius
        )
        patterns[i] = np.minimum(rng.poisson(expected[0]), np.iinfo(np.uint16).max)
    return patterns.reshape(*shape, *camera.shape)
