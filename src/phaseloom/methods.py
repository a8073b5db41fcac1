"""The methods, in the order of the report: one line each.

Command line, recipes, runs, report and demonstrations all read this table. A method is

- a folder ``phaseloom/workflow/ROOM`` with a module ``method`` that holds ``METHOD``,
  see :class:`phaseloom.workflow.method.Method`;
- a folder ``phaseloom/view/ROOM`` with a module ``section``, see :mod:`phaseloom.view.methods`;
- one line here.
"""

from __future__ import annotations

METHODS = {
    "stxm": "stxm",
    "peaks": "peaks",
    "cluster": "components",
    "index": "orientation",
}
"""By the name of command and recipe, the room that the method has in workflow and view."""
