"""Calibration: pixel size, ellipticity and centre from a crystal of known lattice spacings."""

from __future__ import annotations

import tomllib
import warnings
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.diffraction.calibration.geometry import (
    Geometry,
    fit_geometry,
    stretch,
    with_ring_scatter,
)
from phaseloom.diffraction.calibration.material import (
    check_rings,
    grouped,
    known_rings,
)
from phaseloom.diffraction.calibration.rings import (
    Pixels,
    beam_edge,
    best_scales,
    centre_of_symmetry,
    flattened,
    measure_sectors,
    outer_radius,
    radial_profile,
    recognised,
    ring_width,
    scales_tried,
    sharpest,
)
from phaseloom.diffraction.detector.outlying import outlying_pixels
from phaseloom.errors import InputError, InputWarning

Array = NDArray[np.float64]
Pair = tuple[float, float]

# Another pixel size is a rival if it explains the pattern this well relative to the best, and a
# guess is followed if it does so this well.
_RIVAL = 0.7
_FOLLOWED = 0.6
# ln of the ratio within which a pixel size agrees with a guess
_NEAR_GUESS = 0.12
# relative distance of pixel sizes that are told apart; side lobes of the best are nearer
_APART = 0.06
# correlation of profile and expected rings under which nothing was recognised
_RECOGNISED = 0.4
# rings stand out by their intensity to this power, in the logarithm of the pattern
_STANDS_OUT = 0.4
# widths (σ) nearer than which rings are one
_ONE_RING = 1.5
# points by which a ring counts as measured
_POINTS = 6
# widths by which rings are off beforehand, and by which they may be off (rms)
_EXPECTED_OFF = 0.02
_MOST_OFF = 0.25


@dataclass(frozen=True)
class Calibration:
    """From detector pixels to reciprocal lengths.

    (ky, kx) = ``pixel_size`` · ``distortion`` · ((row, column) − ``centre``), k = 1/d in Å⁻¹.

    Parameters
    ----------
    pixel_size, pixel_size_error
        Å⁻¹ per px. The geometric mean over all directions.
    distortion
        2×2 (row by row), symmetric, unit determinant: turns the ellipses into circles.
    centre, centre_error
        (row, column), px.
    ratio, ratio_error
        Major over minor axis of a ring as the detector shows it, ≥ 1.
    angle, angle_error
        Direction of the major axis, degrees from +column (right) towards +row (down), in
        [0, 180).
    residual
        Rms distance of the measured points from their circles, px.
    number
        Rings or spots used.
    """

    pixel_size: float
    pixel_size_error: float
    distortion: tuple[Pair, Pair]
    centre: Pair
    centre_error: Pair
    ratio: float
    ratio_error: float
    angle: float
    angle_error: float
    residual: float
    number: int

    def to_toml(self, path: str | PathLike[str]) -> None:
        """Write to a file that :func:`read_calibration` reads."""
        lines = [f"{name} = {_toml(value)}" for name, value in asdict(self).items()]
        text = "# phaseloom: (ky, kx) = pixel_size · distortion · ((row, column) − centre), Å⁻¹\n"
        Path(path).write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


class RingPoints(NamedTuple):
    """Where rings were measured.

    Parameters
    ----------
    k
        (n,) 1/d of each point's ring, or of the middle of rings that lie in one, Å⁻¹.
    residual, error
        (n,) radial distance from the fitted circle, and its standard error within the ring, px.
    """

    k: Array
    residual: Array
    error: Array


