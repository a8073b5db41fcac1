from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from reading import titles

from phaseloom import InputError
from phaseloom.simulate import nvpf_references
from phaseloom.view import style
from phaseloom.view.figures import write_figures
from phaseloom.view.results import stxm_stacks
from phaseloom.view.stxm import maps as draw
from phaseloom.view.stxm.diagnostics import references_figure
from phaseloom.view.stxm.latent import POINTS, latent_view

Make = Callable[..., xr.Dataset]
MakeSeries = Callable[..., xr.DataTree]
Legible = Callable[[object], None]

KINDS = ("workflow", "spectra", "quality", "i0", "drift", "energy_shift")


WORKFLOW = [
    "Highest correlation",
    "Latent space, confident",
    "with ambiguous pixels",
    "after their assignment",
    "Final phases",
    "Sodium content x",
    "Confidence",
]


@pytest.mark.parametrize(
    ("shape", "n_phases"), [((48, 48), 5), ((30, 90), 8), ((60, 26), 2), ((10, 10), 3)]
)
def test_workflow_shows_every_step_legibly(
    make_result: Make, legible: Legible, shape: tuple[int, int], n_phases: int
) -> None:
    dataset = make_result(shape=shape, n_phases=n_phases)
    figure = draw.workflow_figure(dataset)
    legible(figure)
    shown = titles(figure)
    # In four columns the latent space has a row of its own below the maps.
    latent = WORKFLOW[1:4]
    assert [name for name in shown if name in latent] == latent
    maps = [name for name in WORKFLOW if name not in latent]
    assert [name for name in shown if name in maps] == maps
    share = 100 * dataset["ambiguous"].sum().item() / dataset["mask"].sum().item()
    assert f"Ambiguous: {share:.1f} %" in shown
    (legend,) = figure.legends
    names = [str(name) for name in dataset["reference"].to_numpy()]
    assert [text.get_text() for text in legend.get_texts()][:n_phases] == names
    correlation = [
        image
        for axes in figure.axes
        for image in axes.images
        if image.get_array().shape == shape and image.cmap.name == style.CORRELATION_MAP
    ][:n_phases]
    assert len({image.get_clim() for image in correlation}) == 1


def test_workflow_leaves_out_what_is_absent(make_result: Make) -> None:
    dataset = make_result().drop_vars(["latent", "value_mean", "posterior"])
    dataset["value"] = dataset["value"] * np.nan
    dataset = dataset.assign_coords(
        phase_value=("reference", np.full(5, np.nan)),
        x=("x", np.arange(48.0), {"units": "px"}),
        y=("y", np.arange(48.0), {"units": "px"}),
    )
    figure = draw.workflow_figure(dataset)
    absent = [*WORKFLOW[1:4], "Sodium content x", "Confidence"]
    assert not set(absent) & set(titles(figure))
    assert "Final phases" in titles(figure)
    assert any(text.get_text() == "10 px" for axes in figure.axes for text in axes.texts)


def test_references_are_drawn_with_the_energies_of_the_stack(make_result: Make) -> None:
    dataset = make_result().copy()
    # The references as used were sampled at the stack's energies less the shift.
    shift = dataset.attrs["energy_shift"]
    dataset["reference_spectrum"] = (
        ("reference", "energy"),
        [np.interp(dataset["energy"] - shift, r["energy"], r) for r in nvpf_references()],
    )
    figure = draw.workflow_figure(dataset, references=nvpf_references())
    (panel,) = [axes for axes in figure.axes if axes.get_xlabel() == "Energy (eV)"]
    dots = [line for line in panel.lines if line.get_marker() == "."]
    assert len(dots) == 5
    for line, colour in zip(dots, style.phase_colours(5), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), dataset["energy"])
        assert line.get_color() == colour
    fine = [line for line in panel.lines if len(line.get_xdata()) == 551]
    assert len(fine) == 5
    # Dots lie on the lines: both are scaled alike.
    np.testing.assert_allclose(
        np.interp(dataset["energy"], fine[0].get_xdata(), fine[0].get_ydata()),
        dots[0].get_ydata(),
        atol=1e-6,
    )


