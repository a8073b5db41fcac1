"""Clean patterns from the peak table: every spot where it was found, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    from phaseloom.diffraction.peaks.table import Peaks

_BLOCK_BYTES = 64e6
_SIGMA = 1.5
_CENTRAL = 3.0
_BRIGHTEST = 0.999
_VISIBLE = 0.501
"""Just above what is rounded to nothing."""
_DTYPES = ("float32", "uint8", "uint16")


@dataclass(frozen=True, eq=False)
class Rendering:
    """Patterns that are drawn when asked for: iterate over it, or call :meth:`block`.

    The direct beam of every pattern stands on the middle of pixel ``centre`` = (rows // 2,
    columns // 2): for even sizes the pixel right of and below the middle of the image, as in a
    Fourier transform with its zero shifted to the centre; for odd sizes the central pixel.
    Frames are those of the scan: row 0 on top, ky downwards, kx to the right.

    Parameters
    ----------
    peaks
        The spots.
    shape
        Rows and columns of the patterns.
    pixel_size
        ``units`` per pixel of the patterns.
    sigma, radius
        Size of the drawn spots in px of the patterns: Gaussians or discs, the other is None.
    intensity
        What the sum over a spot is: its ``"integrated"`` counts, or their square ``"root"``. As
        roots in whole numbers no spot is less than 1 on the pixel that it stands on.
    dtype
        float32, uint8 or uint16.
    scale
        Stored value per count (or per root of a count): one number for the whole scan.
    """

    peaks: Peaks
    shape: tuple[int, int]
    pixel_size: float
    sigma: float | None
    radius: float | None
    intensity: Literal["integrated", "root"]
    dtype: np.dtype[Any]
    scale: float

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Scan positions (y, x)."""
        return self.peaks.shape

    @property
    def units(self) -> str:
        """Unit of ``pixel_size``: "Å⁻¹", or "px" of the detector."""
        return self.peaks.units

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column on which the direct beam stands."""
        return self.shape[0] // 2, self.shape[1] // 2

    @property
    def scaling(self) -> str:
        """What the stored values are, in one line."""
        if self.intensity == "root":
            return f"values are {self.scale:.6g} × the square root of the counts of each spot"
        return f"values are {self.scale:.6g} × the counts"

    @property
    def lost(self) -> int:
        """Spots inside the patterns that rounding leaves nothing of, overlaps not counted."""
        if self.dtype.kind == "f" or self.intensity == "root":
            return 0
        rows, columns, counts = self._spots(slice(None))
        inside = _inside(rows, columns, counts, self.shape)
        rows, columns, counts = rows[inside], columns[inside], self.scale * counts[inside]
        if self.radius is not None:
            part = np.full_like(rows, _pixel_of_disc(self.radius))
        else:
            part = _nearest_pixel(rows, self.sigma) * _nearest_pixel(columns, self.sigma)
        return int(np.count_nonzero(counts * part <= _VISIBLE))

    def _spots(self, spots: slice) -> tuple[NDArray[np.float64], ...]:
        """Rows and columns of spots in the patterns, and their counts (or roots), unscaled."""
        data = self.peaks.data
        ky, kx, counts = (
            data[c].to_numpy()[spots].astype(np.float64) for c in ("ky", "kx", "intensity")
        )
        return (
            self.centre[0] + ky / self.pixel_size,
            self.centre[1] + kx / self.pixel_size,
            _drawn(counts, self.intensity),
        )

    def __iter__(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Blocks of scan positions in reading order, and their patterns.

        A block has whole rows of the scan, or part of one where a row takes more than 64 MB.
        """
        rows, width = self.scan_shape
        fit = max(1, int(_BLOCK_BYTES / (4 * self.shape[0] * self.shape[1])))
        step = fit // width * width if fit >= width else fit
        for first in range(0, rows * width, step):
            chosen = slice(first, min(rows * width, first + step))
            yield chosen, self.block(chosen)

    def block(self, positions: slice) -> NDArray[Any]:
        """Patterns (n, ky, kx) of scan positions counted in reading order."""
        from phaseloom.diffraction.peaks.spot_images import draw_discs, draw_gaussians

        first, last, _ = positions.indices(self.peaks.offset.size - 1)
        offset = self.peaks.offset[first : max(first, last) + 1]
        rows, columns, counts = self._spots(slice(int(offset[0]), int(offset[-1])))
        counts = self.scale * counts
        patterns = np.zeros((offset.size - 1, *self.shape), dtype=np.float32)
        if self.radius is not None:
            draw_discs(patterns, offset - offset[0], rows, columns, counts, self.radius)
        else:
            draw_gaussians(patterns, offset - offset[0], rows, columns, counts, self.sigma)
        if self.dtype.kind == "f":
            return patterns
        np.rint(patterns, out=patterns)
        if self.intensity == "root":
            inside = _inside(rows, columns, counts, self.shape)
            pattern = np.repeat(np.arange(len(patterns)), np.diff(offset))[inside]
            at = pattern, *(np.rint(v[inside]).astype(int) for v in (rows, columns))
            patterns[at] = np.maximum(patterns[at], 1)
        return np.clip(patterns, 0, np.iinfo(self.dtype).max, out=patterns).astype(self.dtype)

    def write(self, path: str | PathLike[str], *, title: str = "") -> Path:
        """Write the patterns as ``.blo``, ``.hspy``, ``.zspy`` or ``.tif``, block by block.

        Scan step and voltage are those of the peak table: its coordinates ``y`` and ``x``, and
        its attribute ``voltage``. See :func:`phaseloom.io.export.patterns.write_patterns`.
        """
        from phaseloom.io.export.patterns import write_patterns

        data = self.peaks.data
        axes = {a: data[a].to_numpy() if a in data.coords else np.empty(0) for a in ("y", "x")}
        units = [data[a].attrs.get("units") for a in axes if axes[a].size]
        in_nm = len(units) == 2 and set(units) == {"nm"}
        steps = [abs(v[-1] - v[0]) / (v.size - 1) for v in axes.values() if v.size > 1 and in_nm]
        # A line has a step in one direction only; the other is taken to be the same.
        step = (float(steps[0]), float(steps[-1])) if steps else (1.0, 1.0)
        return write_patterns(
            path,
            self,
            scan_shape=self.scan_shape,
            pattern_shape=self.shape,
            pixel_size=self.pixel_size,
            units=self.units,
            centre=self.centre,
            step=step,
            step_units="nm" if steps else "px",
            voltage=data.attrs.get("voltage"),
            title=title or str(data.attrs.get("title", "")),
            scaling=self.scaling,
        )


def render(
    peaks: Peaks,
    *,
    shape: int | tuple[int, int] | None = None,
    k_max: float | None = None,
    sigma: float | None = None,
    radius: float | None = None,
    intensity: Literal["auto", "integrated", "root"] = "integrated",
    dtype: DTypeLike = np.float32,
    scale: float | None = None,
) -> Rendering:
    """Patterns with the direct beam on the centre and every spot at its sub-pixel position.

    Overlapping spots are added, and a pixel gets exactly the part of a spot that falls on it:
    the sum over a spot away from the edge is its integrated intensity. Ellipticity is taken out,
    for the table holds corrected vectors. Nothing is drawn until blocks are asked for.

    Parameters
    ----------
    peaks
        The peak table.
    shape
        Rows and columns of the new patterns, or one number for both; those of the detector by
        default. Another shape keeps the field of view, so the pixels get larger or smaller.
    k_max
        Half the width of the field of view, in the unit of the table. By default the detector's
        pixel size is kept, or with ``shape`` its field of view. The new pixels are square.
    sigma
        Draw Gaussians of this standard deviation, px of the new patterns; 1.5 by default.
    radius
        Draw discs of this radius instead, px of the new patterns (the published reconstruction
        takes 3 px on 512²).
    intensity
        "integrated" counts, or their square "root", which keeps every spot in 8 bits. "auto" is
        "root" where whole numbers of the counts would lose a spot.
    dtype
        float32, or uint8 / uint16 with rounding; values beyond the range are clipped.
    scale
        Stored value per count (or root): one for the whole scan, never per pattern. By default 1
        for float32. For integers the default puts the 99.9th percentile of all spot heights,
        without the direct beam (within 3 detector px of the centre), on the largest value: the
        direct beam is then clipped, for it would take the range from all others.

    Returns
    -------
    Rendering
        Iterates over ``(positions, patterns)``; tells ``shape``, ``pixel_size``, ``units``,
        ``centre`` and ``scale``.

    Raises
    ------
    InputError
        A size is not positive, both or too small spots are asked for, or the dtype is another.

    References
    ----------
    Folastre et al., Scientific Reports 14 (2024), s41598-024-63060-5: reconstruction of
    registered patterns (drawn there with overwriting, on a canvas of four times the size).
    """
    if sigma is not None and radius is not None:
        raise InputError("spots are either Gaussians or discs", "give sigma or radius, not both")
    if sigma is None and radius is None:
        sigma = _SIGMA
    size = radius if sigma is None else sigma
    if size is None or not (np.isfinite(size) and size >= 0.3):
        raise InputError(f"spots of {size} px cannot be drawn", "give at least 0.3 px")
    kind = np.dtype(dtype)
    if kind.name not in _DTYPES:
        raise InputError(f"patterns of type {kind} are not drawn", f"take {', '.join(_DTYPES)}")
    if intensity == "auto":
        options: dict[str, Any] = {
            "shape": shape, "k_max": k_max, "sigma": sigma, "radius": radius, "dtype": dtype,
            "scale": scale,
        }  # fmt: skip
        linear = render(peaks, intensity="integrated", **options)
        return render(peaks, intensity="root", **options) if linear.lost else linear
    if intensity not in ("integrated", "root"):
        raise InputError(f"there is no intensity {intensity!r}", "take auto, integrated or root")
    new_shape, pixel_size = _canvas(peaks, shape, k_max)
    if scale is None and kind.kind != "f":
        part = 1 / (np.pi * size**2) if sigma is None else _central_pixel(size)
        scale = _full_scale(peaks, part, intensity, float(np.iinfo(kind).max))
    scale = 1.0 if scale is None else float(scale)
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"a scale of {scale} cannot be", "it must be positive")
    return Rendering(peaks, new_shape, pixel_size, sigma, radius, intensity, kind, scale)


