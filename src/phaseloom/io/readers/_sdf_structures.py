"""The ASCII structures of an SDF header: a small recursive parser and checked look-ups.

A header is a series of items ``Name = value;``. A value is a word, a quoted text, a structure
``{ item item … }`` or a list ``(value, value, …)``. Line breaks and blanks mean nothing
between tokens. A list that carries data begins with the count of what follows, which is
checked wherever such a list is used.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from os import PathLike
from typing import TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning

Value: TypeAlias = Union[int, float, str, "Structure", "list[Value]"]
Structure: TypeAlias = "dict[str, Value]"
Source: TypeAlias = str | PathLike[str]

# ASCII only: other blanks and control characters are damage.
_BLANKS = " \t\r\n\f\v"
_TOKEN = re.compile(r'\s*(?:([{}()=;,])|"([^"]*)"|([^\s{}()=;,"][^{}()=;,"]*))', re.ASCII)
# float() alone would also take "1_0", "nan" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DEEPEST = 16


class _FaultError(Exception):
    """The text breaks off or breaks the grammar; the message says where."""


@dataclass(frozen=True)
class _Token:
    mark: str  # one of {}()=;, or "" for a text
    text: str
    quoted: bool
    line: int


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, line = 0, 1
    end = len(text.rstrip(_BLANKS))
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            # An unpaired quotation mark: keep what precedes it, the parser then meets the mark.
            tokens.append(_Token('"', '"', False, line))
            break
        mark, quoted, word = match.groups()
        token_text = quoted if quoted is not None else (word or mark).strip(_BLANKS)
        line += text.count("\n", position, match.end())
        tokens.append(_Token(mark or "", token_text, quoted is not None, line))
        position = match.end()
    return tokens


def _plain_value(token: _Token) -> Value:
    if token.quoted or not _NUMBER.fullmatch(token.text):
        return token.text
    if len(token.text) < 18 and token.text.lstrip("+-").isdigit():
        return int(token.text)
    return float(token.text)


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    def next(self) -> _Token:
        if self.at >= len(self.tokens):
            raise _FaultError("it breaks off before its last structure is closed")
        token = self.tokens[self.at]
        self.at += 1
        return token

    def peek(self) -> str | None:
        return self.tokens[self.at].mark if self.at < len(self.tokens) else None

    def item(self) -> tuple[str, Value]:
        name = self.next()
        equals = self.next()
        if name.mark or name.quoted or equals.mark != "=":
            raise _FaultError(
                f"line {name.line} does not read as 'Name = value;' near '{name.text}'"
            )
        value = self.value()
        # The last item before a closing bracket may go without its semicolon; at the end of the
        # file only a closed structure may: a text or number there may have been cut short.
        whole_at_end = self.peek() is None and isinstance(value, dict | list)
        if self.peek() not in (";", "}") and not whole_at_end:
            if self.peek() is None:
                raise _FaultError(f"it breaks off at '{name.text}'")
            raise _FaultError(f"line {self.tokens[self.at].line}: no ';' after '{name.text}'")
        return name.text, value

    def value(self) -> Value:
        token = self.next()
        if token.mark == "":
            return _plain_value(token)
        if token.mark not in ("{", "("):
            raise _FaultError(f"line {token.line}: '{token.text}' where a value belongs")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _FaultError(f"line {token.line}: brackets nested deeper than {_DEEPEST}")
        inner = self.structure() if token.mark == "{" else self.list()
        self.depth -= 1
        return inner

    def structure(self) -> Structure:
        items: Structure = {}
        while self.peek() != "}":
            if self.peek() == ";":
                self.next()
                continue
            name, value = self.item()
            if name in items:
                raise _FaultError(f"'{name}' stands twice in one structure")
            items[name] = value
        self.next()
        return items

    def list(self) -> list[Value]:
        values = [self.value()]
        while (token := self.next()).mark != ")":
            if token.mark != ",":
                raise _FaultError(
                    f"line {token.line}: '{token.text}' in a list, ',' or ')' expected"
                )
            values.append(self.value())
        return values


def parse_structures(text: str, *, source: Source, partial: bool = False) -> Structure:
    """Parse a whole header.

    Parameters
    ----------
    text
        The header.
    source
        The file, for messages.
    partial
        Use the items that precede a fault, with a warning, instead of raising. An item is
        kept only if it is whole.

    Returns
    -------
    dict
        Items by name; structures are dicts, lists are lists, numbers are int or float, all
        else is str. Where a name is repeated at the top level (motors, image logs of a
        resumed scan), the first counts.

    Raises
    ------
    InputError
        The text breaks off or breaks the grammar, or a structure names an item twice.
    """
    parser = _Parser(_tokens(text))
    items: Structure = {}
    try:
        while parser.peek() is not None:
            if parser.peek() == ";":
                parser.next()
                continue
            name, value = parser.item()
            items.setdefault(name, value)
    except _FaultError as fault:
        if not partial:
            raise InputError(
                f"the header is damaged: {fault}",
                "restore the file from its original, or allow partial reading",
                source=source,
            ) from None
        warnings.warn(
            f"{source}: the header is damaged: {fault}; only what precedes this is used",
            InputWarning,
            stacklevel=2,
        )
    return items


def get_structure(items: Structure, name: str, *, source: Source) -> Structure:
    """Return the structure called ``name``; raise InputError if it is absent."""
    value = items.get(name)
    if not isinstance(value, dict):
        raise InputError(f"the header has no structure '{name}'", source=source)
    return value


def get_text(items: Structure, name: str) -> str:
    """Return the text called ``name``, blanks reduced to one; empty if it is absent."""
    value = items.get(name, "")
    return "" if isinstance(value, dict | list) else " ".join(str(value).split())


def get_number(items: Structure, name: str) -> float | None:
    """Return the finite number called ``name``; None if it is absent or no number."""
    value = items.get(name)
    if not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def get_counted(items: Structure, name: str, *, source: Source) -> list[Value]:
    """Return the list called ``name`` without its leading count.

    Raises
    ------
    InputError
        The list is absent or empty, or its count is not the number of its elements.
    """
    value = items.get(name)
    if not isinstance(value, list) or not isinstance(value[0], int):
        raise InputError(f"the header has no list '{name}' that begins with a count", source=source)
    count, elements = value[0], value[1:]
    if count != len(elements) or count < 1:
        raise InputError(
            f"'{name}' in the header announces {count} elements and holds {len(elements)}",
            "the header is damaged: restore it from its original",
            source=source,
        )
    return elements


def get_structures(items: Structure, name: str, *, source: Source) -> list[Structure]:
    """Return the counted list of structures called ``name``; raise InputError if it is not."""
    elements = get_counted(items, name, source=source)
    structures = [element for element in elements if isinstance(element, dict)]
    if len(structures) != len(elements):
        raise InputError(f"'{name}' in the header holds more than structures", source=source)
    return structures


@dataclass(frozen=True)
class Axis:
    """A scan axis: its name and unit as written, its points (n,) float64."""

    name: str
    unit: str
    points: NDArray[np.float64]

    @property
    def is_energy(self) -> bool:
        """Whether the axis is the photon energy."""
        return "energy" in self.name.lower()


def get_axis(items: Structure, name: str, *, source: Source) -> Axis:
    """Return the axis called ``name``; raise InputError unless all its points are numbers."""
    axis = get_structure(items, name, source=source)
    elements = get_counted(axis, "Points", source=source)
    numbers = [value for value in elements if isinstance(value, int | float)]
    points = np.array(numbers, dtype=np.float64)
    if len(numbers) != len(elements) or not np.isfinite(points).all():
        raise InputError(f"not all points of {name} in the header are numbers", source=source)
    return Axis(get_text(axis, "Name"), get_text(axis, "Unit"), points)
