"""The method ``index``: phase and orientation of every pixel of a scan."""

from __future__ import annotations

from phaseloom.workflow.method import Demo, Method, Summary
from phaseloom.workflow.orientation.demo import demo_index
from phaseloom.workflow.orientation.run import compute_orientations, groups_made, write_exports
from phaseloom.workflow.orientation.summary import facts, show_orientation_scores, show_orientations
from phaseloom.workflow.orientation.tables import orientation_tables

METHOD = Method(
    compute=compute_orientations,
    tables=orientation_tables,
    summary=Summary(facts, show_orientations, show_orientation_scores),
    demo=Demo(demo_index, sizes=(12, 48, 256)),
    write_more=write_exports,
    groups_made=groups_made,
)
