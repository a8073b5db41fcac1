"""Reference spectra and incident intensities from files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.io.readers import spectra as spectra_reader
from phaseloom.io.reading import find_reader


def read_references(path: str | PathLike[str], *, label: str | None = None) -> list[xr.DataArray]:
    """Read the reference spectra of a file.

    Parameters
    ----------
    path
        Spectra as text: tables with headings, aXis2000 ``.xas``, XDI, Athena, SPEC.
    label
        Phase label for the spectrum of a file that holds exactly one; by default its own name,
        or the name of the file where it has none.

    Returns
    -------
    list of xarray.DataArray
        One per spectrum, in the order of the file: absorption in an arbitrary scale over
        ``energy`` (eV, ascending, without gaps: energies at which the spectrum has no number are
        left out). ``name`` is the phase label; ``attrs["value"]`` the number belonging to the
        phase (say, its sodium content) if the file has one, ``attrs["source"]`` the file name.

    Raises
    ------
    InputError
        The file holds no spectra (a stack of images, say), or several while a label is given,
        or a spectrum has fewer than two numbers.
    """
    path = Path(path)
    spectra = _read(path)
    if "absorption" not in spectra:
        readings = ", ".join(str(name) for name in spectra["channel"].values)
        raise InputError(
            f"holds detector readings ({readings}) and no absorption",
            "give it as I0 (--i0), or give a file with the absorption of the phase",
            source=path,
        )
    names = [str(name) for name in spectra["spectrum"].values]
    if label is not None and len(names) != 1:
        raise InputError(
            f"holds {len(names)} spectra ({', '.join(names)}), which one label {label!r} "
            "cannot name",
            "leave the label out",
            source=path,
        )
    references = []
    for index, name in enumerate(names):
        reference = spectra["absorption"].isel(spectrum=index, drop=True)
        reference = reference.isel(energy=np.flatnonzero(np.isfinite(reference.values)))
        if reference.size < 2:
            raise InputError(
                f"its spectrum {name} has {reference.size} numbers",
                "at least two are needed",
                source=path,
            )
        reference.name = name if label is None else label
        reference.attrs = {"source": path.name}
        if "value" in spectra.coords:
            reference = reference.drop_vars("value", errors="ignore")
            value = float(spectra["value"].values[index])
            if np.isfinite(value):
                reference.attrs["value"] = value
        references.append(reference)
    return references


def read_incident(path: str | PathLike[str], *, channel: str | None = None) -> xr.DataArray:
    """Read the incident intensity I0 of a file of spectra.

    Parameters
    ----------
    path
        Spectra as text, see :func:`read_references`.
    channel
        Heading of the column; by default the one that says I0, or the only spectrum.

    Returns
    -------
    xarray.DataArray
        Intensity over ``energy`` (eV, ascending, without gaps); ``name`` is the heading of the
        column, ``attrs["source"]`` the file name.

    Raises
    ------
    InputError
        The file holds no spectra, no such column, or several that may be meant.
    """
    path = Path(path)
    spectra = _read(path)
    columns: dict[str, xr.DataArray] = {}
    for variable, dim in (("intensity", "channel"), ("absorption", "spectrum")):
        for index, name in enumerate(spectra[dim].values if variable in spectra else ()):
            columns[str(name)] = spectra[variable].isel({dim: index}, drop=True)
    if channel is not None:
        meant = [name for name in columns if name.lower() == channel.strip().lower()]
    else:
        readings = "intensity" in spectra
        meant = [
            str(name)
            for name in (spectra["channel"].values if readings else ())
            if spectra["role"].sel(channel=name) == "I0"
        ]
        # A spectrum without any word on what it is may be of I0.
        meant = meant or (list(columns) if len(columns) == 1 else [])
    if len(meant) != 1:
        raise InputError(
            f"holds no channel {channel!r}"
            if channel is not None
            else f"holds {len(meant) or len(columns)} spectra that may be I0",
            f"its columns are {', '.join(columns)}; head the one that is meant I0",
            source=path,
        )
    incident = columns[meant[0]]
    incident = incident.isel(energy=np.flatnonzero(np.isfinite(incident.values)))
    incident = incident.drop_vars(["value", "role"], errors="ignore").rename(meant[0])
    incident.attrs = {"source": path.name}
    return incident


def _read(path: Path) -> xr.Dataset:
    """The spectra of a file.

    Raises
    ------
    InputError
        It holds something else.
    """
    reader = find_reader(path)
    if reader is not spectra_reader:
        raise InputError(
            f"is a measurement of images ({reader.format_name}), not spectra",
            "average it over the region that shows the phase first",
            source=path,
        )
    return spectra_reader.read(path)
