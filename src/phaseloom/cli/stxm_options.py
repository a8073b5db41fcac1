"""Options of the commands for stacks of X-ray images, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from phaseloom.cli.options import READING

_MAPPING = "Mapping"

# What to work on
DenseStack = Annotated[Path, Argument(metavar="STACK", help="a stack, usually dense in energy")]
Stacks = Annotated[list[str], Argument(metavar="STACK", help="FILE or NAME=FILE, one or more")]
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
Quantity = Annotated[
    Literal["counts", "transmission", "optical_density"] | None,
    Option(
        "--quantity",
        help="what the numbers are, where a file does not say",
        rich_help_panel=READING,
    ),
]
Incident = Annotated[
    str,
    Option(
        "--i0",
        metavar="auto|FILE|y0:y1,x0:x1",
        help="incident intensity: from the empty area, a file, or a region in pixels as read",
        rich_help_panel=READING,
    ),
]
Align = Annotated[
    bool,
    Option("--align/--no-align", help="remove drift between the energies", rich_help_panel=READING),
]
Dark = Annotated[
    float, Option("--dark", help="counts without beam", min=0, rich_help_panel=READING)
]
Despike = Annotated[
    bool,
    Option("--despike/--no-despike", help="replace single wild readings", rich_help_panel=READING),
]
Baseline = Annotated[
    bool,
    Option(
        "--baseline/--no-baseline",
        help="take the pre-edge optical density off",
        rich_help_panel=READING,
    ),
]
Thin = Annotated[
    float,
    Option(
        "--thin",
        help="least thickness of a mapped pixel, relative to the median",
        min=0,
        rich_help_panel=READING,
    ),
]
Thick = Annotated[
    float,
    Option("--thick", help="largest optical density of a mapped pixel", rich_help_panel=READING),
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