def test_latent_points_are_few_the_same_each_time_and_of_the_right_pixels() -> None:
    side = 300
    labels = np.indices((side, side))[0] // 100
    latent = np.stack([labels * 10.0, np.zeros_like(labels), labels * -5.0, labels * 0.0])
    dataset = xr.Dataset(
        {
            "latent": (("latent", "y", "x"), latent),
            "mask": (("y", "x"), labels >= 0),
            "ambiguous": (("y", "x"), np.indices((side, side))[1] < 20),
            "phase_pearson": (("y", "x"), labels),
            "phase": (("y", "x"), (labels + 1) % 3),
            "correlation": (("reference", "y", "x"), np.zeros((3, side, side))),
        }
    )
    view, again = latent_view(dataset), latent_view(dataset)
    assert view is not None
    assert again is not None
    assert len(view.confident) == POINTS
    assert len(view.ambiguous) == min(POINTS, 20 * side)
    np.testing.assert_array_equal(view.confident, again.confident)
    np.testing.assert_array_equal(view.confident_phase, (view.confident_first + 1) % 3)
    # Four dimensions, one of them informative: the drawn plane keeps the distances.
    centres = np.array([view.confident[view.confident_first == k].mean(0) for k in range(3)])
    assert np.linalg.norm(centres[2] - centres[0]) == pytest.approx(np.hypot(20, 10), rel=1e-6)


def test_ellipses_lie_at_two_standard_deviations(make_result: Make) -> None:
    dataset = make_result()
    latent = xr.Dataset(
        {
            "component_mean": (("reference", "latent"), np.tile([1.0, -2.0], (5, 1))),
            "component_covariance": (
                ("reference", "a", "b"),
                np.tile(np.diag([4.0, 0.25]), (5, 1, 1)),
            ),
        }
    )
    view = latent_view(dataset, latent)
    assert view is not None
    outline = view.ellipses[0]
    np.testing.assert_allclose([outline[:, 0].min(), outline[:, 0].max()], [-3, 5], atol=1e-9)
    np.testing.assert_allclose([outline[:, 1].min(), outline[:, 1].max()], [-3, -1], atol=1e-9)


def test_comparison_puts_the_stacks_in_order_of_charge(
    make_series: MakeSeries, legible: Legible
) -> None:
    tree = make_series(3)
    assert list(stxm_stacks(tree)) == ["particle_3", "particle_2", "particle_1"]
    figure = draw.comparison_figure(tree)
    legible(figure)
    assert titles(figure) == [
        "particle_3 (SOC 0)",
        "particle_2 (SOC 50)",
        "particle_1 (SOC 100)",
        "Phase fractions",
    ]
    (bars,) = [axes for axes in figure.axes if axes.get_xlabel().startswith("Share")]
    labels = tree["stxm/particle_3"]["phase"].to_numpy()
    first = bars.patches[0]
    assert first.get_width() == pytest.approx(100 * (labels == 0).sum() / (labels != -1).sum())
    ends = [patch.get_x() + patch.get_width() for patch in bars.patches[-3:]]
    np.testing.assert_allclose(ends, 100.0)


def test_comparison_of_many_wide_stacks_wraps(make_series: MakeSeries, legible: Legible) -> None:
    legible(draw.comparison_figure(make_series(7, shape=(24, 60))))


def test_fractions_stand_at_their_charge_with_their_intervals(
    make_series: MakeSeries, make_fractions: Callable[[xr.DataTree], pd.DataFrame]
) -> None:
    tree = make_series(3)
    table = make_fractions(tree)
    (axes,) = draw.fractions_figure(tree, table).axes
    assert axes.get_xlabel() == "State of charge"
    bars = {container.get_label(): container for container in axes.containers}
    line, _, (segments,) = bars["Na3.0VPF"]
    np.testing.assert_array_equal(line.get_xdata(), [0.0, 50.0, 100.0])
    row = table[(table["stack"] == "particle_3") & (table["phase"] == "Na3.0VPF")].iloc[0]
    assert line.get_ydata()[0] == pytest.approx(100 * row["fraction"])
    low, high = segments.get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((100 * row["fraction_low"], 100 * row["fraction_high"]))


def test_fractions_without_charge_name_the_stacks(make_series: MakeSeries) -> None:
    tree = make_series(2).copy()
    del tree["stxm/particle_1"].attrs["state_of_charge"]
    (axes,) = draw.fractions_figure(tree).axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["particle_1", "particle_2"]


