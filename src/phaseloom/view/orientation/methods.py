"""Methods text of the orientation map, for the methods section of a paper."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from phaseloom.view.orientation.data import Oriented, oriented
from phaseloom.view.parts import FOLASTRE, MethodsText, percent, program
from phaseloom.view.scans import number

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

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


def methods_text(tree: xr.DataTree) -> MethodsText:
    """What was done, as far as the group ``/orientation`` of a result states it."""
    result, text = oriented(tree), MethodsText()
    phases = _listed([_phase(crystal) for crystal in result.crystals])
    components = result.number("of_components")
    matched = (
        f"the patterns of {components:.0f} components of the scan"
        if np.isfinite(components)
        else "every scan position"
    )
    text.add(
        f"Phases and orientations were mapped by matching the diffraction peaks of {matched} "
        f"with simulated patterns of {phases}, with {program(tree)}, after Rauch and Véron "
        f"{text.cite(_RAUCH)}; the patterns were reduced to lists of peaks as proposed by "
        f"Folastre et al. {text.cite(FOLASTRE)}."
    )
    _add_calibration(text, result)
    _add_simulation(text, result)
    _add_search(text, result)
    _add_scores(text, result)
    _add_choice(text, result)
    text.add(
        "Orientations are coloured by the crystal directions along the axes of the scan (x to the "
        f"right, y downwards, z along the beam) with the TSL colours {text.cite(_NOLZE)} of orix "
        f"{text.cite(_ORIX)}."
    )
    return text


def pseudo_symmetry(result: Oriented) -> list[PseudoSymmetry]:
    """The frequent misorientations between the first two solutions, from the map's attributes.

    Parameters
    ----------
    result
        Its attribute ``pseudo_symmetry`` is a JSON list of objects with ``angle`` (degrees),
        ``axis`` and ``count``, and ``phase`` (name or number of the crystal) where it is of one.
    """
    entries = json.loads(str(result.data.attrs.get("pseudo_symmetry", "[]")))
    listed = []
    for entry in entries:
        phase = entry.get("phase")
        place = result.names.index(phase) if phase in result.names else phase
        listed.append(
            PseudoSymmetry(
                f"{float(entry['angle']):.1f}° about {_axis(entry['axis'])}",
                int(entry["count"]),
                place if isinstance(place, int) and 0 <= place < len(result.crystals) else None,
            )
        )
    return listed


def _phase(crystal: Crystal) -> str:
    return f"{crystal.name} (space group {crystal.space_group}, {_lengths(crystal.cell)})"


def _lengths(cell: tuple[float, ...]) -> str:
    a, b, c = cell[:3]
    if np.allclose([b, c], a, rtol=1e-4):
        return f"a = {a:.5g} Å"
    if np.isclose(a, b, rtol=1e-4):
        return f"a = {a:.5g}, c = {c:.5g} Å"
    return f"a = {a:.5g}, b = {b:.5g}, c = {c:.5g} Å"


def _add_calibration(text: MethodsText, result: Oriented) -> None:
    """How pixel size, distortion and centre were come by."""
    if not np.isfinite(result.number("scale_error")):
        return
    scale, error = result.number("scale"), result.number("scale_error")
    text.add(
        "Pixel size, elliptic distortion and direct beam were fitted to the spots of "
        f"{result.number('calibration_patterns'):.0f} indexed patterns; the pixel size is "
        f"{scale:.5f} ± {error:.5f} times the one stated with the patterns."
    )


def _add_simulation(text: MethodsText, result: Oriented) -> None:
    """Parameters of the simulated patterns."""
    voltage, precession = result.number("voltage"), result.number("precession_angle")
    thickness, k_max = result.number("thickness"), result.number("k_max")
    parts = [
        f"at {voltage:g} kV" * bool(np.isfinite(voltage)),
        f"with a precession of {precession:g}°" * (precession > 0),
        f"for a thickness of {thickness:g} Å" * bool(np.isfinite(thickness)),
        f"up to {k_max:.3g} Å⁻¹" * bool(np.isfinite(k_max)),
    ]
    stated = ", ".join(part for part in parts if part)
    text.add(f"The patterns were simulated kinematically {stated}." * bool(stated))


def _add_search(text: MethodsText, result: Oriented) -> None:
    """Steps of the orientation search, and the refinement."""
    steps = [
        f"{result.number(name):g}° {between}"
        for name, between in (("zone_step", "between zone axes"), ("in_plane_step", "in the plane"))
        if np.isfinite(result.number(name))
    ]
    if steps:
        text.add(
            f"Orientations were searched in steps of {' and '.join(steps)} over the "
            "symmetry-reduced orientation space."
        )
    if result.data.attrs.get("refine"):
        text.add(
            "The solutions were refined from the positions of the paired spots and their "
            "excitation errors."
        )


def _add_scores(text: MethodsText, result: Oriented) -> None:
    """Definitions of the scores and of the probability."""
    several = len(result.crystals) > 1
    if result.has("correlation"):
        text.add(
            "The correlation index Q = Σ P T / √(Σ P² Σ T²) of peaks P and simulated spots T"
            + (
                ", the orientation reliability 100 (1 − Q₂ / Q₁) with the best distinct solution "
                "of the same phase"
                if result.has("orientation_reliability")
                else ""
            )
            + (
                ", and the phase reliability, the same with the best solution of another phase,"
                if several and result.has("phase_reliability")
                else ""
            )
            + f" are those of {text.cite(_RAUCH)}."
        )
    if result.has("probability"):
        text.add(
            "The probability is that of an orientation within 3° of the true one"
            f"{' and of the right phase' * several}."
        )


def _add_choice(text: MethodsText, result: Oriented) -> None:
    """Selection of the solutions: context, ambiguous and unindexed pixels, overlaps, grains."""
    if "ambiguous" in result.data:
        share = float((result.data["ambiguous"].to_numpy().astype(bool) & result.indexed).mean())
        text.add(
            f"Pixels with further solutions of appreciable probability are called ambiguous "
            f"({percent(share)})."
        )
    if result.data.attrs.get("context") and "context_changed" in result.data:
        share = float(result.data["context_changed"].to_numpy().astype(bool).mean())
        text.add(
            "Among the solutions of a pixel the one consistent with its neighbours was preferred "
            f"(changed in {percent(share)} of the pixels)."
        )
    if np.isfinite(result.number("of_components")):
        text.add(
            "Every position has the solution of the component that it belongs to, and where two "
            "overlap a second crystal, that of the other."
        )
    elif "overlap_weight" in result.data:
        share = float((result.data["overlap_phase"].to_numpy() >= 0).mean())
        text.add(
            "Overlapping second crystals were searched in the intensity that the first crystal "
            f"leaves unexplained ({percent(share)} of the pixels)."
        )
    threshold = np.nan if result.grains is None else number(result.grains.attrs, "threshold")
    if np.isfinite(threshold):
        text.add(
            "Neighbouring pixels of one phase less than "
            f"{threshold:g}° apart were joined to grains."
        )
    unindexed = 1.0 - float(result.indexed.mean())
    text.add(f"{percent(unindexed)} of the pixels were left unindexed.")


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _axis(axis: Any) -> str:
    """An axis as ⟨u v w⟩ when its indices are whole numbers, else in decimals."""
    if isinstance(axis, str):
        return axis
    indices = [float(index) for index in axis]
    if all(abs(index - round(index)) < 1e-6 for index in indices):
        return f"⟨{' '.join(str(round(index)) for index in indices)}⟩"
    return f"({', '.join(f'{index:.2f}' for index in indices)})"
