"""Atoms of a CIF file: places, elements, occupancies and displacements, each checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals.cif_text import Block, number
from phaseloom.crystals.elements import elements_of, formula
from phaseloom.crystals.structure import Site
from phaseloom.errors import InputError

_LARGEST_DISPLACEMENT = 0.5
"""Å²: no atom of a solid moves so far; a larger U is a B written in the wrong place."""

_FULL = 5e-3
"""Occupancies are rounded by so much."""

_NAMED = 4
"""Partly occupied sites that a warning names."""

_B_PER_U = 8.0 * np.pi**2
_FRACT = "_atom_site_fract_"
_CARTESIAN = "_atom_site_cartn_"
_ANISO = "_atom_site_aniso_"
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def has_atoms(block: Block) -> bool:
    """Whether a block has coordinates of atoms.

    Parameters
    ----------
    block
        Of a CIF file.
    """
    return f"{_FRACT}x" in block.columns or f"{_CARTESIAN}x" in block.columns


def read_sites(
    block: Block, lattice: NDArray[np.float64], path: Path
) -> tuple[list[Site], list[str]]:
    """Atoms of the asymmetric unit, as the file lists them.

    Parameters
    ----------
    block
        Of a CIF file.
    lattice
        (3, 3), rows a, b, c in Å; Cartesian coordinates and anisotropic displacements need it.
    path
        To name in errors.

    Returns
    -------
    list of Site, list of str
        The atoms, and one sentence for each thing that a user has to know of them.

    Raises
    ------
    InputError
        An atom has no place, no clear element, or an occupancy that cannot be.
    """
    positions = _positions(block, lattice, path)
    count = len(positions)
    labels = _column(block, count, "_atom_site_label")
    types = _column(block, count, "_atom_site_type_symbol")
    placeholders = _column(block, count, "_atom_site_calc_flag")
    real = np.array([flag is None or flag.lower() != "dum" for flag in placeholders], dtype=bool)
    if not real.any():
        raise _no_atoms(path)
    of_formula = formula(block.text("_chemical_formula_sum")) or {}
    kept = np.flatnonzero(real)
    elements, notes = elements_of(
        [types[i] for i in kept], [labels[i] for i in kept], of_formula.keys(), path
    )
    occupancies, partly = _occupancies(block, count, kept, elements, path)
    displacements, moved = _displacements(block, count, kept, labels, lattice, path)
    x, y, z = positions.T.tolist()
    sites = [
        Site(element, (x[i], y[i], z[i]), occupancy, u)
        for i, element, occupancy, u in zip(kept, elements, occupancies, displacements, strict=True)
    ]
    return sites, notes + partly + moved


def _no_atoms(path: Path) -> InputError:
    return InputError(
        "the CIF file has no atoms",
        "intensities need them: take a CIF with an _atom_site_ loop",
        source=path,
    )


def _column(block: Block, count: int, tag: str) -> list[str | None]:
    """Values of a tag for every atom; None where the file has none."""
    values = block.column(tag)
    return values if len(values) == count else [None] * count


def _positions(block: Block, lattice: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    """Fractional coordinates (atoms, 3)."""
    for stem in (_FRACT, _CARTESIAN):
        columns = [block.column(stem + axis) for axis in "xyz"]
        if not any(value is not None for column in columns for value in column):
            continue
        if len({len(column) for column in columns}) > 1:
            fault = "the coordinates of the atoms are incomplete"
            raise InputError(fault, f"give {stem}x, y and z", source=path)
        numbers = np.array(
            [
                [_coordinate(value, axis, path) for value in column]
                for axis, column in zip("xyz", columns, strict=True)
            ]
        ).T
        return numbers if stem == _FRACT else _fractional(block, numbers, lattice, path)
    columns = [block.column(_FRACT + axis) for axis in "xyz"]
    if any(columns):
        raise _no_coordinate("x", path)
    raise _no_atoms(path)


def _coordinate(value: str | None, axis: str, path: Path) -> float:
    if value is None:
        raise _no_coordinate(axis, path)
    found = number(value)
    if found is None or abs(found) > 1e4:
        raise InputError(f"{value!r} is no {axis} coordinate", "correct it", source=path)
    return found


def _no_coordinate(axis: str, path: Path) -> InputError:
    return InputError(
        f"an atom has no {axis} coordinate", "give it or take the atom out", source=path
    )


def _fractional(
    block: Block, cartesian: NDArray[np.float64], lattice: NDArray[np.float64], path: Path
) -> NDArray[np.float64]:
    """Fractional coordinates of Cartesian ones, by the file's own matrix where it has one."""
    tags = [f"_atom_sites_cartn_tran_matrix_{i}{j}" for i in "123" for j in "123"]
    shifts = [f"_atom_sites_cartn_tran_vector_{i}" for i in "123"]
    stated = [number(block.text(tag)) for tag in tags]
    origin = [number(block.text(tag)) or 0.0 for tag in shifts]
    if all(value is not None for value in stated):
        matrix = np.array(stated, dtype=np.float64).reshape(3, 3)
    else:
        # The usual axes of the dictionary: x along a, z along c*.
        matrix = lattice.T
    try:
        fractions = np.linalg.solve(matrix, (cartesian - origin).T).T
    except np.linalg.LinAlgError as error:
        fault = "its matrix of Cartesian coordinates has no inverse"
        raise InputError(fault, "give _atom_site_fract_x, y and z", source=path) from error
    turned = matrix @ np.linalg.inv(lattice.T)
    if np.abs(turned @ turned.T - np.eye(3)).max() > 0.01:
        raise InputError(
            "its matrix of Cartesian coordinates is not that of its cell",
            "give _atom_site_fract_x, y and z",
            source=path,
        )
    return np.asarray(fractions)


