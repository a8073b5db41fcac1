"""benchmarks/RESULTS.md: one section per benchmark, each between its own markers."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

FILE = Path(__file__).parent / "RESULTS.md"


def write_section(name: str, text: str, file: Path = FILE) -> None:
    """Put ``text`` between the markers of section ``name``; a new section goes to the end."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    whole = file.read_text(encoding="utf-8") if file.exists() else "# Benchmark results\n"
    block = f"{begin}\n{text.strip()}\n{end}"
    if begin in whole:
        before, rest = whole.split(begin, 1)
        whole = before + block + rest.split(end, 1)[1]
    else:
        whole = f"{whole.rstrip()}\n\n{block}\n"
    file.write_text(whole, encoding="utf-8")


def publish(name: str, text: str, *, dry: bool) -> None:
    """Write a section, or print it where nothing is to be written."""
    if dry:
        sys.stdout.write(text + "\n")
    else:
        write_section(name, text)


def machine() -> str:
    """What it ran on, in one line."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    return (
        f"{os.cpu_count()} cores ({model}), {gib:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, numpy {version('numpy')}, numba {version('numba')}"
    )
