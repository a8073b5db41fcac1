"""Incident intensity from files: spectra of the beam, flat fields, frames without a sample."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io import reading
from phaseloom.io.energies import in_electronvolts
from phaseloom.io.readers import spectra as spectra_reader
from phaseloom.io.readers._table import read_table
from phaseloom.io.readers._text import read_text

_I0 = re.compile(r"i[ _]?0\b.*|i[ _]?zero.*|io|.*incident.*|.*flux.*|.*\bbeam\b(?!.*current).*",
                 re.IGNORECASE)  # fmt: skip
_RING = re.compile(r".*\b(?:ring|sr|storage|machine|beam)[ _]?(?:current)?\b.*|srcur.*|current",
                   re.IGNORECASE)  # fmt: skip
_DWELL = re.compile(r".*(?:dwell|exposure|count[ _]?time|integration).*", re.IGNORECASE)
_ASIDE = re.compile(r"index|point|no\.?|#|.*(?:time|date|err(?:or)?|std|sigma|spread)$",
                    re.IGNORECASE)  # fmt: skip
_DENSITY = re.compile(
    r".*\b(?:od|optical[ _]?density|absorbance|absorption|x?mu|norm\w*|flat(?:tened)?)\b.*",
    re.IGNORECASE,
)
_RATE = re.compile(r"\bk?hz\b|\bcps\b|counts?\s*(?:/|per)\s*s|/s\b|s-1|s\^-1", re.IGNORECASE)
_COMMENT_DWELL = re.compile(
    r"(?:dwell|exposure|count[ _]?time|integration)[^:=\d]*[:=]?\s*([\d.]+)\s*(ms|s)\b",
    re.IGNORECASE,
)
_NO_ENERGY = "says nothing about photon energies"
_QUANTITIES = ("counts", "transmission", "optical_density")
_EVEN = 0.005
"""A beam whose shape departs from even by less is a spectrum: its mean says all."""


def read_incident(path: str | PathLike[str], *, channel: str | None = None) -> xr.Dataset:
    """Read an incident intensity.

    Parameters
    ----------
    path
        A table of a spectrum; a stack or an image without a sample; a folder of them.
    channel
        Name of the column, or of the detector channel, where a file has several.

    Returns
    -------
    xarray.Dataset
        ``intensity`` (energy,), or (flat, y, x) with ``energy`` (flat) where the beam is
        uneven, NaN where no energy is recorded: then the flats serve at all energies. ``dwell``
        in s and ``ring_current`` in mA along the same first dimension where recorded, ``time``
        (flat) of flats whose files say when they were taken.
        ``attrs["rate"]``: 1 for counts per second. ``attrs["source"]``: the path.

    Raises
    ------
    InputError
        The file cannot be read, holds an optical density, or several channels of which none is
        called I0.
    """
    path = Path(path)
    if path.is_dir():
        with _said_once():
            images = _folder(path, channel)
        return _of_images(images, path)
    reader = reading.find_reader(path)
    if reader is spectra_reader:
        return _spectrum(path, channel)
    with _said_once():
        image = reading.read(path, detector=channel)
    return _of_images([image], path)


@contextmanager
def _said_once() -> Iterator[None]:
    """Say what many files have in common for the first; an image of the beam needs no energy."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        yield
    texts: dict[str, list[str]] = {}
    for warning in caught:
        text = str(warning.message)
        if not issubclass(warning.category, InputWarning):
            warnings.warn(text, warning.category, stacklevel=4)
        elif _NO_ENERGY not in text:
            texts.setdefault(re.sub(r"^.*?: |\d[\d.]*", "", text), []).append(text)
    for alike in texts.values():
        more = f" (and {len(alike) - 1} files more like it)" if len(alike) > 1 else ""
        warnings.warn(alike[0] + more, InputWarning, stacklevel=4)


def _folder(path: Path, channel: str | None) -> list[xr.Dataset]:
    """All images and stacks of a folder."""
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    images = []
    for file in files:
        try:
            reader = reading.find_reader(file)
        except InputError:
            continue
        if reader is not spectra_reader:
            images.append(reading.read(file, detector=channel))
    if not images:
        raise InputError(
            f"none of its {len(files)} files is an image or a stack",
            "give --i0 a folder of flats",
            source=path,
        )
    return images


