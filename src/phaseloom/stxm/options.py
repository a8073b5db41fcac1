"""Options of the phase maps of X-ray stacks: preparation, and mapping of phases."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, NonNegativeFloat, PositiveFloat

from phaseloom.options import Options, option


def energy_range(value: Any) -> Any:
    """Two energies from "LOW:HIGH", as a command line or a recipe has them.

    Parameters
    ----------
    value
        Text of that form; "auto" stays as it is, lists become tuples.

    Raises
    ------
    ValueError
        The text has another form, or the range is empty.
    """
    if isinstance(value, str) and value == "auto":
        return value
    parts: Any = value.split(":") if isinstance(value, str) else value
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise ValueError(f"{value!r} is no range of energies: write it as LOW:HIGH")
    return numbers


EnergyRange = Annotated[Literal["auto"] | tuple[float, float], BeforeValidator(energy_range)]
"""Lowest and highest energy in eV."""


class Preparation(Options):
    """From counts to optical density."""

    align: bool = option(True, "remove drift between the energies, crop to the common field")
    leave_out: str = option(
        "",
        "energies left out, in eV: single ones and ranges",
        form="707.2,710:712",
    )
    dark: float = option(0.0, "detector reading without beam", unit="counts", expert=True, ge=0)
    despike: bool = option(True, "replace single wild readings", expert=True)
    baseline: bool = option(
        True, "take each pixel's mean optical density before the edge off", expert=True
    )
    thin: float = option(
        0.1,
        "pixels below this part of the median thickness are left out",
        expert=True,
        ge=0,
    )
    thick: float = option(
        3.0,
        "pixels above this optical density are saturated and left out",
        expert=True,
        gt=0,
    )


class PhaseMapping(Options):
    """From optical density to phases."""

    resolve: Literal["gmvae", "likelihood", "pearson"] = option(
        "gmvae",
        "what gives ambiguous pixels their phase: the latent space, count-weighted fits, or the "
        "better correlation",
    )
    margin: Literal["noise"] | NonNegativeFloat = option(
        0.005,
        "a pixel is ambiguous when its two best correlations are no farther apart; noise: than "
        "counting noise makes them",
    )
    shift: Literal["auto"] | float = option(
        "auto",
        "how far the energies read too high against the references; auto: searched over ±5 eV for "
        "every stack, applied where all phases agree on it",
        unit="eV",
    )
    force: bool = option(False, "map a stack that the references do not describe all the same")
    smooth: float = option(0.0, "strength of the spatial prior (Potts field); 0: none", ge=0)
    value_name: str = option("value", "what the phases' numbers are, such as sodium content x")
    latent_dims: int = option(3, "dimensions of the latent space", expert=True, ge=2, le=16)
    covariance: Literal["noise", "pooled"] = option(
        "noise",
        "covariance of the Mahalanobis distance: counting noise of each pixel, or pooled within "
        "classes",
        expert=True,
    )


class EdgeWindows(Options):
    """Which energies the edge's quantities are read at."""

    pre_edge: EnergyRange = option(
        "auto",
        "energies before the edge, for edge jump, edge position and white line",
        unit="eV",
        form="auto|LOW:HIGH",
    )
    post_edge: EnergyRange = option(
        "auto",
        "energies after the edge; auto: the last fifth",
        unit="eV",
        form="auto|LOW:HIGH",
    )
    white_line: EnergyRange = option(
        "auto",
        "energies among which the white line's maximum is looked for; auto: between both",
        unit="eV",
        form="auto|LOW:HIGH",
    )


class BoundaryTest(Options):
    """Whether transition pixels sit at phase boundaries by more than the optics make them."""

    boundary_test: bool = option(
        True, "compare the transition pixels at phase boundaries with what the optics alone mix"
    )
    blur: Literal["auto"] | PositiveFloat = option(
        "auto",
        "full width at half maximum of the optics' point-spread function (px where the pixel size "
        "is unknown); auto: from the particles' sharp edges",
        unit="nm",
    )
    tails: float = option(
        0.6, "part of a given point-spread function in its long tails", expert=True, ge=0, lt=1
    )
    near: int = option(
        2,
        "pixels up to this distance from a phase boundary are near it",
        unit="px",
        expert=True,
        ge=1,
        le=6,
    )
    simulations: int = option(
        20, "simulated stacks behind the expectation from the optics", expert=True, ge=10, le=1000
    )
