"""Blocks of the matrix, computed when loaded: from counts of a scan, or drawn from its peaks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.patterns.matrix import checked
from phaseloom.compute.blocks import BYTES, Block, load, row_blocks

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.detector.correction import Correction
    from phaseloom.diffraction.peaks.rendering import Rendering
    from phaseloom.diffraction.peaks.table import Peaks

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_NEIGHBOURS = 3
"""A pixel is interpolated from at least so many of the eight around it."""


@dataclass(frozen=True)
class Canvas:
    """Pixels of the resized patterns: squares, ``size`` of them along the longer side.

    Parameters
    ----------
    shape
        Rows and columns of the resized patterns. Those of the shorter side are as many as are
        needed to hold it; the last may be partly beyond the detector.
    factor
        Width of one of its pixels in detector px, at least 1.
    """

    shape: tuple[int, int]
    factor: float

    def place(self, detector: Array) -> Array:
        """Coordinates on the canvas of coordinates on the detector, both in px."""
        return (detector + 0.5) / self.factor - 0.5


def canvas_of(detector: tuple[int, int], size: int) -> Canvas:
    """The canvas of a detector of so many rows and columns; nothing is enlarged."""
    factor = max(1.0, max(detector) / size)
    rows, columns = (math.ceil(n / factor - 1e-9) for n in detector)
    return Canvas((rows, columns), factor)


@dataclass(frozen=True, eq=False)
class Detector:
    """Conversion of counts of the detector to counts of the canvas.

    Parameters
    ----------
    correction
        Which pixels (ky, kx) can be used.
    bad, near, weight
        Pixels that cannot, but are interpolated (n,), their eight neighbours (n, 8) and their
        weights (n, 8), which sum to 1; flat indices.
    canvas
        Pixels of the result.
    """

    correction: Correction
    bad: NDArray[np.intp]
    near: NDArray[np.intp]
    weight: NDArray[np.float32]
    canvas: Canvas

    def seen(self) -> Mask:
        """Pixels (ky, kx) that are used or interpolated."""
        seen = self.correction.mask.copy()
        seen.ravel()[self.bad] = True
        return seen

    def counts(self, patterns: NDArray[np.generic]) -> NDArray[np.float32]:
        """Counts (n, ky, kx) of patterns as stored, 0 where there are none."""
        from phaseloom.diffraction.detector.correction import corrected

        values = corrected(patterns, self.correction)
        flat = values.reshape(len(values), -1)
        flat[:, ~self.correction.mask.ravel()] = 0
        flat[:, self.bad] = np.einsum("nbk,bk->nb", flat[:, self.near], self.weight)
        return values

    def binned(self, counts: NDArray[np.float32], corner: Array) -> NDArray[np.float32]:
        """Counts (n, rows, columns) of the canvas with its corners (n, 2) on the detector."""
        from phaseloom.components.patterns.binning import add_areas

        binned = np.zeros((len(counts), *self.canvas.shape), dtype=np.float32)
        add_areas(counts, np.ascontiguousarray(corner), self.canvas.factor, binned)
        return binned

    def constant(self, shift: Array) -> Mask:
        """Pixels of the canvas that cover the same area of the detector at all positions.

        Parameters
        ----------
        shift
            (2,) largest shift of the canvas over the detector to either side, px.
        """
        from scipy.ndimage import maximum_filter, minimum_filter

        seen = self.seen().astype(np.float32)
        reach = [2 * math.ceil(s) + 1 for s in shift]
        corner = np.full((1, 2), -0.5)
        least, most = (
            self.binned(narrow(seen, reach, mode="constant")[None], corner)[0]
            for narrow in (minimum_filter, maximum_filter)
        )
        return np.asarray((most > 0) & (least > 0.999 * most))


def detector_of(correction: Correction, canvas: Canvas) -> Detector:
    """The detector, unusable pixels interpolated where enough neighbours are usable."""
    good = np.pad(correction.mask, 1)
    index = np.pad(np.arange(correction.mask.size).reshape(correction.mask.shape), 1)
    rows, columns = np.nonzero(~correction.mask)
    steps = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    usable = np.stack([good[rows + i, columns + j] for i, j in steps], axis=1)
    near = np.stack([index[rows + i, columns + j] for i, j in steps], axis=1)
    enough = usable.sum(axis=1) >= _NEIGHBOURS
    weight = usable[enough] / np.maximum(usable[enough].sum(axis=1, keepdims=True), 1)
    bad = np.ravel_multi_index((rows[enough], columns[enough]), correction.mask.shape)
    return Detector(correction, bad, near[enough], weight.astype(np.float32), canvas)


@dataclass(frozen=True, eq=False)
class CountBlock:
    """Rows computed from the counts of neighbouring scan positions.

    Parameters
    ----------
    rows
        Positions in reading order.
    block
        Their patterns, not loaded, with their neighbours when ``mean``.
    corner
        (y, x, 2) corner of the canvas on the detector for every pattern of the block, px.
    detector
        What its pixels become.
    pixels
        Pixels of the canvas that are columns.
    mean
        Mean over 3×3 scan positions, of those that there are.
    """

    rows: slice
    block: Block
    corner: Array
    detector: Detector
    pixels: Mask
    mean: bool

    def load(self) -> NDArray[np.float32]:
        """The rows as numbers."""
        inner = self.block.inner_y, self.block.inner_x
        patterns = load(self.block)
        shape = patterns.shape[:2]
        counts = self.detector.counts(patterns.reshape(-1, *patterns.shape[2:]))
        del patterns
        # Neighbours are checked by the blocks that they belong to.
        own = counts.reshape(*shape, -1)[inner]
        checked(own.reshape(-1, own.shape[-1]), self.rows.start)
        binned = self.detector.binned(counts, self.corner.reshape(-1, 2))
        del counts
        columns = binned[:, self.pixels].reshape(*shape, 1, -1)
        if self.mean:
            from phaseloom.diffraction.detector.correction import scan_mean

            columns = scan_mean(columns, above=inner[0].start > 0, below=inner[0].stop < shape[0])[
                :, inner[1]
            ]
        return columns.reshape(-1, columns.shape[-1])


def count_blocks(
    scan: xr.Dataset, detector: Detector, pixels: Mask, corner: Array, *, mean: bool
) -> list[CountBlock]:
    """All rows of a scan; `corner` (y, x, 2) is that of the canvas at every position."""
    width = scan.sizes["x"]
    # Counts are worked on as float32, whatever they are stored as.
    size = BYTES * scan["counts"].dtype.itemsize // 4
    blocks = []
    for block in row_blocks(scan, bytes=size, halo=int(mean)):
        first = block.y.start * width + block.x.start
        top, left = block.y.start - block.inner_y.start, block.x.start - block.inner_x.start
        ny, nx = block.patterns.shape[:2]
        blocks.append(
            CountBlock(
                rows=slice(first, first + math.prod(block.shape)),
                block=block,
                corner=corner[top : top + ny, left : left + nx],
                detector=detector,
                pixels=pixels,
                mean=mean,
            )
        )
    return blocks


@dataclass(frozen=True, eq=False)
class SpotBlock:
    """Rows drawn from the peaks of neighbouring scan positions.

    Parameters
    ----------
    rows
        Positions in reading order.
    patterns
        The patterns of these positions, not yet drawn.
    pixels
        Which of their pixels are columns.
    """

    rows: slice
    patterns: Rendering
    pixels: Mask

    def load(self) -> NDArray[np.float32]:
        """The rows as numbers."""
        return np.asarray(self.patterns.block(slice(None))[:, self.pixels])


def spot_blocks(peaks: Peaks, canvas: Canvas, pixels: Mask, *, sigma: float) -> list[SpotBlock]:
    """All rows of a scan, drawn from its peaks with Gaussians of `sigma` px of the canvas."""
    from phaseloom.diffraction.peaks.rendering import render
    from phaseloom.diffraction.peaks.table import Peaks

    kept = peaks.data[["ky", "kx", "intensity", "offset", "centre_y"]]
    table = Peaks(kept)
    ny, nx = table.shape
    fit = max(1, BYTES // (4 * math.prod(canvas.shape)))
    high, wide = (fit // nx, nx) if fit >= nx else (1, fit)
    blocks = []
    for y in range(0, ny, high):
        for x in range(0, nx, wide):
            part = table.isel(y=slice(y, y + high), x=slice(x, x + wide))
            first = y * nx + x
            rows = slice(first, first + math.prod(part.shape))
            blocks.append(SpotBlock(rows, render(part, shape=canvas.shape, sigma=sigma), pixels))
    return blocks
