"""Remarks on an orientation map: what a user must know before using it, a sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

_SOME = 0.05
"""Part of the patterns: fewer that are explained are luck."""

_WORTH_SAYING = 0.01
"""Part by which the pixel size is off before it is a remark."""


def remarks(maps: xr.Dataset) -> list[str]:
    """What stands against the map, the gravest first.

    Parameters
    ----------
    maps
        Group ``/orientation``.
    """
    attrs = maps.attrs
    phase = maps["phase"].to_numpy()
    names = ", ".join(str(name) for name in maps["phase_name"].to_numpy())
    share = float((phase >= 0).mean())
    close = attrs["closely_explained_share"]
    if share == 0.0 and close >= _SOME and attrs["scale_searched"]:
        return [
            f"nothing is indexed, for {names} explains the patterns no better than a related "
            f"crystal would at the pixel size at which it fits best ({close:.0%} of them closely, "
            "and few as a whole): check the crystals, the pixel size and the peaks; if they are "
            "right and most patterns are of something else, --scale 1 takes the pixel size as "
            "exact and asks for fewer"
        ]
    if share == 0.0:
        return [
            f"nothing is indexed, for no pattern is explained by {names} at any pixel size within "
            f"12 % of the given one ({attrs['pixel_size']:.5g} Å⁻¹ per px): check the crystals, "
            "the pixel size and the peaks"
            if attrs["scale_searched"]
            else f"nothing is indexed, for no pattern is explained by {names} at a pixel size of "
            f"{attrs['pixel_size']:.5g} Å⁻¹ per px: check the crystals and the pixel size"
        ]
    found = []
    if share < 0.5:
        found.append(
            f"only {share:.0%} of the patterns are explained by {names}: check the crystals and "
            "the peaks before the rest is used"
        )
    rivals = np.atleast_1d(attrs.get("rival_scales", []))
    if len(rivals) > 1:
        factors = ", ".join(f"{value:.5g}" for value in rivals)
        found.append(
            f"the crystals explain the patterns at several scales ({factors} times the given pixel "
            "size), with other phases at each: phase_probability takes account of it; --scale 1 "
            "takes the given pixel size as exact"
        )
    if abs(attrs["scale"] - 1.0) > _WORTH_SAYING and np.isfinite(attrs["scale_error"]):
        cell = f"{100 * abs(attrs['scale'] - 1):.1f} % {_compared(attrs['scale'])}"
        found.append(
            f"{scale_sentence(maps)}; it was corrected, as the crystals are taken for the right "
            f"ones: a crystal of the same kind with a cell {cell} would explain the same patterns "
            "at the pixel size of the source, which --scale 1 holds"
        )
    return found


def scale_sentence(maps: xr.Dataset) -> str:
    """What was found of the pixel size, in words.

    Parameters
    ----------
    maps
        Group ``/orientation``.
    """
    scale, error = float(maps.attrs["scale"]), float(maps.attrs["scale_error"])
    if not np.isfinite(error):
        return (
            "the pixel size is taken as given"
            if scale == 1.0
            else f"the pixel size is multiplied by {scale:.5g}, as given"
        )
    change, error = 100.0 * abs(scale - 1.0), 100.0 * error
    if change == 0.0:
        return f"the pixel size agrees with the crystals within {max(error, 0.001):.2g} %"
    digits = max(1, min(3, int(np.ceil(-np.log10(max(error, 1e-3))))))
    word = _compared(scale)
    return (
        f"the pixel size is {change:.{digits}f} ± {max(error, 10.0**-digits):.{digits}f} % {word} "
        "than the source says"
    )


def _compared(scale: float) -> str:
    return "larger" if scale > 1.0 else "smaller"
