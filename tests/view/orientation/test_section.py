from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from reading import text_of

from phaseloom.view import style, write_figures, write_report
from phaseloom.view.orientation.calibration import calibration_texts
from phaseloom.view.orientation.data import oriented
from phaseloom.view.orientation.methods import methods_text, pseudo_symmetry
from phaseloom.view.orientation.section import CAPTIONS, figures, headline, numbers

MakeOrientation = Callable[..., xr.DataTree]


def test_an_orientation_map_is_drawn_and_reported(
    make_orientation: MakeOrientation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(style.FIGURE_STYLE, "savefig.dpi", 30)
    tree = make_orientation((18, 24))
    drawn = write_figures(tmp_path / "figures", tree)
    assert set(drawn) == set(CAPTIONS)
    write_report(tmp_path / "report.html", tree, tables={}, figures=drawn)
    text = text_of(tmp_path / "report.html")
    assert "<h1>Orientation map</h1>" in text
    assert headline(oriented(tree)) in text
    assert methods_text(tree).text in text
    assert text.count("<figure>") == len(CAPTIONS)
    assert '<th scope="col">LiFePO4</th>' in text
    assert "sha256:4711" in text
    assert not re.search(r"\bnan\b", text, flags=re.IGNORECASE)


def test_the_numbers_are_those_of_the_map(make_orientation: MakeOrientation) -> None:
    found = oriented(make_orientation((18, 24)))
    said = numbers(found)
    assert all(len(values) == 3 for values in said.values())
    phase, probability = found.phase, found.data["probability"].to_numpy()
    assert said["Scan"][0] == "24 × 18 positions, 120 × 90 nm"
    assert said["Cell"][1] == "4.0786, 4.0786, 4.0786 Å; 90, 90, 90°"
    assert said["Space group"][1:] == ("Fm-3m (225)", "Pnma (62)")
    assert said["Pixels"] == tuple(
        f"{n}" for n in ((phase >= 0).sum(), (phase == 0).sum(), (phase == 1).sum())
    )
    assert said["Unindexed"][0] == f"{100 * (phase < 0).mean():.1f} %"
    assert said["Mean probability"][2] == f"{probability[phase == 1].mean():.3f}"
    sure = (probability[phase == 0] >= 0.95).mean()
    assert said["Probability ≥ 0.95"][1] == f"{100 * sure:.1f} %"
    assert said["Pseudo-symmetry, 60.0° about ⟨1 1 1⟩"] == (
        "213 pixels", "213 pixels", "–",
    )  # fmt: skip
    assert said["Misorientation to the truth, median"][0].endswith("°")
    assert "Phase right (simulated truth)" not in numbers(
        oriented(make_orientation((18, 24), truth=False))
    )


def test_a_map_says_what_was_found_of_the_pixel_size(make_orientation: MakeOrientation) -> None:
    tree = make_orientation((18, 24))
    assert not calibration_texts(oriented(tree))
    data = tree["orientation"].to_dataset()
    data.attrs |= {
        "pixel_size": 0.0105, "scale": 1.05, "scale_error": 1e-4, "ellipticity": 1.004,
        "ellipticity_error": 2e-4, "ellipse": [0.002, 0.0], "centre_offset": [0.003, 0.004],
        "calibration_residual": 0.002, "calibration_patterns": 120, "explained_share": 0.3,
        "scale_found": "the pixel size is 5.00 ± 0.01 % larger than the source says",
        "remarks": "only 30% of the patterns are explained by Au, LiFePO4: check them\nmore",
    }  # fmt: skip
    tree = xr.DataTree.from_dict({"/orientation": data})
    said = numbers(oriented(tree))
    assert said["Pixel size (Å⁻¹ per px)"][0].startswith("0.0105 ± 1e-06: the pixel size is 5.00")
    assert said["Ratio of the axes of rings, corrected"][0] == "1.0040 ± 0.0002"
    assert said["Centre, corrected by (px)"][0] == "0.48"
    assert "120 indexed patterns" in methods_text(tree).text
    # Most pixels are indexed here: the headline begins with the result ...
    assert headline(oriented(tree))[0].isdigit()
    data["phase"] = data["phase"].where(data["x"] < data["x"][5], -1)
    # ... and with what stands against it where they are not.
    poor = oriented(xr.DataTree.from_dict({"/orientation": data}))
    assert headline(poor).startswith("Only 30% of the patterns are explained by Au")


def test_methods_say_what_was_done_and_no_more(make_orientation: MakeOrientation) -> None:
    tree = make_orientation((18, 24))
    text = methods_text(tree).text
    for stated in (
        "phaseloom 0.3.0", "after Rauch and Véron [1]", "as proposed by Folastre et al. [2]",
        "Au (space group 225, a = 4.0786 Å) and LiFePO4 (space group 62, a = 10.332",
        "at 200 kV, with a precession of 1°, for a thickness of 300 Å, up to 1.2 Å⁻¹",
        "phase reliability",
    ):  # fmt: skip
        assert stated in text
    assert len(methods_text(tree).citations) == 4
    assert "Rauch" in methods_text(tree).citations[0]
    single = make_orientation((18, 24), ("Au",))
    data = single["orientation"].to_dataset()
    data.attrs = {"crystals": data.attrs["crystals"], "precession_angle": 0.0}
    bare = xr.DataTree.from_dict(
        {"/orientation": data[["phase", "rotation", "correlation", "phase_reliability"]]}
    )
    text = methods_text(bare).text
    for unsaid in (
        "precession",
        "kV",
        "phase reliability",
        "refined",
        "ambiguous",
        "second crystals",
    ):
        assert unsaid not in text


def test_pseudo_symmetry_is_read_whichever_way_the_axis_is_written(
    make_orientation: MakeOrientation,
) -> None:
    data = make_orientation((18, 24))["orientation"].to_dataset().copy()
    data.attrs["pseudo_symmetry"] = (
        '[{"angle": 38.94, "axis": "⟨1 1 0⟩", "count": 5, "phase": 1},'
        ' {"angle": 60, "axis": [0.5, 0.5, 0.7071], "count": 4}]'
    )
    one, other = pseudo_symmetry(oriented(xr.DataTree.from_dict({"/orientation": data})))
    assert one == ("38.9° about ⟨1 1 0⟩", 5, 1)
    assert other == ("60.0° about (0.50, 0.50, 0.71)", 4, None)


def test_a_map_without_any_solution_is_drawn_and_reported(
    make_orientation: MakeOrientation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(style.FIGURE_STYLE, "savefig.dpi", 30)
    tree = make_orientation((18, 24), empty=0.99)
    assert not oriented(tree).indexed.any()
    drawn = write_figures(tmp_path / "figures", tree)
    assert set(drawn) == {"orientation_maps"}
    write_report(tmp_path / "report.html", tree, tables={}, figures=drawn)
    text = text_of(tmp_path / "report.html")
    assert "Au 0 %, LiFePO4 0 %, unindexed 100.0 %" in text
    assert not re.search(r"\bnan\b", text, flags=re.IGNORECASE)


def test_a_bare_map_and_a_single_pattern_are_drawn(make_orientation: MakeOrientation) -> None:
    data = make_orientation((18, 24))["orientation"].to_dataset()[["phase", "rotation"]]
    always = {"orientation_maps", "orientation_poles"}
    for part, more in (
        (data, {"orientation_statistics"}),  # angles between neighbours
        (data.isel(y=slice(0, 1), x=slice(0, 1)), set()),
    ):
        tree = xr.DataTree.from_dict({"/orientation": part})
        made = figures(tree, {})
        assert set(made) == always | more
        for draw in made.values():
            draw().canvas.draw()
        assert numbers(oriented(tree))["Fraction of the map"]


def test_orientations_painted_from_components_are_told_so(
    make_orientation: MakeOrientation,
) -> None:
    tree = make_orientation((18, 24))
    tree["orientation"].attrs["of_components"] = 7
    text = methods_text(tree).text
    assert "the diffraction peaks of the patterns of 7 components of the scan with" in text
    assert "the solution of the component that it belongs to" in text
    assert "second crystals were searched" not in text
