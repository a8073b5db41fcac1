"""Athena project files ``.prj``: spectra by their labels.

A project is text in the language of Athena, Perl, mostly compressed with gzip: for every group
lines ``@args = (…);``, ``@x = (…);``, ``@y = (…);``. Only lists of numbers and of quoted words are
taken from it; nothing is evaluated. Larix writes the same as JSON.

B. Ravel and M. Newville, J. Synchrotron Rad. 12 (2005) 537;
https://bruceravel.github.io/demeter/documents/Athena/output/project.html.
"""

from __future__ import annotations

import json
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._text import plain_text

_GZIP = b"\x1f\x8b"
_HEADING = re.compile(r"\s*(?:#\s*Athena project file|\{\s*\"_+header)", re.IGNORECASE)
_LIST = re.compile(r"@(args|x|y)\s*=\s*\(")
_WORD = re.compile(r"\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|([\w.+-]+))\s*(,|\))")
_ABSORPTION = ("xmu", "xmudat", "xanes", "norm", "")
# A project of a thousand spectra has some ten million signs.
_LARGEST = 2**29


@dataclass(frozen=True)
class ProjectSpectrum:
    """A group of a project: energy in eV and absorption, both (energy,)."""

    label: str
    energy: NDArray[np.float64]
    absorption: NDArray[np.float64]
    attributes: dict[str, str]


def is_project(path: Path) -> bool:
    """Whether a file begins as a project of Athena does, compressed or not."""
    head = first_bytes(path, 4096)
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(31).decompress(head, 4096)
        except zlib.error:
            return path.suffix.lower() == ".prj"
    return _HEADING.match(head.decode("latin-1")) is not None


def read_project(path: Path) -> list[ProjectSpectrum]:
    """The spectra of a project, in its order, at the energies to which it has shifted them.

    Raises
    ------
    InputError
        The file is damaged or larger than a project is, or holds no absorption over the energy.
    """
    text = plain_text(_unpacked(path), path)
    groups = _json_groups(text, path) if text.lstrip().startswith("{") else _perl_groups(text, path)
    spectra: list[ProjectSpectrum] = []
    others: list[str] = []
    shifted: list[str] = []
    for arguments, x, y in groups:
        label = arguments.get("label") or f"{path.stem} {len(spectra) + 1}"
        kind = arguments.get("datatype", "").lower()
        if kind not in _ABSORPTION:
            others.append(f"{label} ({kind})")
            continue
        if len(x) != len(y) or len(x) < 2:
            raise InputError(
                f"its spectrum {label} has {len(x)} energies and {len(y)} values",
                "save the project anew",
                source=path,
            )
        energy = _numbers(x, label, path)
        shift = _shift(arguments.get("bkg_eshift", ""))
        if shift:
            energy = energy + shift
            shifted.append(f"{label} by {shift:+g} eV")
        attributes = {
            name: arguments[key].capitalize()
            for name, key in (("element", "bkg_z"), ("edge", "fft_edge"))
            if arguments.get(key)
        }
        spectra.append(ProjectSpectrum(label, energy, _numbers(y, label, path), attributes))
    if not spectra:
        raise InputError(
            f"holds no absorption over the energy, but {', '.join(others) or 'no spectra'}",
            "give a project with µ(E)",
            source=path,
        )
    if others:
        warnings.warn(
            f"{path}: left out, as they are no absorption over the energy: {', '.join(others)}",
            InputWarning,
            stacklevel=4,
        )
    if shifted:
        warnings.warn(
            f"{path}: the energies are shifted as the project says: {', '.join(shifted)}",
            InputWarning,
            stacklevel=4,
        )
    return spectra


def _unpacked(path: Path) -> bytes:
    raw = path.read_bytes()
    if not raw.startswith(_GZIP):
        return raw
    unpack = zlib.decompressobj(31)
    try:
        text = unpack.decompress(raw, _LARGEST)
    except zlib.error as fault:
        raise InputError(
            f"is a damaged Athena project ({fault})", "copy it again", source=path
        ) from fault
    if not unpack.eof:
        raise InputError(
            "breaks off, or is larger than a project of Athena can be",
            "copy it again",
            source=path,
        )
    return text


Group = tuple[Mapping[str, str], Sequence[str], Sequence[str]]


def _perl_groups(text: str, path: Path) -> Iterator[Group]:
    """Arguments, x and y of every group: x and y follow their arguments."""
    found: dict[str, list[str]] = {}
    for match in _LIST.finditer(text):
        # "@x = (" inside of a quoted word begins no line.
        if text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip():
            continue
        if match[1] == "args":
            if "args" in found:
                yield _group(found)
            found = {}
        found[match[1]] = _words(text, match.end(), path)
    if found:
        yield _group(found)


def _group(found: Mapping[str, list[str]]) -> Group:
    arguments = found.get("args", [])
    pairs = dict(zip(arguments[0::2], arguments[1::2], strict=False))
    return pairs, found.get("x", []), found.get("y", [])


def _words(text: str, start: int, path: Path) -> list[str]:
    """The quoted words and numbers up to the closing bracket."""
    words: list[str] = []
    if re.compile(r"\s*\)").match(text, start):
        return words
    while match := _WORD.match(text, start):
        quoted = match[1] if match[1] is not None else match[2]
        words.append(match[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        start = match.end()
        if match[4] == ")":
            return words
    raise InputError("is a damaged Athena project", "copy it again", source=path)


def _json_groups(text: str, path: Path) -> Iterator[Group]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise InputError("is a damaged Athena project", "copy it again", source=path) from fault
    for group in content.values() if isinstance(content, dict) else ():
        x, y = (group.get(k) for k in "xy") if isinstance(group, dict) else (None, None)
        if not isinstance(x, list) or not isinstance(y, list):
            continue
        arguments: Any = group.get("args", {})
        if isinstance(arguments, list):
            arguments = dict(zip(arguments[0::2], arguments[1::2], strict=False))
        if not isinstance(arguments, dict):
            arguments = {}
        named = {str(key): str(value) for key, value in arguments.items()}
        yield named, [str(value) for value in x], [str(value) for value in y]


def _numbers(words: Sequence[str], label: str, path: Path) -> NDArray[np.float64]:
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError as fault:
        raise InputError(
            f"its spectrum {label} holds what is no number ({fault})",
            "save the project anew",
            source=path,
        ) from fault
    return numbers


def _shift(word: str) -> float:
    try:
        shift = float(word or 0)
    except ValueError:
        return 0.0
    return shift if np.isfinite(shift) else 0.0
