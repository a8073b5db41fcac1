"""The whole way on simulated files of known truth, and how well it did, by method."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError
from phaseloom.workflow.outcome import Outcome

STACK_SIZE = 256
"""Pixels along a side of a simulated stack."""

SCAN_SIZE = 24
"""Positions along a side of a simulated scan."""

MAP_SIZE = 48
"""Rows of a simulated scan whose crystals, or components, are to be mapped."""


def run_demo(
    kind: Literal["stxm", "peaks", "index", "cluster"],
    folder: Path,
    *,
    size: int | None = None,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    fresh: bool = False,
    progress: Progress = SILENT,
) -> tuple[Outcome, dict[str, Any]]:
    """Simulate, compute from the files as a user would, and score.

    Returns
    -------
    outcome : Outcome
        What the run left in ``folder``.
    scores : dict
        See :mod:`phaseloom.workflow.stxm.demo`, :mod:`phaseloom.workflow.peaks.demo`,
        :mod:`phaseloom.workflow.orientation.demo` and :mod:`phaseloom.workflow.components.demo`.
    """
    if kind == "cluster":
        from phaseloom.workflow.components.demo import demo_cluster

        return demo_cluster(
            folder,
            size=size or MAP_SIZE,
            seed=seed,
            device=device,
            workers=workers,
            scheduler=scheduler,
            fresh=fresh,
            progress=progress,
        )
    if kind == "index":
        from phaseloom.workflow.orientation.demo import demo_index

        return demo_index(
            folder,
            size=size or MAP_SIZE,
            seed=seed,
            device=device,
            workers=workers,
            scheduler=scheduler,
            fresh=fresh,
            progress=progress,
        )
    if kind == "peaks":
        from phaseloom.workflow.peaks.demo import demo_peaks

        return demo_peaks(
            folder,
            size=size or SCAN_SIZE,
            seed=seed,
            workers=workers,
            scheduler=scheduler,
            fresh=fresh,
            progress=progress,
        )
    if scheduler is not None:
        raise InputError("--scheduler is for scans of diffraction patterns", "leave it out")
    from phaseloom.workflow.stxm.demo import demo_stxm

    return demo_stxm(
        folder, size=size or STACK_SIZE, seed=seed, device=device, fresh=fresh, progress=progress
    )
