"""Commands for scans of diffraction patterns."""

from __future__ import annotations

from pathlib import Path

from phaseloom.cli import options, peaks_options
from phaseloom.cli.shared import bars, print_json, registering, run_and_tell, say


def peaks(
    scan: peaks_options.Scan,
    scan_shape: peaks_options.ScanShape = None,
    pixel_size: peaks_options.PixelSize = None,
    calibration: peaks_options.Calibration = None,
    step: peaks_options.Step = None,
    voltage: peaks_options.Voltage = None,
    precession: peaks_options.Precession = None,
    scan_rotation: peaks_options.ScanRotation = None,
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
    threshold: peaks_options.Threshold = "counts",
    false_alarms: peaks_options.FalseAlarms = 0.01,
    shape: peaks_options.Shape = "auto",
    sigma: peaks_options.Sigma = None,
    radius: peaks_options.Radius = None,
    max_peaks: peaks_options.MaxPeaks = 500,
    k_min: peaks_options.KMin = None,
    k_max: peaks_options.KMax = None,
    intensity_min: peaks_options.IntensityMin = None,
    prominence_min: peaks_options.ProminenceMin = None,
    significance_min: peaks_options.SignificanceMin = None,
    out: options.Out = Path("phaseloom-peaks"),
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    seed: options.Seed = 0,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Register every spot of every diffraction pattern: position, intensity, uncertainties."""
    arguments = locals()
    from phaseloom.workflow.peaks.recipe import PeaksRecipe
    from phaseloom.workflow.recipe import validated

    recipe = validated(
        PeaksRecipe,
        {
            "out": out,
            "seed": seed,
            **registering(scan, arguments),
            "filter": {
                "k_min": k_min,
                "k_max": k_max,
                "intensity_min": intensity_min,
                "prominence_min": prominence_min,
                "significance_min": significance_min,
            },
        },
    )
    run_and_tell(
        recipe, workers=workers, scheduler=scheduler, fresh=fresh, quiet=quiet, as_json=as_json
    )


def reconstruct(
    results: peaks_options.Results,
    to: peaks_options.Target,
    size: peaks_options.PatternSize = None,
    k_max: peaks_options.HalfWidth = None,
    sigma: peaks_options.NewSigma = None,
    radius: peaks_options.NewRadius = None,
    intensity: peaks_options.Intensity = "integrated",
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Clean patterns from registered peaks, for other programs."""
    from phaseloom.workflow.peaks.reconstruct import write_reconstruction

    with bars(quiet) as progress:
        facts = write_reconstruction(
            results,
            to,
            size=size,
            k_max=k_max,
            sigma=sigma,
            radius=radius,
            intensity=intensity,
            progress=progress,
        )
    if as_json:
        print_json(facts)
    elif not quiet:
        rows, columns = facts["pattern_shape"]
        say(
            f"{facts['patterns']} patterns of {rows}×{columns} px, {facts['pixel_size']:.5g} "
            f"{facts['units']} per px → {facts['file']}"
        )


def calibrate(
    pattern: peaks_options.Pattern,
    phase: peaks_options.Crystal,
    pixel_size: peaks_options.Guess = None,
    out: peaks_options.CalibrationOut = Path("calibration.toml"),
    detector: options.Detector = None,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Pixel size and ellipticity from the rings or spots of a known crystal."""
    from phaseloom.workflow.peaks.calibrate import write_calibration

    facts = write_calibration(pattern, phase, out, pixel_size=pixel_size, detector=detector)
    if as_json:
        print_json(facts)
    elif not quiet:
        say(
            f"{facts['pixel_size']:.6g} ± {facts['pixel_size_error']:.1g} Å⁻¹ per px, "
            f"ellipticity {facts['ellipticity']:.4f} → {facts['file']}"
        )
