"""Reading of CIF files: cell, symmetry, and all atoms of the cell from those the file lists."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals import checks
from phaseloom.crystals.cell import filled_cell, missing_parameters, stated_cell
from phaseloom.crystals.cif_atoms import has_atoms, read_sites
from phaseloom.crystals.cif_text import Block, read_blocks
from phaseloom.crystals.settings import Setting, Statement, contradiction, stated
from phaseloom.crystals.structure import Crystal, Site, aligned_lattice, expanded
from phaseloom.crystals.symmetrise import MOST_ATOMS, TOLERANCE, found_symmetry
from phaseloom.crystals.symmetry import standard_operations
from phaseloom.errors import InputError, InputWarning

_MOST_COPIES = 200_000
"""Atoms listed times operations."""

_ALIKE = 0.02
"""Part of the strongest |F| by which structures may differ and be taken for the same."""


class Reading(NamedTuple):
    """A crystal with what was found out on reading its file."""

    crystal: Crystal
    setting: Setting
    block: Block
    notes: list[str]
    """One sentence for each thing that a user has to know."""


class _Option(NamedTuple):
    """A setting that the file may mean, and the cell with it."""

    setting: Setting
    crystal: Crystal
    notes: list[str]


def read_crystal(path: str | PathLike[str]) -> Crystal:
    """Read a CIF file, with the symmetry of its space group applied to the atoms.

    Setting and origin follow from the file's list of symmetry operations, else its Hall symbol,
    its full Hermann–Mauguin name (with ":1", ":2", ":H", ":R"), or the number of its space group,
    in that order of trust; where they contradict each other or the cell, a warning says which was
    taken. A file without symmetry (P 1) gets the symmetry that spglib finds within 0.01 Å. Nothing
    that stands in a file is evaluated.

    Parameters
    ----------
    path
        The file, in any encoding; its stem becomes the name of the crystal.

    Returns
    -------
    Crystal
        All atoms of the cell. Occupancies and isotropic displacements as in the file (equivalent
        ones of anisotropic displacements); 1 and 0 where it says nothing.

    Raises
    ------
    InputError
        The file is missing, is not a CIF, has no cell or no atoms, an atom has no clear element,
        or an atom's share of its site is not from 0 to 1; the cell does not have the symmetry of
        the space group.

    Warns
    -----
    InputWarning
        Statements of the file contradict each other; it declares no symmetry (P 1); elements are
        those of labels; displacements are missing or cannot be; atoms are listed twice, too close
        to each other, or do not make up the chemical formula; sites are partly occupied: their
        atoms count by their occupancy, as if evenly spread.
    """
    path = Path(path)
    read = reading(path)
    for note in read.notes:
        warnings.warn(f"{path.name}: {note}", InputWarning, stacklevel=2)
    return read.crystal


def reading(path: Path) -> Reading:
    """The crystal of a CIF file with its setting and all remarks, without warnings.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        As :func:`read_crystal`.
    """
    block, notes = _block_with_atoms(path)
    parameters = stated_cell(block, path)
    statements, unknown = stated(block, path)
    notes += unknown
    if not statements:
        if unknown:
            fault = "its space group is not known"
            raise InputError(fault, "give the list of its symmetry operations", source=path)
        statements = [Statement("none", (_no_symmetry(),))]
    fitting = []
    for statement in statements:
        cells = [filled_cell(parameters, s.operations) for s in statement.settings]
        settings = zip(statement.settings, cells, strict=True)
        fits = [(s, cell) for s, cell in settings if cell is not None]
        fitting.append([(s, cell) for s, cell in fits if s.usual] or fits)
    taken = next((i for i, settings in enumerate(fitting) if settings), None)
    if taken is None or (taken > 0 and statements[0].kind in ("operations", "hall")):
        raise _no_fit(parameters, statements[0], path)
    lattice = aligned_lattice(*fitting[taken][0][1])
    sites, remarks = read_sites(block, lattice, path)
    options = []
    for setting, cell in fitting[taken]:
        option = _option(setting, aligned_lattice(*cell), sites, path)
        options.append(option)
    chosen, why = _best(options, block)
    chosen, larger = _completed(chosen, statements, block, sites, path)
    notes += [*why, *larger]
    if not chosen.setting.usual:
        notes.append(
            f"its {chosen.setting.source} usually means other axes, which the cell does not have: "
            f"{chosen.setting.title} is taken"
        )
    if unknown and statements[taken].kind == "number":
        notes.append(
            f"{chosen.setting.title}, the standard setting of its number, is taken: axes and "
            "origin may be others"
        )
    for number, statement in enumerate(statements):
        if number < taken:
            first = statement.settings[0]
            notes.append(
                f"its {first.source} means {first.title}, whose symmetry the cell does not have: "
                f"{chosen.setting.title} is taken from its {chosen.setting.source}"
            )
        elif number > taken:
            other = contradiction(chosen.setting, statement)
            if other and not larger:
                source = chosen.setting.source
                notes.append(
                    f"{other}, its {source} {chosen.setting.title}: the {source} is taken, "
                    "which says more"
                )
    crystal, setting = chosen.crystal, chosen.setting
    notes += [*remarks, *chosen.notes]
    if len(crystal.operations) == 1:
        crystal, setting, found = _symmetrised(crystal, setting)
        notes.append(found)
    faults = [checks.distance_fault(crystal)]
    faults.append(checks.formula_fault(chosen.crystal, block))
    notes += [fault for fault in faults if fault]
    return Reading(crystal, setting, block, list(dict.fromkeys(notes)))


def _block_with_atoms(path: Path) -> tuple[Block, list[str]]:
    blocks = read_blocks(path)
    with_atoms = [block for block in blocks if has_atoms(block)]
    if not with_atoms:
        raise InputError(
            "the CIF file has no atoms",
            "intensities need them: take a CIF with an _atom_site_ loop",
            source=path,
        )
    block = next((b for b in with_atoms if b.text("_cell_length_a")), with_atoms[0])
    notes = []
    if len(with_atoms) > 1:
        notes.append(f"{len(with_atoms)} blocks have atoms; data_{block.name} is read")
    return block, notes


def _no_symmetry() -> Setting:
    return Setting(standard_operations(1), 1, "P 1", "lack of any space group")


def _no_fit(parameters: tuple[float | None, ...], statement: Statement, path: Path) -> InputError:
    first = statement.settings[0]
    missing = missing_parameters(parameters)
    if missing:
        return InputError(
            f"{first.title} does not give the cell parameters that the file leaves out ({missing})",
            "give the six cell parameters",
            source=path,
        )
    return InputError(
        "the cell does not have the symmetry of its space group "
        f"({first.title} from its {first.source})",
        "check the cell parameters and the setting of the group",
        source=path,
    )


def _option(
    setting: Setting, lattice: NDArray[np.float64], sites: list[Site], path: Path
) -> _Option:
    if len(sites) * len(setting.operations.turns) > _MOST_COPIES:
        fault = f"{len(sites)} atoms in a cell of {setting.title} are too many"
        raise InputError(fault, "take a smaller structure", source=path)
    crystal = expanded(path.stem, lattice, sites, setting.number, setting.operations, source=path)
    checks.check_number(len(crystal.elements), crystal.volume, path)
    return _Option(setting, *checks.without_duplicates(crystal, path))


def _faults(option: _Option, block: Block) -> list[str]:
    """What speaks against a setting."""
    faults = (
        checks.distance_fault(option.crystal),
        checks.formula_fault(option.crystal, block, exact=True),
    )
    return [fault for fault in faults if fault]


def _best(options: list[_Option], block: Block) -> tuple[_Option, list[str]]:
    """The setting that the atoms speak for, of several that one name may mean.

    Atoms of the right origin lie on special positions: fewer checks fail, and the cell has fewer
    atoms.
    """
    if len(options) == 1:
        return options[0], []
    faults = [_faults(option, block) for option in options]
    ranks = [
        (len(fault), len(option.crystal.elements))
        for fault, option in zip(faults, options, strict=True)
    ]
    best = min(range(len(options)), key=lambda i: ranks[i])
    chosen = options[best]
    ties = [o for o, rank in zip(options, ranks, strict=True) if rank == ranks[best]]
    others = [o for o in ties if o is not chosen and not _same_structure(chosen, o)]
    if others:
        names = " or ".join(option.setting.name for option in (chosen, *others))
        note = (
            f"its {chosen.setting.source} may mean {names}: {chosen.setting.name} is taken; "
            "the list of symmetry operations would tell"
        )
        return chosen, [note]
    if best > 0 and ranks[best] != ranks[0]:
        other = options[0].setting.name
        reason = f"with {ranks[best][1]} atoms in the cell ({other}: {ranks[0][1]})"
        if ranks[best][0] != ranks[0][0]:
            against = next(fault for fault in faults[0] if fault not in faults[best])
            reason = f"as with {other} {against}"
        note = (
            f"its {chosen.setting.source} leaves the setting open: {chosen.setting.name} is "
            f"taken, {reason}"
        )
        return chosen, [note]
    return chosen, []


def _same_structure(one: _Option, other: _Option) -> bool:
    """Whether two settings give the same intensities."""
    from phaseloom.crystals.scattering import structure_factors

    hkl = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), axis=-1).reshape(-1, 3)
    strengths = [np.abs(structure_factors(option.crystal, hkl)) for option in (one, other)]
    return bool(np.abs(strengths[0] - strengths[1]).max() < _ALIKE * strengths[0].max())


def _completed(
    chosen: _Option, statements: list[Statement], block: Block, sites: list[Site], path: Path
) -> tuple[_Option, list[str]]:
    """The whole group where the file lists only part of the operations of the group it names.

    It is taken where it makes no further atoms (all are listed), or where the checks speak for it.
    """
    listed = chosen.setting.operations.keys
    if statements[0].kind != "operations" or chosen.setting is not statements[0].settings[0]:
        return chosen, []
    for statement in statements[1:]:
        for setting in statement.settings:
            if not listed < setting.operations.keys:
                continue
            try:
                whole = _option(setting, chosen.crystal.lattice, sites, path)
            except InputError:
                continue
            same = len(whole.crystal.elements) == len(chosen.crystal.elements)
            if same or len(_faults(whole, block)) < len(_faults(chosen, block)):
                note = (
                    f"it lists {len(listed)} of the {len(setting.operations.keys)} operations of "
                    f"{setting.title}, which its {setting.source} means: all are taken"
                )
                return whole, [note]
    return chosen, []


def _symmetrised(crystal: Crystal, setting: Setting) -> tuple[Crystal, Setting, str]:
    """The crystal with the symmetry of its atoms, and the sentence on it."""
    if len(crystal.elements) > MOST_ATOMS:
        return (
            crystal,
            setting,
            (
                f"the file declares no symmetry (P 1), and none is looked for in more than "
                f"{MOST_ATOMS} atoms"
            ),
        )
    found = found_symmetry(crystal)
    if found is None:
        return (
            crystal,
            setting,
            (f"the file declares no symmetry (P 1), and its atoms have none within {TOLERANCE} Å"),
        )
    turned, by_atoms = found
    note = (
        f"the file declares no symmetry (P 1): {by_atoms.title} is taken, which its atoms have "
        f"within {TOLERANCE} Å"
    )
    if len(turned.elements) != len(crystal.elements):
        cell = ", ".join(f"{v:.4f}" for v in turned.cell[:3])
        note += (
            f", with the conventional cell ({cell} Å, {len(turned.elements)} atoms) instead of "
            f"that of the file ({len(crystal.elements)} atoms)"
        )
    return turned, by_atoms, note
