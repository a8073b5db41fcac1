"""Figures and report section of the diffraction peaks: captions, headline, key numbers."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from phaseloom.view.parts import Contents, Draws, Figures, Section, Tables, bytes_text, percent
from phaseloom.view.peaks import maps as draw
from phaseloom.view.peaks.data import Registered, registered, significance
from phaseloom.view.peaks.methods import methods_text
from phaseloom.view.results import field_text

CAPTIONS = {
    "peaks_pattern": "Diffraction patterns with the peaks detected in them (circles, coloured by "
    "signal-to-noise ratio: intensity over its standard error) and the direct beam (cross). First "
    "the sampled pattern with the median number of peaks, and close-ups of its peaks in falling "
    "order of signal-to-noise ratio, with position and standard error (error bars: one standard "
    "error per axis); then the patterns with the lowest, an upper-quartile and the highest number "
    "of peaks. All whole patterns share one colour scale of counts; each close-up has its own. "
    "Patterns are shown as recorded, also where they were averaged before the search.",
    "peaks_density": "Two-dimensional histogram of the peaks of all patterns around the direct "
    "beam (logarithmic colours), and histogram of their distance from it.",
    "peaks_maps": "Maps over the scan. Sum and number of spots count the peaks that were kept; "
    "noise (standard deviation) and adaptive prominence are those of each pattern. Where patterns "
    "were averaged, how many there are in each average.",
    "peaks_beam": "Displacement of the direct beam on the detector over the scan (descan), which "
    "was subtracted from all vectors, and the residual scatter.",
    "peaks_uncertainty": "Standard error of the peak positions (per axis) against intensity "
    "(colour: number of peaks; line: median), and histograms of intensity, of signal-to-noise "
    "ratio (intensity over its standard error), and of peak prominence over the adaptive "
    "prominence of the pattern. The vertical line marks the prominence of the faintest detectable "
    "isolated spot on the mean background; a spot beside a brighter one is less prominent.",
}

CONTENTS = Contents(
    title="Diffraction peaks",
    captions=CAPTIONS,
    first=("Patterns and their peaks", ("peaks_pattern",)),
    chapters={"All peaks": ("peaks_density", "peaks_maps", "peaks_beam", "peaks_uncertainty")},
)


def present(tree: xr.DataTree) -> bool:
    """Whether the result holds a peak table."""
    return "peaks" in tree.children and "offset" in tree["peaks"]


def figures(tree: xr.DataTree, tables: Tables) -> Draws:  # noqa: ARG001
    """What draws each figure for which the groups under ``/peaks`` hold the data."""
    scan = registered(tree)
    names = set(scan.data.variables)
    many = scan.data.sizes["y"] * scan.data.sizes["x"]
    draws: Draws = {}
    if scan.sample is not None and scan.sample["pattern"].size:
        draws["peaks_pattern"] = partial(draw.pattern_figure, scan)
    if scan.density is not None and bool((scan.density["density"] > 0).any()):
        draws["peaks_density"] = partial(draw.density_figure, scan)
    if many > 1 and (scan.virtual is not None or names & {name for name, *_ in draw.MAPS}):
        draws["peaks_maps"] = partial(draw.maps_figure, scan)
    if {"centre_y", "centre_x"} <= names and np.isfinite(np.sum(scan.displacement(), 0)).sum() > 3:
        draws["peaks_beam"] = partial(draw.beam_figure, scan)
    if np.isfinite(significance(scan.data)).any() and np.isfinite(scan.position_error()).any():
        draws["peaks_uncertainty"] = partial(draw.uncertainty_figure, scan)
    return draws


def section(tree: xr.DataTree, figures: Figures, tables: Tables) -> Section:  # noqa: ARG001
    """The registered patterns' part of the report."""
    scan = registered(tree)
    return CONTENTS.section(
        figures, headline=headline(scan), methods=methods_text(tree), numbers=numbers(scan)
    )


