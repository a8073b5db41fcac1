"""Methods text of the components, for the methods section of a paper."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phaseloom.view.components.data import Components, components
from phaseloom.view.components.rank import has_sweep
from phaseloom.view.parts import FOLASTRE, MethodsText, percent, program

_CAO = (
    "Cao et al., Unsupervised multi-clustering and decision-making strategies for 4D-STEM "
    "orientation mapping, Digital Discovery (2025), doi:10.1039/d5dd00071h."
)
_KEENAN = (
    "M. R. Keenan, P. G. Kotula, Accounting for Poisson noise in the multivariate analysis of "
    "ToF-SIMS spectrum images, Surf. Interface Anal. 36, 203–212 (2004)."
)
_HALKO = (
    "N. Halko, P. G. Martinsson, J. A. Tropp, Finding structure with randomness: probabilistic "
    "algorithms for constructing approximate matrix decompositions, SIAM Rev. 53, 217–288 (2011)."
)
_CICHOCKI = (
    "A. Cichocki, A.-H. Phan, Fast local algorithms for large scale nonnegative matrix and tensor "
    "factorizations, IEICE Trans. Fundamentals E92-A, 708–721 (2009)."
)
_LEE = (
    "D. D. Lee, H. S. Seung, Algorithms for non-negative matrix factorization, Adv. Neural Inf. "
    "Process. Syst. 13, 556–562 (2001)."
)
_GILLIS = (
    "N. Gillis, S. A. Vavasis, Fast and robust recursive algorithms for separable nonnegative "
    "matrix factorization, IEEE Trans. Pattern Anal. Mach. Intell. 36, 698–714 (2014)."
)
_BOUTSIDIS = (
    "C. Boutsidis, E. Gallopoulos, SVD based initialization: a head start for nonnegative matrix "
    "factorization, Pattern Recognit. 41, 1350–1362 (2008)."
)
_HUBERT = "L. Hubert, P. Arabie, Comparing partitions, J. Classif. 2, 193–218 (1985)."


def methods_text(tree: xr.DataTree) -> MethodsText:
    """What was done, as far as the group ``/components`` of a result states it."""
    result, text = components(tree), MethodsText()
    text.add(
        f"The {result.label.size:,} diffraction patterns were described by few patterns "
        "(components) and their weights at every scan position, by non-negative matrix "
        f"factorisation with {program(tree)}, after Cao et al. {text.cite(_CAO)}."
    )
    _add_preparation(text, result)
    _add_factorisation(text, result)
    _add_choice(text, result)
    _add_assignment(text, result)
    if result.others and "agreement_of_methods" in result.data:
        text.add(
            "Other clusterings of the same patterns were compared by the adjusted Rand index "
            f"{text.cite(_HUBERT)}."
        )
    return text


def _add_preparation(text: MethodsText, result: Components) -> None:
    """Preparation of the patterns."""
    kinds = {
        "raw": "The patterns were used as recorded",
        "mean": "Every pattern was replaced by the mean of 3 × 3 positions",
        "registered": "The patterns were rebuilt from the peaks registered in them, as proposed "
        "by Folastre et al. ",
        "peaks": "Of the patterns only pixels with peaks registered in them were used, the peaks "
        "being found as proposed by Folastre et al. ",
    }
    kind = result.text("patterns")
    if kind not in kinds:
        return
    sentence = kinds[kind] + (text.cite(FOLASTRE) if kind in ("registered", "peaks") else "")
    high, wide = result.data.sizes["ky"], result.data.sizes["kx"]
    sentence += f", on {wide} × {high} px"
    if result.number("aligned") == 1:
        sentence += ", with the direct beam aligned"
    if result.number("mask_radius") > 0:
        sentence += (
            f"; the direct beam was masked to a radius of {result.number('mask_radius'):.3g} "
            "detector px"
        )
    text.add(sentence + ".")


def _add_factorisation(text: MethodsText, result: Components) -> None:
    """Scaling, compression, start, update rule and penalties of the factorisation."""
    if result.text("scaling") == "poisson":
        text.add(
            "Positions and pixels were scaled by the roots of their mean counts, so that "
            f"counting noise weighs equally everywhere {text.cite(_KEENAN)}."
        )
    if result.text("loss_kind"):
        text.add(
            "The matrix was compressed to its leading dimensions, twice the largest number of "
            "components and eight, by subspace iteration over blocks of positions "
            f"{text.cite(_HALKO)}."
        )
    starts = {
        "pure": "the purest positions (successive projection) ",
        "nndsvd": "the non-negative double singular value decomposition ",
        "random": "random weights and patterns",
    }
    works = {"pure": _GILLIS, "nndsvd": _BOUTSIDIS}
    start = result.text("start")
    begun = f"From {starts[start]}" if start in starts else ""
    begun += text.cite(works[start]) if start in works else ""
    what, how, work = {
        "frobenius": (
            "squared differences were",
            "hierarchical alternating least squares",
            _CICHOCKI,
        ),
        "kl": ("Kullback-Leibler divergence was", "multiplicative updates", _LEE),
    }.get(result.text("loss_kind"), ("", "", ""))
    if what:
        first = f"{begun} the" if begun else "The"
        text.add(f"{first} {what} minimised by {how} {text.cite(work)}.")
    free = not result.number("sparsity") > 0 and not result.number("smoothness") > 0
    if result.text("loss_kind") == "frobenius" and result.text("scaling") == "poisson" and free:
        text.add(
            "Weights and patterns were then fitted twice more, and the weights a last time, to "
            "all pixels with the counting error of each, its variance being the counts expected "
            "there."
        )
    for name, penalty in (
        ("sparsity", "A penalty of {:g} kept weights sparse."),
        ("smoothness", "A penalty of {:g} kept the weight maps smooth."),
    ):
        if result.number(name) > 0:
            text.add(penalty.format(result.number(name)))


def _add_choice(text: MethodsText, result: Components) -> None:
    """Choice of the number of components, and the error of the fit."""
    if has_sweep(result):
        k = result.data["k"].to_numpy()
        tried = f"k = {int(k[0])} to {int(k[-1])}"
        if result.text("choose") == "published":
            text.add(
                f"Their number was chosen from {tried} as published {text.cite(_CAO)}: votes of "
                "four measures of image quality around the knee of the loss."
            )
        else:
            seeds = result.number("seeds")
            starts = f", with {seeds:.0f} starts at every number" if seeds > 1 else ""
            text.add(
                f"Their number was chosen from {tried} on patterns averaged over 3 × 3 positions: "
                "from the largest number on down, the two components most alike were made one "
                f"and all were fitted again{starts}. Taken is the largest number at which no two "
                "components' images (weight map times pattern) are alike by their cosine, each is "
                "found in both halves of the scan, and the error of entries held out does not "
                "rise by more than its standard error."
            )
        reason = result.text("reason").rstrip(".")
        text.add(f"{reason[:1].upper()}{reason[1:]}." if reason else "")
    else:
        text.add(f"Their number, {result.k}, was given.")
    if np.isfinite(result.number("error")):
        floor = result.number("noise_floor")
        noise = f"; noise alone gives {floor:.3g}" if np.isfinite(floor) else ""
        text.add(
            f"The norm of the residual is {result.number('error'):.3g} of that of the data{noise}."
        )


def _add_assignment(text: MethodsText, result: Components) -> None:
    """Labels, background and overlaps."""
    label = "Every position has the component of its largest weight"
    ground, limit = result.background, result.number("background_ratio")
    if ground >= 0 and np.isfinite(limit):
        label += (
            f"; where that is the background (component {ground}) and the second weight is at "
            f"least T = {limit:g} of it, the second"
        )
    text.add(f"{label}.")
    ratio = result.number("overlap_ratio")
    if np.isfinite(ratio):
        share = percent(float((result.partner >= 0).mean()))
        after = ", both rules after" * (ground >= 0)
        text.add(
            f"Two components overlap where the next weight is at least s = {ratio:g} of that of "
            f"the label ({share} of the positions){after} {text.cite(_CAO)}."
        )
    unknown = float(result.unknown_overlap.mean())
    if unknown:
        text.add(
            f"At {percent(unknown)} of the positions it is not known: the standard error of the "
            "ratio is above 0.1, and the ratio within two of it from s."
        )
