"""Parts of the report: sections, chapters, pictures, methods texts; versions and inputs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from phaseloom.view.style import FIGURE_STYLE, PAGE_WIDTH

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

Figures: TypeAlias = "Mapping[str, Path | bytes]"
"""PNG files or their bytes, by the name of the figure."""

Draws: TypeAlias = "dict[str, Callable[[], Figure]]"
"""Functions that draw the figures, by the name of the figure."""

Tables: TypeAlias = "Mapping[str, pd.DataFrame]"
"""Tables of a result, by name (the file name without ``.csv``)."""

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
        In percent of the page, so that all figures have one font size.
    caption, alternative
        Caption; alternative text.
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
    """The section of one method in the report.

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
        Table of key numbers: headings of the columns, and per row a label and its values.
    summary
        Figures shown before the numbers; None when there are none.
    chapters
        Figures shown after them.
    legend
        Names with their colours, shown at the top of the report.
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
    """A figure (file or bytes) as the report embeds it."""
    data = figure if isinstance(figure, bytes) else Path(figure).read_bytes()
    return Picture(
        data=base64.b64encode(data).decode("ascii"),
        width=_width(data),
        caption=caption,
        alternative=alternative,
    )


class MethodsText:
    """Sentences for the methods section of a paper, and the works that they cite."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._works: list[str] = []

    def add(self, *sentences: str) -> None:
        """Append sentences; empty ones are left out."""
        self._sentences += [sentence for sentence in sentences if sentence]

    def cite(self, work: str) -> str:
        """The number of a work in brackets; works are numbered in the order of first mention."""
        if work not in self._works:
            self._works.append(work)
        return f"[{self._works.index(work) + 1}]"

    @property
    def text(self) -> str:
        """All sentences; numbers in brackets count ``citations``."""
        return " ".join(self._sentences)

    @property
    def citations(self) -> tuple[str, ...]:
        """The works cited, in the order of their numbers."""
        return tuple(self._works)


def program(tree: xr.DataTree) -> str:
    """The program with the version that made a result, where the result states it."""
    return f"phaseloom {facts(tree, 'versions').get('phaseloom', '')}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Title, headings and captions of a method's section.

    Parameters
    ----------
    title
        Of the section.
    captions
        By the name of the figure. Further pages of a figure are called as the figure with
        ``_2``, ``_3`` …, and have the caption ``further``.
    first
        Heading over the figures before the numbers, and their names.
    chapters
        By heading, the names of the figures after the numbers.
    further
        Caption of further pages.
    """

    title: str
    captions: Mapping[str, str]
    first: tuple[str, tuple[str, ...]]
    chapters: Mapping[str, tuple[str, ...]]
    further: str = "Continued."

    def section(
        self,
        figures: Figures,
        *,
        headline: str,
        methods: MethodsText,
        numbers: Mapping[str, str | tuple[str, ...]],
        columns: tuple[str, ...] = ("",),
        legend: Iterable[tuple[str, str]] = (),
        units: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Section:
        """The section with those of its figures that were drawn.

        Parameters
        ----------
        figures
            Headings without any figure are left out.
        numbers
            By label, the value or the values of all columns.
        headline, columns, legend, units
            As for :class:`Section`.
        """
        shown = [self._chapter(figures, *named) for named in (self.first, *self.chapters.items())]
        return Section(
            title=self.title,
            headline=headline,
            methods=methods.text,
            citations=methods.citations,
            columns=columns,
            rows=tuple(
                (label, (value,) if isinstance(value, str) else value)
                for label, value in numbers.items()
            ),
            summary=shown[0] if shown[0].pictures else None,
            chapters=tuple(chapter for chapter in shown[1:] if chapter.pictures),
            legend=tuple(legend),
            units=units or {},
        )

    def _chapter(self, figures: Figures, heading: str, names: tuple[str, ...]) -> Chapter:
        pictures = (
            picture(
                figures[page],
                caption=self.captions[name] if page == name else self.further,
                alternative=page.replace("_", " "),
            )
            for name in names
            for page in figures
            if page == name or page.removeprefix(f"{name}_").isdigit()
        )
        return Chapter(heading, tuple(pictures))


def _width(png: bytes) -> int:
    """Width in percent of a full page figure, from the header of the PNG file."""
    full = PAGE_WIDTH * float(FIGURE_STYLE["savefig.dpi"])
    return min(100, round(100 * int.from_bytes(png[16:20], "big") / full))


def facts(tree: xr.DataTree, name: str) -> dict[str, str]:
    """Versions or inputs in the attributes (JSON) of the tree, or of all its groups."""
    nodes = [tree] if name in tree.attrs else list(tree.children.values())
    collected: dict[str, str] = {}
    for node in nodes:
        text = node.attrs.get(name, "{}")
        entries = json.loads(text) if isinstance(text, str) else dict(text)
        collected |= {str(key): str(value) for key, value in entries.items()}
    return collected


def percent(share: float, *, digits: int = 1) -> str:
    """A fraction as a percentage; below the last digit as "< 0.1 %", so that it differs from 0."""
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest / 2:
        return f"< {smallest:g} %"
    return f"{100 * share:.{digits}f} %"


def bytes_text(number: float) -> str:
    """A number of bytes with three digits and a unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000.0
    return f"{number:.3g} TB"
