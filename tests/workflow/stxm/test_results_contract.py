"""What others script against: the groups, variables and attributes of results.zarr."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from whole_runs import opened_without_warning, run_whole

from phaseloom.workflow.stxm.recipe import StxmRecipe

Beam = Any

VARIABLES = {
    "optical_density": ("energy y x", "float32"),
    "mask": ("y x", "bool"),
    "mask_reason": ("y x", "int8"),
    "correlation": ("reference y x", "float32"),
    "phase_pearson": ("y x", "int8"),
    "ambiguous": ("y x", "bool"),
    "phase": ("y x", "int8"),
    "posterior": ("reference y x", "float32"),
    "abundance": ("reference y x", "float32"),
    "abundance_error": ("reference y x", "float32"),
    "value": ("y x", "float32"),
    "value_mean": ("y x", "float32"),
    "false_assignment": ("y x", "bool"),
    "transition": ("y x", "bool"),
    "rim": ("y x", "bool"),
    "phase_energy_shift": ("reference", "float64"),
    "phase_energy_shift_error": ("reference", "float64"),
    "boundary_distance": ("y x", "float32"),
    "boundary_transition": ("y x", "bool"),
    "beyond_optics": ("y x", "bool"),
    "boundary_pixels": ("boundary_class", "int64"),
    "boundary_share": ("boundary_class", "float64"),
    "optics_share": ("boundary_class", "float64"),
    "latent": ("latent y x", "float32"),
    "chi2": ("y x", "float32"),
    "particle": ("y x", "int32"),
    **{
        name + error: ("y x", "float32")
        for name in ("edge_jump", "edge_position", "white_line", "white_line_height", "centroid")
        for error in ("", "_error")
    },
    "i0": ("energy", "float64"),
    "shift_y": ("energy", "float64"),
    "shift_x": ("energy", "float64"),
    "reference_spectrum": ("reference energy", "float64"),
    "reference": ("reference", None),
    "phase_value": ("reference", "float64"),
    "energy": ("energy", "float64"),
    "y": ("y", "float64"),
    "x": ("x", "float64"),
}
MISSING = [n for n, (dims, dtype) in VARIABLES.items() if dtype == "float32" and dims != "y x"]
MISSING = [n for n in MISSING if n != "optical_density"] + [
    "value",
    "value_mean",
    "chi2",
    "edge_jump",
]


@pytest.fixture(scope="module")
def folder(beam: Beam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one whole run, figures and all."""
    return run_whole(
        tmp_path_factory.mktemp("whole"), "stxm", beam.file("a.hdf5"), *beam.references,
        "--workers", "1", "--value-name", "sodium content x",
    )  # fmt: skip


@pytest.fixture(scope="module")
def tree(folder: Path) -> xr.DataTree:
    return opened_without_warning(folder)


@pytest.fixture(scope="module")
def result(tree: xr.DataTree) -> xr.Dataset:
    return tree["stxm/a"].to_dataset()


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_have_their_dimensions_and_types(result: xr.Dataset, name: str) -> None:
    dims, dtype = VARIABLES[name]
    assert result[name].dims == tuple(dims.split())
    assert dtype is None or result[name].dtype == dtype


def test_coordinates_carry_units_and_names(beam: Beam, result: xr.Dataset) -> None:
    assert [result[n].attrs["units"] for n in ("energy", "y", "x")] == ["eV", "µm", "µm"]
    assert list(result["reference"].to_numpy()) == list(beam.truth["a"]["reference"].to_numpy())
    assert result["phase_value"].to_numpy().tolist() == [3.0, 2.0, 0.8]
    np.testing.assert_array_equal(result["energy"], beam.truth["a"]["energy"])
    assert result["abundance"].sel(reference="Na2.0VPF").dims == ("y", "x")
    assert result["shift_y"].attrs["units"] == "px"
    assert result["value"].attrs["long_name"] == "sodium content x"


