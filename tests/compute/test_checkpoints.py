from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.errors import InputError, InputWarning


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


def test_labels_on_a_dimension_that_no_variable_has_stay_labels(tmp_path: Path) -> None:
    """Names of crystals: no map has that dimension."""
    names = maps().drop_vars("correlation").assign_coords(name=("crystal", ["Au", "réduit"]))
    keep = Checkpoints(tmp_path / "results.zarr")
    keep.stage("orientation", "one", "key", lambda: names, first=True)
    keep.stage("orientation", "two", "key", lambda: xr.Dataset({"z": ("n", [1.0])}))
    again = Checkpoints(tmp_path / "results.zarr").stage("orientation", "one", "key", never)
    assert again.identical(names)
    assert fingerprint(again) == fingerprint(names)
    kept = xr.open_zarr(tmp_path / "results.zarr", group="orientation", consolidated=False)
    assert {"name", "phase_name"} <= set(kept.coords)


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
    kept = Checkpoints(tmp_path / "r.zarr").stage("g", "one", "key", never)
    assert kept.identical(maps()), "a fresh run that made nothing costs nothing"
    Checkpoints(tmp_path / "r.zarr").stage("other", "one", "key", maps)
    Checkpoints(tmp_path / "r.zarr", fresh=True).stage("g", "one", "key", maps)
    assert not (tmp_path / "r.zarr" / "other").exists()


def frame(**variables: object) -> xr.Dataset:
    return xr.Dataset(dict(variables), coords={"y": [0.0, 0.5]})


def test_a_later_stage_computed_anew_replaces_its_variables_and_no_others(tmp_path: Path) -> None:
    store = tmp_path / "r.zarr"
    keep = Checkpoints(store)
    mask = frame(mask=("y", [True, False]))
    keep.stage("g", "first", "key", lambda: mask, first=True)
    old = frame(latent=(("latent", "y"), np.ones((3, 2))), chi2=("y", [1.0, 2.0]))
    keep.stage("g", "second", "key", lambda: old.assign_attrs(dims=3, old=1))
    new = frame(latent=(("latent", "y"), np.ones((5, 2)))).assign_attrs(dims=5)
    Checkpoints(store).stage("g", "second", "other", lambda: new)
    kept = xr.open_zarr(store, group="g", consolidated=False)
    assert set(kept.variables) == {"y", "mask", "latent"}
    assert kept.sizes["latent"] == kept.attrs["dims"] == 5
    assert "old" not in kept.attrs
    again = Checkpoints(store)
    assert again.stage("g", "first", "key", never, first=True).identical(mask)
    assert again.stage("g", "second", "other", never).identical(new)


def test_a_stage_killed_while_it_replaces_another_is_not_taken_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "r.zarr"
    Checkpoints(store).stage("g", "one", "key", maps, first=True)
    Checkpoints(store).stage("g", "two", "old", lambda: frame(z=("y", [1.0, 1.0])))

    def killed(self: xr.Dataset, *args: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(xr.Dataset, "to_zarr", killed)
        with pytest.raises(KeyboardInterrupt):
            Checkpoints(store).stage("g", "two", "new", lambda: frame(z=("y", [2.0, 2.0])))
    with pytest.raises(AssertionError, match="computed again"):
        Checkpoints(store).stage("g", "two", "old", never)
    assert Checkpoints(store).stage("g", "one", "key", never, first=True).identical(maps())


@pytest.mark.parametrize("damage", ["chunk lost", "chunk cut", "metadata", "group", "attribute"])
def test_a_damaged_stage_is_computed_again(tmp_path: Path, damage: str) -> None:
    store = tmp_path / "r.zarr"
    Checkpoints(store).stage("g", "one", "key", maps, first=True)
    chunk = next(f for f in (store / "g" / "correlation" / "c").rglob("*") if f.is_file())
    if damage == "chunk lost":
        chunk.unlink()
    elif damage == "chunk cut":
        chunk.write_bytes(chunk.read_bytes()[:-5])
    elif damage == "metadata":
        (store / "g" / "phase" / "zarr.json").write_text("[1, 2")
    elif damage == "group":
        (store / "g" / "zarr.json").write_bytes(b"\xff\x00 garbage")
    else:
        text = (store / "g" / "zarr.json").read_text()
        (store / "g" / "zarr.json").write_text(text.replace("0.005", "0.007"))
    again = Checkpoints(store)
    assert again.stage("g", "one", "key", maps, first=True).identical(maps())
    assert again.reused == []
    assert Checkpoints(store).stage("g", "one", "key", never, first=True).identical(maps())


@pytest.mark.filterwarnings("error")
def test_a_finished_store_opens_as_a_tree_of_this_run_alone(tmp_path: Path) -> None:
    store = tmp_path / "r.zarr"
    keep = Checkpoints(store)
    for group in ("stxm/a", "stxm/b", "latent", "other"):
        keep.stage(group, "one", "key", maps, first=True)
    keep.finish({"": {"recipe": "…"}, "stxm/a": {"charge": 30.0}})
    again = Checkpoints(store)
    again.stage("stxm/a", "one", "key", never, first=True)
    (store / "zarr.json").write_text("garbage")
    (store / "stxm" / "zarr.json").write_text("garbage")
    again.finish({"": {"recipe": "new"}, "stxm/a": {"charge": None}}, owned=("stxm", "latent"))
    with xr.open_datatree(store, engine="zarr") as tree:
        assert set(tree.groups) == {"/", "/stxm", "/stxm/a", "/other"}
        assert tree.attrs == {"recipe": "new"}
        assert "charge" not in tree["stxm/a"].attrs


def test_a_file_in_place_of_the_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.zarr").write_text("notes")
    with pytest.raises(InputError, match=r"r\.zarr: is a file"):
        Checkpoints(tmp_path / "r.zarr")
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "s.zarr" / "g").write_text("notes")
    assert Checkpoints(tmp_path / "s.zarr").stage("g", "one", "k", maps).identical(maps())


