"""The option tables of the documentation, made from the recipes: ``docs/options.md``.

``python -m phaseloom.cli.reference`` prints the page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from phaseloom.cli.flags import Flag, flags_of
from phaseloom.methods import METHODS
from phaseloom.workflow.peaks.recipe import CalibrationRequest, ReconstructionRequest
from phaseloom.workflow.recipe import recipe_class
from phaseloom.workflow.stxm.recipe import SpectrumRequest

_HEAD = """\
# Options

Every option of every command, by the table of the recipe that holds it. Flag and key of the
recipe say the same; from Python the key is the keyword (`phaseloom.orientation.index(peaks,
crystals, overlaps=True)`). Options marked with ○ are for experts: the default suits nearly all
data. This page is made from the options themselves: `make docs`.

How a command runs is alike for all: `--out DIR` folder of the results, `--overwrite` remove the
results of another input that it holds, `--fresh` compute everything again, `--workers N` threads,
`--scheduler tcp://HOST:8786` dask cluster, `--device auto|cpu|cuda`, `--seed N`, `--quiet`,
`--verbose`, `--json`. See [results](results.md) for folders, locks and batches.
"""


def options_page() -> str:
    """All tables, as Markdown."""
    parts = [_HEAD]
    shown: dict[tuple[str, ...], list[str]] = {}
    for name in METHODS:
        model = recipe_class(name)
        parts.append(f"## phaseloom {name}\n\n{_first_line(model)}\n")
        parts += _tables(model, shown)
    for name, request in (
        ("spectra", SpectrumRequest),
        ("reconstruct", ReconstructionRequest),
        ("calibrate", CalibrationRequest),
    ):
        parts.append(f"## phaseloom {name}\n\n{_first_line(request)}\n")
        parts += _tables(request, {})
    return "\n".join(parts)


def _tables(model: type[BaseModel], shown: dict[tuple[str, ...], list[str]]) -> Iterator[str]:
    """One table per table of the recipe; one that another method has shown is only named."""
    groups: dict[tuple[str, ...], list[Flag]] = {}
    for flag in flags_of(model):
        groups.setdefault(flag.path[:-1], []).append(flag)
    flags_in = {path: [flag.spelled for flag in flags] for path, flags in groups.items()}
    repeated = [path for path, names in flags_in.items() if path and shown.get(path) == names]
    for path, flags in groups.items():
        if path in repeated:
            continue
        shown[path] = flags_in[path]
        title = f"### [{'.'.join(path)}]\n\n" if path else ""
        rows = [_row(flag) for flag in flags]
        head = "| flag | key | what | default | bounds |\n|---|---|---|---|---|\n"
        yield title + head + "\n".join(rows) + "\n"
    if repeated:
        names = ", ".join(f"`[{'.'.join(path)}]`" for path in repeated)
        yield f"Registration as for [phaseloom peaks](#phaseloom-peaks): {names}.\n"


def _row(flag: Flag) -> str:
    field, stated = flag.field, flag.shown
    spelled = "" if stated.argument else f"`{flag.spelled}`"
    if stated.short:
        spelled = f"`-{stated.short}` {spelled}"
    told = field.description or ""
    told += f", {stated.unit}" if stated.unit else ""
    told += f" (`{stated.form}`)" if stated.form else ""
    mark = "○ " if stated.expert else ""
    cells = (spelled, f"`{flag.path[-1]}`", mark + told, _default(field), _bounds(field))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        return ""
    return f"`{value}`" if not isinstance(value, bool) else ("yes" if value else "no")


def _bounds(field: FieldInfo) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    found = [
        f"{sign} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, sign in signs.items()
        if isinstance(getattr(limit, name, None), (int, float))
    ]
    return ", ".join(found)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").splitlines()[0]


if __name__ == "__main__":
    sys.stdout.write(options_page())
