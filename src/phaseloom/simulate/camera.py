"""Camera of a simulated scan: geometry, spots, background, faulty pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseloom.simulate.patterns import RADIAL_STEP

_FLOOR = 0.05
"""Constant part of the radial background, relative to its maximum."""


@dataclass(frozen=True)
class Camera:
    """A pixelated detector and the optics before it.

    Parameters
    ----------
    shape
        Rows and columns of a pattern.
    pixel_size
        Å⁻¹ per pixel.
    sigma
        Standard deviation of a Gaussian spot, or of a disk's soft edge, in px.
    radius
        Of disk-shaped spots, in px; 0 makes Gaussian spots.
    centre
        Row and column of the direct beam in the middle of the scan, in px; the middle of the
        detector by default.
    descan
        How far the direct beam moves from the scan's first to its last row (row, column) and
        from its first to its last column (row, column), in px.
    jitter
        Standard deviation of the direct beam about that plane, in px.
    ellipticity
        Ratio of the axes of the ellipse a ring is seen as; 1 is round.
    ellipse_angle
        Direction of the long axis from the columns' direction (+x) towards the rows' (+y, down),
        in degrees.
    background
        Part of the dose in a radial background about the direct beam, exp(−r / width) on a low
        floor.
    background_width
        In px.
    ring
        Part of the dose in the ring of an amorphous support.
    ring_k, ring_width
        Where it is and its standard deviation, in Å⁻¹ (carbon by default).
    gain_spread
        Standard deviation of the pixels' relative sensitivity.
    hot, dead
        How many pixels always read high, or nothing.
    beam_stop
        Radius in px of a shadow over ``centre``; 0 for none.
    saturation
        Largest count a pixel can read; none by default.
    """

    shape: tuple[int, int] = (256, 256)
    pixel_size: float = 1.5 / 122.0
    sigma: float = 2.4
    radius: float = 0.0
    centre: tuple[float, float] | None = None
    descan: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))
    jitter: float = 0.0
    ellipticity: float = 1.0
    ellipse_angle: float = 0.0
    background: float = 0.2
    background_width: float = 40.0
    ring: float = 0.0
    ring_k: float = 0.48
    ring_width: float = 0.06
    gain_spread: float = 0.0
    hot: int = 0
    dead: int = 0
    beam_stop: float = 0.0
    saturation: int | None = None

    @property
    def middle(self) -> NDArray[np.float64]:
        """Row and column of the direct beam in the middle of the scan."""
        rows, columns = self.shape
        default = ((rows - 1) / 2.0, (columns - 1) / 2.0)
        return np.array(default if self.centre is None else self.centre, dtype=np.float64)

    @property
    def distortion(self) -> NDArray[np.float64]:
        """D (2×2, determinant 1): (ky, kx) = pixel_size · D · (row, column) from the beam.

        It shrinks the long axis by √ellipticity and stretches the short one by as much.
        """
        angle = np.radians(self.ellipse_angle)
        long = np.array([np.sin(angle), np.cos(angle)])
        short = np.array([np.cos(angle), -np.sin(angle)])
        root = np.sqrt(self.ellipticity)
        matrix: NDArray[np.float64] = np.outer(long, long) / root + np.outer(short, short) * root
        return matrix

    def beam(self, scan_shape: tuple[int, int]) -> NDArray[np.float64]:
        """Plane of the direct beam over a scan: (y, x, 2), row and column in px.

        Parameters
        ----------
        scan_shape
            Positions (y, x).
        """
        y, x = (np.linspace(-0.5, 0.5, n) if n > 1 else np.zeros(1) for n in scan_shape)
        along_y, along_x = np.asarray(self.descan, dtype=np.float64)
        plane: NDArray[np.float64] = (
            self.middle + y[:, None, None] * along_y + x[None, :, None] * along_x
        )
        return plane

    def radial_profile(self) -> NDArray[np.float64]:
        """Background counts per pixel and electron, at 0, 0.25, 0.5 … px from the direct beam."""
        rows, columns = np.indices(self.shape)
        from_middle = np.hypot(rows - self.middle[0], columns - self.middle[1])
        r = RADIAL_STEP * np.arange(int(2.0 * np.hypot(*self.shape) / RADIAL_STEP))
        total = np.zeros_like(r)
        decay = np.exp(-r / self.background_width) + _FLOOR
        halo = np.exp(-0.5 * ((r * self.pixel_size - self.ring_k) / self.ring_width) ** 2)
        for share, shape in ((self.background, decay), (self.ring, halo)):
            if share > 0:
                total += share * shape / np.interp(from_middle, r, shape).sum()
        return total

    def sensitivity(self, seed: int) -> NDArray[np.float64]:
        """Relative response of every pixel, mean 1, 0 where nothing is read.

        Parameters
        ----------
        seed
            Same seed, same detector.
        """
        rng = np.random.default_rng([seed, 1])
        response = np.exp(self.gain_spread * rng.standard_normal(self.shape))
        response /= response.mean()
        defects = rng.choice(response.size, self.hot + self.dead, replace=False)
        response.ravel()[defects[self.hot :]] = 0.0
        rows, columns = np.indices(self.shape)
        if self.beam_stop > 0:
            shadow = np.hypot(rows - self.middle[0], columns - self.middle[1]) < self.beam_stop
            response[shadow] = 0.0
        return response

    def hot_pixels(self, seed: int) -> NDArray[np.bool_]:
        """Mask (ky, kx) of the pixels that always read high.

        Parameters
        ----------
        seed
            As for :meth:`sensitivity`.
        """
        rng = np.random.default_rng([seed, 1])
        rng.standard_normal(self.shape)
        defects = rng.choice(int(np.prod(self.shape)), self.hot + self.dead, replace=False)
        hot = np.zeros(self.shape, dtype=bool)
        hot.ravel()[defects[: self.hot]] = True
        return hot
