"""The methods, in the order of the report: one line each.

Command line, recipes, runs, folders of results, report and demonstrations all read this table. A
method is

- a folder ``phaseloom/workflow/ROOM`` with the modules ``recipe`` and ``method``, see
  :mod:`phaseloom.workflow.method`;
- a folder ``phaseloom/view/ROOM`` with the module ``section``, see :mod:`phaseloom.view.methods`;
- one line here.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """What has to be known of a method before anything is imported.

    Parameters
    ----------
    room
        Its folder in workflow and view, and its group in the results.
    about
        The first line of its help.
    holds
        What a folder of its results holds, of which input.
    after
        Methods whose results in a folder it goes on from.
    """

    room: str
    about: str
    holds: str
    after: tuple[str, ...] = ()


METHODS = {
    "stxm": Entry(
        "stxm",
        "Phase maps from spectra: several stacks share one latent space.",
        "phase maps of {}",
    ),
    "peaks": Entry(
        "peaks",
        "Register every spot of every diffraction pattern: position, intensity, errors.",
        "the peaks of {}",
    ),
    "cluster": Entry(
        "components",
        "Few components in place of all patterns: how many, where, where two overlap.",
        "the components of {}",
        after=("peaks",),
    ),
    "index": Entry(
        "orientation",
        "Phase and orientation of every pixel, and how sure they are.",
        "the orientation map of {}",
        after=("peaks",),
    ),
}
"""By the name of command and recipe."""
