"""Options of ``phaseloom index`` beside those it has in common with ``phaseloom peaks``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from phaseloom.cli.options import COMMON

_MATCHING = "Matching"


class Export(Enum):
    """Files of orientations."""

    ANG = "ang"
    CTF = "ctf"
    H5 = "h5"


Source = Annotated[
    Path,
    Argument(
        metavar="SCAN|DIR", help="a file of diffraction patterns, or a folder of phaseloom peaks"
    ),
]
Crystals = Annotated[
    list[str],
    Option("-p", "--phase", metavar="[NAME=]FILE.cif", help="a crystal the sample may hold"),
]
ZoneStep = Annotated[
    float,
    Option("--zone-step", metavar="DEG", help="between zone axes", rich_help_panel=_MATCHING),
]
InPlaneStep = Annotated[
    float,
    Option("--in-plane-step", metavar="DEG", help="about the beam", rich_help_panel=_MATCHING),
]
KMax = Annotated[
    float | None,
    Option(
        "--k-max",
        metavar="Å⁻¹",
        help="largest 1/d that counts; else where the peaks end",
        rich_help_panel=_MATCHING,
    ),
]
Thickness = Annotated[
    float | None,
    Option(
        "--thickness", metavar="Å", help="of the crystals; else fitted", rich_help_panel=_MATCHING
    ),
]
Solutions = Annotated[
    int,
    Option(
        "--solutions",
        metavar="N",
        help="distinct solutions kept per pixel",
        rich_help_panel=_MATCHING,
    ),
]
Overlaps = Annotated[
    bool,
    Option(
        "--overlaps/--no-overlaps",
        help="look for a second crystal under the first",
        rich_help_panel=_MATCHING,
    ),
]
Context = Annotated[
    bool,
    Option(
        "--context/--no-context",
        help="neighbours decide between solutions of an ambiguous pixel",
        rich_help_panel=_MATCHING,
    ),
]
To = Annotated[
    list[Export] | None,
    Option(
        "--to", help="write this file for other programs, too; repeatable", rich_help_panel=COMMON
    ),
]
Out = Annotated[
    Path | None,
    Option(
        "--out",
        metavar="DIR",
        help="folder of the results; else phaseloom-index, or DIR",
        rich_help_panel=COMMON,
    ),
]
