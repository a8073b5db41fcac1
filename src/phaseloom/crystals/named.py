"""A crystal by what the user calls it: a CIF file, or the name of a built-in crystal."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from phaseloom.crystals.builtin import BUILTIN, builtin_names
from phaseloom.crystals.cif import read_crystal
from phaseloom.crystals.structure import Crystal
from phaseloom.errors import InputError


def named_crystal(text: str | PathLike[str]) -> Crystal:
    """The crystal in a CIF file, or a built-in crystal.

    Parameters
    ----------
    text
        Path of a CIF file, or one of :func:`phaseloom.crystals.builtin_names` (case counts); a
        file of that name comes first.

    Raises
    ------
    InputError
        There is neither such a file nor such a crystal, or the file cannot be read.
    """
    if not Path(text).is_file():
        if fspath(text) in BUILTIN:
            return BUILTIN[fspath(text)]()
        raise InputError(
            "no such file",
            "give the path of a CIF file or the name of a built-in crystal: "
            f"{', '.join(builtin_names())}",
            source=text,
        )
    return read_crystal(text)
