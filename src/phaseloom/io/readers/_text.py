"""Text of a file, in whichever of the usual codes it was written."""

from __future__ import annotations

import re
from pathlib import Path

from phaseloom.errors import InputError
from phaseloom.io.readers._files import first_bytes

_NO_TEXT = re.compile(r"[^\t\n\v\f\r\x1a -~\x85\xa0-\U0010ffff]")
# Enough to tell text from numbers in binary.
_HEAD = 4096
# Signs that mean one in ASCII: signs and blanks that editors and spreadsheets put in.
_PLAIN = str.maketrans({"\N{MINUS SIGN}": "-", "\xa0": " ", "\u202f": " ", "\ufeff": None})


def looks_like_text(path: Path) -> bool:
    """Whether the file begins as text does; a large file is not read for it."""
    head = first_bytes(path, _HEAD)
    # The last sign may be cut.
    text = _decoded(head[: len(head) // 4 * 4])
    return bool(head) and not _NO_TEXT.search(text[:-4] if len(head) == _HEAD else text)


def read_text(path: Path) -> str:
    """Contents of a text file, with line ends of one kind.

    UTF-8, UTF-16 (also without its mark at the beginning) and, as older beamline software writes
    "µm" in comments, Latin-1.

    Raises
    ------
    InputError
        It is absent, or holds characters that no text has.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError("no such file", "check the path", source=path) from None
    return plain_text(raw, path)


def plain_text(raw: bytes, path: Path) -> str:
    """Text of bytes, with line ends of one kind; see :func:`read_text`."""
    text = _decoded(raw)
    if _NO_TEXT.search(text):
        raise InputError("is not a text file", "give spectra as text", source=path)
    # \x1a ended text files under DOS.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x1a", "")
    return lines.translate(_PLAIN)


def _decoded(raw: bytes) -> str:
    if (code := _two_byte_code(raw)) is not None:
        try:
            return raw.decode(code)
        except UnicodeDecodeError:
            return "\0"
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _two_byte_code(raw: bytes) -> str | None:
    """The kind of UTF-16, by its mark, or by every second byte of ASCII being zero."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = raw[: _HEAD // 2 * 2]
    half = len(head) // 2
    if half < 4 or len(raw) % 2:
        return None
    zeros = head[0::2].count(0), head[1::2].count(0)
    if min(zeros) == 0 and max(zeros) > 0.8 * half:
        return "utf-16-be" if zeros[0] else "utf-16-le"
    return None
