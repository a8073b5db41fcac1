"""Formats of which RosettaSciIO has a reader and we have none: Ripple, Semper.

Only readers that neither evaluate nor unpickle what a file says (its netCDF reader evaluates text).
Whatever goes wrong in one becomes a sentence; the last number is read before a scan is handed on,
so that a file which is too short is noticed.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.hyperspy_signals import facts_of
from phaseloom.io.readers._files import damage_named, first_bytes
from phaseloom.io.readers._signal_stack import energy_axis, stack_of
from phaseloom.io.scan_axes import axes_of
from phaseloom.io.scan_making import make_scan

format_name = "RosettaSciIO"
file_extensions = (".rpl", ".unf")
describe = "Ripple (.rpl with .raw), Semper (.unf)"

_MODULES = {".rpl": ("ripple", "Ripple"), ".unf": ("semper", "Semper")}
_IN_MEMORY_AT_MOST = 2**32
_SEMPER_RECORD = (12, 2**16)


def reads_this(path: Path) -> bool:
    """Whether the file begins as one of its extension does."""
    start = first_bytes(path, 4096)
    if path.suffix.lower() == ".rpl":
        return b"\t" in start and b"data-length" in start.lower()
    low, high = _SEMPER_RECORD
    return len(start) > low and low <= int.from_bytes(start[:4], "little") < high


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read the patterns of a file, or the stack over photon energies, as RosettaSciIO reads it.

    Raises
    ------
    InputError
        The reader fails, or the file holds no diffraction patterns.
    """
    choice.require_only("patterns", path)
    module, name = _MODULES[path.suffix.lower()]
    files = [path]
    if module == "ripple":
        files += [f for f in (path.with_suffix(".raw"), path.with_suffix(".RAW")) if f.is_file()]
        if len(files) == 1:
            raise InputError(
                f"its numbers, {path.stem}.raw, are missing", "put them beside it", source=path
            )
    elif path.stat().st_size > _IN_MEMORY_AT_MOST:
        raise InputError("is too large to be read at once", "save it as .hspy", source=path)
    with damage_named(path, f"{name} file", "write it again", faults=(Exception,)):
        reader = import_module(f"rsciio.{module}")
        signal: dict[str, Any] = reader.file_reader(str(path), lazy=module == "ripple")[0]
        data, axes = signal["data"], axes_of(signal["axes"])
        kind = str(dict(signal["metadata"].get("Signal") or {}).get("signal_type") or "")
        place = energy_axis(signal["axes"], kind, path)
        if place is not None:
            return stack_of(
                np.asarray(data), signal["axes"], place, format_name=name, title="", path=path
            )
        if data.size:
            np.asarray(data[(-1,) * data.ndim])
        metadata = signal["metadata"]
        facts = facts_of(metadata, pyxem=False)
        title = str(dict(metadata.get("General") or {}).get("title") or "")
    return make_scan(
        data,
        axes,
        format_name=name,
        source=path,
        fingerprint=input_fingerprint(files),
        title=title,
        facts=facts,
    )
