"""Finished blocks of a stage on disk, from which a killed stage continues."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr

_KEY = "key"
_PART = re.compile(r"part-(\d+)\.npz(\.tmp)?")
_HEADER = "__head__"


class Parts:
    """Finished parts of one stage, one file each.

    A part is written under another name and then renamed, so that a file with the name of a part
    is complete whenever the run is killed.

    Parameters
    ----------
    folder
        Of the files; None keeps nothing.
    key
        Fingerprint of all that the parts depend on: those of another key are removed.
    before
        Called before the first part is saved; until then parts in the folder are not used.
    """

    def __init__(
        self, folder: Path | None, key: str, *, before: Callable[[], None] | None = None
    ) -> None:
        self._folder = folder
        self._key = key
        self._before = before
        if folder is not None and folder.is_dir() and before is None:
            key_file = folder / _KEY
            if not key_file.is_file() or key_file.read_bytes() != key.encode():
                self.remove()

    def done(self) -> list[int]:
        """Indices of the finished parts, ascending; damaged ones are removed."""
        if self._folder is None or self._before is not None:
            return []
        indices = []
        for file in _files(self._folder):
            match = _PART.fullmatch(file.name)
            if match is None or match[2]:
                continue
            with suppress(OSError, zipfile.BadZipFile, EOFError), zipfile.ZipFile(file) as packed:
                if packed.testzip() is None:
                    indices.append(int(match[1]))
                    continue
            file.unlink()
        return sorted(indices)

    def save(self, index: int, part: xr.Dataset) -> None:
        """Keep a part: arrays with dimensions and coordinates, JSON-able attributes."""
        if self._folder is None:
            return
        if self._before is not None:
            self._before()
            self._before = None
        self._folder.mkdir(parents=True, exist_ok=True)
        key_file = self._folder / _KEY
        if not key_file.is_file():
            key_file.write_bytes(self._key.encode())
        variables = {str(n): v for n, v in part.variables.items()}
        header = {
            "attrs": part.attrs,
            "coords": [str(c) for c in part.coords],
            "variables": {n: [list(v.dims), v.attrs] for n, v in variables.items()},
        }
        target = self._file(index)
        unfinished = target.with_name(target.name + ".tmp")
        with unfinished.open("wb") as file:
            arrays = {f"v{i}": v.to_numpy() for i, v in enumerate(variables.values())}
            np.savez(file, allow_pickle=False, **{_HEADER: np.array(json.dumps(header))}, **arrays)
        unfinished.replace(target)

    def load(self, index: int) -> xr.Dataset:
        """A part as it was saved.

        Raises
        ------
        KeyError
            There is no such part.
        """
        if self._folder is None or not self._file(index).is_file():
            raise KeyError(index)
        with np.load(self._file(index), allow_pickle=False) as packed:
            header = json.loads(str(packed[_HEADER]))
            variables = {
                name: xr.Variable(dims, packed[f"v{i}"], attrs)
                for i, (name, (dims, attrs)) in enumerate(header["variables"].items())
            }
        coords = {name: variables.pop(name) for name in header["coords"]}
        return xr.Dataset(variables, coords, header["attrs"])

    def remove(self) -> None:
        """Remove all parts and, when nothing else is in it, their folder."""
        if self._folder is None:
            return
        for file in _files(self._folder):
            if file.name == _KEY or _PART.fullmatch(file.name):
                file.unlink()
        with suppress(OSError):
            self._folder.rmdir()

    def _file(self, index: int) -> Path:
        assert self._folder is not None
        return self._folder / f"part-{index:06d}.npz"


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
