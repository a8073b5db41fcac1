"""Finished stages of a run stay on disk, so that a killed run continues where it stopped.

A stage writes its variables into its group of ``results.zarr`` and, last of all, its
fingerprint: what bears the right fingerprint is whole, anything else is computed again.
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
_PARTS = {"key", "warnings", "variables", "attributes", "content"}


def fingerprint(*parts: Any) -> str:
    """A short hash of arrays, labelled arrays and JSON-able values: same input, same text.

    Values, types, names, dimensions and attributes all count, but for the attribute ``source``:
    where a file lies, or how its path was written, says nothing of what it holds.

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
    told = {name: value for name, value in attributes.items() if name != "source"}
    return json.dumps(told, sort_keys=True, default=str).encode()


def _hash_bytes(digest: Any, kind: str, content: bytes | memoryview) -> None:
    digest.update(f"{kind}:{len(content)};".encode())
    digest.update(content)


class Checkpoints:
    """Stages kept in a zarr store, or nowhere.

    Parameters
    ----------
    store
        Path of ``results.zarr``; None keeps nothing.
    fresh
        Compute every stage again. What an earlier run left stays until the first new stage is
        there to be written.
    groups
        Groups of the store that ``fresh`` is confined to.
    protected
        By group, what would be at fault if its stages were computed again.
    before
        Called once, before the first stage or part of one is written: until then, nothing that is
        there counts as this run's.

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
        self._forgotten: set[Path] | None = set() if fresh else None

    def stage(
        self,
        group: str,
        name: str,
        key: str,
        compute: Callable[[], xr.Dataset],
        *,
        first: bool = False,
    ) -> xr.Dataset:
        """The stage's variables: from the store when finished with this key, else computed.

        What the stage warned of is warned of again when it comes from the store.

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
            Makes the variables.
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
        said = [str(w.message) for w in caught if issubclass(w.category, InputWarning)]
        for warning in caught:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        self._write(group, name, {"key": key, "warnings": said}, result, first=first)
        self._remove_parts(group, name)
        return result

    def parts(self, group: str, name: str, key: str) -> Parts:
        """Where the computation of a stage keeps its finished parts, until the stage is finished.

        Parameters
        ----------
        group, name, key
            As given to :meth:`stage`.

        Returns
        -------
        Parts
            In ``unfinished/`` beside the store; without a store they are kept nowhere.
        """
        if self.store is None:
            return Parts(None, key)
        folder = self._unfinished(group, name)
        if self._before is not None:
            return Parts(folder, f"{version('phaseloom')} {key}", before=self._begin)
        parts = Parts(folder, f"{version('phaseloom')} {key}")
        confined = self._fresh_groups is not None and _top(group) not in self._fresh_groups
        if self._forgotten is not None and not confined and folder not in self._forgotten:
            parts.remove()
            self._forgotten.add(folder)
        return parts

    def finish(self, attributes: dict[str, dict[str, Any]], *, owned: tuple[str, ...] = ()) -> None:
        """Add attributes, remove what no stage of this run stands behind, index the store.

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
            known = {**node.attrs, **attributes.get(group, {})}
            node.attrs.put({name: value for name, value in known.items() if value is not None})
        with warnings.catch_warnings():
            # That other zarr libraries may pass over the index is no news to the user.
            warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)
            zarr.consolidate_metadata(self.store, zarr_format=3)

    def _begin(self) -> None:
        """Something is there to be written."""
        before, self._before = self._before, None
        if before is not None:
            before()

    def _is_fresh(self, group: str) -> bool:
        """Whether what an earlier run left of a group is not to be used."""
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
        # The index of an earlier run would describe what is about to change.
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
        found = json.loads((path / _METADATA).read_text(encoding="utf-8"))
        known = found["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if isinstance(known, dict) else None


def _labels(before: dict[str, Any], path: Path) -> dict[str, str]:
    """The attribute by which xarray knows coordinates on dimensions that no variable has."""
    stated = (known.get("coordinates", "") for known in (before, _attributes(path) or {}))
    names = dict.fromkeys(name for text in stated for name in text.split())
    return {"coordinates": " ".join(names)} if names else {}


def _marks(path: Path) -> dict[str, dict[str, Any]]:
    """By stage, what is known of those finished in a group."""
    found = {}
    for name, text in (_attributes(path) or {}).items():
        if name.startswith(_MARK):
            with suppress(ValueError, TypeError):
                mark = json.loads(text)
                if mark.keys() >= _PARTS:
                    found[name.removeprefix(_MARK)] = mark
    return found


def _content(path: Path, mark: dict[str, Any]) -> str:
    """A hash of the files of a stage's variables and of its attributes: damage shows in it.

    Chunks that are lost would otherwise read as fill values.
    """
    digest = hashlib.blake2b(digest_size=16)
    known = _attributes(path) or {}
    digest.update(json.dumps([known.get(a) for a in mark["attributes"]]).encode())
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
    """Labels as variable-length strings, which every zarr library reads."""
    return result.assign_coords(
        {n: v.astype(object) for n, v in result.coords.items() if v.dtype.kind == "U"}
    )


def _native(result: xr.Dataset) -> xr.Dataset:
    """Labels as numpy's fixed-length strings again."""
    return result.assign_coords(
        {n: v.astype(object).astype(str) for n, v in result.coords.items() if v.dtype.kind in "OT"}
    )


def _chunks(result: xr.Dataset) -> dict[str, dict[str, tuple[int, ...]]]:
    """Pictures in chunks of one frame, at most 1024² pixels.

    A variable whose stage chose how it is compressed keeps its own encoding.
    """
    return {
        str(name): {"chunks": (*(1,) * (v.ndim - 2), *(min(n, 1024) for n in v.shape[-2:]))}
        for name, v in result.data_vars.items()
        if v.ndim >= 2 and "compressors" not in v.encoding
    }
