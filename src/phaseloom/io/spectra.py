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