def read_calibration(path: str | PathLike[str]) -> Calibration:
    """A calibration written by :meth:`Calibration.to_toml`.

    Raises
    ------
    InputError
        If the file is not one.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        numbers: dict[str, Any] = {
            name: int(content[name]) if name == "number" else float(content[name])
            for name in Calibration.__dataclass_fields__
            if name not in ("distortion", "centre", "centre_error")
        }
        (a, b), (c, d) = content["distortion"]
        for name in ("centre", "centre_error"):
            row, column = content[name]
            numbers[name] = (float(row), float(column))
        distortion = ((float(a), float(b)), (float(c), float(d)))
        return Calibration(distortion=distortion, **numbers)
    except OSError as error:
        raise InputError(
            f"the calibration cannot be read ({error.strerror})",
            "phaseloom calibrate makes one",
            source=path,
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"this is not a calibration ({error})", "write one with to_toml", source=path
        ) from error


def calibrate_rings(
    pattern: ArrayLike,
    rings_k: ArrayLike,
    *,
    intensities: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    pixel_size_guess: float | None = None,
    centre_guess: Pair | None = None,
) -> Calibration:
    """Calibrate on the powder rings of a known material.

    Parameters
    ----------
    pattern
        (ky, kx): one pattern or the mean of many, NaN where unusable.
    rings_k
        1/d of the material's rings, Å⁻¹.
    intensities
        Their intensities; rings under 1 % of the strongest are not looked for. With them a material
        is refused whose strong rings are not there; without, any rings may be missing.
    mask
        (ky, kx), True where usable. Dead and hot pixels are found besides.
    pixel_size_guess
        Å⁻¹ per px; chooses between pixel sizes that explain the rings about equally well.
    centre_guess
        (row, column), px; the centre of symmetry by default.

    Returns
    -------
    Calibration
        With standard errors from the scatter of the measured points about their rings, and of the
        rings about where they should be.

    Raises
    ------
    InputError
        If no rings are recognised, or they are not those of the material.

    Warns
    -----
    InputWarning
        If another pixel size explains the rings nearly as well, or the guess does not fit.

    Notes
    -----
    The centre is that of point symmetry; centre and ellipse are those that make the radial
    profile sharpest. The pixel size is the one at which the sequence of rings correlates best with
    the profile. Each ring is then located in 48 sectors, and one ellipse, centre and pixel size
    fitted to all points, repeatedly. Ellipse fits to rings: Capitani et al., Ultramicroscopy 106
    (2006) 66; Mitchell & Van den Broek, ibid. 160 (2016) 140.
    """
    return measured_rings(
        pattern, rings_k, intensities=intensities, mask=mask, pixel_size_guess=pixel_size_guess,
        centre_guess=centre_guess,
    )[0]  # fmt: skip


def measured_rings(
    pattern: ArrayLike,
    rings_k: ArrayLike,
    *,
    intensities: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    pixel_size_guess: float | None = None,
    centre_guess: Pair | None = None,
) -> tuple[Calibration, RingPoints]:
    """As :func:`calibrate_rings`, and the points that it is fitted to."""
    image = np.asarray(pattern, dtype=np.float64)
    if image.ndim != 2:
        raise InputError(f"a pattern of shape {image.shape} is not one image", "pass (ky, kx)")
    k, strong = known_rings(rings_k, intensities)
    usable = _usable(image, mask)
    contrast = flattened(image, usable)
    centre = centre_guess or centre_of_symmetry(contrast)
    row, column = np.nonzero(usable)
    pixels = Pixels(row.astype(float), column.astype(float), image[usable], image.shape)
    inner = beam_edge(pixels, np.array([*centre, 0.0, 0.0]))
    geometry = sharpest(contrast, (float(centre[0]), float(centre[1])), inner)

    outer = outer_radius(pixels, geometry)
    scale = _scale(contrast, geometry, (k, strong), (inner, outer), pixel_size_guess)
    for _ in range(4):
        radii = k * scale
        near = radii < outer + 3
        span = (max(inner, 0.7 * radii[0]), outer)
        width, fits = ring_width(pixels, geometry, radii[near], span)
        # Without intensities there is no telling where rings that lie in one have their middle.
        apart = 0.0 if intensities is None else _ONE_RING * width / scale
        share, doubt = grouped(k[near], strong[near], apart)
        points, ring, errors = measure_sectors(
            pixels, geometry, radii[near], share, width, span, fits
        )
        middle = k[near] @ share
        if len(points) < 12:
            raise InputError(
                "too few rings stand out of the background to calibrate on",
                "average more patterns, or mask what is no ring",
            )
        start = np.array([geometry[0], geometry[1], -np.log(scale), geometry[2], geometry[3]])
        fit = fit_geometry(points, middle[ring], errors, start)
        fit, off = with_ring_scatter(
            fit, middle[ring], errors, ring, doubt=(doubt * scale)[ring],
            expected=_EXPECTED_OFF * width,
        )  # fmt: skip
        geometry, scale = fit.parameters[[0, 1, 3, 4]], float(np.exp(-fit.parameters[2]))
    profile = radial_profile(_finite(contrast), geometry, span)
    found = recognised(profile, k, strong**_STANDS_OUT, width, np.array([scale]))
    if found[0] < _RECOGNISED:
        raise _not_recognised()
    number = np.bincount(ring[fit.kept], minlength=middle.size)
    if intensities is not None:
        height = strong[near] @ (share > 0) / middle
        check_rings(middle, height, number >= _POINTS, scale, span, width)
    if off > _MOST_OFF * width:
        raise InputError(
            f"the rings lie {off:.2f} px (rms) beside those of the material, more than a quarter "
            "of their width: they are not its rings",
            "check the material, and mask what is no ring",
        )
    used = RingPoints(middle[ring][fit.kept], fit.residual[fit.kept], errors[fit.kept])
    return _calibration(fit, int((number > 0).sum())), used


def _usable(image: Array, mask: ArrayLike | None) -> NDArray[np.bool_]:
    usable = np.isfinite(image)
    if mask is not None:
        given = np.asarray(mask, dtype=bool)
        if given.shape != image.shape:
            raise InputError(
                f"the mask is {given.shape}, the pattern is {image.shape}",
                "give one value per detector pixel",
            )
        usable &= given
    if usable.any():
        dead, hot = outlying_pixels(np.where(usable, image, np.nan)[None])
        usable &= ~(dead | hot)
    if not usable.any() or not image[usable].max() > 0:
        raise InputError("the pattern is empty or masked everywhere", "see the mask")
    return np.asarray(usable)


def _scale(
    contrast: Array, geometry: Array, rings: tuple[Array, Array], span: Pair, guess: float | None
) -> float:
    """Px per Å⁻¹ from the sequence of the rings, given by 1/d and intensities."""
    profile = radial_profile(_finite(contrast), geometry, span)
    k, strong = rings
    scales = scales_tried(profile[0], k) if profile[0].size else np.zeros(0)
    width = max(1.5, 0.01 * span[1])
    scores = recognised(profile, k, strong**_STANDS_OUT, width, scales)
    if scales.size == 0 or scores.max() < _RECOGNISED:
        raise _not_recognised()
    best, worth = best_scales(scales, scores, apart=_APART)
    if guess is not None:
        near = np.flatnonzero(np.abs(np.log(scales * guess)) < _NEAR_GUESS)
        if near.size:
            best = np.append(best, scales[near[np.argmax(scores[near])]])
            worth = np.append(worth, scores[near].max())
    return float(best[_choose(best, worth / worth[0], guess)])


def _finite(contrast: Array) -> Pixels:
    row, column = np.nonzero(np.isfinite(contrast))
    value = contrast[row, column]
    return Pixels(row.astype(float), column.astype(float), value, contrast.shape)


def _not_recognised() -> InputError:
    return InputError(
        "the rings of the material are not recognised in the pattern",
        "check the material, mask the direct beam, or give a pattern with more counts",
    )


def _choose(scales: Array, worth: Array, guess: float | None) -> int:
    """Which scale (px per Å⁻¹) to take; warns of rivals and of a guess that does not fit.

    ``worth`` is relative to the best.
    """
    best = int(np.argmax(worth))
    if guess is not None:
        near = np.flatnonzero((np.abs(np.log(scales * guess)) < _NEAR_GUESS) & (worth >= _FOLLOWED))
        if near.size:
            return int(near[np.argmax(worth[near])])
        warnings.warn(
            f"the pattern fits {1 / scales[best]:.5g} Å⁻¹ per px and not the guess of {guess:.5g}",
            InputWarning,
            stacklevel=4,
        )
        return best
    apart = np.abs(np.log(scales / scales[best])) > _APART / 2
    rivals = np.flatnonzero((worth >= _RIVAL) & apart)
    if rivals.size:
        others = ", ".join(f"{1 / scales[i]:.5g}" for i in rivals)
        warnings.warn(
            f"a pixel size of {1 / scales[best]:.5g} Å⁻¹ explains the pattern best, but {others}"
            " nearly as well; give a guess of the pixel size",
            InputWarning,
            stacklevel=4,
        )
    return best


def _calibration(fit: Geometry, number: int) -> Calibration:
    row, column, log_size, a, b = (float(v) for v in fit.parameters)
    error = np.sqrt(np.diag(fit.covariance))
    size = float(np.hypot(a, b))
    along = np.array([a, b]) / size if size > 0 else np.array([1.0, 0.0])
    cover = fit.covariance[3:, 3:]
    across = np.array([-along[1], along[0]])
    spread, turn = (float(np.sqrt(v @ cover @ v)) for v in (along, across))
    # (a, b) turns twice as fast as the axes; the major axis is the one that D shrinks
    shrunk = np.arctan2(b, a) / 2 + np.pi / 2
    angle = float(np.degrees(np.arctan2(np.cos(shrunk), np.sin(shrunk))) % 180)
    distortion = stretch(a, b)
    return Calibration(
        pixel_size=float(np.exp(log_size)),
        pixel_size_error=float(np.exp(log_size) * error[2]),
        distortion=(
            (float(distortion[0, 0]), float(distortion[0, 1])),
            (float(distortion[1, 0]), float(distortion[1, 1])),
        ),
        centre=(row, column),
        centre_error=(float(error[0]), float(error[1])),
        ratio=float(np.exp(2 * size)),
        ratio_error=float(2 * np.exp(2 * size) * spread),
        angle=angle,
        angle_error=float(min(np.degrees(turn / (2 * size)), 90.0)) if size > 0 else 90.0,
        residual=float(np.sqrt((fit.residual[fit.kept] ** 2).mean())),
        number=number,
    )


def _toml(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return repr(value)
