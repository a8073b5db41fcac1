"""Where the numbers of an HDF5 file really lie: filters, links to other files, virtual datasets.

HDF5 hands out fill values for a virtual dataset whose sources are missing, knows nothing of a
link that leads nowhere, and cannot read what was compressed by a filter it does not bring along.
Here each becomes a sentence with the name of what is missing.
"""

from __future__ import annotations

from math import prod
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

_BUILT_IN_FILTERS = 255
"""Filters up to this number come with HDF5."""
_LINKS_AT_MOST = 32


class BrokenLinkError(InputError):
    """A link of an HDF5 file to another, or a source of a virtual dataset, that is not there."""


def load_filters(item: h5py.Dataset) -> None:
    """Make the filters known with which a dataset was compressed (hdf5plugin), if HDF5 needs them.

    Raises
    ------
    InputError
        No such filter is known.
    """
    if item.is_virtual:  # its sources may be compressed by any
        import hdf5plugin

        return
    recipe = item.id.get_create_plist()
    used = [recipe.get_filter(index) for index in range(recipe.get_nfilters())]
    foreign = [(code, name) for code, _, _, name in used if code > _BUILT_IN_FILTERS]
    if all(h5py.h5z.filter_avail(code) for code, _ in foreign):
        return
    import hdf5plugin  # noqa: F401 - registers its filters with HDF5

    for code, name in foreign:
        if not h5py.h5z.filter_avail(code):
            text = name.decode("utf-8", "replace").strip("\0 ")
            raise InputError(
                f"{item.name} is compressed by the filter {code} ({text or 'without a name'}), "
                "which is not known",
                "rewrite the file where it was measured: h5repack -f GZIP=4 OLD NEW",
                source=item.file.filename,
            )


def linked_file(name: str, beside: Path) -> Path | None:
    """The file that a link or a virtual dataset names, found as HDF5 finds it, or None.

    Parameters
    ----------
    name
        As stored, absolute or relative.
    beside
        The file in which the name stands.
    """
    named = Path(name)
    places = [named, beside.parent / named.name] if named.is_absolute() else []
    places += [beside.parent / named, named]
    return next((place for place in places if place.is_file()), None)


def require_link(group: h5py.Group, name: str, depth: int = 0) -> None:
    """Raise when a name that leads to nothing is a link into another file.

    Links inside the file that lead nowhere are no more than an absent name.

    Raises
    ------
    BrokenLinkError
        File or name that the link leads to are absent.
    """
    here = group
    parts = [part for part in name.split("/") if part]
    if name.startswith("/"):
        here = group.file["/"]
    for index, part in enumerate(parts):
        link = here.get(part, getlink=True)
        rest = "/".join(parts[index + 1 :])
        if isinstance(link, h5py.ExternalLink):
            file = linked_file(link.filename, Path(here.file.filename))
            if not _opens(here, part):
                where = f"{here.name.rstrip('/')}/{part} is a link to {link.path}"
                raise BrokenLinkError(
                    f"{where} in {link.filename}, and that file is not there"
                    if file is None
                    else f"{where} in {link.filename}, which holds no such thing",
                    _remedy(link.filename),
                    source=here.file.filename,
                )
        elif isinstance(link, h5py.SoftLink) and not _opens(here, part) and depth < _LINKS_AT_MOST:
            require_link(here, f"{link.path}/{rest}".rstrip("/"), depth + 1)
            return
        if not _opens(here, part) or not isinstance(here[part], h5py.Group):
            return
        here = here[part]


def _opens(group: h5py.Group, name: str) -> bool:
    try:
        return name in group and group[name] is not None
    except (KeyError, OSError, RuntimeError):
        return False


def virtual_rows(item: h5py.Dataset, *, strict: bool = True) -> NDArray[np.bool_]:
    """Which indices along the first axis of a virtual dataset its sources fill completely.

    Parameters
    ----------
    item
        The dataset.
    strict
        Raise when a source is missing, instead of counting what it would fill as unwritten.

    Raises
    ------
    BrokenLinkError
        A source is not there.
    """
    shape: tuple[int, ...] = item.shape or (1,)
    filled = np.zeros(shape[0])
    file = Path(item.file.filename)
    checked: dict[tuple[str, str], BrokenLinkError | None] = {}
    for source in item.virtual_sources():
        key = (source.file_name, source.dset_name)
        if key not in checked:
            checked[key] = _source_fault(item, file, *key)
        fault = checked[key]
        if fault is not None:
            if strict:
                raise fault
            continue
        first, last = source.vspace.get_select_bounds()
        rows = slice(int(first[0]), int(last[0]) + 1)
        points = source.vspace.get_select_npoints()
        # An unlimited selection has no number of points: it fills what it spans.
        share = points / (rows.stop - rows.start) if 0 < points <= item.size else prod(shape[1:])
        filled[rows] += share
    return np.asarray(filled >= prod(shape[1:]) * (1 - 1e-9))


def _source_fault(item: h5py.Dataset, file: Path, name: str, inside: str) -> BrokenLinkError | None:
    """What is wrong with a source of a virtual dataset, or None."""
    # Blocks of a growing dataset are numbered: the first stands for all.
    name, inside = (text.replace("%b", "0") for text in (name, inside))
    takes = f"{item.name} takes numbers from {inside}"
    if name == ".":
        return None if _has_numbers(item.file, inside) else BrokenLinkError(
            f"{takes}, which holds none", "copy the file again", source=file)  # fmt: skip
    found = linked_file(name, file)
    if found is None:
        return BrokenLinkError(
            f"{takes} in {name}, and that file is not there", _remedy(name), source=file
        )
    try:
        with h5py.File(found, "r") as source:
            if _has_numbers(source, inside):
                return None
    except BrokenLinkError as fault:  # of a source that is virtual, too
        return fault
    except OSError as cause:
        return BrokenLinkError(
            f"{takes} in {name}, which cannot be opened ({cause})", "copy it again", source=file
        )
    return BrokenLinkError(f"{takes} in {name}, which holds none", "copy it again", source=file)


def _has_numbers(file: h5py.File, name: str) -> bool:
    """Whether a source is there and something was written to it."""
    item = file[name] if name in file else None  # noqa: SIM401 - get() hides damage
    if not isinstance(item, h5py.Dataset):
        return False
    return bool(virtual_rows(item).any() if item.is_virtual else item.id.get_storage_size())


def require_raw_files(item: h5py.Dataset) -> None:
    """Raise when the numbers of a dataset lie in files of their own which are not there.

    Raises
    ------
    BrokenLinkError
        One of them is missing.
    """
    for name, _, _ in item.external or ():
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        if linked_file(text, Path(item.file.filename)) is None:
            raise BrokenLinkError(
                f"{item.name} keeps its numbers in {text}, and that file is not there",
                _remedy(text),
                source=item.file.filename,
            )


def _remedy(name: str) -> str:
    return f"put {Path(name).name} where it is looked for, or beside this file"