def _canvas(
    peaks: Peaks, shape: int | tuple[int, int] | None, k_max: float | None
) -> tuple[tuple[int, int], float]:
    """Shape and pixel size of the new patterns."""
    detector = peaks.detector_shape
    if shape is None:
        new = detector
    else:
        rows, columns = (shape, shape) if isinstance(shape, int) else shape
        new = int(rows), int(columns)
    if min(new) < 2:
        raise InputError(f"patterns of {new[0]}×{new[1]} px are too small", "give at least 2")
    if k_max is not None:
        if not (np.isfinite(k_max) and k_max > 0):
            raise InputError(f"a k_max of {k_max} cannot be", "it must be positive")
        return new, float(k_max) / (min(new) / 2)
    return new, peaks.pixel_size * max(d / n for d, n in zip(detector, new, strict=True))


def _drawn(counts: NDArray[np.float64], intensity: str) -> NDArray[np.float64]:
    return counts if intensity == "integrated" else np.sqrt(np.maximum(counts, 0))


def _central_pixel(sigma: float) -> float:
    """Part of a Gaussian on the pixel that it is centred on."""
    from math import erf

    return erf(0.5 / (np.sqrt(2) * sigma)) ** 2


def _inside(
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    counts: NDArray[np.float64],
    shape: tuple[int, int],
) -> NDArray[np.bool_]:
    """Spots that are something and stand on a pixel of the patterns."""
    inside: NDArray[np.bool_] = np.isfinite(rows + columns + counts) & (counts > 0)
    for at, n in zip((rows, columns), shape, strict=True):
        inside &= (at > -0.5) & (at < n - 0.5)
    return inside


