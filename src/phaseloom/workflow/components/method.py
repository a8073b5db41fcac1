"""The method ``cluster``: a scan as few component patterns and their weight maps."""

from __future__ import annotations

from phaseloom.workflow.components.demo import demo_cluster
from phaseloom.workflow.components.run import compute_components, groups_made
from phaseloom.workflow.components.summary import facts, show_component_scores, show_components
from phaseloom.workflow.components.tables import components_tables
from phaseloom.workflow.method import Demo, Method, Summary

METHOD = Method(
    compute=compute_components,
    tables=components_tables,
    summary=Summary(facts, show_components, show_component_scores),
    demo=Demo(demo_cluster, sizes=(24, 48, 256)),
    groups_made=groups_made,
)
