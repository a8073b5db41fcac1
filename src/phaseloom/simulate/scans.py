"""Simulated 4D-STEM scans with known truth, from crystals and a map of grains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.crystals import Crystal
from phaseloom.errors import InputError
from phaseloom.simulate.camera import Camera
from phaseloom.simulate.patterns import add_radial, add_spots, counting_errors
from phaseloom.simulate.spots import Beam, SpotTable, expected_spots

if TYPE_CHECKING:
    import xarray as xr

VISIBLE = 10.0
"""A spot is called visible when its expected counts are this many times their least error."""

_HOT_LEVEL = 5.0
"""A hot pixel reads this many times the brightest expected pixel of its pattern."""

_PATTERNS_AT_ONCE = 256


def simulate_scan(
    sample: xr.Dataset,
    crystals: Sequence[Crystal],
    *,
    beam: Beam | None = None,
    camera: Camera | None = None,
    noise: bool = True,
    seed: int = 0,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Simulate a scan; returns it with its truth.

    Parameters
    ----------
    sample
        From :func:`phaseloom.simulate.grain_map` or
        :func:`phaseloom.simulate.random_orientations`.
    crystals
        The phases, in the order of the sample's numbers.
    beam, camera
        200 kV and a clean detector of 256² pixels by default.
    noise
        Poisson counts; otherwise ``counts`` are the expected ones, float32.
    seed
        Same seed, same scan, whatever blocks it is made in.

    Returns
    -------
    scan : xarray.Dataset
        ``counts`` (y, x, ky, kx) uint16, as a reader returns it.
    truth : xarray.Dataset
        Flat spot table on ``spot``: ``row``, ``column`` (px on the detector), ``ky``, ``kx``
        (Å⁻¹, from the direct beam), ``counts`` (expected, integrated, before the pixels'
        sensitivity), ``counting_error`` (its Cramér–Rao bound), ``visible`` (on the detector and
        counts at least ten times that error), ``hkl`` (0 0 0: direct beam), ``phase_index``;
        ``offset`` (position + 1). Spots just off the detector are in the table, not visible.
        The sample's maps, ``centre_y`` and ``centre_x`` (y, x) in px. ``gain`` (ky, kx; NaN on
        pixels that are not usable): what the detector's reading is multiplied with.
        Attributes ``distortion`` (four numbers, by rows) and ``pixel_size``.

    Raises
    ------
    InputError
        The sample names a phase that has no crystal, or the shares of the dose exceed 1.
    """
    simulation = Simulation(sample, crystals, beam or Beam(), camera or Camera(), noise, seed)
    blocks = list(simulation.blocks())
    counts = np.concatenate([block.patterns for block in blocks])
    return simulation.scan(counts), simulation.truth(blocks)