def _of_images(measurements: Sequence[xr.Dataset], path: Path) -> xr.Dataset:
    """Flats of all measurements; their mean spectrum where the beam is even."""
    parts = []
    for measurement in measurements:
        quantity = next((q for q in _QUANTITIES if q in measurement), None)
        if quantity != "counts" or "y" not in measurement.dims:
            what = quantity.replace("_", " ") if quantity else "no counts"
            raise InputError(
                f"holds {what} and not images of the beam", "give --i0 counts", source=path
            )
        parts.append(_flats(measurement))
    sizes = {(part.sizes["y"], part.sizes["x"]) for part in parts}
    if len(sizes) > 1:
        named = " and ".join(f"{y}×{x}" for y, x in sorted(sizes))
        raise InputError(
            f"its flats have different sizes ({named} pixels)",
            "give --i0 flats of one size",
            source=path,
        )
    common = sorted(set.intersection(*({str(v) for v in part.data_vars} for part in parts)))
    flats: xr.Dataset = xr.concat([part[common] for part in parts], dim="flat")
    if flats["energy"].isnull().any() and not flats["energy"].isnull().all():
        raise InputError(
            "the energy is known of some of its flats only",
            "put the energies in the names of all, as in flat_710.5_eV.tif",
            source=path,
        )
    flats = flats.isel(flat=np.argsort(flats["energy"].to_numpy(), kind="stable"))
    flats.attrs = {"kind": "incident", "source": str(path), "rate": 0}
    return _mean_if_even(flats)


def _flats(measurement: xr.Dataset) -> xr.Dataset:
    counts = measurement["counts"]
    if "ky" in counts.dims and counts.sizes["y"] == counts.sizes["x"] == 1:
        # a single array, which could as well be a diffraction pattern
        counts = counts.isel(y=0, x=0, drop=True).rename(ky="y", kx="x").expand_dims("frame")
        if not str(measurement.attrs.get("source", "")).endswith(".npy"):
            counts = counts.isel(y=slice(None, None, -1))  # pictures begin at the top
    along = next((str(d) for d in counts.dims if d not in ("y", "x")), "")
    if set(counts.dims) != {along, "y", "x"}:
        raise InputError(
            f"holds an array over {', '.join(map(str, counts.dims))}, not images of the beam",
            "give --i0 an image, a stack or a folder of images",
            source=measurement.attrs.get("source"),
        )
    n = counts.sizes[along]
    energy = measurement["energy"].to_numpy() if "energy" in measurement.variables else np.nan
    flats = xr.Dataset(
        {"intensity": (("flat", "y", "x"), counts.transpose(along, "y", "x").to_numpy())},
        coords={"energy": ("flat", np.broadcast_to(energy, n))},
    )
    for name in ("dwell", "ring_current", "time"):
        if name in measurement.variables and measurement[name].dims == (along,):
            flats[name] = ("flat", measurement[name].to_numpy())
    if "time" not in flats and n == 1 and "start_time" in measurement.attrs:
        moment = np.datetime64(str(measurement.attrs["start_time"]).split("+")[0].rstrip("Z"))
        flats["time"] = ("flat", [moment.astype("datetime64[ms]").astype("datetime64[ns]")])
    return flats


def _mean_if_even(flats: xr.Dataset) -> xr.Dataset:
    """The mean spectrum of images without any shape beyond counting noise."""
    images = flats["intensity"].to_numpy()
    energies = np.unique(flats["energy"].to_numpy())
    if energies.size < 2 or energies.size < flats.sizes["flat"]:
        return flats
    level = np.array([float(np.nanmean(frame, dtype=np.float64)) for frame in images])
    if not (level > 0).all():
        return flats
    shape = np.zeros(images.shape[1:])
    for frame, mean in zip(images, level, strict=True):
        shape += frame / mean
    shape /= len(images)
    noise = float(np.mean(1.0 / level)) / len(images)
    uneven = float(np.nanvar(shape)) - noise * (1.0 + 3.0 * np.sqrt(2.0 / shape.size))
    if not uneven < _EVEN**2:
        return flats
    spectrum = xr.Dataset(
        {"intensity": ("energy", level)}, coords={"energy": flats["energy"].to_numpy()}
    )
    for name in ("dwell", "ring_current"):
        if name in flats:
            spectrum[name] = ("energy", flats[name].to_numpy())
    spectrum.attrs = flats.attrs
    return spectrum


