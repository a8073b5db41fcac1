from __future__ import annotations

import json

import dask.array as da
import numpy as np
import xarray as xr

from phaseloom.io import as_scan
from phaseloom.io.description import describe


def stack() -> xr.Dataset:
    counts = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    return xr.Dataset(
        {
            "counts": (("energy", "y", "x"), counts, {"units": "counts"}),
            "dwell": ("energy", [1e-3, np.nan], {"units": "s"}),
        },
        coords={
            "energy": ("energy", [700.0, 701.25], {"units": "eV"}),
            "y": ("y", [0.0, 1.0, 2.5], {"units": "µm"}),
            "x": ("x", [0.0, 0.5, 1.0, 1.5], {"units": "µm"}),
        },
        attrs={"kind": "stack", "format": "NXstxm", "source": "a.hdf5", "title": "t",
               "detectors": np.array(["a", "b"]), "rotation": np.float64(3)},
    )  # fmt: skip


def test_everything_is_there_and_json_able() -> None:
    facts = json.loads(json.dumps(describe(stack()), allow_nan=False))
    assert (facts["kind"], facts["format"], facts["source"]) == ("stack", "NXstxm", "a.hdf5")
    assert facts["energies"] == [700.0, 701.25]
    assert facts["detectors"] == ["a", "b"]
    assert facts["rotation"] == 3.0
    counts = facts["quantities"]["counts"]
    assert (counts["dims"], counts["shape"]) == (["energy", "y", "x"], [2, 3, 4])
    assert (counts["dtype"], counts["units"]) == ("uint16", "counts")
    assert (counts["min"], counts["max"]) == (0, 23)


def test_axes_tell_even_steps_from_uneven_ones() -> None:
    axes = describe(stack())["axes"]
    assert axes["x"] == {"n": 4, "first": 0.0, "last": 1.5, "step": 0.5, "units": "µm"}
    assert axes["y"]["step"] is None
    single = describe(stack().isel(energy=[0]))["axes"]["energy"]
    assert (single["n"], single["step"]) == (1, None)


def test_missing_numbers_are_counted_and_left_out_of_the_range() -> None:
    made = stack()
    made["dwell"] = ("energy", [np.inf, 2.0])
    dwell = describe(made)["quantities"]["dwell"]
    assert (dwell["missing"], dwell["min"], dwell["max"]) == (1, 2.0, 2.0)
    made["dwell"] = ("energy", [np.nan, np.nan])
    dwell = describe(made)["quantities"]["dwell"]
    assert dwell["missing"] == 2
    assert "min" not in dwell
    assert "missing" not in describe(made)["quantities"]["counts"]


def test_spectra_have_labels_for_an_axis() -> None:
    spectra = xr.Dataset(
        {"absorption": (("spectrum", "energy"), [[1.0, 2.0], [3.0, 4.0]])},
        coords={"spectrum": ["Na1", "Na3"], "energy": [1.0, 2.0]},
        attrs={"kind": "spectra"},
    )
    assert describe(spectra)["axes"]["spectrum"] == {"n": 2, "labels": ["Na1", "Na3"]}


def test_a_large_lazy_scan_is_sampled() -> None:
    counts = da.ones((64, 64, 128, 128), dtype="u2", chunks=(1, 64, 128, 128))
    scan = as_scan(counts)
    quantity = describe(scan)["quantities"]["counts"]
    assert (quantity["sampled"], quantity["max"]) == (True, 1)
    assert "sampled" not in describe(scan.isel(y=slice(2)))["quantities"]["counts"]
