"""Page of all options in the documentation, ``docs/options.md``, made from the options.

``python -m phaseloom.cli.reference`` prints it; ``make docs`` writes it.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from phaseloom.cli import app, commands, options
from phaseloom.cli.flags import Flag, flags_of
from phaseloom.methods import METHODS
from phaseloom.workflow.peaks.recipe import CalibrationRequest, ReconstructionRequest
from phaseloom.workflow.recipe import recipe_class
from phaseloom.workflow.stxm.recipe import SpectrumRequest

_HEAD = """\
# Options

Every option of every command, as `phaseloom COMMAND --help` has them, too. This page is made from
the options themselves (`make docs`), as are flags, recipes and keywords.

- *flag*: on the command line. What has no dashes is given without a flag.
- *key*: in a [recipe](results.md#recipes), under the heading of the table: a recipe has one
  `[matching]`, and a `[[crystal]]` for every crystal. Keys of the steps are also the keywords from
  Python: `phaseloom.orientation.index(peaks, crystals, overlaps=True)`.
- ○: for experts. The default suits nearly all data; in `--help` these come last.
"""

_RUNNING = """\
## How a command runs

These are the same for all commands that run a method, recipes or a demonstration.
[Results](results.md) says what is in the folder, when it is refused, and what a run continues.
"""

_REQUESTS: dict[str, type[BaseModel]] = {
    "spectra": SpectrumRequest,
    "reconstruct": ReconstructionRequest,
    "calibrate": CalibrationRequest,
}
"""Commands that write one file."""

Row = tuple[str, ...]

_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_DEFAULT = re.compile(r" *\\?\[default: (.*?)\]")


def options_page() -> str:
    """All tables, as Markdown."""
    parts = [_HEAD]
    printed: dict[tuple[str, ...], str] = {}
    for info in app.registered_commands:
        callback: Any = info.callback
        name = info.name or callback.__name__
        parts.append(f"## phaseloom {name}\n\n{info.help or _first_line(callback)}\n")
        if name in METHODS:
            parts += _recipe_tables(name, printed)
        elif name in _REQUESTS:
            rows = [_row(flag) for flag in flags_of(_REQUESTS[name])]
            parts.append(_table(row[:1] + row[2:] for row in rows))
        else:
            parts += _plain_table(callback)
        if name in METHODS or name in ("run", "demo"):
            parts.append(
                "[How it runs](#how-a-command-runs): `--out`, `--overwrite`, `--fresh` …\n"
            )
    return "\n".join([*parts, _RUNNING, *_plain_table(commands.demo, running=True)])


def _recipe_tables(method: str, printed: dict[tuple[str, ...], str]) -> Iterator[str]:
    """One table for each table of the recipe, required options first; repeated ones are linked."""
    groups: dict[str, list[Row]] = {}
    for flag in flags_of(recipe_class(method)):
        *tables, last = flag.path
        title = ".".join(tables)
        if flag.entries is not None:
            groups[f"[[{last}]]"] = [_row(flag), _name_row(flag)]
        elif f"[[{title}]]" in groups:
            groups[f"[[{title}]]"].append(_row(flag))
        elif get_origin(flag.field.annotation) is dict:
            spelled, _, *rest = _row(flag)
            groups[f"[{last}]"] = [(spelled, "`LABEL`", *rest)]
        else:
            groups.setdefault(f"[{title}]", []).append(_row(flag))
    linked: dict[str, list[str]] = {}
    for title in sorted(
        groups, key=lambda title: all(row[-1] != "required" for row in groups[title])
    ):
        table = _table(groups[title])
        home = printed.setdefault((title, table), method)
        if home != method:
            linked.setdefault(home, []).append(f"`{title}`")
        else:
            yield (f"### `{title}`\n\n" if title != "[]" else "### Top of the recipe\n\n") + table
    for home, titles in linked.items():
        yield f"As for [phaseloom {home}](#phaseloom-{home}): {', '.join(titles)}.\n"


def _table(rows: Iterable[Row]) -> str:
    """Rows of four cells, or of five with the key of the recipe."""
    rows = list(rows)
    names = ("flag", "key", "value", "what", "default")
    head = names if len(rows[0]) == len(names) else (names[0], *names[2:])
    lines = [" | ".join(head), " | ".join(["---"] * len(head))]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in cells) for cells in rows]
    return "".join(f"| {line} |\n" for line in lines)


def _row(flag: Flag) -> Row:
    field, display = flag.field, flag.shown
    if display.argument:
        spelled = f"`{display.form}`"
    else:
        spelled = f"`-{display.short}` `{flag.spelled}`" if display.short else f"`{flag.spelled}`"
        if field.annotation is bool and field.default is True:
            spelled += f" `--no-{flag.spelled.removeprefix('--')}`"
    key = "file" if flag.entries is not None else flag.path[-1]
    mark = "○ " if display.expert else ""
    value = "path" if display.argument else _value(field, display.form, display.unit)
    return spelled, f"`{key}`", value, mark + (field.description or ""), _default(field)


def _name_row(flag: Flag) -> Row:
    """Row of the key that holds the name, for tables that are given as NAME=FILE."""
    assert flag.entries is not None
    key = flag.shown.key
    field = flag.entries.model_fields[key]
    return f"`{key.upper()}=`", f"`{key}`", "text", field.description or "", ""


def _plain_table(command: Callable[..., Any], *, running: bool = False) -> Iterator[str]:
    """Table of the parameters of a command without recipe: its own, or the shared run flags."""
    rows = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind, info = get_args(parameter.annotation)
        if running is not (getattr(info, "rich_help_panel", None) == options.RUNNING):
            continue
        # typer takes the first name of an option for its default.
        names = [n for n in (info.default, *(info.param_decls or ())) if str(n).startswith("-")]
        spelled = " ".join(f"`{name}`" for name in sorted(names, key=len)) or f"`{info.metavar}`"
        description = info.help or ""
        stated_default = _DEFAULT.search(description)
        default = stated_default[1] if stated_default else parameter.default
        if default is inspect.Parameter.empty:
            default = "required"
        else:
            default = "" if default in (None, False) else f"`{default}`"
        value = f"`{info.metavar}`" if info.metavar and names else _kind(kind, _limits(info))
        rows.append((spelled, value, _DEFAULT.sub("", description), default))
    if rows:
        yield _table(rows)


def _value(field: FieldInfo, form: str, unit: str) -> str:
    """Possible values: choices, kind of number, bounds, unit."""
    value = f"`{form}`" if form else _kind(field.annotation, _bounds(field.metadata))
    return f"{value}, {unit}" if unit else value


def _kind(kind: Any, bounds: str) -> str:
    origin, members = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _either([f"`{word}`" for word in members])
    if origin is tuple:
        return f"{_kind(members[0], bounds)}; may be repeated"
    if origin in (Union, types.UnionType):
        return _either([_kind(m, bounds) for m in members if m is not type(None)])
    if hasattr(kind, "__metadata__"):
        return _kind(members[0], _bounds([m for f in kind.__metadata__ for m in _flat(f)]))
    names = {bool: "yes or no", int: "whole number", float: "number", Path: "path"}
    return f"{names.get(kind, 'text')} {bounds if kind in (int, float) else ''}".strip()


def _flat(metadata: Any) -> list[Any]:
    return metadata.metadata if isinstance(metadata, FieldInfo) else [metadata]


def _either(choices: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))


def _bounds(metadata: Iterable[Any]) -> str:
    bounds = [
        f"{sign} {getattr(limit, name):g}"
        for limit in metadata
        for name, sign in _SIGNS.items()
        if isinstance(getattr(limit, name, None), (int, float))
    ]
    return ", ".join(bounds)


def _limits(info: Any) -> str:
    """Bounds of a parameter of typer's."""
    limits = (("≥", info.min), ("≤", info.max))
    return ", ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}, ""):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value:g}`" if isinstance(value, (int, float)) else f"`{value}`"


def _first_line(documented: type[BaseModel] | Callable[..., Any]) -> str:
    return (documented.__doc__ or "").splitlines()[0]


if __name__ == "__main__":
    sys.stdout.write(options_page())
