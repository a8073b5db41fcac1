"""Methods text of the search for diffraction peaks, for the methods section of a paper."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phaseloom.view.parts import FOLASTRE, MethodsText, program
from phaseloom.view.peaks.data import Registered, registered


def methods_text(tree: xr.DataTree) -> MethodsText:
    """What was done, as far as the group ``/peaks`` of a result states it."""
    scan, text = registered(tree), MethodsText()
    text.add(
        f"Every diffraction pattern ({scan.count.size:,}) was reduced to a list of its spots, as "
        f"proposed by Folastre et al. {text.cite(FOLASTRE)}, with {program(tree)}."
    )
    if scan.states("averaged_median"):
        text.add(
            "Before, to every pattern those of neighbouring scan positions were added that the "
            "statistics of their counts show to be of the same grain, none across boundaries "
            f"(median {scan.number('averaged_median'):.0f} patterns per position)."
        )
    if scan.data.attrs.get("search", "counts") == "prominence":
        text.add(
            "As published there, they were found by an adaptive prominence, placed at their "
            "centres of mass and measured by their mean counts; the method gives no standard "
            "errors."
        )
    else:
        _add_search(text, scan)
    if {"centre_y", "centre_x"} <= set(scan.data.variables):
        text.add(
            "The direct beam was tracked across the scan, and all diffraction vectors refer to it."
        )
    if scan.units != "px":
        stretch = scan.ellipticity
        ellipse = f", after {100 * stretch:.2f} % of ellipticity was corrected" * (stretch > 1e-6)
        text.add(f"One detector pixel is {scan.pixel_size:.5g} {scan.units}{ellipse}.")
    else:
        text.add("The pixel size is not known: vectors are in detector pixels.")
    return text


def _add_search(text: MethodsText, scan: Registered) -> None:
    """Matched filter, threshold and fit of the spots."""
    template = f" ({scan.template})" if np.isfinite(scan.spot_size) else ""
    text.add(
        "They were found in the recorded counts with a matched filter for their shape"
        f"{template} above the local background."
    )
    alarms = (
        f", which noise alone exceeds {scan.number('false_alarms'):.2g} times per pattern"
        if scan.states("false_alarms")
        else ""
    )
    gain = f" (variance {scan.number('gain'):.4g} times the mean)" if scan.states("gain") else ""
    if scan.states("threshold"):
        text.add(
            f"They had to exceed {scan.number('threshold'):.3g} standard deviations of the "
            f"counting noise{gain}, and more where counts are few{alarms}."
        )
    text.add(
        "Positions and integrated intensities maximise the likelihood of the counts for all spots "
        "of a pattern together; their standard errors follow from the curvature of the likelihood "
        "and the misfit."
    )
