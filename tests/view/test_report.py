from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from phaseloom import InputError
from phaseloom.view import style
from phaseloom.view.diagnostics import energy_shift_figure
from phaseloom.view.figures import write_figures
from phaseloom.view.report import headline, methods_paragraph, percent, write_report

MakeSeries = Callable[..., xr.DataTree]
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def page(
    make_series: MakeSeries,
    make_fractions: Callable[[xr.DataTree], pd.DataFrame],
    tmp_path: Path,
) -> str:
    tree = make_series(3)
    particles = pd.DataFrame({"particle": range(50), "area": 0.5, "value": float("nan")})
    picture = tmp_path / "a.png"
    picture.write_bytes(PIXEL)
    write_report(
        tmp_path / "report.html",
        tree,
        tables={"phase_fractions": make_fractions(tree), "particles": particles},
        figures={"comparison": PIXEL, "particle_2_workflow": picture},
        notes=["3 regions <in> the file; the first is used"],
        recipe='[mapping]\nmargin = 0.005  # "as published"\n',
    )
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_report_needs_nothing_but_itself(page: str) -> None:
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert base64.b64encode(PIXEL).decode() in page
    assert not re.search(r"<(script|link|iframe)|url\(|@import|https?://", page)


def test_the_answer_stands_on_top(page: str, make_series: MakeSeries) -> None:
    tree = make_series(3)
    answer = headline(tree)
    assert answer in unescape(page)
    assert answer.startswith("3 stacks, 5 phases: Na3.0VPF ")
    stacks = [node.to_dataset() for node in tree["stxm"].children.values()]
    inside = sum(int(d["mask"].sum()) for d in stacks)
    first = sum(int((d["phase"] == 0).sum()) for d in stacks)
    ambiguous = sum(int(d["ambiguous"].sum()) for d in stacks)
    unknown = sum(int((d["phase"] == -2).sum()) for d in stacks)
    assert f"Na3.0VPF {100 * first / inside:.0f} %" in answer
    assert f"{100 * ambiguous / inside:.1f} % of the pixels were ambiguous, resolved in" in answer
    assert answer.endswith(f"; {100 * unknown / inside:.1f} % unknown.")


def test_the_report_holds_the_numbers_that_matter(page: str, make_series: MakeSeries) -> None:
    stack = make_series(3)["stxm/particle_1"]
    text = unescape(page)
    assert "+0.148 ± 0.006 eV, applied" in text
    assert f"{int(stack['mask'].sum()):,}" in text
    assert f"{int((stack['mask_reason'] == 2).sum())} pixels" in text
    assert "sha256:1234abcd" in text
    assert "phaseloom run recipe.toml" in text
    assert 'margin = 0.005  # "as published"' in text
    assert "phaseloom 0.1.0" in text


def test_warnings_are_shown_as_text(page: str) -> None:
    assert "3 regions &lt;in&gt; the file; the first is used" in page
    assert "1 warning raised" in page


def test_long_tables_are_cut_and_say_so(page: str) -> None:
    assert "First 20 of 50 rows" in page
    assert "<code>tables/particles.csv</code>" in page
    assert "nan" not in unescape(re.sub(r"base64,[^\"]+", "", page)).lower().split()


def few_energies(make_series: MakeSeries) -> xr.DataTree:
    """A result on four energies: no shift can be fitted, its curve is empty."""
    stack = make_series(1)["stxm/particle_1"].to_dataset().isel(energy=[0, 8, 14, 23])
    stack = stack.drop_vars(["energy_shift_trial", "energy_shift_trial_chi2"]).assign(
        energy_shift_trial=("trial", []), energy_shift_trial_chi2=("trial", [])
    )
    nan = float("nan")
    stack.attrs |= {"energy_shift": 0.0, "energy_shift_applied": 0, "energy_shift_fitted": nan}
    stack.attrs |= {"energy_shift_error": nan, "energy_shift_chi2": nan}
    stack.attrs |= {"energy_shift_chi2_at_zero": nan, "stray_light_fitted": nan}
    return xr.DataTree.from_dict({"/stxm/particle_1": stack})


def test_four_energies_are_drawn_and_reported_without_a_shift(
    make_series: MakeSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(style.FIGURE_STYLE, "savefig.dpi", 30)
    tree = few_energies(make_series)
    figures = write_figures(tmp_path / "figures", tree)
    assert "particle_1_drift" in figures
    assert "particle_1_energy_shift" not in figures
    write_report(tmp_path / "report.html", tree, tables={}, figures=figures)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    text = unescape(re.sub(r"<style>.*?</style>|base64,[^\"]+", "", text, flags=re.DOTALL))
    assert "not fitted: fewer than six energies" in text
    assert not re.search(r"\bnan\b", text, flags=re.IGNORECASE)
    with pytest.raises(InputError, match="fewer than six energies"):
        energy_shift_figure(tree["stxm/particle_1"].to_dataset())


def test_methods_say_what_was_done(make_series: MakeSeries) -> None:
    text = methods_paragraph(make_series(3))
    assert "24 energies from 507.0 to 538.5 eV" in text
    assert "+0.148 eV (standard error 0.006 eV) for particle_1" in text
    assert "no more than 0.005" in text
    assert "Gaussian-mixture variational autoencoder [2]" in text


def test_methods_follow_the_recipe(make_series: MakeSeries) -> None:
    tree = make_series(1).copy()
    tree.attrs["recipe"] = '[mapping]\nresolve = "likelihood"\n'
    assert "autoencoder" not in methods_paragraph(tree)
    assert "ambiguous, resolved by their likelihood" in headline(tree)
    assert headline(tree).startswith("1 stack, 5 phases")


def test_small_shares_do_not_read_as_none() -> None:
    assert percent(0.0) == "0.0 %"
    assert percent(0.0001) == "< 0.1 %"
    assert percent(0.0724) == "7.2 %"
    assert percent(0.004, digits=0) == "< 1 %"


def test_an_empty_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no STXM phase map"):
        write_report(tmp_path / "report.html", xr.DataTree(), tables={}, figures={})
