from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from reading import text_of

from phaseloom import InputError
from phaseloom.view import style, write_figures, write_report
from phaseloom.view.methods import methods_of
from phaseloom.view.parts import facts
from phaseloom.view.peaks.data import registered
from phaseloom.view.peaks.methods import methods_text
from phaseloom.view.peaks.section import headline, numbers

MakeScan = Callable[..., xr.DataTree]
MakeSeries = Callable[..., xr.DataTree]
PEAKS = {f"peaks_{kind}" for kind in ("pattern", "density", "maps", "beam", "uncertainty")}


def test_a_result_is_drawn_and_reported_by_the_methods_it_holds(
    make_scan: MakeScan,
    make_series: MakeSeries,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(style.FIGURE_STYLE, "savefig.dpi", 30)
    peaks, stxm = make_scan(), make_series(1)
    both = xr.DataTree.from_dict({"/stxm": stxm["stxm"], "/peaks": peaks["peaks"]})
    assert [m.__name__.split(".")[-2] for m in methods_of(both)] == ["stxm", "peaks"]
    assert set(write_figures(tmp_path / "a", peaks)) == PEAKS
    figures = write_figures(tmp_path / "b", both)
    assert set(figures) > PEAKS
    assert "particle_1_workflow" in figures
    write_report(tmp_path / "report.html", both, tables={}, figures=figures)
    text = text_of(tmp_path / "report.html")
    assert "<h1>Phase maps · Diffraction peaks</h1>" in text
    assert "1 stack, 5 phases" in text
    assert "35 patterns, 102 peaks" in text
    assert "<h3>Phase maps</h3>" in text
    assert "<h3>Diffraction peaks</h3>" in text
    assert text.count("<figure>") == len(figures)
    # Versions and inputs are those of both groups.
    assert "sha256:9876" in text
    assert "sha256:1234abcd" in text
    with pytest.raises(InputError, match="no diffraction peaks, no components and no orient"):
        write_figures(tmp_path, xr.DataTree())


def test_the_report_of_a_scan_says_what_was_found_and_how_sure(
    make_scan: MakeScan, tmp_path: Path
) -> None:
    tree = make_scan()
    write_report(
        tmp_path / "report.html",
        tree,
        tables={},
        figures={},
        notes=["the scan step is <not> known"],
        recipe="[peaks]\nfalse_alarms = 0.05\n",
    )
    text = text_of(tmp_path / "report.html")
    assert "<h1>Diffraction peaks</h1>" in text
    scan = registered(tree)
    error = np.median(scan.position_error())
    answer = headline(scan)
    assert answer == (
        f"35 patterns, 102 peaks (2.91 per pattern); median position error {error:.2g} px "
        f"({0.02 * error:.2g} Å⁻¹) per axis; 0.05 false peaks per pattern expected from noise; "
        "89.6 kB in, 1 kB out (90 times less)."
    )
    assert answer in text
    assert "the scan step is <not> known" in text
    assert "1 warning raised" in text
    assert "s41598-024-63060-5" in text
    assert "false_alarms = 0.05" in text
    assert "phaseloom 0.2.0" in text
    for label, value in numbers(scan).items():
        assert f'<th scope="row">{label}</th><td>{value}</td>' in text
    assert not re.search(r"\bnan\b", text, flags=re.IGNORECASE)


def test_the_numbers_are_those_of_the_scan(make_scan: MakeScan) -> None:
    said = numbers(registered(make_scan()))
    assert said["Scan"] == "7 × 5 positions, 28 × 20 nm"
    assert said["Detector"] == "40 × 32 px"
    assert said["Peaks"] == "102"
    assert said["Patterns without a peak"] == "2.9 %"
    assert said["Spot template"] == "a Gaussian of sigma 1.50 px"
    assert said["Direct beam, scatter about the descan plane"] == "0.12 px"
    assert said["Descan, range over the scan"] == "y 1.40 px, x 0.90 px"
    # Axes of a symmetric matrix: its eigenvalues.
    low, high = np.linalg.eigvalsh([[1.02, 0.01], [0.01, 0.98]])
    assert said["Ellipticity, corrected"] == f"{100 * (high / low - 1):.2f} %"
    disk = make_scan()
    disk["peaks"].attrs |= {"spot_shape": "disk", "spot_radius": 6.25}
    assert numbers(registered(disk))["Spot template"] == "a disk of radius 6.25 px"


def test_methods_say_what_was_done(make_scan: MakeScan) -> None:
    text = methods_text(make_scan()).text
    assert "phaseloom 0.2.0" in text
    assert "Folastre et al. [1]" in text
    assert "5.1 standard deviations of the counting noise" in text
    assert "noise alone exceeds 0.05 times per pattern" in text
    assert "prominence" not in text
    assert "Gaussian of sigma 1.50 px" in text
    assert "0.02 Å⁻¹" in text
    assert "pixel size is not known" in methods_text(make_scan(pixel_size=1.0, units="px")).text
    published = make_scan()
    published["peaks"].attrs["search"] = "prominence"
    text = methods_text(published).text
    assert "adaptive prominence" in text
    assert "standard deviations" not in text


def test_a_bare_table_is_reported_without_figures(make_scan: MakeScan, tmp_path: Path) -> None:
    bare = make_scan()["peaks"].to_dataset()[["ky", "kx", "offset", "spot_count"]]
    bare.attrs = {}
    tree = xr.DataTree.from_dict({"/peaks": bare})
    assert set(write_figures(tmp_path / "figures", tree)) == {"peaks_maps"}
    write_report(tmp_path / "report.html", tree, tables={}, figures={})
    text = text_of(tmp_path / "report.html")
    assert "35 patterns, 102 peaks (2.91 per pattern)." in text
    assert not re.search(r"\bnan\b", text, flags=re.IGNORECASE)


def test_a_scan_without_any_peak_is_reported(make_scan: MakeScan, tmp_path: Path) -> None:
    tree = make_scan()
    data = tree["peaks"].to_dataset().isel(peak=slice(0, 0))
    data["offset"] = data["offset"] * 0
    empty = xr.DataTree.from_dict(
        {"/peaks": data, "/peaks/sample": tree["peaks/sample"].to_dataset(inherit=False)}
    )
    drawn = write_figures(tmp_path / "figures", empty)
    assert set(drawn) == {"peaks_pattern", "peaks_maps", "peaks_beam"}
    write_report(tmp_path / "report.html", empty, tables={}, figures=drawn)
    assert "35 patterns, 0 peaks" in text_of(tmp_path / "report.html")


def test_patterns_that_were_not_measured_are_told_and_drawn_light(
    make_scan: MakeScan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(style.FIGURE_STYLE, "savefig.dpi", 30)
    tree = make_scan()
    lost = tree["peaks"]["spot_count"] == 0
    for name in ("bright_field", "noise", "spot_sum"):
        tree["peaks"][name] = tree["peaks"][name].where(~lost)
    tree["peaks"]["spot_count"] = tree["peaks"]["spot_count"].where(~lost, -1)
    assert numbers(registered(tree))["Patterns not measured"] == "2.9 %"
    sample = tree["peaks/sample"].to_dataset(inherit=False)
    sample["pattern"][0] = np.nan  # the first sample is the pattern that was not measured
    tree["peaks/sample"] = xr.DataTree(sample.reset_coords())
    assert set(write_figures(tmp_path, tree)) == PEAKS


def test_facts_of_the_whole_result_go_before_those_of_groups(make_scan: MakeScan) -> None:
    tree = make_scan()
    assert facts(tree, "versions") == {"phaseloom": "0.2.0"}
    tree.attrs["versions"] = '{"phaseloom": "0.3.0"}'
    assert facts(tree, "versions") == {"phaseloom": "0.3.0"}
