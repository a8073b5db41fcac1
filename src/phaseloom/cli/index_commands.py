"""The command that maps phases and orientations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phaseloom.cli import index_options, options, peaks_options
from phaseloom.cli.shared import named, registering, run_and_tell


def index(
    scan: index_options.Source,
    phase: index_options.Crystals,
    scan_shape: peaks_options.ScanShape = None,
    pixel_size: peaks_options.PixelSize = None,
    calibration: peaks_options.Calibration = None,
    step: peaks_options.Step = None,
    voltage: peaks_options.Voltage = None,
    precession: peaks_options.Precession = None,
    detector: options.Detector = None,
    partial: options.Partial = False,
    dark: peaks_options.Dark = None,
    gain: peaks_options.Gain = None,
    mask: peaks_options.Mask = None,
    saturation: peaks_options.Saturation = None,
    hot: peaks_options.Hot = True,
    beam_stop: peaks_options.BeamStop = False,
    scan_mean: peaks_options.ScanMean = False,
    centre: peaks_options.Centre = "auto",
    descan: peaks_options.Descan = "plane",
    false_alarms: peaks_options.FalseAlarms = 0.01,
    shape: peaks_options.Shape = "auto",
    sigma: peaks_options.Sigma = None,
    radius: peaks_options.Radius = None,
    max_peaks: peaks_options.MaxPeaks = 500,
    zone_step: index_options.ZoneStep = 2.0,
    in_plane_step: index_options.InPlaneStep = 2.0,
    k_max: index_options.KMax = None,
    thickness: index_options.Thickness = None,
    solutions: index_options.Solutions = 5,
    overlaps: index_options.Overlaps = False,
    context: index_options.Context = False,
    to: index_options.To = None,
    out: index_options.Out = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Phase and orientation of every pixel, and how sure they are."""
    arguments = locals()
    from phaseloom.workflow.orientation.recipe import OrientationRecipe
    from phaseloom.workflow.peaks.input import is_registered
    from phaseloom.workflow.recipe import validated

    default = scan if is_registered(scan) else Path("phaseloom-index")
    given: dict[str, Any] = {
        "out": out or default,
        "seed": seed,
        "device": device,
        "export": tuple(dict.fromkeys(each.value for each in to or ())),
        **registering(scan, arguments),
        "matching": {
            "zone_step": zone_step,
            "in_plane_step": in_plane_step,
            "k_max": k_max,
            "thickness": thickness,
            "solutions": solutions,
            "overlaps": overlaps,
            "context": context,
        },
        "crystal": [named(text, "name") for text in phase],
    }
    run_and_tell(
        validated(OrientationRecipe, given),
        workers=workers,
        scheduler=scheduler,
        fresh=fresh,
        quiet=quiet,
        as_json=as_json,
    )
