"""pyxem's template matching on polar images, as its documentation does it.

It works on images, so the peaks are first drawn as spots on a detector (not timed). Modes:
``tutorial`` has the numbers of its example of several phases (which are its defaults, but for all
templates being kept, and the root of the intensities); those of ``matching`` are the best of ten
choices on patterns of another seed than the benchmark's; ``polar`` times the transform to polar
coordinates as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hyperspy.api as hs
import numpy as np
import pyxem
from diffsims.generators.simulation_generator import SimulationGenerator
from orientation_common import K_MAX, STEP, VOLTAGE, Matched, Peaks, Structure, main
from orix.crystal_map import Phase
from orix.quaternion import Rotation
from orix.sampling import get_sample_reduced_fundamental

hs.preferences.General.show_progressbar = False

TUNED = {"gamma": 0.25, "faintest": 1e-4, "near": 0.05, "radial": 120, "step": STEP, "turns": 180}
TUTORIAL = {"gamma": 0.5, "faintest": 0.05, "near": 0.1, "radial": 100, "step": 1.0, "turns": 360}
"""Power of the intensities; faintest spot and largest excitation error (Å⁻¹) of the library; bins
along the radius; degrees between zone axes; bins along the azimuth."""

MODES: dict[str, dict[str, Any]] = {
    "matching": {**TUNED, "own": True, "polar": False},
    "polar": {**TUNED, "own": True, "polar": True},
    "tutorial": {**TUTORIAL, "own": False, "polar": False},
}
"""``own``: of the library's intensities, too, that power is taken."""
SIDE = 256
PIXEL = 1.5 / 122  # Å⁻¹
SIGMA = 2.0  # of the drawn spots, px


def drawn(peaks: Peaks, gamma: float) -> np.ndarray:
    """(n, 256, 256) images with a Gaussian spot for every peak but the direct beam."""
    images = np.zeros((len(peaks), SIDE, SIDE), dtype=np.float32)
    reach = int(4 * SIGMA)
    window = np.arange(-reach, reach + 1)
    for i in range(len(peaks)):
        here = peaks.pattern(i)
        for ky, kx, intensity in zip(
            peaks.ky[here], peaks.kx[here], peaks.intensity[here], strict=True
        ):
            at = np.array([ky, kx]) / PIXEL + SIDE // 2
            middle = np.rint(at).astype(int)
            if np.hypot(ky, kx) < 0.1 or (np.abs(middle - SIDE // 2) > SIDE // 2 - reach - 1).any():
                continue
            y, x = np.exp(-0.5 * ((window + (middle - at)[:, None]) / SIGMA) ** 2)
            part = (slice(m - reach, m + reach + 1) for m in middle)
            images[(i, *part)] += (intensity**gamma * y[:, None] * x).astype(np.float32)
    return images


def build(
    _peaks: Peaks, structures: Sequence[Structure], settings: dict[str, Any], _threads: int
) -> tuple[Any, int]:
    generator = SimulationGenerator(VOLTAGE, minimum_intensity=settings["faintest"])
    phases, rotations = [], []
    for structure in structures:
        phase = Phase.from_cif(str(structure.cif))
        phase.name = structure.name
        phases.append(phase)
        rotations.append(
            get_sample_reduced_fundamental(settings["step"], point_group=phase.point_group)
        )
    factors = {
        element: 8 * np.pi**2 * rms**2
        for structure in structures
        for element, rms in structure.root_mean_square.items()
    }
    library = generator.calculate_diffraction2d(
        phases,
        rotations,
        reciprocal_radius=K_MAX,
        with_direct_beam=False,
        max_excitation_error=settings["near"],
        debye_waller_factors=factors,
    )
    listed = library.coordinates if len(phases) > 1 else [library.coordinates]
    if settings["own"]:
        for vectors in (one for of_phase in listed for one in of_phase):
            vectors.intensity = vectors.intensity ** settings["gamma"]
    return (library, rotations), sum(r.size for r in rotations)


def prepare(made: Any, peaks: Peaks, settings: dict[str, Any], threads: int) -> Any:
    library, rotations = made
    signal = pyxem.signals.ElectronDiffraction2D(drawn(peaks, settings["gamma"])[None])
    signal.calibration.center = None
    signal.calibration(scale=PIXEL, units=r"$\AA^{-1}$")
    signal.calibration.center = (SIDE // 2, SIDE // 2)

    def polar() -> Any:
        return signal.get_azimuthal_integral2d(
            npt=settings["radial"],
            npt_azim=settings["turns"],
            radial_range=(0.0, K_MAX),
            inplace=False,
            mean=True,
            num_workers=threads,
        )

    transformed = None if settings["polar"] else polar()

    def matched() -> Matched:
        images = polar() if transformed is None else transformed
        found = images.get_orientation(library, n_best=2, frac_keep=1.0, num_workers=threads)
        index, score = found.data[0, :, :, 0].astype(int), found.data[0, :, :, 1]
        quaternion = found.to_rotation().data.reshape(-1, 2, 4)[:, 0]
        phase = np.zeros(len(peaks), dtype=int)
        if len(rotations) > 1:
            edges = np.cumsum([r.size for r in rotations])
            phase = np.searchsorted(edges, index[:, 0], side="right")
        # It has y upwards and the beam along −z (half a turn about x), and its angles in the plane
        # begin on the other side (half a turn about z): together half a turn about y.
        turned = (Rotation(quaternion) * Rotation([0.0, 0.0, 1.0, 0.0])).data
        return Matched(turned, score[:, 0], phase)

    return matched


if __name__ == "__main__":
    main(build, prepare, MODES, f"pyxem {pyxem.__version__}")
