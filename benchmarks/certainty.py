"""Shares right and calibration of phaseloom's orientations on truth that is not its own.

    python benchmarks/certainty.py [SET or GROUP ...] [--patterns 400] [--seed 0] [--out FILE.json]
        [--folder FOLDER] [--publish]

Sets are those of ``independent_truth.py``. Groups: ``model`` (all crystals and mixtures as
described there), ``sparse`` (the same with few spots), ``departures``, ``scale``, ``near``,
``wrong``, ``alike`` (wrong ones that differ by a scale), ``foreign``, ``pairs``, ``maps``,
``multislice`` (of FOLDER, where ``multislice_truth.py`` wrote), ``quick`` (some of each: the
default). ``--publish`` puts the groups of FILE.json into RESULTS.md. Columns:

- ``index``, ``right``, ``prob``: share indexed, share right of all, mean probability
- ``ECE``, ``/w``, ``chance``: expected calibration error of the indexed in bins of equal count and
  of equal width, and what the first would be were all probabilities exact
- ``sure``, ``s.right``: share above .95, share right of these
- ``ph``, ``phECE``: share with the right phase, calibration error of ``phase_probability``
- ``2nd``: of lone patterns, false second crystals. Of pairs, the share whose first crystal is one
  of the two (``right``: the stronger one) and its calibration error; share with both right / right
  of the claimed / their calibration error; how often the one said to be stronger is. Patterns of
  crystals that are not offered that are indexed. Of ``near``, the share of right phases that the
  errors of the places allow at best. What the result itself says of the scale
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from certainty_scoring import Positions, pooled, positions, score
from independent_samples import KINDS
from independent_truth import (
    ALIKE,
    CRYSTALS,
    DEPARTURES,
    FOREIGN,
    MAPS,
    MIXTURES,
    VOLTAGE,
    WRONG,
    truth,
)  # fmt: skip
from phaseloom.errors import InputError
from phaseloom.orientation import index
from results import write_section

_SCALES = (-10, -5, -2, -0.5, 0.5, 2, 5, 10)
GROUPS = {
    "model": (*CRYSTALS, *(f"mix/{name}" for name in MIXTURES)),
    "sparse": (*(f"{c}/sparse" for c in CRYSTALS), *(f"mix/{m}/sparse" for m in MIXTURES)),
    "departures": tuple(
        f"{what}/{name}"
        for name in DEPARTURES
        if name != "sparse"
        for what in ("lfp", "lfp/sparse", "linio2/sparse", "ti/sparse", "mix/olivines/sparse")
    ),
    "scale": tuple(
        f"{c}/scale{s:+g}"
        for c in ("lfp", "ti", "li2mno3/sparse", "linio2/sparse")
        for s in (0.0, *_SCALES)
    ),
    "near": tuple(
        f"near/{percent}{how}{scale}"
        for percent in (1, 0.3, 0.1)
        for how in ("", "/sparse")
        for scale in ("", "/scale+0.3", "/scale-2", "/scale+5")
    ),
    "wrong": tuple(f"wrong/{pair}{how}" for pair in WRONG for how in ("", "/sparse")),
    "alike": tuple(f"wrong/{pair}{how}" for pair in ALIKE for how in ("", "/sparse")),
    "pairs": tuple(f"pair/{crystal}" for crystal in ("lfp", "linio2", "au", "rutile")),
    "foreign": tuple(f"foreign/{pair}{how}" for pair in FOREIGN for how in ("", "/sparse")),
    "multislice": tuple(
        f"multislice/{crystal}/{thickness}"
        for crystal in ("lfp", "au", "linio2", "rutile")
        for thickness in (150, 400, 800)
    ),
    "maps": (
        *(f"map/{name}{how}" for name in MAPS for how in ("", "/sparse")),
        "map/lfp/sparse/dynamical", "map/linio2/sparse/precession", "map/olivines/sparse/spread",
    ),
    "quick": (
        "kyanite", "li2mno3", "lfp", "rutile", "linio2", "linio2/sparse", "ti", "ti/sparse", "au",
        "mix/olivines", "mix/layered/sparse", "lfp/sparse/sinc2", "lfp/sparse/spread",
        "linio2/sparse/precession",
        "lfp/sparse/dynamical", "au/sparse", "ti/scale+2", "lfp/sparse/precession",
        "near/0.3/sparse", "near/1/sparse/scale+0.3", "wrong/ti>au",
        "wrong/lfp>rutile", "pair/lfp", "map/linio2", "map/au/sparse",
        "foreign/lfp+fp/sparse",
    ),
}  # fmt: skip


def run(
    name: str, *, patterns: int, seed: int, overlaps: bool, context: bool, folder: Path | None
) -> tuple[dict[str, Any], Positions | None]:
    """Index a set and score it; what was said and how long it took stand beside the figures."""
    made = truth(name, n=patterns, seed=seed, folder=folder)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            maps = index(
                made.peaks, list(made.offered), voltage=VOLTAGE, overlaps=overlaps,
                context=context, precession_angle=made.precession_angle,
            )  # fmt: skip
        except (InputError, ArithmeticError) as error:
            return {"error": f"{type(error).__name__}: {error}"}, None
    numbers = {
        key: value
        for key, value in maps.attrs.items()
        if isinstance(value, (int, float, list)) and key != "crystals"
    }
    further = {
        "seconds": time.perf_counter() - start,
        "said": sorted({str(warning.message) for warning in said}),
        "attributes": numbers,
        "spots": float((made.peaks.count - 1).mean()),
    }
    return score(made, maps) | further, positions(made, maps)


HEADING = (
    f"{'set':36}{'n':>5}{'spots':>6}{'index':>7}{'right':>7}{'prob':>6}{'ECE':>6}{'/w':>5}{'chance':>7}"
    f"{'sure':>6}{'s.right':>8}{'ph':>6}{'phECE':>6}  2nd"
)


def _short(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}".replace("0.", ".", 1)


def row(name: str, figures: dict[str, Any]) -> str:
    """One set, and of a map its parts, as lines of the table."""
    if "error" in figures:
        return f"{name:36} {figures['error']}"
    get = lambda key: _short(figures.get(key, np.nan))  # noqa: E731
    second = f"either {get('either')} ECE {get('either_ece')}" if "either" in figures else ""
    if "second" in figures:
        second += f"; {get('second')} / {get('second_right')} / {get('second_ece')}"
        second += f"; stronger {get('stronger')}"
    elif "false_second" in figures:
        second = f"false {get('false_second')}"
    if "foreign_indexed" in figures:
        second += f"  foreign, indexed {get('foreign_indexed')}"
    if "phase_bound" in figures:
        second += f"  phases, at best {get('phase_bound')}"
    second += "".join(
        f"  {key} {value:.4f}"
        for key, value in figures.get("attributes", {}).items()
        if "scale" in key and isinstance(value, float)
    )
    lines = [
        f"{name:36}{figures['n']:5d}{figures.get('spots', np.nan):6.1f}{get('indexed'):>7}"
        f"{get('right'):>7}{get('probability'):>6}{get('ece'):>6}{get('ece_width'):>5}{get('ece_chance'):>7}"
        f"{get('sure'):>6}{get('sure_right'):>8}{get('phase_right'):>6}{get('phase_ece'):>6}"
        f"  {second}"
    ]
    parts = ("known", *KINDS)
    lines += [row(f"  {part}", figures[part]) for part in parts if part in figures]
    return "\n".join(lines)


def published(results: dict[str, Any]) -> str:
    """A table of the groups that were run, with the worst set of each, for RESULTS.md."""
    lines = [
        "## Certainty of orientations",
        "",
        "Truth of `independent_truth.py`: structures, symmetry and scattering factors by gemmi, "
        "Gaussian rel-rods, intensities varied by 0.3 (log-normal), Poisson counts, places "
        "known to 0.1–0.3 px, 0.05 false spots per pattern; `multislice`: abTEM. Right: the right "
        "crystal and within 3°. ECE: expected calibration error of the indexed, ten bins of equal "
        "count; in brackets, what chance makes of it where probabilities are exact. All sets of a "
        "group together, and its set with the largest ECE; `certainty.py` says what groups are.",
        "",
        "| group | patterns | indexed | right | mean probability | ECE | above .95 | right of these"
        " | worst set: ECE | its right | its mean probability |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for group, names in GROUPS.items():
        whole = results.get(f"all of {group}")
        sets = {name: results[name] for name in names if "ece" in results.get(name, {})}
        if whole is None or not sets:
            continue
        lines.append(_published_row(group, whole, sets))
        for kind in KINDS:
            parts = {name: figures[kind] for name, figures in sets.items() if kind in figures}
            if kind in whole:
                lines.append(_published_row(f"{group}: {kind}", whole[kind], parts))
    facts = [_fact(results, *fact) for fact in _FACTS]
    groups = " ".join(group for group in GROUPS if group != "quick")
    command = (
        "Run by `python benchmarks/multislice_truth.py FOLDER` (in abTEM's environment) and "
        f"`python benchmarks/certainty.py {groups} --folder FOLDER --out FILE.json --publish`."
    )
    return "\n".join([*lines, "", *(fact for fact in facts if fact), "", command])


_FACTS = (
    ("Lone patterns with a false second crystal", ("model", "sparse"), "false_second"),
    ("Pairs whose first crystal is one of the two", ("pairs",), "either"),
    ("Calibration error of that", ("pairs",), "either_ece"),
    ("Pairs with both crystals right", ("pairs",), "second"),
    ("Calibration error of `overlap_probability` of pairs", ("pairs",), "second_ece"),
    ("Pairs whose stronger crystal is told", ("pairs",), "stronger"),
    ("Patterns of another crystal that are indexed", ("wrong",), "indexed"),
    ("The same where the lattices agree but for a scale, which is said", ("alike",), "indexed"),
    ("The same where a part is of another crystal", ("foreign",), "foreign_indexed"),
    ("Right phases of near ones", ("near",), "phase_right"),
    ("Calibration error of `phase_probability` of near ones", ("near",), "phase_ece"),
)
"""What else is published: sentence, groups, figure."""


def _fact(results: dict[str, Any], what: str, groups: tuple[str, ...], key: str) -> str:
    """One line with mean, least and most of the sets; nothing where none was run."""
    sets = [results.get(name, {}) for group in groups for name in GROUPS[group]]
    values = [figures[key] for figures in sets if np.isfinite(figures.get(key, np.nan))]
    if not values:
        return ""
    return f"- {what}: {np.mean(values):.3f} (sets from {min(values):.3f} to {max(values):.3f})"


def _published_row(group: str, whole: dict[str, Any], sets: dict[str, dict[str, Any]]) -> str:
    worst = max(sets, key=lambda name: np.nan_to_num(sets[name]["ece"]))
    at = sets[worst]
    cells = [
        group, str(whole["n"]), *(f"{whole[key]:.3f}" for key in ("indexed", "right")),
        f"{whole['probability']:.3f}", f"{whole['ece']:.3f} ({whole['ece_chance']:.3f})",
        *(f"{whole[key]:.3f}" for key in ("sure", "sure_right")), f"{worst}: {at['ece']:.3f} "
        f"({at['ece_chance']:.3f})", f"{at['right']:.3f}", f"{at['probability']:.3f}",
    ]  # fmt: skip
    # Where nothing is indexed nothing is claimed.
    cells = ["–" if "nan" in cell else cell for cell in cells]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Sets by name or group, a table, and a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*")
    parser.add_argument("--patterns", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON of all figures; sets are added to it")
    parser.add_argument("--no-context", action="store_true", help="maps without their context")
    parser.add_argument("--no-overlaps", action="store_true", help="no second crystals")
    parser.add_argument("--folder", type=Path, help="of what multislice_truth.py wrote")
    parser.add_argument("--publish", action="store_true", help="write what FILE.json has")
    wanted = parser.parse_args()
    results: dict[str, Any] = {}
    if wanted.out and wanted.out.exists():
        results = json.loads(wanted.out.read_text())
    chosen = wanted.sets or ([] if wanted.publish else ["quick"])
    if chosen:
        print(HEADING, flush=True)
    for given in chosen:
        parts = []
        for name in GROUPS.get(given, (given,)):
            results[name], part = run(
                name, patterns=wanted.patterns, seed=wanted.seed,
                overlaps=not wanted.no_overlaps, folder=wanted.folder,
                context=name.startswith("map/") and not wanted.no_context,
            )  # fmt: skip
            parts += [part] if part else []
            print(row(name, results[name]), flush=True)
        if given in GROUPS and parts:
            results[f"all of {given}"] = pooled(parts)
            print(row(f"all of {given}", results[f"all of {given}"]), flush=True)
        if wanted.out:
            wanted.out.write_text(json.dumps(results, indent=1, ensure_ascii=False))
    if wanted.publish:
        write_section("certainty", published(results))


if __name__ == "__main__":
    main()
