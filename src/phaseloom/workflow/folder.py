"""A folder of results belongs to one input and one chain of methods, and to one run at a time.

``inputs.json`` in the folder says what is in it: the measurements by fingerprint, the methods, the
files that were written. It is written before anything else, so that also what a killed run left is
known to be its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from phaseloom.errors import InputError
from phaseloom.workflow.recipe import Recipe

LOG = "run.log"
"""File of the results that tells what every run did."""

_RECORD = "inputs.json"
_LOCK = ".lock"
_STORE = "results.zarr"
_CHAINS = {"peaks": ("index", "cluster"), "index": ("peaks",), "cluster": ("peaks",)}
"""By method, those whose results may stand in its folder: what it goes on from or leads to."""

_GROUPS = {"stxm": "stxm", "peaks": "peaks", "orientation": "index", "components": "cluster"}
"""By group of the results, the method that made it; of folders that have no record."""

_CONTENT = {
    "stxm": "phase maps of {}",
    "peaks": "the peaks of {}",
    "index": "the orientation map of {}",
    "cluster": "the components of {}",
}


def make_folder(folder: Path) -> None:
    """Make the folder of the results.

    Raises
    ------
    InputError
        Something is in its way.
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


@contextmanager
def results_folder(recipe: Recipe, *, overwrite: bool = False) -> Iterator[Path]:
    """The folder of a recipe's results, for one run alone while inside.

    Parameters
    ----------
    recipe
        What is to be done.
    overwrite
        Remove what an earlier run left there, and nothing else, unless this run joins the peaks
        of a folder that is its input.

    Raises
    ------
    InputError
        Another run is writing there, or the folder holds results of another input or method.
    """
    folder = recipe.folder
    make_folder(folder)
    with _locked(folder):
        _claim(folder, recipe, overwrite=overwrite)
        yield folder


def add_files(folder: Path, files: Iterable[Path]) -> None:
    """Note files that were written to a folder of results, so that they can be removed with it."""
    record = _read(folder)
    if record is None:
        return
    inside = {f.resolve() for f in files if f.resolve().is_relative_to(folder.resolve())}
    relative = {file.relative_to(folder.resolve()).as_posix() for file in inside}
    _write(folder, record | {"files": sorted({*record["files"], *relative})})


def protected_groups(folder: Path, recipe: Recipe) -> dict[str, str]:
    """Groups that a run must not compute again, and why: other results are made from them."""
    record = _read(folder)
    made = [m for m in (record or {"methods": []})["methods"] if m != "peaks"]
    if recipe.method != "peaks" or record is None or not made:
        return {}
    files = ", ".join(entry["file"] for entry in record["inputs"].values())
    held = " and ".join(_CONTENT[m].format(files) for m in made)
    return {"peaks": f"holds {held}, made from the peaks that these options would replace"}


def _claim(folder: Path, recipe: Recipe, *, overwrite: bool) -> None:
    """Refuse a folder of other results, or note what it will hold."""
    record = _read(folder)
    if recipe.beside:
        if record is not None:
            _write(folder, record | {"methods": _with(record["methods"], recipe.method)})
        return
    inputs = {name: _identity(file) for name, file in recipe.inputs.items()}
    if overwrite:
        _remove_results(folder, recipe, record)
        record = None
    elif not _holds_results(folder):
        record = None
    elif record is None:
        record = _derived(folder)
    if record is not None:
        _check(folder, recipe, inputs, record)
    known = record or {"methods": [], "files": []}
    methods = _with(known["methods"], recipe.method)
    _write(folder, {"inputs": inputs, "methods": methods, "files": known["files"]})


def _check(
    folder: Path, recipe: Recipe, inputs: dict[str, dict[str, str]], record: dict[str, Any]
) -> None:
    """Raise InputError when results of other inputs or other methods stand in a folder."""
    known = {entry["fingerprint"] for entry in record["inputs"].values()}
    given = {entry["fingerprint"] for entry in inputs.values()}
    methods = record["methods"]
    chain = set(methods) <= {recipe.method, *_CHAINS.get(recipe.method, ())}
    if known and known <= given and chain:
        return
    files = ", ".join(entry["file"] for entry in record["inputs"].values()) or "another input"
    held = " and ".join(_CONTENT[m].format(files) for m in methods) or f"results of {files}"
    same = " (another file of that name, or its content has changed)"
    again = {entry["file"] for entry in inputs.values()} & {
        entry["file"] for entry in record["inputs"].values()
    }
    raise InputError(
        f"holds {held}{same if again and not known & given else ''}",
        "give another --out, or --overwrite to remove what is there",
        source=folder,
    )


def _identity(file: Path) -> dict[str, str]:
    """Name and fingerprint of a measurement; of a folder of results that of its own input."""
    from phaseloom.io.fingerprint import input_fingerprint

    record = _read(file) if file.is_dir() else None
    if record is not None and record["inputs"]:
        first: dict[str, str] = next(iter(record["inputs"].values()))
        return first
    if not file.exists():
        raise InputError("no such file", source=file)
    return {"file": file.name, "fingerprint": input_fingerprint(file)}


def _derived(folder: Path) -> dict[str, Any]:
    """The record of a folder that has none: results of an earlier version."""
    attributes: dict[str, Any] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        root = json.loads((folder / _STORE / "zarr.json").read_text(encoding="utf-8"))
        attributes = json.loads(root["attributes"]["inputs"])
    inputs = {
        name: {"file": name, "fingerprint": str(fingerprint)}
        for name, fingerprint in attributes.items()
        if name != "references"
    }
    methods = [m for group, m in _GROUPS.items() if (folder / _STORE / group).is_dir()]
    return {"inputs": inputs, "methods": methods, "files": []}


def _holds_results(folder: Path) -> bool:
    return (folder / _STORE).is_dir() or (folder / "unfinished").is_dir()


def _remove_results(folder: Path, recipe: Recipe, record: dict[str, Any] | None) -> None:
    """Remove what runs have written to a folder, and nothing else; never an input."""
    if record is None and not _holds_results(folder):
        return
    written = [folder / name for name in ("report.html", LOG, _RECORD)]
    written += [folder / f"{name}.toml" for name in ("recipe", "index", "cluster")]
    written += [*(folder / "figures").glob("*.png"), *(folder / "tables").glob("*.csv")]
    # A record that was tampered with removes nothing outside its folder.
    listed = [folder / name for name in (record or {"files": []})["files"]]
    written += [f for f in listed if f.resolve().is_relative_to(folder.resolve())]
    inputs = {file.resolve() for file in recipe.inputs.values()}
    for file in written:
        if file.is_file() and file.resolve() not in inputs:
            file.unlink()
    for tree in (folder / _STORE, folder / "unfinished"):
        if tree.is_dir() and tree.resolve() not in inputs:
            shutil.rmtree(tree)
    for sub in ("figures", "tables"):
        with suppress(OSError):
            (folder / sub).rmdir()


def _read(folder: Path) -> dict[str, Any] | None:
    """What a folder says is in it; None when it says nothing that can be read."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        {entry["fingerprint"] + entry["file"] for entry in record["inputs"].values()}
        [str(name) for name in (*record["methods"], *record["files"])]
        methods = [name for name in record["methods"] if name in _CONTENT]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return {"inputs": record["inputs"], "methods": methods, "files": record["files"]}


def _write(folder: Path, record: dict[str, Any]) -> None:
    unfinished = folder / f".{_RECORD}.part"
    unfinished.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(folder / _RECORD)


def _with(methods: list[str], method: str) -> list[str]:
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
