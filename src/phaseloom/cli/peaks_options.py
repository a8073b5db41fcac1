"""Options of the commands for scans of diffraction patterns, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from phaseloom.cli.options import READING

_CORRECTION = "Correction and centring"
_SPOTS = "Spots"

# What to work on
Scan = Annotated[Path, Argument(metavar="SCAN", help="a file of diffraction patterns")]
Results = Annotated[Path, Argument(metavar="DIR", help="folder that phaseloom peaks wrote")]
Pattern = Annotated[Path, Argument(metavar="PATTERN", help="patterns of a known crystal")]

# Reading
ScanShape = Annotated[
    str | None,
    Option(
        "--scan-shape",
        metavar="ROWS,COLUMNS",
        help="of the scan, where the file has only a series",
        rich_help_panel=READING,
    ),
]
PixelSize = Annotated[
    float | None,
    Option(
        "--pixel-size",
        metavar="Å⁻¹",
        help="of the detector in the pattern (k = 1/d, no 2π)",
        rich_help_panel=READING,
    ),
]
Calibration = Annotated[
    Path | None,
    Option(
        "--calibration",
        metavar="FILE.toml",
        help="pixel size and ellipticity, from phaseloom calibrate",
        rich_help_panel=READING,
    ),
]
Step = Annotated[
    float | None,
    Option("--step", metavar="NM", help="between scan positions", rich_help_panel=READING),
]
Voltage = Annotated[
    float | None, Option("--voltage", metavar="KV", help="of the beam", rich_help_panel=READING)
]
Precession = Annotated[
    float | None,
    Option("--precession", metavar="DEG", help="precession angle", rich_help_panel=READING),
]
ScanRotation = Annotated[
    float | None,
    Option("--scan-rotation", metavar="DEG", help="from scan to pattern", rich_help_panel=READING),
]

# Correction and centring
Dark = Annotated[
    Path | None,
    Option(
        "--dark",
        metavar="FILE",
        help="image without beam, or several: their mean",
        rich_help_panel=_CORRECTION,
    ),
]
Gain = Annotated[
    Path | None,
    Option("--gain", metavar="FILE", help="image that multiplies", rich_help_panel=_CORRECTION),
]
Mask = Annotated[
    Path | None,
    Option(
        "--mask",
        metavar="FILE",
        help="image: not zero where a pixel is usable",
        rich_help_panel=_CORRECTION,
    ),
]
Saturation = Annotated[
    float | None,
    Option(
        "--saturation",
        metavar="COUNTS",
        help="raw value from which a pixel is saturated",
        rich_help_panel=_CORRECTION,
    ),
]
Hot = Annotated[
    bool,
    Option("--hot/--no-hot", help="find dead and hot pixels", rich_help_panel=_CORRECTION),
]
BeamStop = Annotated[
    bool,
    Option("--beam-stop", help="find the shadow of a beam stop", rich_help_panel=_CORRECTION),
]
ScanMean = Annotated[
    bool,
    Option("--scan-mean", help="mean over 3×3 scan positions first", rich_help_panel=_CORRECTION),
]
Centre = Annotated[
    str,
    Option(
        "--centre",
        metavar="auto|ROW,COLUMN",
        help="direct beam in the mean pattern, px",
        rich_help_panel=_CORRECTION,
    ),
]
Descan = Annotated[
    Literal["plane", "each", "none"],
    Option(
        "--descan",
        help="the beam moves over the scan like a plane, as found in each pattern, or not",
        rich_help_panel=_CORRECTION,
    ),
]

# Spots
Threshold = Annotated[
    Literal["counts", "prominence"],
    Option(
        "--threshold",
        help="a spot stands out of counting noise, or by its prominence as published",
        rich_help_panel=_SPOTS,
    ),
]
FalseAlarms = Annotated[
    float,
    Option(
        "--false-alarms",
        metavar="NUMBER",
        help="expected false spots per pattern",
        rich_help_panel=_SPOTS,
    ),
]
Shape = Annotated[
    Literal["auto", "gaussian", "disk"],
    Option("--shape", help="of a spot", rich_help_panel=_SPOTS),
]
Sigma = Annotated[
    float | None,
    Option(
        "--sigma",
        metavar="PX",
        help="of a Gaussian spot; else from the data",
        rich_help_panel=_SPOTS,
    ),
]
Radius = Annotated[
    float | None,
    Option(
        "--radius",
        metavar="PX",
        help="of a disk; else from the direct beam",
        rich_help_panel=_SPOTS,
    ),
]
MaxPeaks = Annotated[
    int,
    Option("--max-peaks", metavar="N", help="most of a pattern, the strongest",
           rich_help_panel=_SPOTS),
]  # fmt: skip
KMin = Annotated[
    float | None,
    Option(
        "--k-min",
        metavar="Å⁻¹",
        help="keep spots from this distance on (px without a pixel size)",
        rich_help_panel=_SPOTS,
    ),
]
KMax = Annotated[
    float | None,
    Option("--k-max", metavar="Å⁻¹", help="… up to this distance", rich_help_panel=_SPOTS),
]
IntensityMin = Annotated[
    float | None,
    Option("--intensity-min", metavar="COUNTS", help="keep stronger ones", rich_help_panel=_SPOTS),
]
ProminenceMin = Annotated[
    float | None,
    Option("--prominence-min", metavar="COUNTS", help="keep higher ones", rich_help_panel=_SPOTS),
]
SignificanceMin = Annotated[
    float | None,
    Option(
        "--significance-min",
        metavar="NUMBER",
        help="keep those so many standard errors strong",
        rich_help_panel=_SPOTS,
    ),
]

# Clean patterns from peaks
Target = Annotated[
    Path, Option("--to", metavar="FILE", help="the file to write: .blo .hspy .zspy .tif")
]
PatternSize = Annotated[
    int | None,
    Option("--size", metavar="N", help="px along a side (default: as on the detector)", min=2),
]
HalfWidth = Annotated[
    float | None,
    Option("--k-max", metavar="Å⁻¹", help="half the width of the new patterns"),
]
NewSigma = Annotated[
    float | None,
    Option("--sigma", metavar="PX", help="draw Gaussians of this width (default: 1.5)"),
]
NewRadius = Annotated[
    float | None, Option("--radius", metavar="PX", help="draw discs of this radius instead")
]
Intensity = Annotated[
    Literal["integrated", "root"],
    Option("--intensity", help="of the spots: counts, or their square root"),
]

# Calibration from a known crystal
Crystal = Annotated[
    str, Option("-p", "--phase", metavar="FILE.cif|Au|Ag", help="the crystal in the patterns")
]
Guess = Annotated[
    float | None,
    Option("--pixel-size", metavar="Å⁻¹", help="about; else from the file, or searched for"),
]
CalibrationOut = Annotated[Path, Option("--out", metavar="FILE.toml", help="the file to write")]
