"""The command that finds components."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phaseloom.cli import cluster_options, index_options, options, peaks_options
from phaseloom.cli.shared import named, registering, run_and_tell


def cluster(
    scan: index_options.Source,
    patterns: cluster_options.Patterns = None,
    size: cluster_options.Size = 128,
    mask_radius: cluster_options.MaskRadius = None,
    scaling: cluster_options.Scaling = "poisson",
    k: cluster_options.Number = "auto",
    k_max: cluster_options.Largest = 20,
    choose: cluster_options.Choose = "sound",
    seeds: cluster_options.Seeds = 5,
    loss: cluster_options.Loss = "frobenius",
    start: cluster_options.Start = "pure",
    sparsity: cluster_options.Sparsity = 0.0,
    smoothness: cluster_options.Smoothness = 0.0,
    background: cluster_options.Background = "auto",
    background_ratio: cluster_options.BackgroundRatio = 0.65,
    overlap_ratio: cluster_options.OverlapRatio = 0.75,
    compare: cluster_options.Compare = None,
    index: cluster_options.Index = None,
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
    out: cluster_options.Out = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Few components in place of all patterns: how many, where they are, where two overlap."""
    arguments = locals()
    from phaseloom.workflow.components.recipe import ComponentsRecipe
    from phaseloom.workflow.peaks.input import is_registered
    from phaseloom.workflow.recipe import validated

    default = scan if is_registered(scan) else Path("phaseloom-cluster")
    given: dict[str, Any] = {
        "out": out or default,
        "seed": seed,
        "device": device,
        "compare": tuple(dict.fromkeys(each.value for each in compare or ())),
        **registering(scan, arguments),
        "preparation": {
            "patterns": patterns,
            "size": size,
            "mask_radius": mask_radius,
            "scaling": scaling,
        },
        "factorisation": {
            "k": k,
            "k_max": k_max,
            "choose": choose,
            "loss": loss,
            "start": start,
            "sparsity": sparsity,
            "smoothness": smoothness,
            "seeds": seeds,
        },
        "overlaps": {
            "background": background,
            "background_ratio": background_ratio,
            "overlap_ratio": overlap_ratio,
        },
        "crystal": [named(text, "name") for text in index or ()],
    }
    run_and_tell(
        validated(ComponentsRecipe, given),
        workers=workers,
        scheduler=scheduler,
        fresh=fresh,
        quiet=quiet,
        as_json=as_json,
    )
