"""Space group and setting of a CIF file: by its operations, Hall symbol, name, then number."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from phaseloom.crystals.cif_text import Block
from phaseloom.crystals.symmetry import (
    Operations,
    completed,
    from_gemmi,
    group_number,
    quiet_spglib,
    standard_name,
    tabulated_name,
)
from phaseloom.errors import InputError

_LISTS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NAMES = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m_ref",
    "_symmetry_space_group_name_h-m_alt",
)
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
_CODE = "_space_group_it_coordinate_system_code"

_MOST_LISTED = 4096
_OPERATION = re.compile(r"[-+*/.,xyz\d\s]{5,120}")
_ORIGIN = re.compile(r"\s*[:(]?\s*(?:origin\s*(?:choice)?\s*|(?<=[\s:])o)([12])\s*\)?$", re.I)
_COLON = re.compile(r"\s*:\s*([12HRSZhrsz])$")


class Setting(NamedTuple):
    """A space group with its axes and origin, and what says so."""

    operations: Operations
    number: int
    name: str
    """Extended Hermann–Mauguin name, "" where the tables do not list the setting."""
    source: str
    """What it follows from, such as "name 'P b n m'"."""
    usual: bool = True
    """Not one that is thought of only where the usual ones do not fit the cell."""

    @property
    def title(self) -> str:
        """The name with the number."""
        if self.name:
            return f"{self.name} ({self.number})"
        return f"{standard_name(self.number)} ({self.number}) with other axes or another origin"


class Statement(NamedTuple):
    """One thing that a file says of its symmetry, and the settings it may mean."""

    kind: str
    """"operations", "hall", "name" or "number"."""
    settings: tuple[Setting, ...]


def stated(block: Block, path: Path) -> tuple[list[Statement], list[str]]:
    """What a file says of its symmetry, most trusted first.

    Parameters
    ----------
    block
        Of a CIF file.
    path
        To name in errors.

    Returns
    -------
    list of Statement, list of str
        Only those that are understood; sentences on those that are not.

    Raises
    ------
    InputError
        A listed operation is none, or together they are no space group.
    """
    statements, notes = [], []
    listed = _listed(block, path)
    if listed is not None:
        statements.append(Statement("operations", (listed,)))
    hall = block.text(*_HALL)
    if hall:
        by_hall = _by_hall(hall)
        if by_hall is None:
            notes.append(f"the Hall symbol {hall!r} is not known and is left aside")
        else:
            statements.append(Statement("hall", (by_hall,)))
    code = block.text(_CODE)
    names = [block.text(tag) for tag in _NAMES]
    for name in dict.fromkeys(name for name in names if name):
        settings = _by_name(name, code)
        if not settings:
            notes.append(f"the space group name {name!r} is not known and is left aside")
        else:
            statements.append(Statement("name", settings))
    number = block.text(*_NUMBERS)
    if number:
        settings = _by_number(number, code)
        if settings:
            statements.append(Statement("number", settings))
        else:
            notes.append(f"the space group number {number!r} is none and is left aside")
    return statements, notes


def contradiction(chosen: Setting, other: Statement) -> str:
    """What a less trusted statement says that the chosen setting denies, or "".

    Parameters
    ----------
    chosen
        The setting that is taken.
    other
        Another statement of the file.
    """
    same_type = [s for s in other.settings if s.number == chosen.number]
    if not same_type:
        first = other.settings[0]
        return f"its {first.source} means {first.title}"
    # The number alone says nothing of axes and origin; a moved origin is in no table.
    if other.kind == "number" or not chosen.name:
        return ""
    plain = {setting.name.partition(":")[0] for setting in same_type}
    # Unlike names of one type are unlike axes; a name may leave the origin open.
    if chosen.name.partition(":")[0] in plain:
        if any(setting.name == chosen.name for setting in same_type):
            return ""
        return f"its {same_type[0].source} means {same_type[0].title}"
    keys = {setting.operations.keys for setting in same_type}
    if chosen.operations.keys in keys:
        return ""
    return f"its {same_type[0].source} means {same_type[0].title}"


def _listed(block: Block, path: Path) -> Setting | None:
    """The group of the operations that the file lists."""
    import gemmi

    texts = [text for text in block.column(*_LISTS) if text is not None]
    if not texts:
        return None
    tag = next(tag for tag in _LISTS if tag in block.columns)
    if len(texts) > _MOST_LISTED:
        raise InputError(f"{tag} lists {len(texts)} operations", "192 are the most", source=path)
    operations = []
    for text in dict.fromkeys(texts):
        plain = text.lower().strip().strip("'\"")
        try:
            if not _OPERATION.fullmatch(plain) or re.search(r"\d{6}", _shortened(plain)):
                raise ValueError(plain)
            operation = gemmi.Op(_shortened(plain))
        except (ValueError, RuntimeError, OverflowError) as error:
            fault = f"{tag} lists {text[:60]!r}, which is no symmetry operation"
            raise InputError(fault, "correct the list", source=path) from error
        turn = np.array(operation.rot)
        if (
            np.any(turn % 24)
            or abs(round(np.linalg.det(turn / 24))) != 1
            or np.abs(turn).max() > 24
        ):
            fault = f"{tag} lists an operation that is no symmetry ({text[:60]})"
            raise InputError(fault, "correct the list", source=path)
        operations.append(operation)
    group = completed(from_gemmi(operations))
    number = None if group is None else group_number(group)
    if group is None or number is None:
        fault = f"the operations of {tag} are no space group"
        raise InputError(fault, "correct the list", source=path)
    return Setting(group, number, tabulated_name(group), "list of symmetry operations")


def _shortened(text: str) -> str:
    """Decimal shifts with at most five digits, as the exact parts they stand for are found."""
    return re.sub(r"(\.\d{4})\d+", r"\1", text)


def _by_hall(text: str) -> Setting | None:
    import gemmi

    plain = " ".join(text.replace("_", " ").split())
    if not re.fullmatch(r"[-\w'\"*=(),/+ ]{1,60}", plain):
        return None
    for spelt in (plain, plain[:2].upper() + plain[2:].lower()):
        try:
            operations = from_gemmi(gemmi.symops_from_hall(spelt))
        except (ValueError, RuntimeError, OverflowError):
            continue
        number = group_number(operations)
        if number is not None:
            return Setting(operations, number, tabulated_name(operations), f"Hall symbol {text!r}")
    return None


def _by_name(text: str, code: str) -> tuple[Setting, ...]:
    """All settings that a Hermann–Mauguin name may mean: origins, axes that it leaves open."""
    import gemmi

    source = f"name {text!r}"
    stem, extension = _without_extension(" ".join(text.replace("_", "").split()))
    extension = extension or {"1": "1", "2": "2", "h": "H", "r": "R"}.get(code.lower(), "")
    if not re.fullmatch(r"[-\w/ ()]{1,40}", stem):
        return ()
    found: Any = gemmi.find_spacegroup_by_name(stem)
    if found is None:
        found = gemmi.find_spacegroup_by_name(_full_names().get(_letters(stem), "?"))
    if found is None:
        return ()
    short = _letters(stem) == _letters(str(found.short_name()))
    settings, others = [], []
    for group in gemmi.spacegroup_table():
        if group.number != found.number or (extension and group.ext != extension):
            continue
        if group.hm == found.hm:
            settings.append(_setting(group, source))
        elif short and 3 <= found.number <= 15 and _meant(group.hm) == _meant(found.hm):
            others.append(_setting(group, source, usual=False))
    if not settings and extension:
        # An extension that the group does not have says nothing.
        return _by_name(stem, "")
    return (*settings, *others)


def _without_extension(name: str) -> tuple[str, str]:
    """A name without what it says of origin or axes, and that: 1, 2, H, R or ""."""
    for pattern in (_ORIGIN, _COLON):
        match = pattern.search(name)
        if match:
            return name[: match.start()].strip(), _extension(match[1])
    match = re.search(r"\s*([HRSZ])$", name) or re.search(r"\s+([hrsz])$", name)
    if match and len(name[: match.start()].strip()) > 2:
        return name[: match.start()].strip(), _extension(match[1])
    return name, ""


def _extension(letter: str) -> str:
    return {"S": "1", "Z": "2"}.get(letter.upper(), letter.upper())


def _letters(name: str) -> str:
    return name.replace(" ", "").replace("_", "").lower()


def _meant(name: str) -> tuple[str, ...]:
    """Symbols of a monoclinic name without those of the axes that have no symmetry."""
    return tuple(part for part in name.split() if part != "1")


@cache
def _full_names() -> dict[str, str]:
    """By full name without spaces ("f4/m-32/m") the short one."""
    import spglib

    names: dict[str, str] = {}
    with quiet_spglib():
        for hall in range(1, 531):
            kind = spglib.get_spacegroup_type(hall)
            if kind is not None:
                short = str(kind.international_short).replace("_", "")
                names.setdefault(_letters(str(kind.international_full)), short)
    return names


def _by_number(text: str, code: str) -> tuple[Setting, ...]:
    """All settings that a number may mean: origins, hexagonal or rhombohedral axes."""
    import gemmi

    match = re.fullmatch(r"(\d{1,3})(?:\.0*)?", text)
    if match is None or not 1 <= int(match[1]) <= 230:
        return ()
    number, source = int(match[1]), f"number {int(match[1])}"
    of_number = [group for group in gemmi.spacegroup_table() if group.number == number]
    coded = [g for g in of_number if code and code.lower() in (g.qualifier, g.ext.lower())]
    standard = gemmi.find_spacegroup_by_number(number)
    same = coded or [group for group in of_number if group.hm == standard.hm]
    # Monoclinic groups in the first cell choice of another axis.
    others = [g for g in of_number if not coded and g.qualifier in ("c", "c1", "a", "a1")]
    settings = [_setting(group, source) for group in same]
    return (*settings, *(_setting(group, source, usual=False) for group in others))


def _setting(group: Any, source: str, *, usual: bool = True) -> Setting:
    operations = from_gemmi(group.operations())
    return Setting(operations, group.number, str(group.xhm()), source, usual)
