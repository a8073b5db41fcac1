"""Check that patterns, mask and positions given together belong together."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from phaseloom.errors import InputError


def check_shapes(
    patterns: NDArray[Any],
    places: NDArray[Any],
    name: str = "beam",
    *,
    mask: NDArray[Any] | None = None,
) -> None:
    """Raise InputError unless there is one place per pattern, and the mask is of their pixels.

    Parameters
    ----------
    patterns
        To be (n, ky, kx).
    places
        To be (n, 2).
    name
        What the places are.
    mask
        To be (ky, kx), where there is one.
    """
    fit = patterns.ndim == 3 and places.shape == (len(patterns), 2)
    if mask is None:
        if not fit:
            raise InputError(
                f"patterns {patterns.shape} and {name} {places.shape} do not belong together",
                "pass (n, rows, columns) and (n, 2)",
            )
    elif not fit or patterns.shape[1:] != mask.shape:
        raise InputError(
            f"patterns {patterns.shape}, mask {mask.shape} and {name} {places.shape} do not "
            "belong together",
            "pass (n, rows, columns), (rows, columns) and (n, 2)",
        )
