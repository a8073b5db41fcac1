"""Execution of a run as one object: workers, cluster, device, checkpoints, progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from phaseloom.compute.checkpoints import Checkpoints
from phaseloom.compute.device import Device
from phaseloom.compute.progress import SILENT, Progress, shown_progress
from phaseloom.options import Options, option


class ExecutionOptions(Options):
    """Options of execution that a chain takes as keywords from Python."""

    model_config = Options.model_config | {"arbitrary_types_allowed": True}

    workers: int | None = option(
        None, "threads that work on blocks and Fourier transforms (all cores by default)", ge=1
    )
    scheduler: str | None = option(
        None, "address of a dask.distributed cluster that works on the blocks: tcp://host:8786"
    )
    device: Device = option("auto", "where torch computes")
    progress: bool | Progress = option(False, "True shows how far long work is")


@dataclass(frozen=True)
class Execution:
    """How a run is carried out: workers, cluster, device, checkpoints, progress.

    Parameters
    ----------
    workers
        Blocks at work at once: threads, as many as cores by default; with ``scheduler`` as many as
        the cluster has threads.
    scheduler
        Address of a dask.distributed scheduler; by default blocks are worked on in this process.
    device
        Where torch computes: ``cpu``, ``cuda``, or ``auto``, a GPU when there is one.
    checkpoints
        Where finished stages are kept; nowhere by default.
    progress
        Where long work is reported.
    fresh
        Compute everything again, also what an earlier run finished.
    """

    workers: int | None = None
    scheduler: str | None = None
    device: Device = "auto"
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    progress: Progress = SILENT
    fresh: bool = False

    @classmethod
    def of(cls, options: ExecutionOptions) -> Self:
        """The execution that a caller's options describe."""
        return cls(
            workers=options.workers,
            scheduler=options.scheduler,
            device=options.device,
            progress=shown_progress(options.progress),
        )
