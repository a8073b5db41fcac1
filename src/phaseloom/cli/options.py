"""Options of the command line, with their help: nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

READING = "Reading and preparation"
COMMON = "Common"

# What to work on
File = Annotated[Path, Argument(metavar="FILE", help="a stack, image, line scan, spectra or scan")]
Recipe = Annotated[Path, Argument(metavar="RECIPE.toml", help="phaseloom new prints one")]
Kind = Annotated[
    Literal["stxm", "peaks", "index", "cluster"],
    Argument(metavar="KIND", help="stxm, peaks, index or cluster"),
]

# Reading and preparation
Detector = Annotated[
    str | None,
    Option(
        "--detector", metavar="NAME", help="counter or data set to read", rich_help_panel=READING
    ),
]
FileRegion = Annotated[
    int | None,
    Option(
        "--region",
        metavar="N",
        help="spatial region of the file, from 1",
        min=1,
        rich_help_panel=READING,
    ),
]
Partial = Annotated[
    bool,
    Option("--partial", help="use a truncated file as far as it goes", rich_help_panel=READING),
]
# Common
Out = Annotated[
    Path, Option("--out", metavar="DIR", help="folder of the results", rich_help_panel=COMMON)
]
OtherOut = Annotated[
    Path | None,
    Option(
        "--out",
        metavar="DIR",
        help="folder of the results, if not the recipe's",
        rich_help_panel=COMMON,
    ),
]
Workers = Annotated[
    int | None,
    Option(
        "--workers",
        metavar="N",
        help="threads, of scan blocks and Fourier transforms; else all cores",
        min=1,
        rich_help_panel=COMMON,
    ),
]
Scheduler = Annotated[
    str | None,
    Option(
        "--scheduler",
        metavar="ADDRESS",
        help="dask.distributed cluster that works on the blocks of a scan: tcp://host:8786",
        rich_help_panel=COMMON,
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Option("--device", help="where torch computes", rich_help_panel=COMMON),
]
Seed = Annotated[
    int,
    Option(
        "--seed",
        metavar="N",
        help="same seed, same result",
        min=0,
        max=2**32 - 1,
        rich_help_panel=COMMON,
    ),
]
OtherDevice = Annotated[
    Literal["auto", "cpu", "cuda"] | None,
    Option("--device", help="where torch computes, if not the recipe's", rich_help_panel=COMMON),
]
OtherSeed = Annotated[
    int | None,
    Option(
        "--seed",
        metavar="N",
        help="seed, if not the recipe's",
        min=0,
        max=2**32 - 1,
        rich_help_panel=COMMON,
    ),
]
Fresh = Annotated[
    bool,
    Option("--fresh", help="compute everything again", rich_help_panel=COMMON),
]
Quiet = Annotated[
    bool, Option("--quiet", help="say nothing but warnings and errors", rich_help_panel=COMMON)
]
AsJson = Annotated[bool, Option("--json", help="print the summary as JSON", rich_help_panel=COMMON)]
Size = Annotated[
    int | None,
    Option(
        "--size",
        metavar="N",
        help="along a side: pixels of a stack (256), positions of a scan (24; 48 for maps)",
    ),
]
