"""Figures and reports of finished maps; reads results, computes no science.

:func:`write_figures` and :func:`write_report` turn a result tree into ``figures/*.png`` and a
self-contained ``report.html``.

- figures, report: the two functions
- methods: which methods a result holds, and how a method adds its section
- stxm, peaks, orientation, components: figures and report section of each method
- panels: contents of panels (maps, maps of classes, colour bars, legends)
- pages: layout of figures (rows of panels, panel letters)
- parts: parts of the report (sections, captions, methods text with citations)
- results, scans: access to results of STXM stacks and of 4D-STEM scans
- scales: colour scales of diffraction patterns
- style: colours, fonts, scale bars, legends
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

if TYPE_CHECKING:
    from phaseloom.view.figures import write_figures
    from phaseloom.view.report import write_report

__all__ = ["write_figures", "write_report"]

_HOMES = {"write_figures": "figures", "write_report": "report"}

__getattr__ = lazy_names(__name__, _HOMES)
