"""How an orientation map was made, in words fit for the methods section of a paper."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from phaseloom.view.orientation.data import Oriented, oriented
from phaseloom.view.parts import FOLASTRE, facts, percent

_RAUCH = (
    "E. F. Rauch, M. Véron, Automated crystal orientation and phase mapping in TEM, Mater. "
    "Charact. 98, 1–9 (2014)."
)
_NOLZE = (
    "G. Nolze, R. Hielscher, Orientations – perfectly colored, J. Appl. Cryst. 49, 1786–1802 "
    "(2016)."
)
_ORIX = (
    "D. N. Johnstone, B. H. Martineau, P. Crout, P. A. Midgley, A. S. Eggeman, Density-based "
    "clustering of crystal (mis)orientations and the orix Python library, J. Appl. Cryst. 53, "
    "1293–1298 (2020)."
)


class PseudoSymmetry(NamedTuple):
    """A rotation by which the first two solutions of many pixels differ."""

    text: str
    pixels: int
    crystal: int | None


def citations(tree: xr.DataTree) -> tuple[str, ...]:  # noqa: ARG001
    """The works that :func:`methods_paragraph` cites, in order of their numbers."""
    return _RAUCH, FOLASTRE, _NOLZE, _ORIX


def methods_paragraph(tree: xr.DataTree) -> str:
    """What was done, in words fit for the methods section of a paper.

    Parameters
    ----------
    tree
        Result with ``/orientation``. What its variables and attributes do not tell is not said.

    Returns
    -------
    str
        Its numbers in brackets are those of :func:`citations`.
    """
    found = oriented(tree)
    attrs = found.data.attrs
    version = facts(tree, "versions").get("phaseloom")
    phases = _listed([_phase(found, number) for number in range(len(found.crystals))])
    of = "every scan position"
    if _known(attrs, "of_components"):
        of = f"the patterns of {int(attrs['of_components'])} components of the scan"
    said = [
        f"Phases and orientations were mapped by matching the diffraction peaks of {of} "
        f"with simulated patterns of {phases}, with phaseloom"
        f"{f' {version}' if version else ''}, after Rauch and Véron [1]; the patterns were reduced "
        "to lists of peaks as proposed by Folastre et al. [2]."
    ]
    said += _simulation(attrs)
    said += _search(found)
    said += _scores(found)
    said += _choice(found)
    said.append(
        "Orientations are coloured by the crystal directions along the axes of the scan (x to the "
        "right, y downwards, z along the beam) with the TSL colours [3] of orix [4]."
    )
    return " ".join(said)


def pseudo_symmetry(found: Oriented) -> list[PseudoSymmetry]:
    """The frequent misorientations between the first two solutions, from the map's attributes.

    Parameters
    ----------
    found
        Its attribute ``pseudo_symmetry`` is a JSON list of objects with ``angle`` (degrees),
        ``axis`` and ``count``, and ``phase`` (name or number of the crystal) where it is of one.
    """
    entries = json.loads(str(found.data.attrs.get("pseudo_symmetry", "[]")))
    listed = []
    for entry in entries:
        phase = entry.get("phase")
        number = found.names.index(phase) if phase in found.names else phase
        listed.append(
            PseudoSymmetry(
                f"{float(entry['angle']):.1f}° about {_axis(entry['axis'])}",
                int(entry["count"]),
                number if isinstance(number, int) and 0 <= number < len(found.crystals) else None,
            )
        )
    return listed


def _phase(found: Oriented, number: int) -> str:
    crystal = found.crystals[number]
    return f"{crystal.name} (space group {crystal.space_group}, {_lengths(crystal.cell)})"


def _lengths(cell: tuple[float, ...]) -> str:
    a, b, c = cell[:3]
    if np.allclose([b, c], a, rtol=1e-4):
        return f"a = {a:.5g} Å"
    if np.isclose(a, b, rtol=1e-4):
        return f"a = {a:.5g}, c = {c:.5g} Å"
    return f"a = {a:.5g}, b = {b:.5g}, c = {c:.5g} Å"


def _simulation(attrs: Mapping[str, Any]) -> list[str]:
    """What the patterns were simulated with."""
    parts = []
    if _known(attrs, "voltage"):
        parts.append(f"at {float(attrs['voltage']):g} kV")
    if _known(attrs, "precession_angle") and float(attrs["precession_angle"]) > 0:
        parts.append(f"with a precession of {float(attrs['precession_angle']):g}°")
    if _known(attrs, "thickness"):
        parts.append(f"for a thickness of {float(attrs['thickness']):g} Å")
    if _known(attrs, "k_max"):
        parts.append(f"up to {float(attrs['k_max']):.3g} Å⁻¹")
    if not parts:
        return []
    return [f"The patterns were simulated kinematically {', '.join(parts)}."]


def _search(found: Oriented) -> list[str]:
    attrs = found.data.attrs
    said = []
    steps = [
        f"{float(attrs[name]):g}° {what}"
        for name, what in (("zone_step", "between zone axes"), ("in_plane_step", "in the plane"))
        if _known(attrs, name)
    ]
    if steps:
        said.append(
            f"Orientations were searched in steps of {' and '.join(steps)} over all that symmetry "
            "leaves."
        )
    if attrs.get("refine"):
        said.append(
            "The solutions were refined from the positions of the paired spots and their "
            "excitation errors."
        )
    return said


def _scores(found: Oriented) -> list[str]:
    several = len(found.crystals) > 1
    said = []
    if found.has("correlation"):
        said.append(
            "The correlation index Q = Σ P T / √(Σ P² Σ T²) of peaks P and simulated spots T"
            + (
                ", the orientation reliability 100 (1 − Q₂ / Q₁) with the best distinct solution "
                "of the same phase"
                if found.has("orientation_reliability")
                else ""
            )
            + (
                ", and the phase reliability, the same with the best solution of another phase,"
                if several and found.has("phase_reliability")
                else ""
            )
            + " are those of [1]."
        )
    if found.has("probability"):
        said.append(
            "The probability is that of an orientation within 3° of the true one"
            f"{' and of the right phase' * several}."
        )
    return said


def _choice(found: Oriented) -> list[str]:
    """What became of the solutions: context, ambiguous and unindexed pixels, overlaps, grains."""
    said = []
    if "ambiguous" in found.data:
        share = float((found.data["ambiguous"].to_numpy().astype(bool) & found.indexed).mean())
        said.append(
            f"Pixels with other solutions of a probability worth mentioning are called ambiguous "
            f"({percent(share)})."
        )
    if found.data.attrs.get("context") and "context_changed" in found.data:
        share = float(found.data["context_changed"].to_numpy().astype(bool).mean())
        said.append(
            "Among the solutions of a pixel the one that agrees with its neighbours was preferred "
            f"(changed in {percent(share)} of the pixels)."
        )
    if _known(found.data.attrs, "of_components"):
        said.append(
            "Every position has the solution of the component that it belongs to, and where two "
            "overlap a second crystal, that of the other."
        )
    elif "overlap_weight" in found.data:
        share = float((found.data["overlap_phase"].to_numpy() >= 0).mean())
        said.append(
            f"Second crystals were searched in what the first left ({percent(share)} of the "
            "pixels)."
        )
    if found.grains is not None and _known(found.grains.attrs, "threshold"):
        said.append(
            "Neighbouring pixels of one phase less than "
            f"{float(found.grains.attrs['threshold']):g}° apart were joined to grains."
        )
    unindexed = 1.0 - float(found.indexed.mean())
    said.append(f"{percent(unindexed)} of the pixels were left unindexed.")
    return said


def _known(attrs: Mapping[str, Any], name: str) -> bool:
    value = attrs.get(name)
    return isinstance(value, int | float | np.number) and bool(np.isfinite(float(value)))


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _axis(axis: Any) -> str:
    """An axis as ⟨u v w⟩ when its numbers are whole, else as they are."""
    if isinstance(axis, str):
        return axis
    numbers = [float(number) for number in axis]
    if all(abs(number - round(number)) < 1e-6 for number in numbers):
        return f"⟨{' '.join(str(round(number)) for number in numbers)}⟩"
    return f"({', '.join(f'{number:.2f}' for number in numbers)})"
