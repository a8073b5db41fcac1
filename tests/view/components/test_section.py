from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from component_maps import network_of
from reading import text_of

from phaseloom.view import style, write_figures, write_report
from phaseloom.view.components.data import components
from phaseloom.view.components.methods import methods_text
from phaseloom.view.components.section import CAPTIONS, figures, headline, numbers
from phaseloom.view.methods import methods_of

MakeComponents = Callable[..., xr.DataTree]


def test_components_are_drawn_and_reported(
    make_components: MakeComponents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(style.FIGURE_STYLE, "savefig.dpi", 30)
    tree = make_components(truth=True)
    tables = {"boundary_network": network_of(tree)}
    drawn = write_figures(tmp_path / "figures", tree, tables=tables)
    assert set(drawn) == set(CAPTIONS)
    write_report(tmp_path / "report.html", tree, tables=tables, figures=drawn)
    text = text_of(tmp_path / "report.html")
    assert "<h1>Components</h1>" in text
    assert headline(components(tree)) in text
    assert methods_text(tree).text in text
    assert tree["components"].attrs["reason"] in text
    assert text.count("<figure>") == len(CAPTIONS)
    assert "1 (background)" in text
    assert "length (px)" in text
    assert "sha256:1a2b" in text
    assert not re.search(r"\bnan\b", text, flags=re.IGNORECASE)


def test_many_components_take_further_pages(make_components: MakeComponents) -> None:
    drawn = figures(make_components(k=20, shape=(50, 50), size=32), {})
    assert {"component_patterns", "component_patterns_2"} <= set(drawn)
    assert "component_patterns_3" not in drawn
    assert "boundary_network" not in drawn
    single = figures(make_components(k=1, choose="given", compared=False), {})
    # The pattern of all there is is their mean: there is no quality to judge.
    assert set(single) == {"component_maps", "component_patterns", "component_residual"}


def test_components_stand_before_the_orientations_painted_from_them(
    make_components: MakeComponents, make_orientation: Callable[..., xr.DataTree]
) -> None:
    both = xr.DataTree.from_dict(
        {
            "/components": make_components(shape=(18, 24))["components"].to_dataset(),
            "/orientation": make_orientation((18, 24))["orientation"].to_dataset(),
        }
    )
    names = [method.__name__.split(".")[-2] for method in methods_of(both)]
    assert names == ["components", "orientation"]


def test_the_numbers_are_those_of_the_components(make_components: MakeComponents) -> None:
    found = components(make_components())
    said = numbers(found)
    assert said["Scan"] == "52 × 40 positions, 260 × 200 nm"
    assert said["Components"] == "8"
    assert said["Background"] == "component 1"
    assert said["Relative error"] == "0.0184"
    share = 100 * float((found.data["partner"] >= 0).mean())
    assert said["Overlaps by ratio of the weights"].startswith(f"≥ 75 %: {share:.1f} %, ≥ 80 %")
    unknown = 100 * float((found.data["overlap"][0] < 0).mean())
    assert unknown > 0
    assert "k-means 0." in said["Agreement with other methods (adjusted Rand index)"]
    assert "Speed" not in said
    assert headline(found) == (
        "2,080 patterns from 8 components (7 grains and a background); relative error 0.0184 "
        f"(noise alone: 0.0181); {share:.1f} % of the positions hold two components "
        f"({unknown:.1f} % more may); within component 7 the patterns change from place to place."
    )
    assert said["Positions at which an overlap is not known"] == f"{unknown:.1f} %"
    assert said["Variation of single patterns within a component, beyond counting"] == (
        "10 to 70 %, most in component 7 (warned of from 60 % on)"
    )


def test_methods_say_what_was_done_and_no_more(make_components: MakeComponents) -> None:
    tree = make_components()
    text, works = methods_text(tree).text, methods_text(tree).citations
    for said in (
        "phaseloom 0.4.0", "after Cao et al. [1]", "as recorded, on 64 × 64 px",
        "weighs equally everywhere [2]",
        "subspace iteration over blocks of positions [3]", "(successive projection) [4]",
        "alternating least squares [5]", "from k = 2 to 20", "5 starts", "averaged over 3 × 3",
        "counting error of each", "T = 0.65", "s = 0.75", "adjusted Rand index [6]",
    ):  # fmt: skip
        assert said in text
    assert [next(n for n in names if n in w) for names, w in zip(
        (["Cao"], ["Keenan"], ["Halko"], ["Gillis"], ["Cichocki"], ["Hubert"]), works, strict=True
    )]  # fmt: skip
    published = make_components(choose="published", patterns="peaks", background=False)
    text = methods_text(published).text
    assert "votes of four measures" in text
    assert "Folastre" in text
    assert "background" not in text
    data = tree["components"].to_dataset()[["pattern", "weight", "label"]]
    data.attrs = {}
    bare = xr.DataTree.from_dict({"/components": data})
    text = methods_text(bare).text
    assert "Their number, 8, was given." in text
    for unsaid in ("scaled", "minimised", "T =", "s =", "Other", "noise", "None", "nan"):
        assert unsaid not in text
    assert len(methods_text(bare).citations) == 1


def test_the_update_rule_is_that_of_the_loss(make_components: MakeComponents) -> None:
    data = make_components()["components"].to_dataset()
    divergence = data.assign_attrs(loss_kind="kl", start="nndsvd", sparsity=0.1)
    tree = xr.DataTree.from_dict({"/components": divergence})
    text = methods_text(tree).text
    assert "Kullback-Leibler divergence was minimised by multiplicative updates [5]" in text
    assert "A penalty of 0.1 kept weights sparse." in text
    assert "Boutsidis" in methods_text(tree).citations[3]
    assert "Lee" in methods_text(tree).citations[4]
