"""Chemical elements of atoms in CIF files, from types or, where they are clear, from labels."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from pathlib import Path

from phaseloom.crystals.scattering import known_elements
from phaseloom.errors import InputError

_TYPE = re.compile(r"([A-Za-z]{1,2})(?:val|va)?[\d.+\-()_ *]*")
_OXYGEN = re.compile(r"(wat|water|h2o|d2o|oh2|oh|ow|hoh|o-h)[\d'\"*_a-d]*", re.IGNORECASE)
_LABELS_NAMED = 6


def formula(text: str) -> dict[str, float] | None:
    """Elements and their numbers in a chemical formula, or None where it is no plain one.

    Parameters
    ----------
    text
        "Fe4 O16 P4"; deuterium counts as hydrogen.
    """
    counts: dict[str, float] = {}
    for part in re.sub(r"(?<=[\d.])(?=[A-Z])", " ", text).split():
        match = re.fullmatch(r"([A-Z][a-z]?)(\d{0,9}\.?\d{0,9})", part)
        symbol = match and {"D": "H"}.get(match[1], match[1])
        if match is None or symbol not in known_elements():
            return None
        count = float(match[2]) if match[2].strip(".") else 1.0
        counts[str(symbol)] = counts.get(str(symbol), 0.0) + count
    return counts or None


def elements_of(
    types: list[str | None], labels: list[str | None], of_formula: AbstractSet[str], path: Path
) -> tuple[list[str], list[str]]:
    """The element of every atom.

    Parameters
    ----------
    types, labels
        Of every atom, as in the file.
    of_formula
        Elements of the chemical formula; empty where there is none.
    path
        To name in errors.

    Returns
    -------
    list of str, list of str
        Symbols, and one sentence where an element does not follow from a type alone.

    Raises
    ------
    InputError
        A type is no element, or a label may mean several.
    """
    elements, from_labels, groups = [], {}, {}
    for kind, label in zip(types, labels, strict=True):
        if kind is not None:
            element = _of_type(kind, path)
            if element == "O" and kind.strip().upper().rstrip("+-_0123456789. ") != "O":
                groups[kind] = element
        else:
            element = _of_label(label or "", of_formula, path)
            from_labels[label] = element
        elements.append(element)
    notes = []
    if from_labels:
        pairs = [f"{label} is {element}" for label, element in from_labels.items()]
        shown = ", ".join([*pairs[:_LABELS_NAMED], *["…"] * (len(pairs) > _LABELS_NAMED)])
        plain = [f"{a} is {b}" for a, b in from_labels.items() if _OXYGEN.fullmatch(str(a))]
        more = [pair for pair in plain if pair not in shown]
        shown += "".join(f", {pair}" for pair in more[:_LABELS_NAMED])
        notes.append(f"without _atom_site_type_symbol elements are those of the labels ({shown})")
    if groups:
        notes.append(
            f"{', '.join(groups)} counts as oxygen alone: the file has no places of its hydrogen"
        )
    return elements, notes


def _of_type(text: str, path: Path) -> str:
    """Element of a type symbol: "Fe2+" is Fe, "OH" is O, "D" is H."""
    match = _TYPE.fullmatch(text.strip())
    symbol = match[1].capitalize() if match else ""
    symbol = {"D": "H"}.get(symbol, symbol)
    if symbol in known_elements():
        return symbol
    if _OXYGEN.fullmatch(text.strip()):
        return "O"
    raise InputError(
        f"{text!r} is no element", "write symbols in _atom_site_type_symbol", source=path
    )


def _of_label(label: str, of_formula: AbstractSet[str], path: Path) -> str:
    """Element of a label where only one is possible: "Fe1" is Fe, "Wat1" is O."""
    label = label.strip()
    if _OXYGEN.fullmatch(label):
        return "O"
    letters = re.match(r"[A-Za-z]*", label)
    run = letters[0] if letters else ""
    two = run[:2].capitalize() if len(run) > 1 else ""
    # "CA1" may be calcium or a carbon atom called A; "SiT1" and "O1A" are clear.
    one = "" if run[1:2].islower() else run[:1].upper()
    possible = [{"D": "H"}.get(symbol, symbol) for symbol in (one, two)]
    possible = [symbol for symbol in possible if symbol in known_elements()]
    if of_formula and possible:
        within = [symbol for symbol in possible if symbol in of_formula]
        if not within and run.upper() == "W" and {"O", "H"} <= of_formula:
            return "O"
        possible = within
    if len(possible) == 1:
        return possible[0]
    reason = f"may be {' or '.join(possible)}" if possible else "is no element"
    raise InputError(
        f"the label {label!r} {reason}", "write symbols in _atom_site_type_symbol", source=path
    )
