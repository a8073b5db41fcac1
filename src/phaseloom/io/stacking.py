"""Images of single energies, one file each, joined into an image stack."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning


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
