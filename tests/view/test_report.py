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
from phaseloom.view.figures import write_figures
from phaseloom.view.parts import percent
from phaseloom.view.report import write_report
from phaseloom.view.stxm.diagnostics import energy_shift_figure
from phaseloom.view.stxm.methods import methods_text
from phaseloom.view.stxm.section import headline

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
    text = methods_text(make_series(3)).text
    assert "24 energies from 507.0 to 538.5 eV" in text
    assert "+0.148 eV (standard error 0.006 eV) for particle_1" in text
    assert "no more than 0.005" in text
    assert "variational autoencoder of the VaDE type [2]" in text
    assert "Mahalanobis distances to the phases and to two-phase mixtures" in text
    assert "before the edge (3 energies) was subtracted" in text
    assert "123 single wild readings" in text
    assert "aligned by the drift" in text
    stacks = [node.to_dataset() for node in make_series(3)["stxm"].children.values()]
    for code, words in ((0, "particle pixels"), (1, "empty or too thin"), (2, "saturated")):
        number = sum(int((d["mask_reason"] == code).sum()) for d in stacks)
        assert f"{number:,} {words}" in text
    false = sum(int(d["false_assignment"].sum()) for d in stacks)
    assert f"false assignments, {false:,} pixels" in text
    unknown = sum(int((d["phase"] == -2).sum()) for d in stacks)
    assert f"left unknown ({unknown:,})" in text


def test_methods_follow_the_recipe(make_series: MakeSeries) -> None:
    tree = make_series(1).copy()
    tree.attrs["recipe"] = '[mapping]\nresolve = "likelihood"\n'
    text = methods_text(tree).text
    assert "autoencoder" not in text
    assert "fits of one and of two phases to each pixel's spectrum, weighted by its counts" in text
    assert "[2]" not in text
    assert len(methods_text(tree).citations) == 1
    assert "ambiguous, resolved by their likelihood" in headline(tree)
    assert headline(tree).startswith("1 stack, 5 phases")


def test_the_network_is_cited_by_its_own_paper(make_series: MakeSeries) -> None:
    _, network = methods_text(make_series(1)).citations
    assert "Variational Deep Embedding" in network
    assert "Jiang" in network


def recipe(i0: str = "auto", covariance: str = "noise") -> str:
    stack = f'[[stack]]\nname = "particle_1"\ni0 = "{i0}"\n'
    return f'[mapping]\ncovariance = "{covariance}"\n{stack}'


@pytest.mark.parametrize(
    ("attrs", "said"),
    [
        ({"margin": "noise"}, "no more than the pixel's noise (1.645 standard deviations"),
        ({"pre_edge_energies": 0}, "No pre-edge baseline was subtracted"),
        ({"resolve": "likelihood"}, "the phase most likely to hold its largest share"),
        ({"resolve": "pearson"}, "Every pixel was given the phase of highest correlation"),
        ({"resolve": "pearson", "noise_scale": 0.4}, "noise level measured on neighbouring pixels"),
        ({"smooth": 1.5}, "Potts field of strength 1.5"),
        ({"energy_shift": 0.0, "energy_shift_applied": 0, "energy_shift_fitted": 0.004},
         "was not removed: +0.004 eV"),
        ({"energy_shift": 0.3, "energy_shift_fitted": 0.148}, "+0.300 eV as given (fitted +0.148"),
        ({"quantity": "transmission"}, "−ln of the recorded transmission"),
    ],
)  # fmt: skip
def test_methods_differ_with_what_was_done(
    make_series: MakeSeries, attrs: dict[str, object], said: str
) -> None:
    tree = make_series(1)
    assert said not in methods_text(tree).text
    tree["stxm/particle_1"].attrs |= attrs
    assert said in methods_text(tree).text


def test_methods_say_where_i0_came_from(make_series: MakeSeries) -> None:
    tree = make_series(1)
    for i0, said in (
        ("auto", "I0 was taken from the record in the measurement's own file."),
        ("beam/i0.csv", "I0 was taken from a separately recorded spectrum."),
    ):
        tree.attrs["recipe"] = recipe(i0)
        assert said in methods_text(tree).text
    stack = tree["stxm/particle_1"].to_dataset()
    area = ~stack["mask"]
    tree["stxm/particle_1"] = xr.DataTree(stack.assign(i0_area=area))
    number = f"{int(area.sum()):,} pixels"
    for i0, said in (
        ("auto", f"the empty area of the field ({number}, found automatically)."),
        ("0:4,0:9", f"the region 0:4,0:9 (rows, columns; {number}) of the field."),
    ):
        tree.attrs["recipe"] = recipe(i0)
        assert f"I0 was taken from {said}" in methods_text(tree).text
    del tree.attrs["recipe"]
    assert f"I0 was taken from {number} of the field." in methods_text(tree).text


def test_methods_tell_the_covariance_and_missing_steps(make_series: MakeSeries) -> None:
    tree = make_series(1)
    tree.attrs["recipe"] = recipe()
    assert (
        "covariance of each pixel's noise carried into the latent space" in methods_text(tree).text
    )
    tree.attrs["recipe"] = recipe(covariance="pooled")
    assert "pooled covariance within the classes" in methods_text(tree).text
    still = tree["stxm/particle_1"].to_dataset().drop_vars(["shift_y", "shift_x"])
    tree["stxm/particle_1"] = xr.DataTree(still)
    assert "The frames were not aligned." in methods_text(tree).text


def test_methods_of_four_energies_say_that_no_shift_was_fitted(make_series: MakeSeries) -> None:
    text = methods_text(few_energies(make_series)).text
    assert "was not fitted: fewer than six energies" in text
    assert "nan" not in text


@pytest.mark.parametrize("unit", ["µm", "px"])
def test_tables_say_the_unit_of_areas_and_lengths(
    make_series: MakeSeries, tmp_path: Path, unit: str
) -> None:
    tree = make_series(1)
    tree["stxm/particle_1"].attrs["length_unit"] = unit
    tables = {
        "particles": pd.DataFrame({"area": [1.0], "x": [2.0], "equivalent_diameter": [1.1]}),
        "interfaces": pd.DataFrame({"phase": ["a"], "length": [3.0]}),
    }
    write_report(tmp_path / "report.html", tree, tables=tables, figures={})
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', text)
    wanted = [f"area ({unit}²)", f"x ({unit})", f"equivalent diameter ({unit})"]
    assert [*wanted, "phase", f"length ({unit})"] == headings[-5:]


def test_small_shares_do_not_read_as_none() -> None:
    assert percent(0.0) == "0.0 %"
    assert percent(0.0001) == "< 0.1 %"
    assert percent(0.0724) == "7.2 %"
    assert percent(0.004, digits=0) == "< 1 %"


def test_an_empty_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no STXM phase map"):
        write_report(tmp_path / "report.html", xr.DataTree(), tables={}, figures={})
