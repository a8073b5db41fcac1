"""The method ``stxm``: phase maps of stacks of X-ray images."""

from __future__ import annotations

from phaseloom.workflow.method import Demo, Method, Summary
from phaseloom.workflow.stxm.demo import demo_stxm
from phaseloom.workflow.stxm.run import compute_maps
from phaseloom.workflow.stxm.summary import facts, show_phase_scores, show_stacks
from phaseloom.workflow.stxm.tables import stxm_tables, write_phase_spectra

METHOD = Method(
    compute=compute_maps,
    tables=stxm_tables,
    summary=Summary(facts, show_stacks, show_phase_scores),
    demo=Demo(demo_stxm, sizes=(160, 256, 2048)),
    write_more=write_phase_spectra,
)