@pytest.mark.parametrize("name", MISSING)
def test_outside_is_nan_and_inside_is_not(result: xr.Dataset, name: str) -> None:
    outside = ~result["mask"].to_numpy()
    assert outside.any()
    assert np.isnan(result[name].to_numpy()[..., outside]).all()
    known = result["mask"].to_numpy() & (result["phase"].to_numpy() >= 0)
    assert np.isfinite(result[name].to_numpy()[..., known]).all()


def test_labels_outside_are_minus_one(result: xr.Dataset) -> None:
    outside = ~result["mask"].to_numpy()
    for name in ("phase", "phase_pearson", "particle"):
        assert (result[name].to_numpy()[outside] == -1).all()
    assert set(np.unique(result["phase"])) <= {-2, -1, 0, 1, 2}
    assert (result["phase_pearson"].to_numpy()[~outside] >= 0).all()
    for name in ("ambiguous", "false_assignment", "transition"):
        assert not result[name].to_numpy()[outside].any()
    np.testing.assert_array_equal(result["mask"], result["mask_reason"] == 0)


def test_maps_mean_what_they_say(beam: Beam, result: xr.Dataset) -> None:
    known = result["phase"].to_numpy() >= 0
    np.testing.assert_allclose(result["posterior"].to_numpy()[:, known].sum(0), 1, atol=1e-4)
    values = result["phase_value"].to_numpy()
    labels = result["phase"].to_numpy()[known]
    np.testing.assert_allclose(result["value"].to_numpy()[known], values[labels], rtol=1e-6)
    truth = beam.truth["a"]["phase"].sel(y=result["y"], x=result["x"], method="nearest").to_numpy()
    certain = known & (truth >= 0) & ~result["transition"].to_numpy()
    assert (result["phase"].to_numpy() == truth)[certain].mean() > 0.9


def test_attributes_say_what_was_done(result: xr.Dataset) -> None:
    said = result.attrs
    assert said["energy_shift"] == pytest.approx(0.1, abs=0.03)
    assert 0 < said["energy_shift_error"] < 0.05
    assert said["energy_shift_chi2"] < said["energy_shift_chi2_at_zero"]
    assert (said["energy_shift_applied"], said["margin"]) == (1, 0.005)
    assert said["pixel_area"] == pytest.approx(0.02**2)
    assert said["thin_pixels"] == int((result["mask_reason"] == 1).sum())
    assert said["saturated_pixels"] == int((result["mask_reason"] == 2).sum())
    assert said["particle_pixels"] == int(result["mask"].sum())


def test_recipe_versions_and_inputs_are_on_the_root(tree: xr.DataTree) -> None:
    recipe = StxmRecipe.model_validate(tomllib.loads(tree.attrs["recipe"]))
    assert recipe.mapping.value_name == "sodium content x"
    versions = json.loads(tree.attrs["versions"])
    assert versions["numpy"] == np.__version__
    assert versions["phaseloom"]
    assert set(json.loads(tree.attrs["inputs"])) == {"a", "references"}


def test_the_latent_space_is_kept(tree: xr.DataTree) -> None:
    space = tree["latent"].to_dataset()
    assert space["component_mean"].dims == ("reference", "latent")
    assert space["component_covariance"].sizes["latent"] == tree["stxm/a"].sizes["latent"] == 3


def test_folder_holds_report_figures_tables_and_recipe(folder: Path) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert 'src="http' not in html
    assert "sodium content x" in html
    assert (folder / "figures" / "a_workflow.png").stat().st_size > 10_000
    tables = {p.name for p in (folder / "tables").iterdir()}
    assert {
        "phase_fractions.csv",
        "particles.csv",
        "interfaces.csv",
        "edge.csv",
        "linear_combination.csv",
        "a_spectra.csv",
    } <= tables
    assert (folder / "figures" / "a_edge.png").stat().st_size > 10_000
    assert (folder / "recipe.toml").is_file()
