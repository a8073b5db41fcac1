"""Built-in crystals: gold, silver, LiFePO4 and FePO4, as published."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from phaseloom.crystals.structure import Crystal, Site, crystal_from_sites

_U_PER_B = 1.0 / (8.0 * np.pi**2)


def gold() -> Crystal:
    """Gold: Fm-3m, a = 4.0786 Å (JCPDS 4-784), B = 0.62 Å² at room temperature."""
    return _cubic_close_packed("Au", 4.0786, 0.62)


def silver() -> Crystal:
    """Silver: Fm-3m, a = 4.0862 Å (JCPDS 4-783), B = 0.75 Å² at room temperature."""
    return _cubic_close_packed("Ag", 4.0862, 0.75)


def lithium_iron_phosphate() -> Crystal:
    """LiFePO₄ (triphylite), Pnma, V. A. Streltsov et al., Acta Cryst. B 49, 147 (1993).

    Displacements are rounded to B = 0.5 Å² (1.2 Å² for Li).
    """
    return _olivine(
        "LiFePO4",
        (10.332, 6.010, 4.692),
        iron=(0.2822, 0.9747),
        phosphorus=(0.0949, 0.4182),
        oxygen=((0.0968, 0.25, 0.7428), (0.4571, 0.25, 0.2060), (0.1656, 0.0465, 0.2848)),
        lithium=True,
    )


def iron_phosphate() -> Crystal:
    """FePO₄ (heterosite), Pnma, A. S. Andersson et al., Solid State Ionics 130, 41 (2000).

    Displacements are rounded to B = 0.5 Å².
    """
    return _olivine(
        "FePO4",
        (9.8142, 5.7893, 4.7820),
        iron=(0.2753, 0.9478),
        phosphorus=(0.0940, 0.3950),
        oxygen=((0.1215, 0.25, 0.7085), (0.4390, 0.25, 0.1595), (0.1663, 0.0448, 0.2507)),
        lithium=False,
    )


BUILTIN: dict[str, Callable[[], Crystal]] = {
    "Ag": silver,
    "Au": gold,
    "FePO4": iron_phosphate,
    "LiFePO4": lithium_iron_phosphate,
}
"""Built-in crystals by chemical formula, which is also their name."""


def builtin_names() -> tuple[str, ...]:
    """Names of the built-in crystals: their chemical formulas."""
    return tuple(BUILTIN)


def _cubic_close_packed(element: str, a: float, b_iso: float) -> Crystal:
    site = Site(element, (0.0, 0.0, 0.0), 1.0, b_iso * _U_PER_B)
    return crystal_from_sites(element, (a, a, a, 90.0, 90.0, 90.0), 225, [site])


def _olivine(
    name: str,
    lengths: tuple[float, float, float],
    *,
    iron: tuple[float, float],
    phosphorus: tuple[float, float],
    oxygen: tuple[tuple[float, float, float], ...],
    lithium: bool,
) -> Crystal:
    """Pnma: Fe, P, O1, O2 on the mirror y = 1/4, O3 general, Li on the inversion centre."""
    u = 0.5 * _U_PER_B
    sites = [
        Site("Fe", (iron[0], 0.25, iron[1]), 1.0, u),
        Site("P", (phosphorus[0], 0.25, phosphorus[1]), 1.0, u),
        *(Site("O", position, 1.0, u) for position in oxygen),
    ]
    if lithium:
        sites.append(Site("Li", (0.0, 0.0, 0.0), 1.0, 1.2 * _U_PER_B))
    return crystal_from_sites(name, (*lengths, 90.0, 90.0, 90.0), 62, sites)
