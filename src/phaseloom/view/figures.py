"""All figures of a result, written to files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from phaseloom.view.methods import methods_of
from phaseloom.view.style import publication

if TYPE_CHECKING:
    import pandas as pd


def write_figures(
    folder: Path, tree: xr.DataTree, *, tables: Mapping[str, pd.DataFrame] | None = None
) -> dict[str, Path]:
    """Draw every figure the result has the data for, and write it as PNG (300 dpi).

    Parameters
    ----------
    folder
        Created when it does not exist.
    tree
        Result with any of the groups ``/stxm``, ``/peaks``, ``/components`` and ``/orientation``;
        which figures each gives is in :mod:`phaseloom.view.methods`.
    tables
        ``phase_fractions`` gives the fractions figure its error bars, ``boundary_network`` the
        figure of the same name.

    Returns
    -------
    dict of str to pathlib.Path
        The files by the name of their figure.

    Raises
    ------
    InputError
        When the tree holds none of the groups.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for method in methods_of(tree):
        for name, make in method.figures(tree, tables or {}).items():
            path = folder / f"{name}.png"
            with publication():
                make().savefig(path)
            written[name] = path
    return written
