"""Template matching of images, as ASTAR does it, to compare with what is found from peaks.

It needs no peaks: the image itself is correlated with every template. The solutions and their
correlation index follow the published definitions, so that patterns which were prepared in
different ways can be compared by them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError
from phaseloom.orientation.matching.library import EXPONENT, Library
from phaseloom.orientation.matching.starts import Starts

_APART = 5.0
"""Degrees between distinct solutions: those that the orientation reliability tells apart."""

_FAINTEST = 1e-3
"""Spots weaker than this part of their template's strongest are not read."""


class _Spots(NamedTuple):
    """Spots of all templates: zone ``i`` owns ``offset[i]:offset[i + 1]``."""

    offset: NDArray[np.int64]
    radius: NDArray[np.float64]
    angle: NDArray[np.float64]
    intensity: NDArray[np.float32]


def match_images(
    patterns: ArrayLike,
    beam: ArrayLike,
    library: Library,
    *,
    pixel_size: float,
    k_min: float,
    spot_sigma: float,
    exponent: float = 1.0,
    solutions: int = 5,
) -> Starts:
    """Correlate images with all templates, at all in-plane angles, each as it is and mirrored.

    The correlation index is Q = Σ P·T / √(ΣP² ΣT²) over the pixels between ``k_min`` and the
    library's ``k_max`` from the direct beam, P being the image and T the template drawn with
    Gaussian spots of its kinematic intensities. It is 1 for an image that looks like a template;
    a background and noise, which no template has, lower it for all templates alike. The
    templates are not drawn: as they are empty but for their spots, it is enough to read the
    image, convolved with one spot, where the spots would be.

    Parameters
    ----------
    patterns
        (n, rows, columns) counts; what is negative or NaN counts as 0.
    beam
        (n, 2), direct beam (row, column) in px of every pattern, or one for all.
    library
        Templates of all crystals.
    pixel_size
        Å⁻¹ per px.
    k_min
        Å⁻¹ from the direct beam; what is closer is not looked at.
    spot_sigma
        Standard deviation of the templates' spots in px; that of the patterns' fits best.
    exponent
        Counts of the image and intensities of the templates are taken to this power: less than 1
        brings out weak spots, as the contrast (gamma) of ASTAR does. The published definition
        has 1.
    solutions
        Distinct solutions (5° apart) per crystal.

    Returns
    -------
    Starts
        Distinct solutions of every image for every crystal, the highest Q first.
        :func:`phaseloom.orientation.refinement.solutions.ranked` puts those of all crystals in one
        list, :func:`phaseloom.orientation.certainty.reliability.correlation_reliability` gives
        their reliabilities.

    Raises
    ------
    InputError
        Shapes do not fit each other, or a number is out of range.

    References
    ----------
    E. Rauch & L. Dupuy, Arch. Metall. Mater. 50, 87 (2005); E. Rauch & M. Véron, Mater. Charact.
    98, 1 (2014).
    """
    from phaseloom.orientation.matching.image_reading import FINE, match_read, template_norms

    images = np.asarray(patterns)
    if images.ndim != 3:
        raise InputError(f"patterns of shape {images.shape} are unknown", "give (n, rows, columns)")
    if np.shape(beam) not in ((2,), (len(images), 2)):
        raise InputError(
            f"{len(images)} patterns and beams of shape {np.shape(beam)} do not belong together",
            "give (n, 2), or one row and column",
        )
    centre = np.broadcast_to(np.asarray(beam, dtype=np.float64), (len(images), 2)).copy()
    for name, value, least, most in (
        ("pixel size", pixel_size, 1e-6, library.k_max),
        ("k_min", k_min, 0.0, 0.9 * library.k_max),
        ("spot sigma", spot_sigma, 0.5, 100.0),
        ("exponent", exponent, 0.05, 2.0),
        ("number of solutions", solutions, 1, 50),
    ):
        if not least <= value <= most:
            raise InputError(f"a {name} of {value} cannot be", f"take {least:g} to {most:g}")
    # The power of a Gaussian spot is a wider one.
    spot_sigma /= float(np.sqrt(exponent))
    spots = _spots(library, pixel_size, k_min, exponent)
    bins = library.n_angles
    norm = np.zeros(library.n_zones)
    template_norms(spots.offset, spots.radius, spots.angle, spots.intensity, bins, spot_sigma, norm)
    proposed = Starts.none(len(images), len(library.crystals), solutions)
    blurred, norms = _convolved(
        images, centre, k_min / pixel_size, library.k_max / pixel_size, spot_sigma, exponent
    )
    match_read(
        blurred, norms, centre, spots.offset, np.rint(spots.radius).astype(np.int64),
        np.rint(spots.angle * FINE).astype(np.int64) % (FINE * bins), spots.intensity, norm,
        library.templates.crystal_offset, library.templates.rotation,
        library.lattices.symmetry_offset, library.lattices.symmetry,
        int(library.k_max / pixel_size) + 2, bins, np.radians(_APART), *proposed,
    )  # fmt: skip
    return proposed


def _spots(library: Library, pixel_size: float, k_min: float, exponent: float) -> _Spots:
    """Radius in px, angle in in-plane steps and intensity of what is read."""
    templates = library.templates
    zone = np.repeat(np.arange(library.n_zones), np.diff(templates.offset))
    intensity = (templates.weight / np.sqrt(templates.radius)) ** (1.0 / EXPONENT)
    strongest = np.zeros(library.n_zones)
    seen = templates.radius > k_min
    np.maximum.at(strongest, zone[seen], intensity[seen])
    kept = seen & (intensity > _FAINTEST * strongest[zone])
    counts = np.bincount(zone[kept], minlength=library.n_zones)
    relative = intensity[kept] / strongest[zone[kept]]
    return _Spots(
        offset=np.concatenate([[0], np.cumsum(counts)]),
        radius=templates.radius[kept].astype(np.float64) / pixel_size,
        angle=templates.angle[kept].astype(np.float64),
        intensity=(relative**exponent).astype(np.float32),
    )


def _convolved(
    patterns: NDArray[np.generic],
    beam: NDArray[np.float64],
    inner: float,
    outer: float,
    sigma: float,
    exponent: float,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Images between two radii convolved with a spot, and their norms before."""
    from scipy.ndimage import gaussian_filter

    images = np.empty(patterns.shape, dtype=np.float32)
    norms = np.empty(len(images))
    y, x = np.indices(images.shape[1:])
    for i, (row, column) in enumerate(beam):
        square = (y - row) ** 2 + (x - column) ** 2
        seen = (square >= inner**2) & (square <= outer**2) & (patterns[i] > 0)
        kept = np.where(seen, patterns[i], 0).astype(np.float32) ** np.float32(exponent)
        norms[i] = np.sqrt(np.sum(kept.astype(np.float64) ** 2))
        gaussian_filter(kept, sigma, output=images[i], mode="constant")
    return images, norms
