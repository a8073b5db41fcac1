"""The pages say what is there: links, flags, modules, examples, and the page of all options."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from phaseloom.cli import app
from phaseloom.cli.reference import options_page

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "benchmarks")
    for page in folder.glob("*.md")
)
HANDWRITTEN = [page for page in PAGES if page.split("/")[-1] not in ("options.md", "RESULTS.md")]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.*?) *$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
FLAG = re.compile(r"(?<![\w-])(--?[a-z][a-z0-9-]*)")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    return FENCE.sub("", text_of(page))


def anchors(page: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    seen: dict[str, int] = {}
    found = set()
    for heading in HEADING.findall(prose(page)):
        bare = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", bare.lower()).replace(" ", "-")
        number = seen.setdefault(name, 0)
        seen[name] += 1
        found.add(f"{name}-{number}" if number else name)
    return found


@cache
def flags() -> dict[str, set[str]]:
    """By command, its flags."""
    import typer

    group: Any = typer.main.get_command(app)
    return {
        name: {
            flag
            for parameter in command.params
            for flag in (*parameter.opts, *parameter.secondary_opts)
            if flag.startswith("-")
        }
        | {"--help"}
        for name, command in group.commands.items()
    }


def test_the_page_of_options_is_up_to_date() -> None:
    page = (ROOT / "docs/options.md").read_text(encoding="utf-8")
    assert page == options_page(), "docs/options.md is not what the options say: run `make docs`"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (ROOT / page).parent / file if file else ROOT / page
        assert place.exists(), f"{page} links to {target}"
        if anchor:
            named = place.resolve().relative_to(ROOT).as_posix()
            assert anchor in anchors(named), f"{page} links to {target}: no such heading"


@pytest.mark.parametrize("page", HANDWRITTEN)
def test_commands_on_a_page_can_be_given(page: str) -> None:
    lines = [
        line.split(" #")[0]
        for language, block in FENCE.findall(text_of(page))
        if language == "sh"
        for line in block.splitlines()
    ]
    lines += [code for code in CODE.findall(prose(page)) if code.startswith("phaseloom ")]
    for part in (part.strip() for line in lines for part in line.split("&&")):
        words = part.split()
        if words[:1] != ["phaseloom"] or len(words) < 2 or not words[1].islower():
            continue
        if words[1].startswith("-"):
            continue
        assert words[1] in flags(), f"{page}: {part}"
        for word in words[2:]:
            if re.fullmatch(FLAG, word):
                assert word in flags()[words[1]], f"{page}: {word} in {part}"


@pytest.mark.parametrize("page", HANDWRITTEN)
def test_flags_that_a_page_names_exist(page: str) -> None:
    known = {flag for several in flags().values() for flag in several}
    known |= {"--version", "--install-completion", "--show-completion", "--no-"}
    known |= {"--strict", "--hypothesis-profile"}  # of mypy, of pytest
    for code in CODE.findall(prose(page)):
        if code.startswith("-"):
            for flag in FLAG.findall(code):
                assert flag in known, f"{page}: {code}"


@pytest.mark.parametrize("page", HANDWRITTEN)
def test_modules_and_files_that_a_page_names_exist(page: str) -> None:
    source = ROOT / "src/phaseloom"
    for code in CODE.findall(prose(page)):
        if re.fullmatch(r"phaseloom(\.[a-z_]+)+(\([^)]*\))?", code):
            *path, last = code.split("(")[0].split(".")
            try:
                thing: Any = import_module(".".join([*path, last]))
            except ImportError:
                thing = getattr(import_module(".".join(path)), last)
            assert thing is not None
        elif re.fullmatch(r"[a-z_]+(/[a-z_]+)+\.py", code):
            places = (ROOT / code, source / code)
            assert any(place.is_file() for place in places), f"{page}: {code}"


def test_every_step_of_a_method_names_a_module_that_exists() -> None:
    for hall in ("stxm", "diffraction", "orientation"):
        page = "docs/peaks.md" if hall == "diffraction" else f"docs/{hall}.md"
        rows = re.findall(r"^\| (?:\d+|–) [^|]*\| ([^|]*) \|", prose(page), re.MULTILINE)
        named = [name for row in rows for name in CODE.findall(row)]
        assert len(named) > 5
        for name in named:
            full = name if name.startswith("phaseloom.") else f"phaseloom.{hall}.{name}"
            import_module(full)


def test_questions_are_answered_by_what_is_there() -> None:
    rows = re.findall(
        r"^\| .*\? \| \[`(.*?)`\]\(.*?\) \| `(\w+)` \|$", text_of("docs/architecture.md"), re.M
    )
    assert len(rows) >= 15
    for file, name in rows:
        source = (ROOT / "src/phaseloom" / file).read_text(encoding="utf-8")
        assert re.search(rf"^(def|class) {name}\b", source, re.MULTILINE), f"{file}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_python_on_a_page_is_run_as_a_doctest(page: str) -> None:
    for language, block in FENCE.findall(text_of(page)):
        if language in ("python", "py", "pycon"):
            assert block.startswith(">>> "), f"{page}: not a doctest:\n{block}"
            assert "+SKIP" not in block


def test_the_house_has_the_halls_that_it_says_and_they_import_what_it_says() -> None:
    import grimp

    page = text_of("docs/architecture.md")
    table = page[page.index("| hall | what it does") : page.index("The order of the rooms")]
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", table, re.MULTILINE))
    packages = {file.parent.name for file in (ROOT / "src/phaseloom").glob("*/__init__.py")}
    assert rows.keys() == packages
    graph = grimp.build_graph("phaseloom", cache_dir=None)
    for hall, cell in rows.items():
        if cell == "all but `cli`":
            said = packages - {"cli"} | {"methods"}
        else:
            said = set(CODE.findall(cell))
        imported = {
            name.split(".")[1]
            for module in graph.modules
            if module.split(".")[1:2] == [hall]
            for name in graph.find_modules_directly_imported_by(module)
            if name != "phaseloom"
        } - {hall, "errors", "options", "lazy"}
        assert imported <= said, hall
        assert imported == said or "all but" in cell, hall


def test_terms_are_variables_flags_or_files_that_exist() -> None:
    """Names in the column "name" occur in the source."""
    source = "\n".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "src/phaseloom").rglob("*.py")
    )
    source += text_of("docs/options.md")
    for line in prose("docs/terms.md").splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        if len(cells) < 6 or cells[1].strip() in ("term", "---"):
            continue
        for name in re.findall(r"`([a-z_]\w+)`", cells[-3]):
            assert re.search(rf"\b{name}\b", source), f"{name} in: {line}"


def test_make_docs_writes_what_the_test_compares() -> None:
    target = re.search(r"^docs: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert target is not None
    assert "phaseloom.cli.reference > docs/options" in target[1]


def test_the_page_is_printed_by_the_module() -> None:
    import sys

    ran = subprocess.run(
        [sys.executable, "-m", "phaseloom.cli.reference"],
        capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert ran.stdout == options_page()
