"""Options of ``phaseloom cluster`` beside those it has in common with ``phaseloom peaks``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from phaseloom.cli.options import COMMON

_PREPARATION = "Preparation"
_NUMBER = "How many"
_FIT = "Components"
_OVERLAPS = "Overlaps"
_FURTHER = "Comparison and orientations"


class Method(Enum):
    """Other methods that part a scan."""

    KMEANS = "kmeans"
    MIXTURE = "mixture"
    HDBSCAN = "hdbscan"
    GMVAE = "gmvae"


Patterns = Annotated[
    Literal["raw", "registered", "mean", "peaks"] | None,
    Option(
        "--patterns",
        help="as recorded, rebuilt from registered peaks, 3×3 means, or only pixels with peaks "
        "\\[default: raw; of a folder of peaks: registered]",
        rich_help_panel=_PREPARATION,
    ),
]
Size = Annotated[
    int,
    Option("--size", metavar="N", help="px along a side of a pattern",
           rich_help_panel=_PREPARATION),
]  # fmt: skip
MaskRadius = Annotated[
    float | None,
    Option(
        "--mask-radius",
        metavar="PX",
        help="of the direct beam that is left out, detector px; else found",
        rich_help_panel=_PREPARATION,
    ),
]
Scaling = Annotated[
    Literal["poisson", "none"],
    Option(
        "--scaling",
        help="counting noise weighs equally everywhere, or as it is",
        rich_help_panel=_PREPARATION,
    ),
]
Number = Annotated[
    str,
    Option(
        "-k",
        metavar="auto|N",
        help="number of components, background included",
        rich_help_panel=_NUMBER,
    ),
]
Largest = Annotated[
    int,
    Option("--k-max", metavar="N", help="largest number tried", rich_help_panel=_NUMBER),
]
Choose = Annotated[
    Literal["sound", "published"],
    Option(
        "--choose",
        help="by redundancy, stability and held-out counts, or by the published votes",
        rich_help_panel=_NUMBER,
    ),
]
Seeds = Annotated[
    int,
    Option(
        "--seeds",
        metavar="N",
        help="starts at each number of components",
        rich_help_panel=_NUMBER,
    ),
]
Loss = Annotated[
    Literal["frobenius", "kl"],
    Option(
        "--loss",
        help="squared differences, or Kullback-Leibler's divergence",
        rich_help_panel=_FIT,
    ),
]
Start = Annotated[
    Literal["pure", "nndsvd", "random"],
    Option(
        "--start",
        help="fits begin at the purest positions, at singular vectors, at random",
        rich_help_panel=_FIT,
    ),
]
Sparsity = Annotated[
    float,
    Option("--sparsity", metavar="NUMBER", help="penalty on weights", rich_help_panel=_FIT),
]
Smoothness = Annotated[
    float,
    Option(
        "--smoothness",
        metavar="NUMBER",
        help="penalty on steps of the weight maps",
        rich_help_panel=_FIT,
    ),
]
Background = Annotated[
    str,
    Option(
        "--background",
        metavar="auto|none|N",
        help="component that is no grain: found, none, or its number",
        rich_help_panel=_OVERLAPS,
    ),
]
BackgroundRatio = Annotated[
    float,
    Option(
        "--background-ratio",
        metavar="T",
        help="second weight over the background's that makes a grain",
        rich_help_panel=_OVERLAPS,
    ),
]
OverlapRatio = Annotated[
    float,
    Option(
        "--overlap-ratio",
        metavar="S",
        help="second weight over the first that makes an overlap",
        rich_help_panel=_OVERLAPS,
    ),
]
Compare = Annotated[
    list[Method] | None,
    Option(
        "--compare",
        help="part the scan by another method, too; repeatable",
        rich_help_panel=_FURTHER,
    ),
]
Index = Annotated[
    list[str] | None,
    Option(
        "--index",
        metavar="[NAME=]FILE.cif",
        help="index the components with this crystal and paint their orientations; repeatable",
        rich_help_panel=_FURTHER,
    ),
]
Out = Annotated[
    Path | None,
    Option(
        "--out",
        metavar="DIR",
        help="folder of the results; else phaseloom-cluster, or DIR",
        rich_help_panel=COMMON,
    ),
]