def _occupancies(
    block: Block, count: int, kept: NDArray[np.int64], elements: list[str], path: Path
) -> tuple[list[float], list[str]]:
    stated = _column(block, count, "_atom_site_occupancy")
    shares = []
    for i in kept:
        text = stated[i]
        value = 1.0 if text is None else number(text)
        if value is None:
            raise InputError(f"{text!r} is no occupancy", "correct it", source=path)
        shares.append(value)
    wrong = [s for s in shares if not 0 <= s <= 1 + _FULL]
    if wrong or not any(shares):
        fault = f"an occupancy of {(wrong or shares)[0]:g} cannot be"
        raise InputError(fault, "give the part of the cells that have the atom", source=path)
    partly = [f"{e} {s:.3g}" for e, s in zip(elements, shares, strict=True) if s < 1 - _FULL]
    if not partly:
        return shares, []
    listed = ", ".join([*partly[:_NAMED], *["…"] * (len(partly) > _NAMED)])
    note = (
        f"partly occupied sites ({listed}): structure factors are weighted with "
        "the occupancies, as if the atoms were evenly spread"
    )
    return shares, [note]


def _displacements(
    block: Block,
    count: int,
    kept: NDArray[np.int64],
    labels: list[str | None],
    lattice: NDArray[np.float64],
    path: Path,
) -> tuple[list[float], list[str]]:
    """Isotropic displacements U in Å²: U_iso, or B_iso / 8π², or the mean of the tensor."""
    u_iso = _column(block, count, "_atom_site_u_iso_or_equiv")
    b_iso = _column(block, count, "_atom_site_b_iso_or_equiv")
    tensors = _equivalents(block, lattice)
    values: list[float | None] = []
    for i in kept:
        value = None
        for text, unit in ((u_iso[i], 1.0), (b_iso[i], 1.0 / _B_PER_U)):
            if value is None and text is not None:
                value = number(text)
                if value is None:
                    raise InputError(f"{text!r} is no displacement", "correct it", source=path)
                value *= unit
        values.append(tensors.get(labels[i] or "") if value is None else value)
    notes = []
    missing = sum(value is None for value in values)
    if missing:
        which = "the atoms" if missing == len(values) else f"{missing} of {len(values)} atoms"
        notes.append(f"no displacement of {which} is stated: they count as at rest (U = 0)")
    filled = np.array([0.0 if value is None else value for value in values])
    largest = float(filled.max())
    if largest > _LARGEST_DISPLACEMENT:
        notes.append(f"U_iso = {largest:g} Å² cannot be; taken as B instead (U = B / 8π²)")
        filled = filled / _B_PER_U
        if filled.max() > _LARGEST_DISPLACEMENT:
            fault = f"a displacement of {largest:g} Å² cannot be"
            raise InputError(fault, "correct it", source=path)
    if filled.min() < 0:
        notes.append(f"a displacement of {filled.min():.3g} Å² cannot be; 0 is taken")
        filled = np.maximum(filled, 0.0)
    return [float(u) for u in filled], notes


def _equivalents(block: Block, lattice: NDArray[np.float64]) -> dict[str, float]:
    """By label the equivalent U of anisotropic displacements, a third of the tensor's trace."""
    labels = block.column(f"{_ANISO}label")
    reciprocal = np.linalg.inv(lattice).T
    lengths = np.linalg.norm(reciprocal, axis=1)
    weights = np.outer(lengths, lengths) * (lattice @ lattice.T) / 3.0
    equivalents: dict[str, float] = {}
    for kind, unit in (("u", 1.0), ("b", 1.0 / _B_PER_U)):
        columns = [block.column(f"{_ANISO}{kind}_{i + 1}{j + 1}") for i, j in _PAIRS]
        if any(len(column) != len(labels) for column in columns):
            continue
        for row, label in enumerate(labels):
            parts = [number(column[row] or "") for column in columns]
            if label is None or any(part is None for part in parts):
                continue
            both = [1.0 if i == j else 2.0 for i, j in _PAIRS]
            total = sum(
                float(part or 0.0) * weights[pair] * twice
                for part, pair, twice in zip(parts, _PAIRS, both, strict=True)
            )
            equivalents.setdefault(label, float(total * unit))
    return equivalents
