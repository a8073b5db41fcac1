"""Grains of a simulated scan: their positions, phases and orientations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


def grain_map(
    shape: tuple[int, int],
    shares: Sequence[float],
    *,
    n_grains: int = 20,
    spread: float = 0.5,
    overlap_width: float = 0.0,
    empty: float = 0.0,
    step: float = 5.0,
    seed: int = 0,
) -> xr.Dataset:
    """A polycrystal: Voronoi grains, each of one phase and nearly one orientation.

    Parameters
    ----------
    shape
        Scan positions (y, x).
    shares
        Part of the grains of each phase.
    n_grains
        How many grains.
    spread
        Standard deviation in degrees of each position's orientation about its grain's (about
        each axis).
    overlap_width
        Positions up to this far (in positions) from a boundary hold both grains: half of each at
        the boundary, falling linearly to none.
    empty
        Part of the grains that are no crystal (phase −1).
    step
        Distance of scan positions in nm.
    seed
        Same seed, same grains.

    Returns
    -------
    xarray.Dataset
        On (y, x): ``grain``, ``phase`` (−1: none), ``rotation`` (y, x, 4; unit quaternion, sample
        to crystal as in orix), and the neighbouring grain ``grain_2``, ``phase_2``,
        ``rotation_2``, with ``overlap`` its share, in [0, 0.5]. Coordinates in nm.
    """
    from scipy.spatial import cKDTree

    if n_grains < 2 or not shares or min(shares) < 0 or sum(shares) <= 0 or not 0 <= empty < 1:
        raise InputError(
            f"{n_grains} grains with shares {list(shares)} and {empty:g} empty cannot be",
            "give at least two grains and shares that are not negative",
        )
    rng = np.random.default_rng(seed)
    middles = rng.uniform(0, 1, (n_grains, 2)) * np.array(shape) - 0.5
    weights = np.asarray(shares, dtype=np.float64) / sum(shares)
    # As many grains of each phase as its share says, in random order.
    quantile = (np.arange(n_grains) + 0.5) / n_grains
    numbers = np.searchsorted(np.cumsum(weights), quantile).clip(max=weights.size - 1)
    phases = rng.permutation(numbers)
    phases[rng.permutation(n_grains)[: round(empty * n_grains)]] = -1
    orientations = random_quaternions(n_grains, rng)

    position = np.indices(shape).reshape(2, -1).T
    distance, nearest = cKDTree(middles).query(position, k=2)
    first, second = nearest.T
    separation = np.linalg.norm(middles[first] - middles[second], axis=1)
    # Distance to the plane between the two middles.
    to_boundary = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * separation)
    overlap = np.zeros(len(position))
    if overlap_width > 0:
        overlap = 0.5 * np.clip(1.0 - to_boundary / overlap_width, 0.0, 1.0)
    overlap[phases[second] < 0] = 0.0
    tilt = np.radians(spread) * rng.standard_normal((2, len(position), 3))
    return _sample(
        shape,
        step,
        overlap,
        [
            (grain, phases[grain], _multiply(_from_rotation_vectors(t), orientations[grain]))
            for grain, t in zip((first, second), tilt, strict=True)
        ],
    )


def random_orientations(shape: tuple[int, int], *, step: float = 5.0, seed: int = 0) -> xr.Dataset:
    """A sample of one phase in which every position has a random orientation of its own.

    Parameters
    ----------
    shape
        Scan positions (y, x).
    step
        Distance of scan positions in nm.
    seed
        Same seed, same orientations.

    Returns
    -------
    xarray.Dataset
        As :func:`grain_map`; every position is a grain.
    """
    n = shape[0] * shape[1]
    rotation = random_quaternions(n, np.random.default_rng(seed))
    layer = np.arange(n), np.zeros(n, dtype=np.int64), rotation
    return _sample(shape, step, np.zeros(n), [layer, layer])


def random_quaternions(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, 4) unit quaternions, uniform over all rotations, scalar first and not negative.

    Parameters
    ----------
    n
        How many.
    rng
        Random number generator.
    """
    q = rng.standard_normal((n, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.where(q[:, :1] < 0, -q, q)
    return unit


def _from_rotation_vectors(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternions of rotation vectors (n, 3) in radians."""
    angle = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.hstack([np.cos(angle / 2), vectors / 2 * np.sinc(angle / (2 * np.pi))])


def _multiply(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternion products p q: first q, then p, which turns in the crystal's frame."""
    a, b, c, d = p.T
    e, f, g, h = q.T
    product = np.stack(
        [
            a * e - b * f - c * g - d * h,
            a * f + b * e + c * h - d * g,
            a * g - b * h + c * e + d * f,
            a * h + b * g - c * f + d * e,
        ],
        axis=-1,
    )
    return np.where(product[:, :1] < 0, -product, product)


def _sample(
    shape: tuple[int, int],
    step: float,
    overlap: NDArray[np.float64],
    layers: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]],
) -> xr.Dataset:
    import xarray as xr

    maps: dict[str, Any] = {"overlap": (("y", "x"), overlap.reshape(shape))}
    for suffix, (grain, phase, rotation) in zip(("", "_2"), layers, strict=True):
        maps |= {
            f"grain{suffix}": (("y", "x"), grain.reshape(shape).astype(np.int32)),
            f"phase{suffix}": (("y", "x"), phase.reshape(shape).astype(np.int8)),
            f"rotation{suffix}": (("y", "x", "quaternion"), rotation.reshape(*shape, 4)),
        }
    axes = {
        name: (name, step * np.arange(n), {"units": "nm"})
        for name, n in zip("yx", shape, strict=True)
    }
    return xr.Dataset(maps, coords=axes)
