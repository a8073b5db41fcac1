"""Folder of results: its record, its lock, and what may be removed from it.

A folder belongs to one input and one chain of methods, and to one run at a time. Its record,
``inputs.json``, lists the measurements by fingerprint, the methods, and the files that were
written. It is written before anything else, so that it is valid for a killed run, too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from phaseloom.errors import InputError
from phaseloom.methods import METHODS
from phaseloom.workflow.recipe import Recipe

LOG = "run.log"
"""Log file of all runs in a folder of results."""

_RECORD = "inputs.json"
_LOCK = ".lock"
_STORE = "results.zarr"


def make_folder(folder: Path) -> None:
    """Make the folder of the results.

    Raises
    ------
    InputError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot be the folder of the results ({error.strerror})",
            "give another --out",
            source=folder,
        ) from error


def check_folder_of(file: Path) -> None:
    """Raise InputError when the folder of a file that is to be written does not exist."""
    if not file.parent.is_dir():
        raise InputError("its folder does not exist", "create it first", source=file)


Clear = Callable[[], None] | None
"""Function that removes other results of a folder; None where there are none to remove."""


@contextmanager
def results_folder(recipe: Recipe, *, overwrite: bool = False) -> Iterator[Clear]:
    """Make, lock and claim the folder of a recipe's results while inside.

    Parameters
    ----------
    recipe
        What is to be done.
    overwrite
        The folder may hold results of another input or method.

    Yields
    ------
    callable or None
        Where there are such results, the function that removes all of them and nothing else. It
        is to be called when the run has something to write: one that fails before loses nothing.

    Raises
    ------
    InputError
        Another run is writing there, or the folder holds results of another input or method.
    """
    folder = recipe.folder
    # Missing inputs are reported before anything is made.
    inputs = _inputs(recipe)
    make_folder(folder)
    with _locked(folder):
        if recipe.beside:
            _join(folder, recipe)
            yield None
            return
        try:
            _claim(folder, recipe, inputs)
        except InputError:
            if not overwrite:
                raise
            yield partial(_clear, folder, recipe, inputs)
        else:
            yield None


def _clear(folder: Path, recipe: Recipe, inputs: dict[str, dict[str, str]]) -> None:
    """Remove the results of earlier runs from a folder, and record what it will hold."""
    _remove_results(folder, recipe, _read_record(folder))
    _write_record(folder, _Record(inputs, [recipe.method], [], finished=False))


def note_files(folder: Path, files: Iterable[Path]) -> None:
    """Record files that were written to a folder of results, unless a run is at work there."""
    if not _holds_results(folder):
        return
    with suppress(InputError, OSError), _locked(folder):
        add_files(folder, files)


def add_files(folder: Path, files: Iterable[Path], *, finished: bool = False) -> None:
    """Record files that a run has written to its folder, so that they can be removed with it.

    Parameters
    ----------
    folder
        Of the results.
    files
        In it or elsewhere; those elsewhere are not recorded.
    finished
        The run has come to its end: the record of its files is complete.
    """
    record = _read_record(folder)
    if record is None and _holds_results(folder):
        record = _derived_record(folder)
    inside = {f.resolve() for f in files if f.resolve().is_relative_to(folder.resolve())}
    if record is None or not (inside or finished):
        return
    relative = {file.relative_to(folder.resolve()).as_posix() for file in inside}
    all_files = sorted({*record.files, *relative})
    _write_record(folder, record._replace(files=all_files, finished=finished or record.finished))


def protected_groups(folder: Path, recipe: Recipe) -> dict[str, str]:
    """Groups that a run must not compute again, as other results depend on them, and the fault."""
    record = _read_record(folder)
    methods = () if record is None else record.methods
    dependent = [name for name in methods if recipe.method in METHODS[name].after]
    if record is None or not dependent:
        return {}
    room = METHODS[recipe.method].room
    content = _content(record._replace(methods=dependent))
    return {room: f"holds {content}, made from the {room} that these options would replace"}


class _Record(NamedTuple):
    """Record of a folder: inputs by name, methods, files that were written.

    ``finished`` is False while a run writes, and stays so when it is killed: then ``files`` is not
    complete. ``earlier``: derived from results of an earlier version, which kept no record.
    """

    inputs: dict[str, dict[str, str]]
    methods: list[str]
    files: list[str]
    finished: bool
    earlier: bool = False


def _claim(folder: Path, recipe: Recipe, inputs: dict[str, dict[str, str]]) -> None:
    """Refuse a folder of other results, or record what it will hold."""
    record = (_read_record(folder) or _derived_record(folder)) if _holds_results(folder) else None
    if record is None:
        record = _Record(inputs, [], [], finished=False)
    else:
        _check(folder, recipe, inputs, record)
    methods = _with_method(record.methods, recipe.method)
    _write_record(folder, _Record(inputs, methods, record.files, finished=False))


def _join(folder: Path, recipe: Recipe) -> None:
    """Record that another method joins the peaks of a folder that is the input."""
    record = _read_record(folder)
    if record is not None:
        methods = _with_method(record.methods, recipe.method)
        _write_record(folder, record._replace(methods=methods, finished=False))


