"""The command that writes results for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from phaseloom.cli import options
from phaseloom.cli.shared import print_json, say

Results = Annotated[Path, Argument(metavar="DIR", help="folder of the results")]
Format = Annotated[
    Literal["ang", "ctf", "h5", "nexus", "tiff", "csv", "hspy"],
    Option(
        "--to",
        help="orientations: ang ctf h5; all maps: nexus tiff csv; patterns of components: hspy",
    ),
]
Out = Annotated[
    Path | None,
    Option("--out", metavar="DIR", help="folder of the files, if not that of the results"),
]


def export(
    results: Results,
    to: Format,
    out: Out = None,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Maps of a result for other programs: OIM, Channel 5, MTEX, orix, ImageJ, tables."""
    from phaseloom.workflow.export import export_results

    files = export_results(results, to, out)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    elif not quiet:
        for file in files:
            say(f"→ {file}")
