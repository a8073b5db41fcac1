"""Labelled image stacks: made from arrays of images, joined from single images."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning

# "_8324.0_eV_", "_0250.52eV_", "_8250_0eV": an underscore stands for the decimal point only
# between three or more digits and one or two, so that "fov07_8250eV" is not 7.8250 eV.
_ENERGY_IN_NAME = re.compile(r"(?<![\d.])(\d{3,5}_\d{1,2}|\d+(?:\.\d+)?)_?eV(?![A-Za-z])")


def energy_in_name(path: Path) -> float | None:
    """Energy in eV written in a file name (``_8324.0_eV_``, ``_8250_0eV``), if there is just one.

    Parameters
    ----------
    path
        The file; only its name is looked at.

    Returns
    -------
    float or None
        The energy in eV; None if the name holds none or several.
    """
    found = {float(text.replace("_", ".")) for text in _ENERGY_IN_NAME.findall(path.stem)}
    return found.pop() if len(found) == 1 else None


def refuse_choice(path: Path, *, detector: str | None, region: int | None, available: str) -> None:
    """Refuse a detector or a region that a file with one image source cannot have.

    Raises
    ------
    InputError
        ``detector`` is not ``available``, or ``region`` is not 1.
    """
    if detector not in (None, available):
        raise InputError(
            f"has no detector {detector!r}", f"the only one is {available!r}", source=path
        )
    if region not in (None, 1):
        raise InputError(f"has no region {region}", "there is only region 1", source=path)


def pixel_axis(name: str, size: int, pixel_size: float | None, centre: float | None) -> xr.Variable:
    """Ascending positions of pixels along one image axis.

    Parameters
    ----------
    name
        Dimension, ``"y"`` or ``"x"``.
    size
        Number of pixels.
    pixel_size
        Pixel size in µm; None if unknown: positions are then pixel indices, ``units="px"``.
    centre
        Position of the centre of the field in µm; None if unknown: the first pixel is then at 0.
    """
    index = np.arange(size, dtype=np.float64)
    if pixel_size is None:
        return xr.Variable((name,), index, {"units": "px"})
    if centre is not None:
        index = index - (size - 1) / 2
    start = 0.0 if centre is None else centre
    return xr.Variable((name,), start + index * pixel_size, {"units": "µm"})


def images_to_stack(
    variables: Mapping[str, tuple[NDArray[Any], str]],
    *,
    energy: NDArray[np.float64],
    y: xr.Variable,
    x: xr.Variable,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Labelled stack (or image) from arrays, sorted by energy.

    Parameters
    ----------
    variables
        Per variable name: array (energy, y, x) or (energy,), and its units.
    energy
        Photon energies in eV, in any order; repeated energies are kept, in their order.
    y, x
        Ascending pixel positions.
    attrs
        Attributes of the measurement; ``kind`` is added.

    Returns
    -------
    xarray.Dataset
        kind "stack", or "image" for one energy.
    """
    order = np.argsort(energy, kind="stable")
    data = {
        name: (("energy", "y", "x")[: values.ndim], values[order], {"units": units})
        for name, (values, units) in variables.items()
    }
    coords = {
        "energy": ("energy", np.asarray(energy, dtype=np.float64)[order], {"units": "eV"}),
        "y": y,
        "x": x,
    }
    kind = "stack" if len(energy) > 1 else "image"
    return xr.Dataset(data, coords, {"kind": kind, **attrs})


def stack_images(images: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join images taken at single energies, one file each, into one stack sorted by energy.

    The stack has the y and x of the image of lowest energy; small differences of the stage
    position are drift, to be measured and removed by alignment.

    Parameters
    ----------
    images
        Measurements of kind "image" (or "stack"): the same variables, sizes and units.

    Returns
    -------
    xarray.Dataset
        kind "stack"; attribute ``sources`` lists the file names in order of energy. A variable
        which only some images have (``dwell``, ``reference_counts``) is dropped with a warning.

    Raises
    ------
    InputError
        No images; one is not an image, differs in size, quantity or units, or lies in another
        place of the sample (more than half a field away).
    """
    if not images:
        raise InputError("no images to join into a stack", "name at least one file")
    for image in images:
        if image.attrs.get("kind") not in ("image", "stack"):
            raise InputError(
                f"is of kind {image.attrs.get('kind')!r}, not an image at one energy",
                "leave it out of the stack",
                source=_name(image),
            )
    ordered = sorted(images, key=lambda image: float(image["energy"].values[0]))
    first = ordered[0]
    for image in ordered[1:]:
        _check_same_field(first, image)
    common = set.intersection(*({str(name) for name in image.data_vars} for image in ordered))
    if not common & {"counts", "transmission", "optical_density"}:
        raise InputError(
            "the images hold different quantities", "join images of one kind", source=_name(first)
        )
    dropped = sorted({str(name) for image in ordered for name in image.data_vars} - common)
    if dropped:
        warnings.warn(
            f"{', '.join(dropped)}: not in all of the joined images, so left out of the stack",
            InputWarning,
            stacklevel=2,
        )
    parts = []
    for image in ordered:
        part = image[sorted(common)].drop_vars(["y", "x"])
        for name in common:  # a reference image belongs to its energy once images are joined
            if "energy" not in part[name].dims:
                part[name] = part[name].expand_dims(energy=part["energy"])
        parts.append(part)
    joined = xr.concat(
        parts,
        dim="energy",
        data_vars="all",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    ).assign_coords(y=first["y"], x=first["x"])
    joined = joined.isel(energy=np.argsort(joined["energy"].values, kind="stable"))
    kind = "stack" if joined.sizes["energy"] > 1 else "image"
    joined.attrs = {**first.attrs, "kind": kind, "sources": [_name(image) for image in ordered]}
    return joined


def _name(image: xr.Dataset) -> str:
    return str(image.attrs.get("source", "unnamed image"))


def _check_same_field(first: xr.Dataset, image: xr.Dataset) -> None:
    """Raise if two images cannot belong to one stack; warn if their pixel sizes differ."""
    for axis in ("y", "x"):
        a, b = first[axis].values, image[axis].values
        if a.shape != b.shape:
            raise InputError(
                f"has {image.sizes['y']} × {image.sizes['x']} pixels where {_name(first)} has "
                f"{first.sizes['y']} × {first.sizes['x']}",
                "a stack needs images of equal size",
                source=_name(image),
            )
        units = [str(each[axis].attrs.get("units")) for each in (first, image)]
        if units[0] != units[1]:
            raise InputError(
                f"has {axis} in {units[1]} where {_name(first)} has it in {units[0]}",
                "a stack needs images with one pixel size",
                source=_name(image),
            )
        if a.size < 2:
            continue
        width = a[-1] - a[0]
        if abs((a[0] + a[-1]) - (b[0] + b[-1])) / 2 > width / 2:
            raise InputError(
                f"lies more than half a field away from {_name(first)} along {axis}",
                "it shows another place, or is a reference image: leave it out of the stack",
                source=_name(image),
            )
        if abs((b[-1] - b[0]) / width - 1) * a.size > 0.5:
            warnings.warn(
                f"{_name(image)}: pixel size {(b[-1] - b[0]) / (b.size - 1):.6g} where "
                f"{_name(first)} has {width / (a.size - 1):.6g}; the latter is used for all",
                InputWarning,
                stacklevel=3,
            )
