"""Point-spread function of a zone plate, measured from the sharp edges of the particles.

A Gaussian core, and tails that fall with r⁻³ as those of a zone plate with a central stop do:
(1 − w)·Gauss(σ) + w·(1 + r²/a²)^(−3/2) / 2πa² with a = σ. Across a straight edge the tails are a
Cauchy distribution, so the edge is (1 − w)·Φ(s/σ) + w·(½ + arctan(s/a)/π); the transfer function
is (1 − w)·exp(−2π²σ²f²) + w·exp(−2πa·f). All in closed form.

Particles seldom end in a step. An edge that is not sharp looks wider: the width found is then too
large, the null model mixes too much, and the test errs on the side of the optics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr

Array = NDArray[np.float64]

_TAIL_RADIUS = 1.0
"""Radius a of the tails in σ of the core."""
_BOX = 1.0 / 12.0
"""Variance, in px², that the size of a pixel adds to an edge."""
_REACH = 6.0
"""How far an edge is followed to either side, in px."""
_MOST_EDGES = 1500
_FEWEST_EDGES = 20
_WIDTHS = np.geomspace(0.3, 4.0, 40)
_TAILS = tuple(np.linspace(0.0, 0.9, 10).round(2).tolist())
_STRAIGHT = 0.98
"""Part of an edge's variance that the model explains at least."""
_NARROWEST = 0.05
_MODEL_ERROR = 0.05, 0.1
"""How well the model describes a zone plate: relative in the width, absolute in the tails."""
_SHARPEST = 0.35
"""Quantile of the widths of all edges that is taken as that of a sharp one."""


@dataclass(frozen=True)
class PointSpread:
    """Point-spread function.

    Attributes
    ----------
    width
        Standard deviation of the Gaussian core in px, without the size of the pixel.
    error
        Standard error of the width in px; 0 where it was given.
    tails
        Part of the intensity in the tails.
    tails_error
        Standard error of that; 0 where it was given.
    edges
        Places at the particles' rim it was measured at; 0 where it was given.
    """

    width: float
    error: float
    tails: float
    tails_error: float
    edges: int

    def drawn(self, rng: np.random.Generator) -> PointSpread:
        """One that it may be as well, within the errors."""
        width = self.width + self.error * float(rng.standard_normal())
        tails = self.tails + self.tails_error * float(rng.standard_normal())
        return replace(self, width=max(width, _NARROWEST), tails=float(np.clip(tails, 0.0, 1.0)))

    def blurred(self, images: Array) -> Array:
        """Images (…, y, x) as seen through this point-spread function."""
        sigma = self.width
        margin = int(np.ceil(8 * sigma)) + 2
        ahead = [(0, 0)] * (images.ndim - 2)
        padded = np.pad(images, [*ahead, (margin, margin), (margin, margin)], mode="edge")
        rows, columns = padded.shape[-2:]
        frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
        transfer = (1 - self.tails) * np.exp(-2 * (np.pi * sigma * frequency) ** 2)
        transfer += self.tails * np.exp(-2 * np.pi * _TAIL_RADIUS * sigma * frequency)
        result = np.fft.irfft2(np.fft.rfft2(padded) * transfer, s=(rows, columns))
        return np.asarray(result[..., margin:-margin, margin:-margin])


def measure_point_spread(transmission: Array, mask: NDArray[np.bool_]) -> PointSpread | None:
    """Point-spread function from the rim of the particles.

    Parameters
    ----------
    transmission
        (y, x) mean over the energies: what the optics blur is intensity.
    mask
        (y, x), true on the particles.

    Returns
    -------
    PointSpread or None
        None with fewer than 20 clean edges.
    """
    places, profiles = _profiles(transmission, mask)
    if len(profiles) < _FEWEST_EDGES:
        return None
    fits = [_fitted(profiles, tails) for tails in _TAILS]
    spread = ((profiles - profiles.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    clean = np.min([left for _, left in fits], axis=0) < (1 - _STRAIGHT) * spread
    if np.count_nonzero(clean) < _FEWEST_EDGES:
        return None
    # How much is in the tails is one number for all edges; a single one cannot tell it.
    total = [float((left[clean] / spread[clean]).sum()) for _, left in fits]
    best = int(np.argmin(total))
    widths = fits[best][0][clean]
    # Neighbouring edges share their pixels: sectors of the field are what varies independently.
    sector = places[clean] // 12
    _, number = np.unique(sector[:, 0] * 100_000 + sector[:, 1], return_inverse=True)
    rng = np.random.default_rng(0)
    n = int(number.max()) + 1
    drawn = [
        _core(np.repeat(widths, times[number]))
        for times in rng.multinomial(n, np.full(n, 1 / n), size=200)
    ]
    width = _core(widths)
    error = float(np.hypot(np.std(drawn), _MODEL_ERROR[0] * width))
    return PointSpread(width, error, _TAILS[best], _MODEL_ERROR[1], int(clean.sum()))


def _core(widths: Array) -> float:
    """Width of the core without the pixel, from the widths of many edges."""
    return float(np.sqrt(max(float(np.quantile(widths, _SHARPEST)) ** 2 - _BOX, 0.01)))


def _profiles(transmission: Array, mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], Array]:
    """Places (edge, 2) on the rim, and the profiles (edge, s) across it, inwards."""
    rim = mask & ~ndimage.binary_erosion(mask, border_value=1)
    places = np.argwhere(rim)
    margin = int(_REACH) + 1
    low, high = margin, np.array(mask.shape) - 1 - margin
    places = places[((places >= low) & (places <= high)).all(axis=1)]
    if len(places) > _MOST_EDGES:
        places = places[np.linspace(0, len(places) - 1, _MOST_EDGES).astype(np.intp)]
    gradient = np.stack(
        [ndimage.gaussian_filter(transmission, 1.5, order=o) for o in ((1, 0), (0, 1))]
    )
    normal = -gradient[:, places[:, 0], places[:, 1]].T
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    steps = _steps()
    along = places[:, None, :] + steps[None, :, None] * normal[:, None, :]
    profiles = ndimage.map_coordinates(transmission, along.transpose(2, 0, 1), order=3)
    return places, np.asarray(profiles, dtype=np.float64)


def _steps() -> Array:
    return np.arange(-_REACH, _REACH + 0.25, 0.5)


def _fitted(profiles: Array, tails: float) -> tuple[Array, Array]:
    """Best width of every profile (edge, s), and what the fit leaves (sum of squares)."""
    steps = _steps()
    least = np.full(len(profiles), np.inf)
    width = np.full(len(profiles), np.nan)
    for sigma in _WIDTHS:
        for middle in np.arange(-2.0, 2.01, 0.25):
            s = steps - middle
            edge = (1 - tails) * ndtr(s / sigma)
            edge += tails * (0.5 + np.arctan(s / (_TAIL_RADIUS * sigma)) / np.pi)
            # Behind the edge the thickness may go on rising, first steeply.
            columns = np.stack([np.ones_like(s), edge, s * edge], axis=1)
            base = np.linalg.qr(columns)[0]
            left = (profiles**2).sum(axis=1) - ((profiles @ base) ** 2).sum(axis=1)
            better = left < least
            least[better], width[better] = left[better], sigma
    return width, np.maximum(least, 0.0)
