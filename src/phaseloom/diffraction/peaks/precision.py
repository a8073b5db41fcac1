"""Rounding of the peak table to its standard errors, so that it packs tightly on disk.

A float32 holds 24 bits, most of them noise here, and noise does not compress. Rounded to a
tenth of its standard error a value loses nothing that was known, and its last bits become zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

_BITS = {
    "ky_error": 3,
    "kx_error": 3,
    "intensity_error": 3,
    "peak_prominence": 3,
    "background": 3,
}
_MAP_BITS = 11
_CENTRE = 2.0**-10
_COARSEST, _FINEST = 2.0**-6, 2.0**-12
_CHUNK = 2**20
_SHARE = 0.19
_LEVEL = 6


def rounded(data: xr.Dataset) -> xr.Dataset:
    """The peak table with values rounded to what is known of them, encoded to be stored small.

    - ``ky``, ``kx``: to a power of two of the unit, less than a fifth of the standard error (the
      rounding is then less than a tenth of it) and at most 1/64 of a detector pixel.
    - ``intensity``: to a power of two, less than a fifth of its standard error.
    - standard errors, ``peak_prominence`` and ``background``: 3 bits after the leading one (to
      6 %).
    - ``centre_y``, ``centre_x``: to 1/1024 px; other float maps (y, x): 11 bits (0.02 %).

    What has no standard error keeps its value. Rounding again changes nothing.

    Parameters
    ----------
    data
        Dataset of :class:`phaseloom.diffraction.peaks.table.Peaks`.

    Returns
    -------
    xarray.Dataset
        The same variables, each with the zarr encoding of :func:`encoding`.
    """
    pixel = 2.0 ** np.floor(np.log2(float(data.attrs["pixel_size"])))
    result = data.copy()
    # Errors first: the steps follow from the rounded ones, so that they are the same next time.
    for name in sorted(map(str, data.data_vars), key=lambda name: name not in _BITS):
        old = data[name]
        if old.dtype.kind != "f" or old.dims not in (("peak",), ("y", "x")):
            continue
        values = old.to_numpy()
        if name in ("ky", "kx", "intensity"):
            errors = result[f"{name}_error"].to_numpy()
            new = _to_error(values, errors, None if name == "intensity" else pixel)
        elif name in ("centre_y", "centre_x"):
            new = np.round(values / _CENTRE) * _CENTRE
        else:
            new = _to_bits(values, _BITS.get(name, _MAP_BITS))
        result[name] = (old.dims, new.astype(old.dtype), old.attrs)
    for name, how in encoding(result).items():
        result[name].encoding = how
    return result


def encoding(data: xr.Dataset) -> dict[str, dict[str, Any]]:
    """How zarr (format 3) keeps the variables of a peak table: for ``Dataset.to_zarr``.

    Chunks of about a million rows; bytes of equal weight side by side (which packs this table
    a little better than bits do), zstd.
    """
    from zarr.codecs import BloscCodec

    return {
        str(name): {
            "chunks": tuple(
                min(_CHUNK if variable.ndim == 1 else 1024, n or 1) for n in variable.shape
            ),
            "compressors": [
                BloscCodec(
                    typesize=variable.dtype.itemsize,
                    cname="zstd",
                    clevel=_LEVEL,
                    shuffle="shuffle",
                )
            ],
        }
        for name, variable in data.data_vars.items()
        if variable.dtype.kind in "fiu" and 0 < variable.ndim <= 2
    }


def _to_error(
    values: NDArray[np.float32], errors: NDArray[np.float32], pixel: float | None
) -> NDArray[np.float64]:
    """Values to multiples of a power of two, less than a fifth of their error.

    ``pixel``, the power of two next to the pixel size, bounds the step to both sides: what is
    known to less than 1/4096 px does not need more digits than that.
    """
    exact = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = 2.0 ** np.floor(np.log2(_SHARE * errors.astype(np.float64)))
        if pixel is not None:
            step = np.clip(step, _FINEST * pixel, _COARSEST * pixel)
        new = np.round(exact / step) * step
    return np.where(np.isfinite(new), new, exact)


def _to_bits(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Values with so many bits after the leading one, rounded to nearest."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(np.round(mantissa * 2.0 ** (bits + 1)) / 2.0 ** (bits + 1), exponent)
