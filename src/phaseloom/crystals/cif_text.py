"""Text of CIF files: any encoding, blocks of tags and values, numbers. Nothing is evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from phaseloom.errors import InputError

_MOST_BYTES = 100_000_000
"""A larger file is no description of a crystal."""

_NUMBER = re.compile(r"([+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:[eE][+-]?\d{1,3})?)(?:\(\d*\))?")
_FRACTION = re.compile(r"([+-]?\d{1,6})/(\d{1,6})")

# Dashes that typesetting makes of a minus.
_MINUS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")


@dataclass
class Block:
    """Tags of one data block, in lower case and with "_" for the "." of newer dictionaries."""

    name: str
    columns: dict[str, list[str | None]] = field(default_factory=dict)
    contradictory: set[str] = field(default_factory=set)
    source: Path | None = None

    def column(self, *tags: str) -> list[str | None]:
        """Values of the first of the tags that the block has; unknown ones (? and .) are None.

        Raises
        ------
        InputError
            The block gives the tag twice with different values.
        """
        for tag in tags:
            if tag in self.contradictory:
                raise InputError(
                    f"gives {tag} twice", "take one of the two out", source=self.source
                )
            if tag in self.columns:
                return self.columns[tag]
        return []

    def text(self, *tags: str) -> str:
        """The value of the first of the tags that has one, or ""."""
        for tag in tags:
            values = [value for value in self.column(tag) if value is not None and value.strip()]
            if values:
                return " ".join(values[0].split())
        return ""

    def has(self, tag: str) -> bool:
        """Whether the block has a tag with at least one known value."""
        return any(value is not None for value in self.columns.get(tag, []))


def read_blocks(path: Path) -> list[Block]:
    """All data blocks of a CIF file.

    Parameters
    ----------
    path
        The file: ASCII, UTF-8, UTF-16 or Latin-1.

    Raises
    ------
    InputError
        The file is not there, or is no CIF.
    """
    from gemmi import cif

    if not path.is_file():
        raise InputError("no such file", "give the path of a CIF file", source=path)
    if path.stat().st_size > _MOST_BYTES:
        fault = f"is too large for a description of a crystal ({path.stat().st_size} bytes)"
        raise InputError(fault, "give the path of a CIF file", source=path)
    try:
        document = cif.read_string(plain_text(path.read_bytes()), 0)
    except (ValueError, RuntimeError) as error:
        raise _no_cif(path, " ".join(str(error).split()).replace("string:", "line ", 1)) from error
    blocks = [_block(block, path) for block in document]
    if not blocks:
        raise _no_cif(path, "it has no data_ block")
    return blocks


def plain_text(content: bytes) -> str:
    """Content of a file as ASCII with line feeds; other characters, in names and remarks, are X.

    Parameters
    ----------
    content
        As stored.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", "replace")
    elif content[:3] == b"\xef\xbb\xbf":
        text = content[3:].decode("utf-8", "replace")
    elif b"\0" in content[:200]:
        # UTF-16 without its mark: one byte of every character is zero.
        order = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
        text = content.decode(order, "replace")
    else:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ").translate(_MINUS)
    text = re.sub(r"[^\x00-\x7f]", "X", text)
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", text)


def number(text: str) -> float | None:
    """A number with or without its uncertainty, "0.25(3)" or "1/3"; None where it is none.

    Parameters
    ----------
    text
        As in the file.
    """
    plain = _NUMBER.fullmatch(text.strip())
    if plain:
        value = float(plain[1])
        return value if abs(value) < 1e30 else None
    fraction = _FRACTION.fullmatch(text.strip())
    if fraction and int(fraction[2]):
        return int(fraction[1]) / int(fraction[2])
    return None


def _block(block: object, path: Path) -> Block:
    from gemmi import cif

    found = Block(block.name, source=path)  # type: ignore[attr-defined]
    for item in block:  # type: ignore[attr-defined]
        if item.pair is not None:
            columns = [(item.pair[0], [item.pair[1]])]
        elif item.loop is not None:
            width, values = len(item.loop.tags), list(item.loop.values)
            columns = [(tag, values[i::width]) for i, tag in enumerate(item.loop.tags)]
        else:
            continue
        for tag, raw in columns:
            name = tag.lower().replace(".", "_")
            known = [None if cif.is_null(value) else cif.as_string(value) for value in raw]
            if found.columns.setdefault(name, known) != known:
                found.contradictory.add(name)
    return found


def _no_cif(path: Path, reason: str) -> InputError:
    return InputError(
        f"cannot be read as a CIF file ({reason})",
        "it must hold six cell parameters, the name of a space group or its list of "
        "_symmetry_equiv_pos_as_xyz, and the atoms",
        source=path,
    )