def test_fingerprint_sees_values_names_and_types() -> None:
    a = xr.DataArray([1.0, 2.0], dims="energy", coords={"energy": [1.0, 2.0]}, name="a")
    different = [a, a.rename("b"), a + 1, a.assign_coords(energy=[1.0, 3.0]), a.astype("f4")]
    assert len({fingerprint(d, 0.5) for d in different}) == len(different)
    assert fingerprint(a, {"x": 1, "y": 2}) == fingerprint(a.copy(), {"y": 2, "x": 1})
    assert fingerprint(maps()) == fingerprint(maps().copy(deep=True))


def test_fingerprint_keeps_neighbours_apart() -> None:
    for one, other in [
        (([0.1, 13.0],), ([0.11, 3.0],)),
        ((1, 23), (12, 3)),
        (([1], [2]), ([1, 2],)),
        (([1, 2], 3), ([1], 2, 3)),
        (("1",), (1,)),
        ((np.arange(2), np.arange(2)), (np.tile(np.arange(2), 2),)),
        ((np.array(["ab", "c"]),), (np.array(["a", "bc"]),)),
        ((np.array(["ab", "c"], dtype=object),), (np.array(["a", "bc"], dtype=object),)),
    ]:
        assert fingerprint(*one) != fingerprint(*other), (one, other)


def test_fingerprint_sees_dimensions_and_attributes() -> None:
    square = xr.DataArray(np.zeros((2, 2)), dims=("y", "x"), name="a", attrs={"value": 3.0})
    units = square.assign_coords(y=("y", [0.0, 1.0], {"units": "µm"}))
    other_units = square.assign_coords(y=("y", [0.0, 1.0], {"units": "px"}))
    moved = square.assign_coords(x=("x", [0.0, 1.0], {"units": "µm"}))
    arrays = [
        square,
        square.rename(y="row"),
        square.assign_attrs(value=2.4),
        square.assign_attrs(value="3.0"),
        units,
        other_units,
        moved,
    ]
    tables = [a.to_dataset() for a in arrays] + [square.to_dataset().assign_attrs(format="sdf")]
    for parts in (arrays, tables):
        assert len({fingerprint(part) for part in parts}) == len(parts)
    ordered = square.assign_attrs(b=1, a=np.float32(2))
    assert fingerprint(ordered) == fingerprint(square.assign_attrs(a=np.float32(2), b=1)), (
        "the order of attributes says nothing"
    )
    moved_file = square.assign_attrs(source="elsewhere/a.hdf5")
    assert fingerprint(moved_file) == fingerprint(square)


def test_another_version_of_the_software_computes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Checkpoints(tmp_path / "r.zarr").stage("g", "one", "key", maps, first=True)
    monkeypatch.setattr("phaseloom.compute.checkpoints.version", lambda _: "99.0")
    with pytest.raises(AssertionError, match="computed again"):
        Checkpoints(tmp_path / "r.zarr").stage("g", "one", "key", never, first=True)
