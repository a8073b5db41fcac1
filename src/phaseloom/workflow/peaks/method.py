"""The method ``peaks``: registration of all spots of a scan."""

from __future__ import annotations

from phaseloom.workflow.method import Demo, Method, Summary
from phaseloom.workflow.peaks.demo import demo_peaks
from phaseloom.workflow.peaks.run import compute_peaks
from phaseloom.workflow.peaks.summary import facts, show_peak_scores, show_peaks
from phaseloom.workflow.peaks.tables import peaks_tables

METHOD = Method(
    compute=compute_peaks,
    tables=peaks_tables,
    summary=Summary(facts, show_peaks, show_peak_scores),
    demo=Demo(demo_peaks, sizes=(4, 24, 256)),
)
