"""Options of the command line, with their help: nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

_READING = "Reading and preparation"
_MAPPING = "Mapping"
_COMMON = "Common"

# What to work on
File = Annotated[Path, Argument(metavar="FILE", help="a stack, image, line scan or spectra")]
DenseStack = Annotated[Path, Argument(metavar="STACK", help="a stack, usually dense in energy")]
Stacks = Annotated[list[str], Argument(metavar="STACK", help="FILE or NAME=FILE, one or more")]
Recipe = Annotated[Path, Argument(metavar="RECIPE.toml", help="phaseloom new prints one")]
Kind = Annotated[Literal["stxm"], Argument(metavar="KIND", help="stxm")]
References = Annotated[
    list[str],
    Option("-r", "--reference", metavar="[LABEL=]FILE", help="spectra, or a stack of one phase"),
]
Values = Annotated[
    list[str] | None,
    Option("--value", metavar="LABEL=NUMBER", help="a phase's number: its sodium content, say"),
]
ValueName = Annotated[str, Option("--value-name", metavar="TEXT", help="what the numbers are")]
StatesOfCharge = Annotated[
    list[str] | None, Option("--state-of-charge", metavar="NAME=NUMBER", help="of a stack")
]

# Reading and preparation
Detector = Annotated[
    str | None,
    Option("--detector", metavar="NAME", help="counter to read", rich_help_panel=_READING),
]
FileRegion = Annotated[
    int | None,
    Option(
        "--region",
        metavar="N",
        help="spatial region of the file, from 1",
        min=1,
        rich_help_panel=_READING,
    ),
]
Quantity = Annotated[
    Literal["counts", "transmission", "optical_density"] | None,
    Option(
        "--quantity",
        help="what the numbers are, where a file does not say",
        rich_help_panel=_READING,
    ),
]
Partial = Annotated[
    bool,
    Option("--partial", help="use an aborted scan as far as it goes", rich_help_panel=_READING),
]
Incident = Annotated[
    str,
    Option(
        "--i0",
        metavar="auto|FILE|y0:y1,x0:x1",
        help="incident intensity: from the empty area, a file, or a region in pixels as read",
        rich_help_panel=_READING,
    ),
]
Align = Annotated[
    bool,
    Option(
        "--align/--no-align", help="remove drift between the energies", rich_help_panel=_READING
    ),
]
Dark = Annotated[
    float, Option("--dark", help="counts without beam", min=0, rich_help_panel=_READING)
]
Despike = Annotated[
    bool,
    Option("--despike/--no-despike", help="replace single wild readings", rich_help_panel=_READING),
]
Baseline = Annotated[
    bool,
    Option(
        "--baseline/--no-baseline",
        help="take the pre-edge optical density off",
        rich_help_panel=_READING,
    ),
]
Thin = Annotated[
    float,
    Option(
        "--thin",
        help="least thickness of a mapped pixel, relative to the median",
        min=0,
        rich_help_panel=_READING,
    ),
]
Thick = Annotated[
    float,
    Option("--thick", help="largest optical density of a mapped pixel", rich_help_panel=_READING),
]

# Mapping
Resolve = Annotated[
    Literal["gmvae", "likelihood", "pearson"],
    Option(
        "--resolve",
        help="what gives ambiguous pixels their phase: the latent space, count-weighted fits, "
        "or the better correlation",
        rich_help_panel=_MAPPING,
    ),
]
Margin = Annotated[
    str,
    Option(
        "--margin",
        metavar="NUMBER|noise",
        help="a pixel is ambiguous when its two best correlations are no farther apart; "
        "noise: than counting noise makes them",
        rich_help_panel=_MAPPING,
    ),
]
Shift = Annotated[
    str,
    Option(
        "--shift",
        metavar="auto|EV",
        help="how far the stacks' energies read too high; auto: fitted",
        rich_help_panel=_MAPPING,
    ),
]
Smooth = Annotated[
    float,
    Option(
        "--smooth",
        help="strength of the spatial prior; 0: none",
        min=0,
        rich_help_panel=_MAPPING,
    ),
]
LatentDims = Annotated[
    int,
    Option(
        "--latent-dims",
        help="dimensions of the latent space",
        min=2,
        max=16,
        rich_help_panel=_MAPPING,
    ),
]
Covariance = Annotated[
    Literal["noise", "pooled"],
    Option("--covariance", help="of the Mahalanobis distance", rich_help_panel=_MAPPING),
]

# A reference from a stack
Area = Annotated[
    str | None,
    Option("--region", metavar="y0:y1,x0:x1", help="in pixels as read; else the particles"),
]
Label = Annotated[str | None, Option("--label", metavar="NAME", help="name of the phase")]
Value = Annotated[
    float | None,
    Option("--value", metavar="NUMBER", help="its number: the sodium content, say"),
]
OutFile = Annotated[Path | None, Option("--out", metavar="FILE.csv", help="the file to write")]

# Common
Out = Annotated[
    Path, Option("--out", metavar="DIR", help="folder of the results", rich_help_panel=_COMMON)
]
OtherOut = Annotated[
    Path | None,
    Option(
        "--out",
        metavar="DIR",
        help="folder of the results, if not the recipe's",
        rich_help_panel=_COMMON,
    ),
]
Workers = Annotated[
    int | None,
    Option(
        "--workers",
        metavar="N",
        help="threads of the Fourier transforms; else all cores",
        min=1,
        rich_help_panel=_COMMON,
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Option("--device", help="where torch computes", rich_help_panel=_COMMON),
]
Seed = Annotated[
    int,
    Option(
        "--seed",
        metavar="N",
        help="same seed, same result",
        min=0,
        max=2**32 - 1,
        rich_help_panel=_COMMON,
    ),
]
OtherDevice = Annotated[
    Literal["auto", "cpu", "cuda"] | None,
    Option("--device", help="where torch computes, if not the recipe's", rich_help_panel=_COMMON),
]
OtherSeed = Annotated[
    int | None,
    Option(
        "--seed",
        metavar="N",
        help="seed, if not the recipe's",
        min=0,
        max=2**32 - 1,
        rich_help_panel=_COMMON,
    ),
]
Fresh = Annotated[
    bool,
    Option("--fresh", help="compute everything again", rich_help_panel=_COMMON),
]
Quiet = Annotated[
    bool, Option("--quiet", help="say nothing but warnings and errors", rich_help_panel=_COMMON)
]
AsJson = Annotated[
    bool, Option("--json", help="print the summary as JSON", rich_help_panel=_COMMON)
]
Size = Annotated[int, Option("--size", metavar="N", help="pixels along a side", min=160, max=2048)]
