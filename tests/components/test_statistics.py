"""Components in numbers."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.components.overlap import label_and_partner
from phaseloom.components.statistics import component_table, positions_table
from phaseloom.errors import InputError


@pytest.fixture
def result() -> xr.Dataset:
    """Two crystals that overlap in one position, background, a component that is never first.

    A position of the first row holds nothing. Steps are 2 nm down and 5 nm to the right.
    """
    weight = np.zeros((4, 5, 8), dtype=np.float32)
    weight[0, :2, :4] = 1.0
    weight[0, 3, 6] = 0.5  # a second region
    weight[1, :2, 4:] = 1.0
    weight[1, 1, 6] = 1.5
    weight[1, 0, 3] = 0.8
    weight[2, 2:] = 0.4
    weight[3, 4, 2] = 0.1
    weight[:, 0, 0] = 0.0
    label, partner = label_and_partner(weight, 2)
    residual = np.where(label == 1, np.float32(0.25), np.float32(0.5))
    return xr.Dataset(
        {
            "weight": (("component", "y", "x"), weight),
            "label": (("y", "x"), label),
            "partner": (("y", "x"), partner),
            "residual": (("y", "x"), residual),
            "agreement": (("metric", "component"), np.arange(8.0).reshape(2, 4)),
        },
        coords={
            "y": ("y", 2.0 * np.arange(5), {"units": "nm"}),
            "x": ("x", 10 + 5.0 * np.arange(8), {"units": "nm"}),
            "component": np.arange(4),
            "metric": ["psnr", "ssim"],
        },
        attrs={"background": 2},
    )


def test_how_much_and_where(result: xr.Dataset) -> None:
    table = component_table(result)
    assert table["component"].tolist() == [0, 1, 2, 3]
    assert table["background"].tolist() == [False, False, True, False]
    assert table["positions"].tolist() == [8, 8, 23, 0]
    assert table["share"].sum() == pytest.approx(39 / 40)
    assert table["area"].tolist() == [80.0, 80.0, 230.0, 0.0]
    assert table["mean_weight"][1] == pytest.approx(8.5 / 8)
    assert table["largest_weight"].tolist() == pytest.approx([1.0, 1.5, 0.4, 0.1])
    assert table.loc[1, ["row", "column", "y", "x"]].tolist() == [1, 6, 2.0, 40.0]
    assert table.loc[3, ["row", "column"]].tolist() == [4, 2]
    assert table["centroid_y"][1] == 1.0 and table["centroid_x"][1] == 10 + 5 * 5.5
    assert table["regions"].tolist() == [2, 1, 1, 0]
    assert table["largest_region"].tolist() == [7, 8, 23, 0]
    assert table["overlap"].tolist() == [1, 1, 0, 0]
    assert table["residual"].tolist()[:3] == [0.5, 0.25, 0.5]
    assert table["agreement_ssim"].tolist() == [4.0, 5.0, 6.0, 7.0]
    nothing = table.loc[3, ["mean_weight", "centroid_y", "centroid_x", "residual"]]
    assert nothing.isna().all()


def test_a_line_of_positions_is_as_wide_as_its_step(result: xr.Dataset) -> None:
    table = component_table(result.isel(y=[1]).drop_vars("agreement"))
    assert table["area"].tolist() == [100.0, 100.0, 0.0, 0.0]
    assert not [name for name in table if name.startswith("agreement")]


def test_positions_of_components(result: xr.Dataset) -> None:
    table = positions_table(result.transpose(..., "x", "y"))
    assert list(table) == ["component", "y", "x", "weight"]
    assert len(table) == 39
    assert table["component"].is_monotonic_increasing
    assert table["component"].value_counts().to_dict() == {2: 23, 0: 8, 1: 8}
    first = table.iloc[0]
    assert (first["y"], first["x"], first["weight"]) == (0.0, 15.0, 1.0)
    brightest = table.loc[table["weight"].idxmax()]
    assert (brightest["component"], brightest["y"], brightest["x"]) == (1, 2.0, 40.0)


def test_what_is_missing_is_told(result: xr.Dataset) -> None:
    with pytest.raises(InputError, match="has no partner and no residual"):
        component_table(result.drop_vars(["partner", "residual"]))
    with pytest.raises(InputError, match="has no label"):
        positions_table(result.drop_vars("label"))
