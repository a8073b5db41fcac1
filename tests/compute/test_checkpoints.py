from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.errors import InputWarning


def maps() -> xr.Dataset:
    return xr.Dataset(
        {
            "phase": (("y", "x"), np.arange(12, dtype=np.int8).reshape(3, 4)),
            "correlation": (("phase", "y", "x"), np.random.default_rng(0).random((2, 3, 4))),
        },
        coords={"phase_name": ("phase", ["réduit", "b"])},
        attrs={"margin": 0.005},
    )


def never() -> xr.Dataset:
    raise AssertionError("computed again")


def test_a_finished_stage_is_read_back_identical(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path / "results.zarr").stage("stxm/a", "one", "key", maps, first=True)
    again = Checkpoints(tmp_path / "results.zarr")
    assert again.stage("stxm/a", "one", "key", never, first=True).identical(first)
    assert again.reused == ["stxm/a: one"]


def test_another_key_computes_again_and_forgets_the_old_group(tmp_path: Path) -> None:
    keep = Checkpoints(tmp_path / "results.zarr")
    keep.stage("stxm/a", "one", "key", maps, first=True)
    keep.stage("stxm/a", "two", "key", lambda: xr.Dataset({"old": ("n", [1.0])}))
    keep.stage("stxm/a", "one", "other", lambda: xr.Dataset({"new": ("n", [2.0])}), first=True)
    kept = xr.open_zarr(tmp_path / "results.zarr", group="stxm/a", consolidated=False)
    assert set(kept.data_vars) == {"new"}


def test_stages_share_a_group_and_keep_each_others_attributes(tmp_path: Path) -> None:
    keep = Checkpoints(tmp_path / "results.zarr")
    keep.stage("stxm/a", "one", "key", maps, first=True)
    keep.stage("stxm/a", "two", "key", lambda: xr.Dataset({"z": ("n", [1.0])}, attrs={"k": 3}))
    assert keep.stage("stxm/a", "one", "key", never).attrs == {"margin": 0.005}
    assert keep.stage("stxm/a", "two", "key", never).attrs == {"k": 3}


def test_a_stage_killed_while_writing_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "results.zarr"

    def killed(self: xr.Dataset, *args: object, **options: object) -> None:
        (store / "stxm" / "a" / "phase").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(xr.Dataset, "to_zarr", killed)
        with pytest.raises(KeyboardInterrupt):
            Checkpoints(store).stage("stxm/a", "one", "key", maps, first=True)
    assert Checkpoints(store).stage("stxm/a", "one", "key", maps, first=True).identical(maps())


def test_warnings_of_a_stage_are_repeated_when_it_is_reused(tmp_path: Path) -> None:
    def doubtful() -> xr.Dataset:
        warnings.warn("frame 3 was dropped", InputWarning, stacklevel=2)
        return maps()

    for compute in (doubtful, never):
        with pytest.warns(InputWarning, match="frame 3 was dropped"):
            Checkpoints(tmp_path / "r.zarr").stage("g", "one", "key", compute, first=True)


def test_fresh_forgets(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "r.zarr").stage("g", "one", "key", maps)
    with pytest.raises(AssertionError, match="computed again"):
        Checkpoints(tmp_path / "r.zarr", fresh=True).stage("g", "one", "key", never)


def test_fingerprint_sees_values_names_and_types() -> None:
    a = xr.DataArray([1.0, 2.0], dims="energy", coords={"energy": [1.0, 2.0]}, name="a")
    different = [a, a.rename("b"), a + 1, a.assign_coords(energy=[1.0, 3.0]), a.astype("f4")]
    assert len({fingerprint(d, 0.5) for d in different}) == len(different)
    assert fingerprint(a, {"x": 1, "y": 2}) == fingerprint(a.copy(), {"y": 2, "x": 1})
    assert fingerprint(maps()) == fingerprint(maps().copy(deep=True))