def _spectrum(path: Path, channel: str | None) -> xr.Dataset:
    """I0 from a table: the column called I0, or the one asked for."""
    table = read_table(read_text(path), path)
    numbers = table.numbers
    headings = list(table.headings) or [f"column {k + 1}" for k in range(numbers.shape[1])]
    units = list(getattr(table, "units", [])) or [""] * len(headings)
    said = re.search(r"k?ev\b", headings[0] + " " + units[0], re.IGNORECASE)
    unit_said = None if said is None else "keV" if said[0][0] in "kK" else "eV"
    energy = in_electronvolts(numbers[:, 0], unit=unit_said, source=path, gaps=True, stacklevel=4)
    names = headings[1:]
    chosen = 1 + _column(names, channel, bool(table.headings), path)
    known = np.isfinite(energy) & np.isfinite(numbers[:, chosen])
    if np.count_nonzero(known) < np.count_nonzero(np.isfinite(energy)):
        warnings.warn(
            f"{path}: {np.count_nonzero(~known)} energies without I0 are left out",
            InputWarning,
            stacklevel=3,
        )
    order = np.flatnonzero(known)[np.argsort(energy[known], kind="stable")]
    result = xr.Dataset(
        {"intensity": ("energy", numbers[order, chosen])}, coords={"energy": energy[order]}
    )
    if order.size < 2 or (np.diff(energy[order]) <= 0).any():
        raise InputError(
            "its energies are not one for each row", "give --i0 a spectrum over energies in eV",
            source=path,
        )  # fmt: skip
    unit = headings[chosen] + " " + units[chosen]
    rate = bool(_RATE.search(unit))
    for k, name in enumerate(names, start=1):
        if k == chosen:
            continue
        if _RING.fullmatch(name):
            result["ring_current"] = ("energy", numbers[order, k])
        elif _DWELL.fullmatch(name):
            milli = "ms" in name + units[k] or np.nanmedian(numbers[:, k]) > 50
            result["dwell"] = ("energy", numbers[order, k] / (1000.0 if milli else 1.0))
    match = next(filter(None, map(_COMMENT_DWELL.search, table.comments)), None)
    if match and "dwell" not in result:
        seconds = float(match[1]) / (1000.0 if match[2].lower() == "ms" else 1.0)
        result["dwell"] = ("energy", np.full(order.size, seconds))
    result.attrs = {
        "kind": "incident", "source": str(path), "rate": int(rate), "channel": headings[chosen]
    }  # fmt: skip
    if re.search(r"\bkhz\b", unit, re.IGNORECASE):
        result["intensity"] = result["intensity"] * 1000.0
    return result


def _column(names: Sequence[str], channel: str | None, headed: bool, path: Path) -> int:
    """Which of the columns after the energy is I0."""
    if channel is not None:
        if channel.lower() not in [name.lower() for name in names]:
            raise InputError(
                f"has no channel {channel!r}",
                f"its channels are {', '.join(names)}: give one as --i0-channel",
                source=path,
            )
        return [name.lower() for name in names].index(channel.lower())
    called = [k for k, name in enumerate(names) if _I0.fullmatch(name)]
    if len(called) == 1:
        return called[0]
    others = called or [
        k
        for k, name in enumerate(names)
        if not any(rule.fullmatch(name) for rule in (_RING, _DWELL, _ASIDE)) or not headed
    ]
    if len(others) != 1:
        raise InputError(
            f"has {len(names)} channels ({', '.join(names)}), and not one that is called I0",
            "say which with --i0-channel NAME",
            source=path,
        )
    if headed and _DENSITY.fullmatch(names[others[0]]):
        raise InputError(
            f"its column {names[others[0]]!r} is an optical density, no incident intensity",
            "give --i0 the counts of the beam without a sample",
            source=path,
        )
    return others[0]
