"""The parts a report is made of, and what all methods read alike."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from phaseloom.view.style import FIGURE_STYLE, PAGE_WIDTH

if TYPE_CHECKING:
    import xarray as xr


FOLASTRE = (
    "Folastre et al., Improved ACOM pattern matching in 4D-STEM through adaptive sub-pixel peak "
    "detection and image reconstruction, Sci. Rep. (2024), s41598-024-63060-5."
)


@dataclass(frozen=True)
class Picture:
    """A figure in the report.

    Parameters
    ----------
    data
        PNG as base64.
    width
        In percent of the page, so that type has one size in all figures.
    caption, alternative
        What it shows; a text for those who cannot see it.
    """

    data: str
    width: int
    caption: str
    alternative: str


@dataclass(frozen=True)
class Chapter:
    """Figures under one heading."""

    heading: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """What one method says in the report.

    Parameters
    ----------
    title
        Name of the result, for headings.
    headline
        The result in one sentence.
    methods
        What was done, for the methods section of a paper; its numbers in brackets count
        ``citations``.
    columns, rows
        The numbers that matter: headings of the columns, and per row a label and its values.
    summary
        Figures shown before the numbers; None when there are none.
    chapters
        Figures shown after them.
    legend
        Names with their colours, for the head of the report.
    units
        By table, by column: the unit of its numbers.
    """

    title: str
    headline: str
    methods: str
    citations: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    summary: Chapter | None = None
    chapters: tuple[Chapter, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    units: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def picture(figure: Path | bytes, *, caption: str, alternative: str) -> Picture:
    """A figure of a file, or of its bytes, as the report holds it."""
    data = figure if isinstance(figure, bytes) else Path(figure).read_bytes()
    return Picture(
        data=base64.b64encode(data).decode("ascii"),
        width=_width(data),
        caption=caption,
        alternative=alternative,
    )


def _width(png: bytes) -> int:
    """Width in percent of a page figure's; the header of a PNG file holds its pixels."""
    full = PAGE_WIDTH * float(FIGURE_STYLE["savefig.dpi"])
    return min(100, round(100 * int.from_bytes(png[16:20], "big") / full))


def facts(tree: xr.DataTree, name: str) -> dict[str, str]:
    """Versions or inputs from the attributes (JSON) of the tree, or of its groups together."""
    nodes = [tree] if name in tree.attrs else list(tree.children.values())
    held: dict[str, str] = {}
    for node in nodes:
        text = node.attrs.get(name, "{}")
        found = json.loads(text) if isinstance(text, str) else dict(text)
        held |= {str(key): str(value) for key, value in found.items()}
    return held


def percent(share: float, *, digits: int = 1) -> str:
    """A share as a percentage; a small one that is not zero does not read as zero."""
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest / 2:
        return f"< {smallest:g} %"
    return f"{100 * share:.{digits}f} %"
