"""Registered diffraction patterns in figures and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phaseloom.view.parts import FOLASTRE, Chapter, Section, facts, percent, picture
from phaseloom.view.peaks import maps as draw
from phaseloom.view.peaks.data import Registered, registered, significance
from phaseloom.view.results import field_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CAPTIONS = {
    "peaks_pattern": "Patterns with the peaks found in them (circles, coloured by intensity over "
    "its standard error) and the direct beam (cross): the pattern with the median number of peaks "
    "among those sampled, close-ups of its peaks from the surest to the least sure with position "
    "and standard errors (bars), and patterns with the fewest, more than most, and the most "
    "peaks. One scale of counts for all whole patterns, each close-up has its own.",
    "peaks_density": "Where the peaks of all patterns lie about the direct beam (logarithmic), and "
    "by their distance from it.",
    "peaks_maps": "Maps of the scan. Sum and number count the peaks kept; the noise and the "
    "adaptive prominence are those of each pattern.",
    "peaks_beam": "Displacement of the direct beam on the detector over the scan (descan), taken "
    "out of all vectors, and what scatters about it.",
    "peaks_uncertainty": "Standard error of the peaks' positions against their intensity (colour: "
    "number of peaks), and the peaks by intensity, by intensity over its standard error, and by "
    "prominence over the adaptive prominence of their pattern (line: the faintest spot that "
    "counts, alone on the mean background; those beside brighter ones stand out less).",
}


def present(tree: xr.DataTree) -> bool:
    """Whether the result holds a peak table."""
    return "peaks" in tree.children and "offset" in tree["peaks"]


def figures(
    tree: xr.DataTree,
    tables: Mapping[str, pd.DataFrame],  # noqa: ARG001
) -> dict[str, Callable[[], Figure]]:
    """What draws each figure: ``peaks_pattern``, ``peaks_density``, ``peaks_maps`` and so on.

    Parameters
    ----------
    tree
        Figures whose data the groups under ``/peaks`` lack are left out.
    tables
        None is used.
    """
    scan = registered(tree)
    names = set(scan.data.variables)
    many = scan.data.sizes["y"] * scan.data.sizes["x"]
    drawn: dict[str, Callable[[], Figure]] = {}
    if scan.sample is not None and scan.sample["pattern"].size:
        drawn["peaks_pattern"] = partial(draw.pattern_figure, tree)
    if scan.density is not None and bool((scan.density["density"] > 0).any()):
        drawn["peaks_density"] = partial(draw.density_figure, tree)
    if many > 1 and (scan.virtual is not None or names & {name for name, *_ in draw.MAPS}):
        drawn["peaks_maps"] = partial(draw.maps_figure, tree)
    if {"centre_y", "centre_x"} <= names and np.isfinite(np.sum(scan.displacement(), 0)).sum() > 3:
        drawn["peaks_beam"] = partial(draw.beam_figure, tree)
    if np.isfinite(significance(scan.data)).any() and np.isfinite(scan.position_error()).any():
        drawn["peaks_uncertainty"] = partial(draw.uncertainty_figure, tree)
    return drawn


def section(
    tree: xr.DataTree,
    figures: Mapping[str, Path | bytes],
    tables: Mapping[str, pd.DataFrame],  # noqa: ARG001
) -> Section:
    """The registered patterns' part of the report."""
    scan = registered(tree)
    pictures = {
        name: picture(figures[name], caption=caption, alternative=name.replace("_", " "))
        for name, caption in CAPTIONS.items()
        if name in figures
    }
    first = tuple(pictures.pop(name) for name in ("peaks_pattern",) if name in pictures)
    return Section(
        title="Diffraction peaks",
        headline=headline(scan),
        methods=methods_paragraph(tree),
        citations=(FOLASTRE,),
        columns=("",),
        rows=tuple((label, (value,)) for label, value in numbers(scan).items()),
        summary=Chapter("Patterns and their peaks", first) if first else None,
        chapters=(Chapter("All peaks", tuple(pictures.values())),) if pictures else (),
    )


def headline(scan: Registered) -> str:
    """The result in one sentence: patterns, peaks, how sure they are, bytes in and out."""
    patterns, peaks = scan.count.size, int(scan.count.sum())
    each = f"{peaks / patterns:.3g} per pattern"
    said = [f"{_counted(patterns, 'pattern')}, {_counted(peaks, 'peak')} ({each})"]
    error = _median(scan.position_error())
    if np.isfinite(error):
        said.append(f"median position error {_length(error, scan)} per axis")
    alarms = scan.number("false_alarms")
    if np.isfinite(alarms):
        said.append(f"{alarms:.2g} false peaks per pattern expected from noise")
    if _has(scan, "bytes_in", "bytes_out"):
        said.append(_compression(scan))
    return "; ".join(said) + "."


