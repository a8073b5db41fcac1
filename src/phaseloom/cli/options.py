"""Arguments and flags that commands share, with their help; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, BadParameter, Option

from phaseloom.methods import METHODS

RUNNING = "Running"


def _method(name: str) -> str:
    """Check the name of a method."""
    if name not in METHODS:
        raise BadParameter(f"{name!r} is none of {', '.join(METHODS)}")
    return name


# What to work on
File = Annotated[
    Path, Argument(metavar="FILE", help="a stack, image, line scan, spectra, scan or CIF")
]
Recipes = Annotated[list[Path], Argument(metavar="RECIPE.toml", help="phaseloom new prints one")]
Kind = Annotated[
    str,
    Argument(
        metavar="METHOD", help=", ".join(METHODS), parser=_method, autocompletion=lambda: [*METHODS]
    ),
]
Results = Annotated[Path, Argument(metavar="DIR", help="folder of the results")]

# Of info
Detector = Annotated[
    str | None, Option("--detector", metavar="NAME", help="counter or data set to read")
]
Entry = Annotated[
    int | None,
    Option("--entry", metavar="N", help="spatial region of the file, from 1", min=1),
]
Partial = Annotated[bool, Option("--partial", help="use a truncated file as far as it goes")]

# Of export
Format = Annotated[
    Literal["ang", "ctf", "h5", "nexus", "tiff", "csv", "hspy"],
    Option(
        "--to",
        help="orientations: ang ctf h5; all maps: nexus tiff csv; patterns of components: hspy",
    ),
]
FilesOut = Annotated[
    Path | None,
    Option("--out", metavar="DIR", help="folder of the files, if not that of the results"),
]

# Of demo
Size = Annotated[
    int | None,
    Option(
        "--size",
        metavar="N",
        help="along a side: pixels of a stack (256), positions of a scan (24; 48 for maps)",
    ),
]

# How a command runs
Out = Annotated[
    Path | None,
    Option(
        "--out",
        metavar="DIR",
        help="folder of the results (by default INPUT-METHOD, or the folder of peaks that is "
        "given); of several inputs the folder of their folders",
        rich_help_panel=RUNNING,
    ),
]
Overwrite = Annotated[
    bool,
    Option(
        "--overwrite",
        help="remove the results of another input or method that the folder holds",
        rich_help_panel=RUNNING,
    ),
]
Fresh = Annotated[bool, Option("--fresh", help="compute everything again", rich_help_panel=RUNNING)]
Workers = Annotated[
    int | None,
    Option(
        "--workers",
        metavar="N",
        help="threads, of scan blocks and Fourier transforms; else all cores",
        min=1,
        rich_help_panel=RUNNING,
    ),
]
Scheduler = Annotated[
    str | None,
    Option(
        "--scheduler",
        metavar="ADDRESS",
        help="dask.distributed cluster that works on the blocks of a scan: tcp://host:8786",
        rich_help_panel=RUNNING,
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"] | None,
    Option("--device", help="where torch computes \\[default: auto]", rich_help_panel=RUNNING),
]
Seed = Annotated[
    int | None,
    Option(
        "--seed",
        metavar="N",
        help="same seed, same result \\[default: 0]",
        min=0,
        max=2**32 - 1,
        rich_help_panel=RUNNING,
    ),
]
Quiet = Annotated[
    bool, Option("--quiet", help="say nothing but warnings and errors", rich_help_panel=RUNNING)
]
Verbose = Annotated[
    bool,
    Option(
        "-v",
        "--verbose",
        help="tell every stage, as the file run.log does",
        rich_help_panel=RUNNING,
    ),
]
AsJson = Annotated[bool, Option("--json", help="print the answer as JSON", rich_help_panel=RUNNING)]
