"""What finished figures and reports show, read back as text."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path


def titles(figure: object) -> list[str]:
    """Titles of the panels without their letters."""
    return [
        text.get_text()
        for axes in figure.axes
        for text in axes.texts
        if text.get_gid() == "title" and text.get_text()
    ]


def text_of(path: Path) -> str:
    """A report without its style sheet and pictures."""
    page = path.read_text(encoding="utf-8")
    return unescape(re.sub(r"<style>.*?</style>|base64,[^\"]+", "", page, flags=re.DOTALL))