def numbers(scan: Registered) -> dict[str, str]:
    """The numbers that tell how far the peaks can be trusted, as text by their label.

    Parameters
    ----------
    scan
        What it does not hold is left out.
    """
    count = scan.count
    rows, columns = scan.shape
    said = {"Scan": f"{columns} × {rows} positions{field_text(scan.data)}"}
    if "detector_shape" in scan.data.attrs:
        high, wide = scan.data.attrs["detector_shape"]
        said["Detector"] = f"{wide} × {high} px"
    if scan.units != "px":
        said["Pixel size"] = f"{scan.pixel_size:.5g} {scan.units} per px"
    stretch = _ellipticity(scan)
    if stretch > 1e-6:
        said["Ellipticity taken out"] = f"{100 * stretch:.2f} %"
    if np.isfinite(scan.spot_size):
        said["Spot template"] = _template(scan)
    if _has(scan, "gain"):
        said["Detector gain"] = f"{scan.number('gain'):.4g} (variance of the counts over mean)"
    if _has(scan, "threshold"):
        said["Threshold"] = f"{scan.number('threshold'):.3g} standard deviations of the noise"
    if _has(scan, "false_alarms"):
        said["False peaks expected"] = f"{scan.number('false_alarms'):.2g} per pattern"
    said["Peaks"] = f"{int(count.sum()):,}"
    low, middle, high = np.percentile(count, [5, 50, 95])
    said["Peaks per pattern"] = f"median {middle:.0f}, 5 to 95 %: {low:.0f} to {high:.0f}"
    said["Patterns without a peak"] = percent(float((count == 0).mean()))
    if bool(scan.unmeasured.any()):
        said["Patterns not measured"] = percent(float(scan.unmeasured.mean()))
    error = _median(scan.position_error())
    if np.isfinite(error):
        said["Position error, median"] = f"{_length(error, scan)} per axis"
    if "intensity" in scan.data and count.sum():
        said["Intensity, median"] = f"{_median(scan.data['intensity'].to_numpy()):.4g} counts"
    sure = _median(significance(scan.data))
    if np.isfinite(sure):
        said["Intensity / standard error, median"] = f"{sure:.3g}"
    if {"centre_y", "centre_x"} <= set(scan.data.variables):
        ranges = [f"{np.nanmax(d) - np.nanmin(d):.2f}" for d in _finite_beam(scan)]
        if ranges:
            said["Descan over the field"] = f"y {ranges[0]} px, x {ranges[1]} px"
    if _has(scan, "beam_scatter"):
        said["Direct beam about its plane"] = f"{scan.number('beam_scatter'):.2g} px"
    if _has(scan, "bytes_in", "bytes_out"):
        said["Data"] = _compression(scan)
    if _has(scan, "seconds"):
        said["Time"] = f"{scan.number('seconds'):.3g} s"
    if _has(scan, "patterns_per_second"):
        said["Speed"] = f"{scan.number('patterns_per_second'):,.0f} patterns per second"
    return said


def methods_paragraph(tree: xr.DataTree) -> str:
    """What was done, in words fit for the methods section of a paper.

    Parameters
    ----------
    tree
        Result with ``/peaks``. What its attributes do not tell is not said.
    """
    scan = registered(tree)
    version = facts(tree, "versions").get("phaseloom")
    said = [
        f"Every diffraction pattern ({scan.count.size:,}) was reduced to a list of its spots, as "
        f"proposed by Folastre et al. [1], with phaseloom{f' {version}' if version else ''}."
    ]
    said += _published() if _search(scan) == "prominence" else _counted_spots(scan)
    if {"centre_y", "centre_x"} <= set(scan.data.variables):
        said.append("The direct beam was tracked across the scan, and all vectors are from it.")
    if scan.units != "px":
        stretch = _ellipticity(scan)
        ellipse = f", after {100 * stretch:.2f} % of ellipticity was taken out" * (stretch > 1e-6)
        said.append(f"One detector pixel is {scan.pixel_size:.5g} {scan.units}{ellipse}.")
    else:
        said.append("The pixel size is not known: vectors are in detector pixels.")
    return " ".join(said)


def _search(scan: Registered) -> str:
    """How spots were found: by their "counts", or by "prominence" as published."""
    return str(scan.data.attrs.get("search", "counts"))


def _published() -> list[str]:
    return [
        "As published there, they were found by an adaptive prominence, placed at their centres of "
        "mass and measured by their mean counts; the method gives no standard errors."
    ]


def _counted_spots(scan: Registered) -> list[str]:
    """How spots were found and measured by their counts."""
    template = f" ({_template(scan)})" if np.isfinite(scan.spot_size) else ""
    said = [
        "They were found in the recorded counts with a matched filter for their shape"
        f"{template} above the local background."
    ]
    alarms = (
        f", which noise alone exceeds {scan.number('false_alarms'):.2g} times per pattern"
        if _has(scan, "false_alarms")
        else ""
    )
    gain = f" (variance {scan.number('gain'):.4g} times the mean)" if _has(scan, "gain") else ""
    if _has(scan, "threshold"):
        said.append(
            f"They had to exceed {scan.number('threshold'):.3g} standard deviations of the "
            f"counting noise{gain}, and more where counts are few{alarms}."
        )
    said.append(
        "Positions and integrated intensities are those that make the likelihood of the counts "
        "largest for all spots of a pattern together; their standard errors follow from its "
        "curvature and the misfit."
    )
    return said


def _has(scan: Registered, *names: str) -> bool:
    return all(np.isfinite(scan.number(name)) for name in names)


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


def _template(scan: Registered) -> str:
    if scan.data.attrs.get("spot_shape") == "disk":
        return f"a disk of radius {scan.spot_size:.2f} px"
    return f"a Gaussian of sigma {scan.spot_size:.2f} px"


def _ellipticity(scan: Registered) -> float:
    """Ratio of the axes of the distortion, less one."""
    large, small = np.linalg.svd(scan.distortion, compute_uv=False)
    return float(large / small - 1.0)


def _compression(scan: Registered) -> str:
    before, after = scan.number("bytes_in"), scan.number("bytes_out")
    times = f" ({before / after:,.0f} times less)" if 0 < after < before else ""
    return f"{_bytes(before)} in, {_bytes(after)} out{times}"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000.0
    return f"{number:.3g} TB"