def _check(
    folder: Path, recipe: Recipe, inputs: dict[str, dict[str, str]], record: _Record
) -> None:
    """Raise InputError when a folder holds results of other inputs or methods."""
    recorded = {entry["fingerprint"] for entry in record.inputs.values()}
    fingerprints = {entry["fingerprint"] for entry in inputs.values()}
    if (
        recorded
        and recorded <= fingerprints
        and all(_in_chain(name, recipe.method) for name in record.methods)
    ):
        return
    names = {entry["file"] for entry in inputs.values()}
    same_name = names & {entry["file"] for entry in record.inputs.values()}
    explanation = ""
    if record.earlier:
        explanation = ", made by an earlier version"
    elif same_name and not recorded & fingerprints:
        explanation = " (another file of that name, or its content has changed)"
    raise InputError(
        f"holds {_content(record)}{explanation}",
        "give another --out, or --overwrite to remove what is there",
        source=folder,
    )


def _in_chain(one: str, other: str) -> bool:
    """Whether one of two methods goes on from the other's results, or they are the same."""
    return one == other or one in METHODS[other].after or other in METHODS[one].after


def _content(record: _Record) -> str:
    """Content of a folder, in words."""
    files = ", ".join(entry["file"] for entry in record.inputs.values()) or "another input"
    content = " and ".join(METHODS[name].holds.format(files) for name in record.methods)
    return content or f"results of {files}"


def _inputs(recipe: Recipe) -> dict[str, dict[str, str]]:
    return {name: _identity(file) for name, file in recipe.inputs.items()}


def _identity(file: Path | tuple[Path, ...]) -> dict[str, str]:
    """Name and fingerprint of a measurement; of a folder of results that of its own input."""
    from phaseloom.io.fingerprint import input_fingerprint
    from phaseloom.io.image_sets import files_of, said

    if isinstance(file, tuple):
        for each in file:
            if not each.exists():
                raise InputError("no such file", source=each)
        named = tuple(Path(each.name) for each in file)
        return {"file": said(named), "fingerprint": input_fingerprint(file)}
    record = _read_record(file) if file.is_dir() else None
    if record is not None and record.inputs:
        return next(iter(record.inputs.values()))
    files = files_of(file)  # of a folder of images these alone
    if not files and not file.exists():
        raise InputError("no such file", source=file)
    return {
        "file": file.name or file.resolve().name,
        "fingerprint": input_fingerprint(files or file),
    }


def _derived_record(folder: Path) -> _Record:
    """Record of a folder that has none, from the results of an earlier version in it."""
    fingerprints: dict[str, Any] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        root = json.loads((folder / _STORE / "zarr.json").read_text(encoding="utf-8"))
        fingerprints = json.loads(root["attributes"]["inputs"])
    methods = [name for name, entry in METHODS.items() if (folder / _STORE / entry.room).is_dir()]
    inputs = {
        name: {"file": name, "fingerprint": str(fingerprint)}
        for name, fingerprint in fingerprints.items()
        # Crystals and images are listed with the scan, references with the stacks.
        if name == "scan" or ("stxm" in methods and name != "references")
    }
    return _Record(inputs, methods, [], finished=False, earlier=True)


def _holds_results(folder: Path) -> bool:
    return (folder / _STORE).is_dir() or (folder / "unfinished").is_dir()


def _remove_results(folder: Path, recipe: Recipe, record: _Record | None) -> None:
    """Remove the files that runs have written to a folder; never an input."""
    from phaseloom.io.image_sets import files_of

    if record is None and not _holds_results(folder):
        return
    written = [folder / name for name in ("report.html", _RECORD)]
    written += [folder / f"{name}.toml" for name in ("recipe", *METHODS)]
    if record is None or not record.finished:
        # Not every file of a killed run, or of an earlier version, is recorded.
        written += [*(folder / "figures").glob("*.png"), *(folder / "tables").glob("*.csv")]
    written += [folder / name for name in (() if record is None else record.files)]
    # Links, and records that were tampered with, must not remove files outside the folder.
    within = folder.resolve()
    named = [f for i in recipe.inputs.values() for f in (i if isinstance(i, tuple) else (i,))]
    inputs = {f.resolve() for n in named for f in (n, *files_of(n))} - {within, *within.parents}
    for file in written:
        places = {file.resolve(), *file.resolve().parents}
        if file.is_file() and within in places and not places & inputs:
            file.unlink()
    for tree in (folder / _STORE, folder / "unfinished"):
        if tree.is_dir() and not tree.is_symlink():
            shutil.rmtree(tree)
    # Folders that are empty now, the innermost first.
    for parent in sorted({p for f in written for p in f.parents}, reverse=True):
        if parent != folder and parent.is_relative_to(folder):
            with suppress(OSError):
                parent.rmdir()


def _read_record(folder: Path) -> _Record | None:
    """The record of a folder; None when there is none that can be read."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        inputs = {
            str(name): {"file": str(entry["file"]), "fingerprint": str(entry["fingerprint"])}
            for name, entry in record["inputs"].items()
        }
        methods = [name for name in record["methods"] if name in METHODS]
        return _Record(inputs, methods, list(map(str, record["files"])), bool(record["finished"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_record(folder: Path, record: _Record) -> None:
    unfinished = folder / f".{_RECORD}.part"
    content = {name: value for name, value in record._asdict().items() if name != "earlier"}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
    unfinished.replace(folder / _RECORD)


def _with_method(methods: list[str], method: str) -> list[str]:
    return methods if method in methods else [*methods, method]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; the system frees the lock of a process that has died."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            "another run is writing its results there",
            "wait for it to end, or give another --out",
            source=folder,
        ) from error
    try:
        yield
    finally:
        lock.release()
