"""Cell of a CIF file: six parameters, those left out taken from the crystal system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals.cif_text import Block, number
from phaseloom.crystals.symmetry import Operations, fits, invariant_metric
from phaseloom.errors import InputError

_LENGTHS = ("a", "b", "c")
_ANGLES = ("alpha", "beta", "gamma")
_SHORTEST, _LONGEST = 0.5, 1000.0
"""Å."""

Parameters = tuple[float | None, ...]
"""a, b, c in Å and α, β, γ in degrees; None where the file does not state them."""


def stated_cell(block: Block, path: Path) -> Parameters:
    """The cell parameters of a file.

    Parameters
    ----------
    block
        Of a CIF file.
    path
        To name in errors.

    Raises
    ------
    InputError
        There is no cell, or a parameter that cannot be.
    """
    tags = [f"_cell_length_{name}" for name in _LENGTHS]
    tags += [f"_cell_angle_{name}" for name in _ANGLES]
    values: list[float | None] = []
    for tag in tags:
        text = block.text(tag)
        value = number(text) if text else None
        if text and value is None:
            raise InputError(f"{tag} is {text!r}, which is no number", "correct it", source=path)
        length = tag.startswith("_cell_length")
        least, most, unit = (_SHORTEST, _LONGEST, " Å") if length else (1.0, 179.0, "°")
        if value is not None and not least <= value <= most:
            fault = f"{tag} = {value:g}{unit} cannot be"
            raise InputError(fault, "check the six cell parameters", source=path)
        values.append(value)
    if values[0] is None:
        fault = "states no cell (_cell_length_a)"
        raise InputError(fault, "give the six cell parameters", source=path)
    return tuple(values)


def metric_of(cell: tuple[float, ...]) -> NDArray[np.float64]:
    """Scalar products of a, b, c.

    Parameters
    ----------
    cell
        a, b, c in Å and α, β, γ in degrees.
    """
    cosines = np.cos(np.radians(cell[3:]))
    table = np.eye(3)
    for (i, j), cosine in zip(((1, 2), (0, 2), (0, 1)), cosines, strict=True):
        table[i, j] = table[j, i] = cosine
    return np.asarray(np.outer(cell[:3], cell[:3]) * table)


def cell_of(metric: NDArray[np.float64]) -> tuple[float, float, float, float, float, float]:
    """a, b, c in Å and α, β, γ in degrees of a metric tensor.

    Parameters
    ----------
    metric
        (3, 3), scalar products of a, b, c.
    """
    a, b, c = (float(v) for v in np.sqrt(np.diag(metric)))
    cosines = np.array([metric[1, 2] / (b * c), metric[0, 2] / (a * c), metric[0, 1] / (a * b)])
    alpha, beta, gamma = (float(v) for v in np.degrees(np.arccos(np.clip(cosines, -1, 1))))
    return a, b, c, alpha, beta, gamma


def filled_cell(parameters: Parameters, operations: Operations) -> tuple[float, ...] | None:
    """The cell with what its symmetry gives, or None where the two do not agree.

    Parameters
    ----------
    parameters
        As the file states them.
    operations
        All of the space group.

    Returns
    -------
    tuple of float or None
        a, b, c, α, β, γ. A parameter that the file leaves out and the symmetry does not give
        makes None too.
    """
    turns = operations.unique_turns
    filled = list(parameters)
    if None in filled:
        # What the symmetry fixes is fixed in the invariant part of a cell without any.
        general = cell_of(invariant_metric(metric_of((5.0, 6.1, 7.3, 81.0, 97.0, 103.0)), turns))
        for start in (0, 3):
            for i in range(start, start + 3):
                if filled[i] is not None:
                    continue
                same = [
                    filled[j]
                    for j in range(start, start + 3)
                    if filled[j] is not None and abs(general[j] - general[i]) < 1e-9
                ]
                fixed = start == 3 and min(abs(general[i] - v) for v in (60, 90, 120)) < 1e-9
                if fixed:
                    filled[i] = float(round(general[i]))
                elif same:
                    filled[i] = same[0]
    cell = tuple(value for value in filled if value is not None)
    if len(cell) < 6:
        return None
    metric = metric_of(cell)
    if np.linalg.det(metric) <= 1e-6 * np.prod(np.diag(metric)) or not fits(metric, turns):
        return None
    return cell


def missing_parameters(parameters: Parameters) -> str:
    """Names of the parameters that a file leaves out.

    Parameters
    ----------
    parameters
        As the file states them.
    """
    names = (*_LENGTHS, *_ANGLES)
    return ", ".join(n for n, value in zip(names, parameters, strict=True) if value is None)
