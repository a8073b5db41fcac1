"""Where an HDF5 file of any program keeps X-ray images and their energies.

A stack is a dataset of three axes (or four, the first of length one) one of which is as long as a
list of photon energies: that which NXdata names as an axis, otherwise the nearest one in the tree
by the names below. So are found the files of the full-field microscope FXI (``img_xanes``,
``X_eng``), of data exchange (De Carlo et al., J. Synchrotron Rad. 21 (2014) 1224:
``exchange/data``, ``exchange/energy``), of BLISS and silx (NXdata, or a counter beside its
positioners), and hand-made ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from phaseloom.errors import InputError
from phaseloom.io.readers import _hdf5 as hdf5
from phaseloom.io.readers import _nexus
from phaseloom.io.readers._hdf5_sources import BrokenLinkError
from phaseloom.io.readers._hdf_scan import all_datasets

# Names of lists of photon energies, letters and digits only, lower case.
_ENERGY = re.compile(
    r"(x|xray|photon|mono|beam|dcm|scan)?(energy|energies|eng|englist|energylist)(s|ev|kev|list)?"
)
# Energies that no photon for this purpose has; an axis of energy losses begins below.
_ENERGY_RANGE_EV = (20.0, 2e5)
# Images that are not of the sample: flats, darks, means of them, masks.
_NOT_SAMPLE = re.compile(
    r"(bkg|back_?ground|dark|white|flat|ref(erence)?s?|mask)(_|$|\d|avg|av)", re.I
)
_FIRST = ("img_xanes", "data", "images", "stack", "img")
_EXCHANGE, _FXI, _FXI_TOMOGRAPHY = "exchange/data", "img_xanes", "img_tomo"


@dataclass(frozen=True)
class FoundStack:
    """Images of a file, and what belongs to them.

    Parameters
    ----------
    name
        Of the dataset with the images.
    images, energy
        The datasets.
    axis
        Which of the last three axes of the images is that of the energies.
    certain
        Whether the energies fit no other axis, or the file says which.
    columns_first
        Whether the axis of x comes before that of y.
    y, x
        Datasets of positions, or None.
    program
        Where the layout comes from, for messages.
    """

    name: str
    images: h5py.Dataset
    energy: h5py.Dataset
    axis: int
    certain: bool
    columns_first: bool
    y: h5py.Dataset | None
    x: h5py.Dataset | None
    program: str


def find_stacks(file: h5py.File, path: Path) -> list[FoundStack]:
    """The stacks of a file, the likeliest first; none if it has no marks of X-ray images.

    Raises
    ------
    InputError
        It has the marks, but what it holds is no stack: a tomogram, images without energies, or
        images and energies that differ in number.
    """
    data: dict[str, h5py.Dataset] = {}
    for name, item in all_datasets(file):
        if isinstance(item, BrokenLinkError):
            if _may_be_images(name):
                raise item
        elif item.dtype.kind in "uif" and item.shape:
            data[name] = item
    energies = {name: item for name, item in data.items() if _is_energies(name, item)}
    images = {
        name: item
        for name, item in data.items()
        if item.ndim >= 3 and min(item.shape[-3:]) > 1 and not _NOT_SAMPLE.search(_last(name))
    }
    found = []
    for name, item in images.items():
        if _is_cube(item) and (stack := _stack(name, item, data, energies)) is not None:
            found.append(stack)
    if not found:
        _refuse(data, images, energies, path)
    # A copy of a part (a preview) has the same energies and fewer pixels.
    return sorted(found, key=lambda stack: (_rank(stack.name), -stack.images.size))


def _is_cube(item: h5py.Dataset) -> bool:
    return bool(item.ndim == 3 or (item.ndim == 4 and item.shape[0] == 1))


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _rank(name: str) -> int:
    last = _last(name).lower()
    return _FIRST.index(last) if last in _FIRST else len(_FIRST)


def _may_be_images(name: str) -> bool:
    return name in (_EXCHANGE, _FXI) or _rank(name) < len(_FIRST)


def _is_energies(name: str, item: h5py.Dataset) -> bool:
    """Whether a dataset is a list of photon energies, by its name or its units, and its numbers."""
    if item.size < 2 or max(item.shape) != item.size:
        return False
    plain = re.sub(r"[^a-z0-9]", "", _last(name).lower())
    units = hdf5.attribute_text(item, "units").lower()
    if not (_ENERGY.fullmatch(plain) or units in ("ev", "kev")):
        return False
    values = hdf5.part(item, ()).astype(np.float64)
    in_ev = values * (1e3 if units == "kev" or np.nanmax(values, initial=0) < 200 else 1.0)
    low, high = _ENERGY_RANGE_EV
    return bool(np.isfinite(values).all() and (in_ev > low).all() and (in_ev < high).all())


def _stack(
    name: str,
    item: h5py.Dataset,
    data: dict[str, h5py.Dataset],
    energies: dict[str, h5py.Dataset],
) -> FoundStack | None:
    group = name.rpartition("/")[0]
    named, shape = _axes(item)[-3:], item.shape[-3:]
    certain = True
    for axis, label in enumerate(named):
        energy = energies.get(f"{group}/{label}".strip("/"))
        if energy is not None and energy.size == shape[axis]:
            break
    else:
        # Of another scan in the file they may be others.
        own = [e for e in energies if _top(e) in ("", _top(name)) or not _top(name)]
        fitting = [e for e in own if energies[e].size in shape]
        if not fitting:
            return None
        nearest = max(fitting, key=lambda other: _shared(name, other))
        energy = energies[nearest]
        # Images come one after the other in all programs but those that say otherwise.
        axis = shape.index(energy.size)
        certain = shape.count(energy.size) == 1
        if len(named) == 3 and named.count("energy") == 1:
            axis, certain = named.index("energy"), True
    others = [n for n in range(3) if n != axis]
    roles = _roles(data, group, shape, others)
    places = {
        role: _position(data, group, named[n] if named else "", shape[n], role)
        for n, role in zip(others, roles, strict=True)
    }
    return FoundStack(
        name, item, energy, axis, certain, roles == ("x", "y"), places["y"], places["x"],
        _program(name, item),
    )  # fmt: skip


def _roles(
    data: dict[str, h5py.Dataset], group: str, shape: Sequence[int], others: list[int]
) -> tuple[str, str]:
    """Which of y and x the two other axes are: rows first, unless only the lengths say otherwise.

    So with the files of Mantis, which are (x, y, energy).
    """
    sizes = {role: _of_role(data, group, role) for role in ("y", "x")}
    lengths = tuple(None if s is None else s.size for s in (sizes["y"], sizes["x"]))
    stored = tuple(shape[n] for n in others)
    turned = lengths == stored[::-1] and (lengths != stored or others == [0, 1])
    return ("x", "y") if turned else ("y", "x")


def _of_role(data: dict[str, h5py.Dataset], group: str, role: str) -> h5py.Dataset | None:
    for name, item in data.items():
        above, _, last = name.rpartition("/")
        if above == group and _nexus.ROLES.get(last.lower()) == role and item.ndim == 1:
            return item
    return None


def _position(
    data: dict[str, h5py.Dataset], group: str, label: str, size: int, role: str
) -> h5py.Dataset | None:
    item = data.get(f"{group}/{label}".strip("/")) if label else None
    item = _of_role(data, group, role) if item is None else item
    return item if item is not None and item.ndim == 1 and item.size == size > 1 else None


def _axes(item: h5py.Dataset) -> list[str]:
    """Names of the axes of a dataset, from its NXdata or itself; none if they are not one each."""
    for source in (item.parent, item):
        names = hdf5.texts(hdf5.attribute(source, "axes"))
        if len(names) == 1:
            names = [part for part in re.split(r"[\s:,\[\]]+", names[0]) if part]
        if len(names) == item.ndim:
            return names
    return []


def _top(name: str) -> str:
    """The first group of a name; none of a dataset at the root."""
    return name.partition("/")[0] if "/" in name else ""


def _shared(name: str, other: str) -> tuple[int, int]:
    """How many groups two datasets have in common; of equals the one that lies less deep."""
    a, b = name.split("/")[:-1], other.split("/")[:-1]
    common = next(
        (n for n, (p, q) in enumerate(zip(a, b, strict=False)) if p != q), min(len(a), len(b))
    )
    return common, -len(b)


def _program(name: str, item: h5py.Dataset) -> str:
    if name == _EXCHANGE:
        return "data exchange"
    if _last(name) == _FXI:
        return "FXI"
    return "NXdata" if _nexus.nx_class(item.parent) == "NXdata" else "HDF5"


def _refuse(
    data: dict[str, h5py.Dataset],
    images: dict[str, h5py.Dataset],
    energies: dict[str, h5py.Dataset],
    path: Path,
) -> None:
    """Raise if the file has the marks of X-ray images, and say what it holds instead of a stack."""
    for name, item in images.items():
        fitting = [e for e in energies.values() if e.size in item.shape[:2]]
        if not _is_cube(item) and fitting:
            raise InputError(
                f"{name} of shape {item.shape} with {fitting[0].size} photon energies is XANES "
                "tomography, a series of stacks, or a scan with an image at each energy",
                "give one stack: (energy, y, x)",
                source=path,
            )
        beside = [e for n, e in energies.items() if n.rpartition("/")[0] == name.rpartition("/")[0]]
        if item.ndim == 3 and beside:
            raise InputError(
                f"{name} holds {item.shape[0]} images of {item.shape[1]}×{item.shape[2]} pixels, "
                f"but {beside[0].name} lists {beside[0].size} photon energies",
                "the scan was aborted or the file is damaged",
                source=path,
            )
    if _FXI_TOMOGRAPHY in data:
        raise InputError(
            f"is a tomography scan of FXI ({_FXI_TOMOGRAPHY}) at one energy",
            "give a stack of images at several energies (img_xanes)",
            source=path,
        )
    if _FXI in data:
        raise InputError(
            "holds images of FXI (img_xanes), but no energy of each (X_eng)",
            "export it again with its energies",
            source=path,
        )
    if _EXCHANGE in data:
        what = "a tomography scan" if "exchange/theta" in data else "images"
        raise InputError(
            f"is a data-exchange file of {what} (exchange/data) without one energy for each image",
            "a stack has them in exchange/energy",
            source=path,
        )
