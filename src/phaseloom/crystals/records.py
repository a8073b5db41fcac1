"""Crystals as JSON text, in which results carry the crystals they were indexed with."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from phaseloom.crystals.structure import Crystal
from phaseloom.errors import InputError


def to_json(crystals: Sequence[Crystal]) -> str:
    """Crystals as the text of a JSON list, without loss.

    Parameters
    ----------
    crystals
        In the order of their numbers in maps.

    Returns
    -------
    str
        Per crystal an object with ``name``, ``cell`` (a, b, c in Å; α, β, γ in degrees),
        ``space_group``, ``lattice`` (rows a, b, c in Å), and per atom ``elements``,
        ``positions``, ``occupancies``, ``displacements`` (Å²); ``operations`` of the space group.
        The cell is there for people: reading takes the lattice.
    """
    return json.dumps(
        [
            {
                "name": crystal.name,
                "cell": list(crystal.cell),
                "space_group": int(crystal.space_group),
                "lattice": crystal.lattice.tolist(),
                "elements": list(crystal.elements),
                "positions": crystal.positions.tolist(),
                "occupancies": crystal.occupancies.tolist(),
                "displacements": crystal.displacements.tolist(),
                "operations": crystal.operations.tolist(),
            }
            for crystal in crystals
        ],
        ensure_ascii=False,
    )


def crystals_from_json(text: str) -> list[Crystal]:
    """The crystals that :func:`to_json` wrote.

    Parameters
    ----------
    text
        A JSON list.

    Returns
    -------
    list of Crystal
        Equal to those written, number by number.

    Raises
    ------
    InputError
        The text is no such list.
    """
    try:
        return [
            Crystal(
                name=str(record["name"]),
                lattice=np.array(record["lattice"], dtype=np.float64).reshape(3, 3),
                positions=np.array(record["positions"], dtype=np.float64).reshape(-1, 3),
                elements=tuple(str(element) for element in record["elements"]),
                occupancies=np.array(record["occupancies"], dtype=np.float64),
                displacements=np.array(record["displacements"], dtype=np.float64),
                space_group=int(record["space_group"]),
                operations=np.array(record["operations"], dtype=np.int64).reshape(-1, 3, 3),
            )
            for record in json.loads(text)
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"this is no list of crystals ({error})", "take the text that to_json gives"
        ) from error
