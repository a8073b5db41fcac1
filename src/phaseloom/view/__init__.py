"""Figures and reports of finished maps; reads results, computes no science.

:func:`write_figures` and :func:`write_report` turn a result tree into ``figures/*.png`` and a
self-contained ``report.html``; the single figures are in :mod:`phaseloom.view.stxm.maps` and
:mod:`phaseloom.view.peaks.maps`, what each method shows in :mod:`phaseloom.view.methods`.
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
