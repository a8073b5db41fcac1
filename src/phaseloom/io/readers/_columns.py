"""What the columns of a table of spectra are, by their headings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

ENERGY, INDEX, AXIS, I0, TRANSMITTED, YIELD, REFERENCE = (
    "energy", "index", "axis", "I0", "transmitted", "yield", "reference"
)  # fmt: skip
CURRENT, TIME, ANGLE, ERROR, DERIVED, ABSORPTION, SPECTRUM = (
    "current", "time", "angle", "error", "derived", "absorption", "spectrum"
)  # fmt: skip
NOT_ENERGY = "no energy"

READINGS = (I0, TRANSMITTED, YIELD, REFERENCE, CURRENT)
"""Columns of what detectors counted."""

# Headings as the programs of beamlines write them, in lower case, blanks for all that separates
# words. The first rule that fits counts; what fits none is the name of a spectrum.
_RULES: tuple[tuple[str, str], ...] = (
    (ENERGY, r"(?:(?:photon|incident|x ?ray|mono(?:chromator)?|beam|beamline|dcm|pgm|requested"
        r"|achieved|actual|target|set|read|readback|calibrated|corrected|nominal|real) )*"
        r"(?:energ\w*|en|e|k?ev|hv|hν|(?:energ\w*|e) ?\d+)"
        r"(?: (?:requested|achieved|actual|set|setpoint|readback|rbv|calc|nominal|calibrated"
        r"|corrected|axis))*"),
    (NOT_ENERGY, r"k|q|r|.*(?:wavelength|lambda|wave ?number|two ?theta|2 ?theta)\b.*|nm|tth"),
    (ANGLE, r".*\b(?:angle|theta|bragg|degrees?|encoder)\b.*"),
    (INDEX, r"index|idx|ix|#|no|nr|n°|point(?: (?:no|nr|number))?|pt|pts|row|frame|image|i|n"
        r"|scan(?: point)?|number|num|unnamed ?\d*"),
    (ERROR, r"(?:.* )?(?:err(?:ors?)?|unc(?:ertainty|ertainties)?|std(?:ev|dev)|std dev\w*|stderr"
        r"|variance)(?: .*)?|(?:.* )?(?:std|sd|sem|rms|sigma|σ)|d(?:mu|od|abs)"),
    (TIME, r"(?:.* )?(?:\w*time|timestamp|epoch|date|dwell|exposure|seconds?|secs?|elapsed"
        r"|duration)(?: .*)?"),
    (YIELD, r"i ?ff?(?: \d+)?|i ?fl(?:uor\w*)?|fluo\w*|(?:total |partial )?(?:electron"
        r"|fluorescence|ion) yield|[tpa][efi]y(?: .*)?|ipfy|drain(?: current)?|sample current"),
    (CURRENT, r"(?:.* )?(?:ring|srcur|sr current|machine current|current|mon(?:itor)?|topup|top up"
        r"|shutter)(?: ?(?:\d+|current|ma|counts?))*"),
    (I0, r"(?:.* )?(?:i ?0|io|i ?zero|incident(?: (?:intensity|flux|beam))?)(?: .*)?"
        r"|(?:photon |incident )?flux|(?:gold |au )?mesh"),
    (REFERENCE, r"irefer|i ?ref(?: \d+)?|i2|murefer|normrefer|mu ?ref(?:erence)?"),
    (TRANSMITTED, r"i ?trans\w*|i ?t|i ?1|itr|transmitted(?: .*)?|transmission|pips|i1 .*"
        r"|it (?:counts?|\d+)"),
    (DERIVED, r"n?bkg|fbkg|bkg norm|pre ?edge|post ?edge|n?der(?: norm)?|n?sec(?: norm)?|chie?"
        r"|(?:first |second )?derivative|dead ?time.*|[io]cr.*|(?:sample )?temp(?:erature)?"),
    (ABSORPTION, r"x?mu(?: ?e)?|x?mu ?trans\w*|x?mu ?fluo\w*|[µμ](?: ?[ext])*|norm(?:trans|fluor"
        r"|alized|alised)?(?: (?:mu(?: e)?|[µμ](?: e)?|absorption|intensity))?|flat(?:tened)?|od"
        r"|optical ?density|abs|absorption(?: coefficient)?|absorbance|xanes|nexafs|xas|intensity"
        r"|signal|y|counts?|value|data|spectrum"),
)  # fmt: skip
_PATTERNS = tuple((role, re.compile(rule, re.IGNORECASE)) for role, rule in _RULES)

_ENOUGH_FOR_AN_AXIS = 10
NAMELESS_AXIS = re.compile(r"(?:.* )?x ?\d*|")
"""Headings of an axis that name no spectrum."""

# Of several columns of one measurement, in this order; what is normalised comes last.
_BEST = (
    "mutrans", "mu", "xmu", "mu e", "od", "optical density", "absorbance", "absorption",
    "normtrans", "mufluor", "normfluor", "norm", "normalized", "normalised", "flat",
)  # fmt: skip


def plain(heading: str) -> str:
    """A heading in lower case, with blanks for all that separates words."""
    return re.sub(r"[\s_.,:;/\\|()\[\]-]+", " ", heading.lower()).strip()


def role_of(heading: str) -> str:
    """What a column of this heading is, as far as the heading alone tells."""
    if heading.strip().startswith(("±", "+/-", "+-")):
        return ERROR
    text = plain(heading)
    return next((role for role, rule in _PATTERNS if text and rule.fullmatch(text)), SPECTRUM)


def roles_of(headings: Sequence[str], numbers: NDArray[np.float64]) -> list[str]:
    """What the columns are, by headings and numbers.

    Parameters
    ----------
    headings
        One per column, or none at all.
    numbers
        Table (row, column).

    Returns
    -------
    list of str
        One per column. The energy is `ENERGY`, further ones are `AXIS`; there is none where the
        first column is evidently something else.
    """
    n = numbers.shape[1]
    if not headings:
        roles = [SPECTRUM] * n
        if n > 2 and _runs(numbers[:, 0]) and _in_order(numbers[:, 1]):
            roles[0] = INDEX
    else:
        roles = [role_of(heading) for heading in headings]
        names = [plain(heading) for heading in headings]
        for column in range(n):
            roles[column] = _confirmed(roles[column], column, names, numbers)
        if I0 in roles:  # iridium unless it stands beside I0
            reference = re.compile(r"ir(?: .*)?")
            roles = [
                REFERENCE if reference.fullmatch(name) else role
                for name, role in zip(names, roles, strict=True)
            ]
    if ENERGY not in roles and headings:
        # "eBraggEnergy", "Mono Energy *"
        like = [c for c, name in enumerate(names) if "energ" in name and roles[c] == SPECTRUM]
        if like:
            roles[like[0]] = ENERGY
    if ENERGY not in roles:
        first = next((c for c, role in enumerate(roles) if role not in (INDEX, TIME)), 0)
        if roles[first] != SPECTRUM and plain(headings[first]) not in ("y", "value", "data"):
            return roles
        roles[first] = ENERGY
    start = roles.index(ENERGY)
    for column in range(start):
        # What counts the rows or the scans stands before the energy; pandas heads it with nothing.
        if roles[column] == SPECTRUM and (not headings[column] or _whole(numbers[:, column])):
            roles[column] = INDEX
    for column in range(start + 1, n):
        # So many numbers in order over the same range are no spectrum, whatever stands above them.
        nameless = (
            not headings
            or len(numbers) >= _ENOUGH_FOR_AN_AXIS
            or NAMELESS_AXIS.fullmatch(plain(headings[column]))
        )
        copied = roles[column] == SPECTRUM and nameless
        if roles[column] == ENERGY or (copied and _like(numbers[:, column], numbers[:, start])):
            roles[column] = AXIS
    return roles


def _confirmed(role: str, column: int, names: Sequence[str], numbers: NDArray[np.float64]) -> str:
    """The role of a heading that may as well be the name of a substance."""
    name = names[column]
    if role == INDEX and len(name) < 3 and not _runs(numbers[:, column]):
        return SPECTRUM  # nitrogen, iodine
    if column == 0:
        return role
    if role == NOT_ENERGY and len(name) < 3:
        return SPECTRUM
    if role == ENERGY and name.isalpha() and len(name) < 3 and ENERGY in map(role_of, names[:1]):
        return role if _like(numbers[:, column], numbers[:, 0]) else SPECTRUM
    # "FeO std" is a standard unless it stands beside FeO.
    base = re.fullmatch(r"(.*) (?:std|sd|sem|rms|sigma|σ)", name)
    if role == ERROR and base and base[1] not in names:
        return SPECTRUM
    return role


def blocks_of(roles: Sequence[str]) -> list[list[int]]:
    """Columns that share an energy axis, which leads them: x, y, x, y … are several blocks.

    Two axes side by side, as an energy asked for and one reached, are one: the first.
    """
    start = roles.index(ENERGY)
    axes = [start, *(column for column, role in enumerate(roles) if role == AXIS)]
    edges = [*axes, len(roles)]
    if start == 0 and all(b - a > 1 for a, b in pairwise(edges)):
        return [list(range(a, b)) for a, b in pairwise(edges)]
    return [[start, *(column for column in range(len(roles)) if column != start)]]


def best_absorption(headings: Sequence[str], columns: Sequence[int]) -> int:
    """Of several columns of absorption of one measurement, the one to be used."""
    order = {name: rank for rank, name in enumerate(_BEST)}
    return min(columns, key=lambda column: order.get(plain(headings[column]), len(order)))


def _runs(values: NDArray[np.float64]) -> bool:
    """Whether numbers count the rows, from 0 or 1."""
    return bool(values.size > 1 and values[0] in (0.0, 1.0) and np.all(np.diff(values) == 1.0))


def _whole(values: NDArray[np.float64]) -> bool:
    known = values[np.isfinite(values)]
    return bool(np.all(known == np.round(known)))


def _in_order(values: NDArray[np.float64]) -> bool:
    steps = np.diff(values[np.isfinite(values)])
    return bool(steps.size and ((steps > 0).all() or (steps < 0).all()))


def _like(values: NDArray[np.float64], energy: NDArray[np.float64]) -> bool:
    """Whether a column is a second energy axis: in order, and over the same range."""
    a, b = values[np.isfinite(values)], energy[np.isfinite(energy)]
    if a.size < 3 or b.size < 3 or not _in_order(a):
        return False
    overlap = min(a.max(), b.max()) - max(a.min(), b.min())
    return bool(overlap > 0.5 * min(np.ptp(a), np.ptp(b)))
