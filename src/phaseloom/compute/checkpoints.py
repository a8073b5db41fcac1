"""Finished stages of a run stay on disk, so that a killed run continues where it stopped.

A stage writes its variables into its group of ``results.zarr`` and, last of all, its
fingerprint: what bears the right fingerprint is whole, anything else is computed again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.errors import InputWarning

_MARK = "finished_"


def fingerprint(*parts: Any) -> str:
    """A short hash of arrays, labelled arrays and JSON-able values: same input, same text.

    Parameters
    ----------
    *parts
        numpy arrays, xarray objects, and anything :func:`json.dumps` takes.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        _update(digest, part)
    return digest.hexdigest()


def _update(digest: Any, part: Any) -> None:
    if isinstance(part, xr.Dataset):
        for name in sorted(map(str, part.variables)):
            digest.update(name.encode())
            _update(digest, part.variables[name].to_numpy())
    elif isinstance(part, xr.DataArray):
        digest.update(str(part.name).encode())
        for name in sorted(map(str, part.coords)):
            _update(digest, part.coords[name].to_numpy())
        _update(digest, part.to_numpy())
    elif isinstance(part, np.ndarray):
        digest.update(f"{part.dtype.str}{part.shape}".encode())
        data = part.astype(str) if part.dtype.kind in "OT" else part
        digest.update(np.ascontiguousarray(data).view(np.uint8).reshape(-1).data)
    elif isinstance(part, (list, tuple)):
        for item in part:
            _update(digest, item)
    else:
        digest.update(json.dumps(part, sort_keys=True).encode())


class Checkpoints:
    """Stages kept in a zarr store, or nowhere.

    Parameters
    ----------
    store
        Path of ``results.zarr``; None keeps nothing.
    fresh
        Forget what an earlier run finished.
    """

    def __init__(self, store: Path | None = None, *, fresh: bool = False) -> None:
        self.store = store
        self.reused: list[str] = []
        if store is not None and fresh and store.exists():
            shutil.rmtree(store)

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
            Name of the stage; several stages may share a group.
        key
            Fingerprint of everything that the result depends on.
        compute
            Makes the variables.
        first
            The first stage of its group: computing it removes what the group held.
        """
        if self.store is None:
            return compute()
        path = self.store / group
        if self._finished(path, name) == key:
            self.reused.append(f"{group}: {name}")
            return self._read(group, name)
        if first and path.exists():
            shutil.rmtree(path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = compute()
        said = [str(w.message) for w in caught if issubclass(w.category, InputWarning)]
        for warning in caught:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        self._write(group, name, key, result, said)
        return result

    def finish(self, attributes: dict[str, dict[str, Any]]) -> None:
        """Add attributes to groups of the store (the root is ``""``)."""
        import zarr

        if self.store is None:
            return
        for group, values in attributes.items():
            zarr.open_group(self.store, path=group, mode="a").attrs.update(values)

    def _finished(self, path: Path, name: str) -> str | None:
        try:
            attributes = json.loads((path / "zarr.json").read_text()).get("attributes", {})
            mark = json.loads(attributes[_MARK + name])
        except (FileNotFoundError, NotADirectoryError, KeyError, json.JSONDecodeError):
            return None
        return str(mark["key"])

    def _read(self, group: str, name: str) -> xr.Dataset:
        assert self.store is not None
        with xr.open_zarr(self.store, group=group, consolidated=False) as kept:
            mark = json.loads(kept.attrs[_MARK + name])
            for message in mark["warnings"]:
                warnings.warn(message, InputWarning, stacklevel=3)
            others = [v for v in kept.variables if v not in mark["variables"]]
            result = _native(kept.drop_vars(others).load())
            result.attrs = {a: kept.attrs[a] for a in mark["attributes"]}
            return result

    def _write(self, group: str, name: str, key: str, result: xr.Dataset, said: list[str]) -> None:
        import zarr

        assert self.store is not None
        self.store.parent.mkdir(parents=True, exist_ok=True)
        node = zarr.open_group(self.store, path=group, mode="a", zarr_format=3)
        earlier = dict(node.attrs)
        _portable(result).to_zarr(
            self.store, group=group, mode="a", consolidated=False, encoding=_chunks(result)
        )
        mark = {
            "key": key,
            "variables": [str(v) for v in result.variables],
            "attributes": [str(a) for a in result.attrs],
            "warnings": said,
        }
        node.attrs.update({**earlier, **result.attrs, _MARK + name: json.dumps(mark)})


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
    """Pictures in chunks of one frame, at most 1024² pixels."""
    return {
        str(name): {"chunks": (*(1,) * (v.ndim - 2), *(min(n, 1024) for n in v.shape[-2:]))}
        for name, v in result.data_vars.items()
        if v.ndim >= 2
    }