def headline(scan: Registered) -> str:
    """The result in one sentence: patterns, peaks, position error, false peaks, bytes."""
    patterns, peaks = scan.count.size, int(scan.count.sum())
    each = f"{peaks / patterns:.3g} per pattern"
    clauses = [f"{_counted(patterns, 'pattern')}, {_counted(peaks, 'peak')} ({each})"]
    error = _median(scan.position_error())
    if np.isfinite(error):
        clauses.append(f"median position error {_length(error, scan)} per axis")
    alarms = scan.number("false_alarms")
    if np.isfinite(alarms):
        clauses.append(f"{alarms:.2g} false peaks per pattern expected from noise")
    if scan.states("bytes_in", "bytes_out"):
        clauses.append(_compression(scan))
    return "; ".join(clauses) + "."


def numbers(scan: Registered) -> dict[str, str]:
    """Key numbers of the peaks, as text by their label."""
    count = scan.count
    rows, columns = scan.shape
    texts = {"Scan": f"{columns} × {rows} positions{field_text(scan.data)}"}
    if "detector_shape" in scan.data.attrs:
        high, wide = scan.data.attrs["detector_shape"]
        texts["Detector"] = f"{wide} × {high} px"
    texts["Handedness of the patterns"] = scan.handedness()
    texts["Axes of the vectors"] = scan.axes()
    if scan.units != "px":
        texts["Pixel size"] = f"{scan.pixel_size:.5g} {scan.units} per px"
    stretch = scan.ellipticity
    if stretch > 1e-6:
        texts["Ellipticity, corrected"] = f"{100 * stretch:.2f} %"
    if scan.states("averaged_median"):
        texts["Patterns averaged (--average-neighbours)"] = (
            f"neighbours of the same grain, median {scan.number('averaged_median'):.0f} per "
            "position; intensities are those of one pattern"
        )
    if np.isfinite(scan.spot_size):
        texts["Spot template"] = scan.template
    if scan.states("gain"):
        texts["Detector gain"] = f"{scan.number('gain'):.4g} (variance of the counts over mean)"
    if scan.states("threshold"):
        texts["Threshold"] = f"{scan.number('threshold'):.3g} standard deviations of the noise"
    if scan.states("false_alarms"):
        texts["Expected false peaks"] = f"{scan.number('false_alarms'):.2g} per pattern"
    texts["Peaks"] = f"{int(count.sum()):,}"
    low, middle, high = np.percentile(count, [5, 50, 95])
    texts["Peaks per pattern"] = f"median {middle:.0f}, 5 to 95 %: {low:.0f} to {high:.0f}"
    texts["Patterns without a peak"] = percent(float((count == 0).mean()))
    if bool(scan.unmeasured.any()):
        texts["Patterns not measured"] = percent(float(scan.unmeasured.mean()))
    error = _median(scan.position_error())
    if np.isfinite(error):
        texts["Standard error of the position, median"] = f"{_length(error, scan)} per axis"
    if "intensity" in scan.data and count.sum():
        texts["Intensity, median"] = f"{_median(scan.data['intensity'].to_numpy()):.4g} counts"
    sure = _median(significance(scan.data))
    if np.isfinite(sure):
        texts["Signal-to-noise ratio (intensity / standard error), median"] = f"{sure:.3g}"
    if {"centre_y", "centre_x"} <= set(scan.data.variables):
        ranges = [f"{np.nanmax(d) - np.nanmin(d):.2f}" for d in _finite_beam(scan)]
        if ranges:
            texts["Descan, range over the scan"] = f"y {ranges[0]} px, x {ranges[1]} px"
    if scan.states("beam_scatter"):
        texts["Direct beam, scatter about the descan plane"] = (
            f"{scan.number('beam_scatter'):.2g} px"
        )
    if scan.states("bytes_in", "bytes_out"):
        texts["Data"] = _compression(scan)
    return texts | scan.run_time()


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _finite_beam(scan: Registered) -> list[np.ndarray]:
    return [d for d in scan.displacement() if np.isfinite(d).any()]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _length(px: float, scan: Registered) -> str:
    """A length in px, and in the unit of the vectors where it is another."""
    other = "" if scan.units == "px" else f" ({px * scan.pixel_size:.2g} {scan.units})"
    return f"{px:.2g} px{other}"


def _compression(scan: Registered) -> str:
    before, after = scan.number("bytes_in"), scan.number("bytes_out")
    times = f" ({before / after:,.0f} times less)" if 0 < after < before else ""
    return f"{bytes_text(before)} in, {bytes_text(after)} out{times}"