def write_scan(
    path: str | PathLike[str],
    sample: xr.Dataset,
    crystals: Sequence[Crystal],
    *,
    beam: Beam | None = None,
    camera: Camera | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> xr.Dataset:
    """Simulate a scan of any size to a numpy file, block by block.

    Parameters
    ----------
    path
        ``.npy``, written (y, x, ky, kx) uint16.
    sample, crystals, beam, camera, seed
        As for :func:`simulate_scan`; the counts are the same.
    progress
        Counts blocks.

    Returns
    -------
    xarray.Dataset
        The truth.
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise InputError("cannot be written", "name a file that ends in .npy", source=path)
    simulation = Simulation(sample, crystals, beam or Beam(), camera or Camera(), True, seed)
    shape = (sample.sizes["y"], sample.sizes["x"], *simulation.camera.shape)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=shape)
    blocks, first = [], 0
    n_blocks = len(simulation.rows())
    for block in progress.track(simulation.blocks(), "simulating", total=n_blocks):
        file[first : first + len(block.patterns)] = block.patterns
        first += len(block.patterns)
        blocks.append(block._replace(patterns=block.patterns[:0]))
    file.flush()
    return simulation.truth(blocks)


class _Block(NamedTuple):
    """Simulated patterns, spots and beam positions of a block of scan rows."""

    patterns: NDArray[np.uint16] | NDArray[np.float32]
    table: SpotTable
    row: NDArray[np.float64]
    column: NDArray[np.float64]
    counting_error: NDArray[np.float64]
    centre: NDArray[np.float64]


class Simulation(NamedTuple):
    """The arguments of :func:`simulate_scan`."""

    sample: xr.Dataset
    crystals: Sequence[Crystal]
    beam: Beam
    camera: Camera
    noise: bool
    seed: int

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Positions (y, x)."""
        return int(self.sample.sizes["y"]), int(self.sample.sizes["x"])

    def rows(self) -> list[slice]:
        """Blocks of scan rows."""
        step = max(1, _PATTERNS_AT_ONCE // self.scan_shape[1])
        return [slice(y, y + step) for y in range(0, self.scan_shape[0], step)]

    def blocks(self) -> Iterator[_Block]:
        """Simulate block after block."""
        self.check()
        response = self.camera.sensitivity(self.seed)
        hot = self.camera.hot_pixels(self.seed)
        profile = self.beam.dose * self.camera.radial_profile()
        plane = self.camera.beam(self.scan_shape)
        for rows in self.rows():
            yield self._block(rows, response, hot, profile, plane)

    def _block(
        self,
        rows: slice,
        response: NDArray[np.float64],
        hot: NDArray[np.bool_],
        profile: NDArray[np.float64],
        plane: NDArray[np.float64],
    ) -> _Block:
        camera, width = self.camera, self.scan_shape[1]
        streams, centre, table, at = self.spots(rows, plane)
        offset = _offset(table.position, len(centre))

        expected = np.zeros((len(centre), *camera.shape), dtype=np.float32)
        spots = offset, at[:, 0].copy(), at[:, 1].copy()
        add_radial(expected, centre, np.broadcast_to(profile, (len(centre), profile.size)))
        add_spots(expected, *spots, table.counts, camera.sigma, camera.radius)
        usable = (response > 0) & ~hot
        error = counting_errors(expected, usable, *spots, camera.sigma, camera.radius)
        seen = expected * response.astype(np.float32)
        seen[:, hot] = _HOT_LEVEL * expected.max(axis=(1, 2))[:, None]
        patterns = self._expose(seen, streams).reshape(-1, width, *camera.shape)
        return _Block(patterns, table, at[:, 0], at[:, 1], error, centre)

    def spots(
        self, rows: slice, plane: NDArray[np.float64]
    ) -> tuple[list[np.random.Generator], NDArray[np.float64], SpotTable, NDArray[np.float64]]:
        """Random generators, direct beams (n, 2), spots and their places (spots, 2) in px.

        Parameters
        ----------
        rows
            Of the scan.
        plane
            From :meth:`phaseloom.simulate.camera.Camera.beam`.
        """
        camera, part = self.camera, self.sample.isel(y=rows)
        # A generator per scan row: results do not depend on the blocks.
        streams = [
            np.random.default_rng([self.seed, 0, y])
            for y in range(*rows.indices(self.scan_shape[0]))
        ]
        width = self.scan_shape[1]
        offsets = np.concatenate([rng.standard_normal((width, 2)) for rng in streams])
        centre = plane[rows].reshape(-1, 2) + camera.jitter * offsets
        shares = camera.background + camera.ring
        table = expected_spots(part, self.crystals, self.beam, 1.0 - shares, streams)
        vectors = np.stack([table.ky, table.kx], axis=-1) / camera.pixel_size
        at = centre[table.position] + vectors @ np.linalg.inv(camera.distortion).T
        rim = camera.radius + 5.0 * camera.sigma
        near = np.all((at > -rim) & (at < np.array(camera.shape) - 1 + rim), axis=1)
        return streams, centre, table.take(near), at[near]

    def _expose(
        self, seen: NDArray[np.float32], streams: Sequence[np.random.Generator]
    ) -> NDArray[np.uint16] | NDArray[np.float32]:
        largest = self.camera.saturation or np.iinfo(np.uint16).max
        if not self.noise:
            return np.minimum(seen, np.float32(largest))
        counts = np.empty(seen.shape, dtype=np.uint16)
        width = self.scan_shape[1]
        for i, rng in enumerate(streams):
            row = slice(i * width, (i + 1) * width)
            counts[row] = np.minimum(rng.poisson(seen[row]), largest)
        return counts

    def check(self) -> None:
        """Raise InputError for shares of the dose or phases that are not possible."""
        shares = self.camera.background + self.camera.ring + self.beam.direct
        if not 0 <= shares <= 1:
            raise InputError(
                f"direct beam, background and ring take {shares:g} of the dose",
                "together they must leave something for the spots",
            )
        largest = max(int(self.sample[name].max()) for name in ("phase", "phase_2"))
        if largest >= len(self.crystals):
            raise InputError(
                f"the sample has a phase {largest}, but there are {len(self.crystals)} crystals",
                "phases are counted from 0; give a crystal for each",
            )

    def scan(self, counts: NDArray[np.generic]) -> xr.Dataset:
        """The measurement, as a reader returns it."""
        import xarray as xr

        from phaseloom.io.fingerprint import array_fingerprint

        middle, step = self.camera.middle, self.camera.pixel_size
        ky, kx = (step * (np.arange(n) - m) for n, m in zip(self.camera.shape, middle, strict=True))
        attrs: dict[str, object] = {
            "kind": "scan",
            "format": "simulated",
            "source": "simulated",
            "title": "simulated",
            "input_fingerprint": array_fingerprint(counts),
            "voltage": self.beam.voltage,
            "precession_angle": self.beam.precession_angle,
        }
        if self.camera.saturation is not None:
            attrs["saturation"] = self.camera.saturation
        return xr.Dataset(
            {"counts": (("y", "x", "ky", "kx"), counts, {"units": "counts"})},
            coords={
                "y": self.sample["y"],
                "x": self.sample["x"],
                "ky": ("ky", ky, {"units": "Å⁻¹"}),
                "kx": ("kx", kx, {"units": "Å⁻¹"}),
            },
            attrs=attrs,
        )

    def truth(self, blocks: Sequence[_Block]) -> xr.Dataset:
        """The truth of all blocks."""
        import xarray as xr

        camera = self.camera
        row, column, error, centre = (
            np.concatenate([getattr(block, name) for block in blocks])
            for name in ("row", "column", "counting_error", "centre")
        )
        tables = [block.table for block in blocks]
        ky, kx, counts, hkl, phase_index = (
            np.concatenate([getattr(table, name) for table in tables])
            for name in ("ky", "kx", "counts", "hkl", "phase_index")
        )
        per_position = [
            np.bincount(block.table.position, minlength=len(block.centre)) for block in blocks
        ]
        offset = np.concatenate([[0], np.cumsum(np.concatenate(per_position))])
        inside = (row >= -0.5) & (row <= camera.shape[0] - 0.5)
        inside &= (column >= -0.5) & (column <= camera.shape[1] - 0.5)
        response = camera.sensitivity(self.seed)
        usable = (response > 0) & ~camera.hot_pixels(self.seed)
        gain = np.where(usable, 1.0 / np.where(usable, response, 1.0), np.nan)
        px, per_angstrom, one = {"units": "px"}, {"units": "Å⁻¹"}, {"units": "counts"}
        centre = centre.reshape(*self.scan_shape, 2)
        return self.sample.assign(
            {
                "row": ("spot", row, px),
                "column": ("spot", column, px),
                "ky": ("spot", ky, per_angstrom),
                "kx": ("spot", kx, per_angstrom),
                "counts": ("spot", counts, one),
                "counting_error": ("spot", error, one),
                "visible": ("spot", inside & (counts >= VISIBLE * error)),
                "hkl": (("spot", "index"), hkl.astype(np.int16)),
                "phase_index": ("spot", phase_index.astype(np.int8)),
                "offset": ("edge", offset.astype(np.int64)),
                "centre_y": (("y", "x"), centre[..., 0], px),
                "centre_x": (("y", "x"), centre[..., 1], px),
                "gain": xr.Variable(("detector_row", "detector_column"), gain.astype(np.float32)),
            }
        ).assign_attrs(
            distortion=[float(v) for v in camera.distortion.ravel()],
            pixel_size=camera.pixel_size,
        )


def _offset(position: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.bincount(position, minlength=n))])
