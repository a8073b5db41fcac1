"""Checkpoints: finished stages of a run on disk, from which a killed run continues.

A stage writes its variables into its group of ``results.zarr`` and, last of all, its
fingerprint: a stage with the right fingerprint is complete, any other is computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.compute.parts import Parts
from phaseloom.errors import InputError, InputWarning

_LOGGER = logging.getLogger("phaseloom")
_MARK = "finished_"
_METADATA = "zarr.json"
_MARK_KEYS = {"key", "warnings", "variables", "attributes", "content"}
"""Of the attribute that marks a stage as finished."""


def fingerprint(*parts: Any) -> str:
    """Short hash of arrays, labelled arrays and JSON-able values.

    Values, types, names, dimensions and attributes all count, but for the attribute ``source``:
    the path of a file says nothing about its content.

    Parameters
    ----------
    *parts
        numpy arrays, xarray objects, anything :func:`json.dumps` takes, and lists of these.
    """
    digest = hashlib.blake2b(digest_size=16)
    _update(digest, parts)
    return digest.hexdigest()


def _update(digest: Any, part: Any) -> None:
    """Hash a part, its type and length first: parts side by side cannot pass for others."""
    if isinstance(part, xr.Dataset):
        _hash_bytes(digest, "dataset", _described(part.attrs))
        _update_variables(digest, part.variables)
    elif isinstance(part, xr.DataArray):
        _hash_bytes(digest, "array", str(part.name).encode())
        _update_variables(digest, part.coords)
        _update_variables(digest, {"": part.variable})
    elif isinstance(part, np.ndarray):
        data = part.astype(str) if part.dtype.kind in "OT" else part
        content = np.ascontiguousarray(data).view(np.uint8).reshape(-1).data
        _hash_bytes(digest, f"{part.dtype.str} {data.dtype.str} {part.shape}", content)
    elif isinstance(part, (list, tuple)):
        _hash_bytes(digest, f"list {len(part)}", b"")
        for item in part:
            _update(digest, item)
    else:
        _hash_bytes(digest, "value", json.dumps(part, sort_keys=True).encode())


def _update_variables(digest: Any, variables: Mapping[Any, xr.Variable | xr.DataArray]) -> None:
    """Hash variables with their names, dimensions and attributes, in the order of the names."""
    _hash_bytes(digest, f"variables {len(variables)}", b"")
    for name, variable in sorted(variables.items(), key=lambda item: str(item[0])):
        _hash_bytes(digest, "name", str(name).encode())
        _hash_bytes(digest, "dims", json.dumps([str(d) for d in variable.dims]).encode())
        _hash_bytes(digest, "attrs", _described(variable.attrs))
        _update(digest, variable.to_numpy())


def _described(attributes: Mapping[Any, Any]) -> bytes:
    hashed = {name: value for name, value in attributes.items() if name != "source"}
    return json.dumps(hashed, sort_keys=True, default=str).encode()


def _hash_bytes(digest: Any, kind: str, content: bytes | memoryview) -> None:
    digest.update(f"{kind}:{len(content)};".encode())
    digest.update(content)


class Checkpoints:
    """Finished stages of a run, kept in a zarr store (or nowhere).

    Parameters
    ----------
    store
        Path of ``results.zarr``; None keeps nothing.
    fresh
        Compute every stage again. Results of an earlier run stay until the first new stage is
        written.
    groups
        Groups of the store that ``fresh`` is confined to.
    protected
        By group, the fault to report instead of computing its stages again.
    before
        Called once, before the first stage or part of one is written; until then nothing in the
        store is used.

    Raises
    ------
    InputError
        The store is a file; later: a protected stage would be computed again.
    """

    def __init__(
        self,
        store: Path | None = None,
        *,
        fresh: bool = False,
        groups: Sequence[str] | None = None,
        protected: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        if store is not None and store.exists() and not store.is_dir():
            raise InputError(
                "is a file where the folder of results should be",
                "move it away or give another --out",
                source=store,
            )
        self.store = store
        self.reused: list[str] = []
        self._groups: set[str] = set()
        self._fresh = fresh
        self._fresh_groups = groups
        self._protected = protected or {}
        self._before = before
        self._cleared: set[Path] | None = set() if fresh else None

    def stage(
        self,
        group: str,
        name: str,
        key: str,
        compute: Callable[[], xr.Dataset],
        *,
        first: bool = False,
    ) -> xr.Dataset:
        """Variables of a stage: from the store when finished with this key, else computed.

        Warnings of the stage are issued again when it comes from the store.

        Parameters
        ----------
        group
            Group of the store, such as ``stxm/particle``.
        name
            Name of the stage; several stages may share a group and its coordinates.
        key
            Fingerprint of everything that the result depends on; the version of phaseloom is
            added to it.
        compute
            Returns the variables.
        first
            The first stage of its group: computing it removes what the group held.
        """
        if self.store is None:
            return compute()
        key = f"{version('phaseloom')} {key}"
        self._groups.add(group)
        path = self.store / group
        mark = {} if self._is_fresh(group) else _marks(path).get(name, {})
        if mark.get("key") == key and mark["content"] == _content(path, mark):
            self.reused.append(f"{group}: {name}")
            _LOGGER.info("%s: %s kept from an earlier run", group, name)
            self._remove_parts(group, name)
            return self._read(group, mark)
        if group in self._protected:
            raise InputError(
                self._protected[group],
                "give another --out, or --overwrite to remove what is there",
                source=self.store.parent,
            )
        begun = time.monotonic()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = compute()
        _LOGGER.info("%s: %s computed in %.1f s", group, name, time.monotonic() - begun)
        messages = [str(w.message) for w in caught if issubclass(w.category, InputWarning)]
        for warning in caught:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        self._write(group, name, {"key": key, "warnings": messages}, result, first=first)
        self._remove_parts(group, name)
        return result

    def parts(self, group: str, name: str, key: str) -> Parts:
        """Finished parts of a stage, kept until the stage itself is finished.

        Parameters
        ----------
        group, name, key
            As given to :meth:`stage`.

        Returns
        -------
        Parts
            In ``unfinished/`` beside the store; nowhere without a store.
        """
        if self.store is None:
            return Parts(None, key)
        folder = self._unfinished(group, name)
        if self._before is not None:
            return Parts(folder, f"{version('phaseloom')} {key}", before=self._begin)
        parts = Parts(folder, f"{version('phaseloom')} {key}")
        confined = self._fresh_groups is not None and _top(group) not in self._fresh_groups
        if self._cleared is not None and not confined and folder not in self._cleared:
            parts.remove()
            self._cleared.add(folder)
        return parts

    def finish(self, attributes: dict[str, dict[str, Any]], *, owned: tuple[str, ...] = ()) -> None:
        """Add attributes, remove groups without a stage of this run, consolidate the metadata.

        Parameters
        ----------
        attributes
            By group (the root is ``""``); an attribute that is None is removed.
        owned
            Groups below which only the groups of this run's stages stay.
        """
        import zarr

        if self.store is None:
            return
        parts = {"/".join(g.split("/")[:n]) for g in self._groups for n in range(1, 10)}
        for path in [p for o in owned for p in (self.store / o, *(self.store / o).glob("*"))]:
            group = path.relative_to(self.store).as_posix()
            if path.is_dir() and group not in parts and path.parent.name not in self._groups:
                shutil.rmtree(path)
        for group in sorted({"", *parts, *attributes}):
            if _attributes(self.store / group) is None:
                (self.store / group / _METADATA).unlink(missing_ok=True)
            node = zarr.open_group(self.store, path=group, mode="a", zarr_format=3)
            merged = {**node.attrs, **attributes.get(group, {})}
            node.attrs.put({name: value for name, value in merged.items() if value is not None})
        with warnings.catch_warnings():
            # Other zarr libraries may ignore consolidated metadata: no concern of the user.
            warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)
            zarr.consolidate_metadata(self.store, zarr_format=3)

    def _begin(self) -> None:
        """Call ``before`` ahead of the first write."""
        before, self._before = self._before, None
        if before is not None:
            before()

    def _is_fresh(self, group: str) -> bool:
        """Whether results of an earlier run in a group are not to be used."""
        if self._before is not None:
            return True
        return self._fresh and (self._fresh_groups is None or _top(group) in self._fresh_groups)

    def _unfinished(self, group: str, name: str) -> Path:
        assert self.store is not None
        return self.store.parent / "unfinished" / f"{group.replace('/', '-')}-{name}"

    def _remove_parts(self, group: str, name: str) -> None:
        folder = self._unfinished(group, name)
        Parts(folder, "").remove()
        with suppress(OSError):
            folder.parent.rmdir()

    def _read(self, group: str, mark: dict[str, Any]) -> xr.Dataset:
        assert self.store is not None
        for message in mark["warnings"]:
            warnings.warn(message, InputWarning, stacklevel=3)
        with xr.open_zarr(self.store, group=group, consolidated=False) as kept:
            others = [v for v in kept.variables if v not in mark["variables"]]
            result = _native(kept.drop_vars(others).load())
            result.attrs = {a: kept.attrs[a] for a in mark["attributes"]}
            return result

    def _write(
        self, group: str, name: str, mark: dict[str, Any], result: xr.Dataset, *, first: bool
    ) -> None:
        import zarr

        assert self.store is not None
        path = self.store / group
        self._begin()
        if self._is_fresh(group):
            for old in (
                [self.store]
                if self._fresh_groups is None
                else [self.store / name for name in self._fresh_groups]
            ):
                _remove(old)
            self._fresh = False
        # Consolidated metadata of an earlier run would describe what is about to change.
        (self.store / _METADATA).unlink(missing_ok=True)
        marks = {} if first else _marks(path)
        marks.pop(name, None)
        attributes = _attributes(path) or {}
        others = {a: attributes[a] for m in marks.values() for a in m["attributes"]}
        others |= {_MARK + n: json.dumps(m) for n, m in marks.items()}
        claimed = {v for m in marks.values() for v in m["variables"]}
        if not marks:
            _remove(path)
        node = zarr.open_group(self.store, path=group, mode="a", zarr_format=3)
        # From here to the new mark the stage counts as unfinished.
        node.attrs.put(others)
        for child in path.iterdir():
            if child.is_dir() and child.name not in claimed:
                shutil.rmtree(child)
        new = _portable(result.drop_vars([c for c in result.coords if c in claimed]))
        new.to_zarr(self.store, group=group, mode="a", consolidated=False, encoding=_chunks(new))
        mark |= {
            "variables": [str(v) for v in result.variables],
            "attributes": [str(a) for a in result.attrs],
        }
        node.attrs.put({**others, **result.attrs, **_labels(attributes if marks else {}, path)})
        mark["content"] = _content(path, mark)
        node.attrs.update({_MARK + name: json.dumps(mark)})


def _top(group: str) -> str:
    return group.partition("/")[0]


def _attributes(path: Path) -> dict[str, Any] | None:
    """Attributes of a group; None when it has no metadata, or damaged ones."""
    try:
        metadata = json.loads((path / _METADATA).read_text(encoding="utf-8"))
        attributes = metadata["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return attributes if isinstance(attributes, dict) else None


def _labels(before: dict[str, Any], path: Path) -> dict[str, str]:
    """The attribute by which xarray knows coordinates on dimensions that no variable has."""
    texts = (each.get("coordinates", "") for each in (before, _attributes(path) or {}))
    names = dict.fromkeys(name for text in texts for name in text.split())
    return {"coordinates": " ".join(names)} if names else {}


def _marks(path: Path) -> dict[str, dict[str, Any]]:
    """Marks of the finished stages of a group, by stage."""
    marks = {}
    for name, text in (_attributes(path) or {}).items():
        if name.startswith(_MARK):
            with suppress(ValueError, TypeError):
                mark = json.loads(text)
                if mark.keys() >= _MARK_KEYS:
                    marks[name.removeprefix(_MARK)] = mark
    return marks


def _content(path: Path, mark: dict[str, Any]) -> str:
    """Hash of the files of a stage's variables and of its attributes, to detect damage.

    Lost chunks would otherwise read as fill values.
    """
    digest = hashlib.blake2b(digest_size=16)
    attributes = _attributes(path) or {}
    digest.update(json.dumps([attributes.get(a) for a in mark["attributes"]]).encode())
    for variable in sorted(mark["variables"]):
        for file in sorted(f for f in (path / variable).rglob("*") if f.is_file()):
            digest.update(file.relative_to(path).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _remove(path: Path) -> None:
    """Remove a folder, or a file in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _portable(result: xr.Dataset) -> xr.Dataset:
    """Convert labels to variable-length strings, which every zarr library reads."""
    return result.assign_coords(
        {n: v.astype(object) for n, v in result.coords.items() if v.dtype.kind == "U"}
    )


def _native(result: xr.Dataset) -> xr.Dataset:
    """Convert labels back to numpy's fixed-length strings."""
    return result.assign_coords(
        {n: v.astype(object).astype(str) for n, v in result.coords.items() if v.dtype.kind in "OT"}
    )


def _chunks(result: xr.Dataset) -> dict[str, dict[str, tuple[int, ...]]]:
    """Chunk shapes: one frame of an image per chunk, at most 1024² pixels.

    Variables with a compressor of their own keep their encoding.
    """
    return {
        str(name): {"chunks": (*(1,) * (v.ndim - 2), *(min(n, 1024) for n in v.shape[-2:]))}
        for name, v in result.data_vars.items()
        if v.ndim >= 2 and "compressors" not in v.encoding
    }
