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
from phaseloom.io.energies import in_electronvolts
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._text import plain_text

_GZIP = b"\x1f\x8b"
_PERL = re.compile(r"\s*#\s*Athena project file", re.IGNORECASE)
_JSON = re.compile(r"\s*\{.*Athena project file", re.IGNORECASE | re.DOTALL)
_LIST = re.compile(r"^@(args|x|y)\s*=\s*\(|^\$old_group\s*=\s*'([^'\n]*)'", re.MULTILINE)
_WORD = re.compile(
    r"\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|([\w.+-]+)|([\[{]))", re.DOTALL
)
_NEXT = re.compile(r"\s*(?:(,|=>)\s*)?")
_CLOSED = re.compile(r"\s*([)\]}])")
_ABSORPTION = ("xmu", "xmudat", "xanes", "norm", "")
_NO_ABSORPTION = {
    "is_chi": "chi", "is_rsp": "R", "is_qsp": "q", "is_pixel": "pixels", "is_diff": "difference",
    "not_data": "no data",
}  # fmt: skip
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
    text = head.decode("latin-1")
    return bool(_PERL.match(text) or _JSON.match(text))


def read_project(path: Path) -> list[ProjectSpectrum]:
    """The spectra of a project, in its order, at the energies to which it has shifted them.

    Raises
    ------
    InputError
        The file is damaged or larger than a project is, or holds no absorption over the energy.
    """
    text = plain_text(_unpacked(path), path)
    groups = [*(_json_groups if text.lstrip().startswith("{") else _perl_groups)(text, path)]
    names = [group[0].get("label", "") for group in groups]
    spectra: list[ProjectSpectrum] = []
    others: list[str] = []
    shifted: list[str] = []
    for name, (arguments, x, y) in zip(names, groups, strict=True):
        label = name.strip() or f"{path.stem} {len(spectra) + 1}"
        if kind := _kind(arguments, names):
            others.append(f"{label} ({kind})")
            continue
        if len(x) != len(y) or len(x) < 2:
            raise InputError(
                f"its spectrum {label} has {len(x)} energies and {len(y)} values",
                "save the project anew",
                source=path,
            )
        try:
            energy = in_electronvolts(
                _numbers(x, label, path),
                unit="keV" if arguments.get("is_kev") == "1" else "eV",
                source=path,
                what=f"the energies of {label}",
                stacklevel=5,
            )
        except InputError as error:
            others.append(f"{label} ({error.fault})")
            continue
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


def _kind(arguments: Mapping[str, str], names: Sequence[str]) -> str:
    """What a group is, "" if it is the absorption of a sample."""
    kind = arguments.get("datatype", "").lower()
    if kind not in _ABSORPTION:
        return kind
    for flag, said in _NO_ABSORPTION.items():
        if arguments.get(flag) == "1":
            return said
    # Athena names the foil behind a sample after it.
    reference = re.fullmatch(r"\s*Ref\s+(.+)", arguments.get("label", ""))
    return "reference channel" if reference and reference[1] in names else ""


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
    name = ""
    for match in _LIST.finditer(text):
        if match[1] is None:
            name = match[2]
            continue
        if match[1] == "args":
            if "args" in found:
                yield _group(found)
            found = {"name": [name]}
        found[match[1]] = _words(text, match.end(), path)
    if found:
        yield _group(found)


def _group(found: Mapping[str, list[str]]) -> Group:
    arguments = found.get("args", [])
    pairs = dict(zip(arguments[0::2], arguments[1::2], strict=False))
    if not pairs.get("label", "").strip():
        pairs["label"] = "".join(found.get("name", []))
    return pairs, found.get("x", []), found.get("y", [])


def _words(text: str, start: int, path: Path) -> list[str]:
    """The quoted words and numbers up to the closing bracket; of lists among them nothing is kept.

    A list is one word, the empty one, so that the words still pair.
    """
    words: list[str] = []
    place, depth, separated = start, 0, True
    while True:
        if closed := _CLOSED.match(text, place):
            place, separated = closed.end(), False
            if (closed[1] == ")") != (depth == 0):
                break
            if depth == 0:
                return words
            depth -= 1
        elif separated and (match := _WORD.match(text, place)):
            quoted = match[1] if match[1] is not None else match[2]
            if depth == 0:
                plain = match[3] or ""
                words.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
            place = match.end()
            depth += match[4] is not None
            separated = match[4] is not None
            if separated:
                continue
        else:
            break
        between = _NEXT.match(text, place)
        if between is not None:
            place, separated = between.end(), between[1] is not None
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
