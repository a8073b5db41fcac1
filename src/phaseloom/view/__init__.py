"""Figures and reports of finished maps; reads results, computes no science.

:func:`write_figures` and :func:`write_report` turn a result tree into ``figures/*.png`` and a
self-contained ``report.html``; the single figures are in :mod:`phaseloom.view.stxm.maps` and
:mod:`phaseloom.view.peaks.maps`, what each method shows in :mod:`phaseloom.view.methods`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseloom.view.figures import write_figures
    from phaseloom.view.report import write_report

__all__ = ["write_figures", "write_report"]


def __getattr__(name: str) -> Any:
    home = {"write_figures": "figures", "write_report": "report"}.get(name)
    if home is None:
        raise AttributeError(f"module 'phaseloom.view' has no attribute {name!r}")
    return getattr(import_module(f"phaseloom.view.{home}"), name)
