"""Template matching of peak lists: on a processor or a GPU, whichever is asked for."""

from __future__ import annotations

import numpy as np

from phaseloom.compute.device import Device, uses_gpu
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.matching.starts import APART, LEAST, PART, STARTS, Starts


def match(
    patterns: Patterns, library: Library, *, starts: int = STARTS, device: Device | str = "cpu"
) -> Starts:
    """Compare every pattern with all templates.

    Zones are ranked by the weights of their spots along the radius; the best 6 % are compared
    at all in-plane angles, each as it is and mirrored, by sparse voting: one compiled loop over
    patterns on a processor (:mod:`phaseloom.orientation.matching.voting`), many patterns at once
    on a GPU (:mod:`phaseloom.orientation.matching.batched`). The two differ by rounding in single
    precision.

    Parameters
    ----------
    patterns
        Peaks.
    library
        Templates of all crystals.
    starts
        Distinct solutions (2° apart) per crystal.
    device
        ``cpu``, ``cuda``, or ``auto``: a GPU when there is one.

    Raises
    ------
    InputError
        ``cuda`` was asked for and there is none.
    """
    if uses_gpu(device):
        from phaseloom.orientation.matching.batched import match as match_batched

        return match_batched(patterns, library, device="cuda", starts=starts)
    from phaseloom.orientation.matching.voting import match_patterns

    proposed = Starts.none(len(patterns), len(library.crystals), starts)
    match_patterns(
        patterns.offset, patterns.ky, patterns.kx, patterns.intensity, 0.0,
        library.templates, library.lattices.symmetry_offset, library.lattices.symmetry,
        library.k_max, library.n_angles, PART, LEAST, np.radians(APART), *proposed,
    )  # fmt: skip
    return proposed