def _nearest_pixel(at: NDArray[np.float64], sigma: float | None) -> NDArray[np.float64]:
    """Part of a Gaussian, along one axis, on the pixel nearest to it."""
    from scipy.special import erf

    beside, steep = at - np.rint(at), 1 / (np.sqrt(2) * (sigma or _SIGMA))
    part: NDArray[np.float64] = 0.5 * (erf((0.5 - beside) * steep) + erf((0.5 + beside) * steep))
    return part


def _pixel_of_disc(radius: float) -> float:
    """Least part of a disc on the pixel nearest to it; of small discs a lower bound."""
    part = 1 / (np.pi * radius**2)
    return float(part if radius >= np.sqrt(2) else 0.9 * min(0.25, part))


def _full_scale(peaks: Peaks, part: float, intensity: str, largest: float) -> float:
    """Scale that puts the brightest spots beside the direct beam on the largest value."""
    ky, kx, counts = (
        peaks.data[c].to_numpy().astype(np.float64) for c in ("ky", "kx", "intensity")
    )
    beside = np.hypot(ky, kx) > _CENTRAL * peaks.pixel_size
    drawn = _drawn(counts, intensity) * min(1.0, part)
    for chosen in (drawn[beside], drawn):
        bright = chosen[np.isfinite(chosen) & (chosen > 0)]
        if bright.size:
            return largest / float(np.quantile(bright, _BRIGHTEST))
    return 1.0