def test_diagnostics_are_legible_and_say_their_numbers(make_result: Make, legible: Legible) -> None:
    dataset = make_result().copy()
    dataset["i0_area"] = ~dataset["mask"]
    rms = np.sqrt((dataset["shift_y"] ** 2 + dataset["shift_x"] ** 2).mean().item())
    expected = {
        draw.drift_figure: f"Drift of the frames, {rms:.2f} px rms",
        draw.spectra_figure: f"Na3.0VPF, {(dataset['phase'] == 0).sum().item():,} pixels",
        draw.i0_figure: "Particle (orange) and I0 (blue) areas",
        draw.quality_figure: "Flags",
    }
    for make, title in expected.items():
        figure = make(dataset)
        legible(figure)
        assert title in titles(figure)
    figure = draw.energy_shift_figure(dataset)
    legible(figure)
    assert figure.axes[0].get_title(loc="left") == "Energy shift +0.148 ± 0.006 eV, applied"


def test_a_shift_found_but_not_applied_is_not_called_applied(make_result: Make) -> None:
    dataset = make_result().copy()
    dataset.attrs |= {
        "energy_shift": 0.0,
        "energy_shift_fitted": 0.004,
        "energy_shift_applied": 0,
    }
    title = draw.energy_shift_figure(dataset).axes[0].get_title(loc="left")
    assert title == "Energy shift +0.004 ± 0.006 eV, not applied"


def test_figures_of_what_is_absent_are_refused(make_result: Make) -> None:
    dataset = make_result().drop_vars(["shift_y", "i0", "energy_shift_trial_chi2"])
    for make in (draw.drift_figure, draw.i0_figure, draw.energy_shift_figure):
        with pytest.raises(InputError, match="the result has no"):
            make(dataset)
    with pytest.raises(InputError, match="no STXM phase map"):
        draw.comparison_figure(xr.DataTree())


def test_all_figures_are_written_and_leave_no_global_state(
    make_series: MakeSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    monkeypatch.setitem(style.FIGURE_STYLE, "savefig.dpi", 30)
    before = dict(mpl.rcParams)
    paths = write_figures(tmp_path / "figures", make_series(1))
    assert dict(mpl.rcParams) == before
    assert set(paths) == {f"particle_1_{kind}" for kind in KINDS}
    for name, path in paths.items():
        assert path == tmp_path / "figures" / f"{name}.png"
        assert path.read_bytes().startswith(b"\x89PNG")


def test_several_stacks_are_also_drawn_together(
    make_series: MakeSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    asked: list[object] = []
    for name in draw.__all__:
        monkeypatch.setattr(draw, name, lambda *a, **k: asked.append((a, k)) or Figure((1, 1)))
    tree = make_series(2)
    spectra = {r.name: r.rename("absorption").to_dataset() for r in nvpf_references()}
    tree["references"] = xr.DataTree.from_dict(spectra)
    paths = write_figures(tmp_path, tree)
    names = {f"particle_{i}_{kind}" for i in (1, 2) for kind in KINDS}
    assert set(paths) == names | {"comparison", "fractions"}
    handed = [options["references"] for _, options in asked if "references" in options]
    assert [[len(r) for r in references] for references in handed] == [[551] * 5] * 2


def test_energy_shift_figure_shows_what_each_phase_asks_for(make_result: Make) -> None:
    dataset = make_result()
    n = dataset.sizes["reference"]
    own = np.full(n, np.nan)
    own[:2] = 0.15, 0.4
    dataset = dataset.assign(
        phase_energy_shift=("reference", own),
        phase_energy_shift_error=("reference", np.where(np.isfinite(own), 0.01, np.nan)),
    )
    curve, by_phase = draw.energy_shift_figure(dataset).axes
    assert curve.get_xlabel() == "Trial shift (eV)"
    assert len(by_phase.containers) == 2, "phases that say nothing have no mark"
    assert len(by_phase.get_yticklabels()) == n


def test_references_figure_draws_the_mixtures_and_what_they_miss() -> None:
    energy = np.linspace(700.0, 710.0, 11)
    mean = np.exp(-((energy - 705.0) ** 2))
    dataset = xr.Dataset(
        {
            "mean_spectrum": ("energy", mean),
            "mixture": ("energy", 0.5 * mean),
            "mixture_shifted": ("energy", np.full(11, np.nan)),
        },
        coords={"energy": energy},
        attrs={"energy_shift": 0.0, "energy_shift_fitted": np.nan, "energy_shift_applied": 0},
    )
    upper, lower = references_figure(dataset).axes
    assert len(upper.lines) == 2, "a mixture that was not fitted is not drawn"
    np.testing.assert_allclose(lower.lines[-1].get_ydata(), 0.5 * mean)
    with pytest.raises(InputError, match="mean_spectrum"):
        references_figure(dataset.drop_vars("mean_spectrum"))
