"""The chain: a scan in, components with labels and overlaps out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from component_cases import Case, Recorder, correlations, diffraction

from phaseloom.components import clustering
from phaseloom.components.clustering import cluster
from phaseloom.components.patterns import matrix
from phaseloom.compute.checkpoints import Checkpoints
from phaseloom.compute.execution import Execution
from phaseloom.diffraction import Peaks, register
from phaseloom.errors import InputError, InputWarning
from phaseloom.io import as_scan

SMALL: dict[str, Any] = {"patterns": "raw", "size": 32, "components_max": 6, "seeds": 2}
QUICK: dict[str, Any] = {**SMALL, "device": "cpu", "workers": 1}


def calibrated(counts: np.ndarray, pixel_size: float = 0.03) -> xr.Dataset:
    """A scan with known axes."""
    ny, nx, n_ky, n_kx = counts.shape
    axes = {
        "y": ("y", 5.0 * np.arange(ny), {"units": "nm"}),
        "x": ("x", 5.0 * np.arange(nx), {"units": "nm"}),
        "ky": ("ky", pixel_size * (np.arange(n_ky) - n_ky // 2), {"units": "Å⁻¹"}),
        "kx": ("kx", pixel_size * (np.arange(n_kx) - n_kx // 2), {"units": "Å⁻¹"}),
    }
    return as_scan(xr.DataArray(counts, dims=("y", "x", "ky", "kx"), coords=axes))


@pytest.fixture(scope="module")
def true() -> Case:
    """Three grains and vacuum."""
    return diffraction(4, vacuum=True)


@pytest.fixture(scope="module")
def found(true: Case) -> xr.Dataset:
    return cluster(true.counts, **QUICK)


def kept(checkpoints: Checkpoints) -> dict[str, Any]:
    """Quick options of a run that keeps its stages."""
    return {**SMALL, "execution": Execution(workers=1, device="cpu", checkpoints=checkpoints)}


def numbers(found: xr.Dataset, true: Case) -> np.ndarray:
    """The component of the result that each of the truth is."""
    maps = found["weight"].to_numpy().reshape(found.sizes["component"], -1)
    return np.corrcoef(true.weight.T, maps)[: true.weight.shape[1], true.weight.shape[1] :].argmax(
        axis=1
    )


# The whole way.


def test_grains_and_background_are_found(found: xr.Dataset, true: Case) -> None:
    assert (found.attrs["k"], found.attrs["grains"]) == (4, 3)
    maps = found["weight"].to_numpy().reshape(4, -1)
    assert correlations(maps, true.weight.T).min() > 0.98
    of = numbers(found, true)
    assert sorted(of) == [0, 1, 2, 3]
    assert found.attrs["background"] == of[3]
    inside = true.weight.max(axis=1) > 0.9
    label = found["label"].to_numpy().ravel()
    np.testing.assert_array_equal(label[inside], of[true.weight.argmax(axis=1)][inside])


@pytest.mark.filterwarnings("ignore:whether two components overlap")
def test_a_number_that_is_given_is_taken(found: xr.Dataset, true: Case) -> None:
    given = cluster(true.counts, k=4, **QUICK)
    assert given.attrs["reason"] == "k = 4 was asked for" and given.attrs["choose"] == "given"
    assert not {"k", "loss", "held_out"} & set(given.variables)
    np.testing.assert_array_equal(given["label"], found["label"])
    with pytest.warns(InputWarning, match="a bent grain, part of one, or more than one"):
        three = cluster(true.counts, k=3, background="none", **QUICK)
    assert three.sizes["component"] == 3 and three.attrs["background"] == -1
    assert three.attrs["grains"] == 3
    with pytest.warns(InputWarning, match="within component 0 the patterns change"):
        assert cluster(true.counts, k=1, **QUICK).sizes["component"] == 1


def test_the_published_choice(true: Case) -> None:
    published = cluster(true.counts, choose="published", **{**QUICK, "components_max": 7})
    np.testing.assert_array_equal(published["k"], np.arange(3, 8))
    assert published["votes"].sum() == 4
    assert published.attrs["choose"] == "published" and "knee" in published.attrs
    assert published.sizes["component"] == published.attrs["k"]


@pytest.mark.parametrize("options", [{"loss": "kl"}, {"sparsity": 0.05, "smoothness": 0.1},
                                     {"scaling": "none", "start": "nndsvd"}])  # fmt: skip
def test_options_reach_the_factors(true: Case, options: dict[str, Any]) -> None:
    other = cluster(true.counts, k=4, **QUICK, **options)
    assert correlations(other["weight"].to_numpy().reshape(4, -1), true.weight.T).min() > 0.9
    stated = {name.replace("loss", "loss_kind"): value for name, value in options.items()}
    assert stated.items() <= other.attrs.items()


def test_peaks_and_the_scan_that_they_are_of(true: Case) -> None:
    # Drawn patterns have no diffuse scattering: a component without peaks is not theirs.
    grains = diffraction(3, counts=6000.0)
    scan = calibrated(grains.counts)
    options = {**QUICK, "patterns": "registered", "k": 3}
    of_scan = cluster(scan, **options)
    of_peaks = cluster(Peaks(register(scan)), **options)
    xr.testing.assert_identical(of_peaks, of_scan)
    assert np.isnan(of_peaks.attrs["noise_floor"])
    maps = of_peaks["weight"].to_numpy().reshape(3, -1)
    assert correlations(maps, grains.weight.T).min() > 0.9


@pytest.mark.parametrize("k", ["auto", 1])
def test_a_uniform_scan_is_one_component(k: Any) -> None:
    uniform = diffraction(1)
    one = cluster(uniform.counts, k=k, **QUICK)
    assert (one.attrs["k"], one.attrs["grains"], one.attrs["background"]) == (1, 1, -1)
    assert (one["label"] == 0).all() and (one["partner"] == -1).all()
    assert (one["overlap"] == 0).all() and np.isnan(one["overlap_error"]).all()
    assert one["variation"].item() < 0.1 and one["shared_variation"].item() == 0.0
    assert one.attrs["varying"] == ""
    np.testing.assert_allclose(one["weight"], 1.0, atol=0.15)


def test_overlaps_of_weak_patterns_are_not_called() -> None:
    weak = diffraction(3, counts=100.0, blur=1.2)
    with pytest.warns(InputWarning, match="is not known at .* positions"):
        few = cluster(weak.counts, k=3, background="none", **QUICK)
    first = few["overlap"].isel(threshold=0)
    np.testing.assert_array_equal(first == 1, few["partner"] >= 0)
    assert (first < 0).sum() > (first > 0).sum()
    strong = cluster(diffraction(3, counts=1e5, blur=1.2).counts, k=3, background="none", **QUICK)
    assert (strong["overlap"].isel(threshold=0) >= 0).all() and (strong["partner"] >= 0).any()


# The same again, and continued.


def test_the_same_seed_gives_the_same(found: xr.Dataset, true: Case) -> None:
    xr.testing.assert_identical(cluster(true.counts, **QUICK), found)
    xr.testing.assert_identical(cluster(true.counts, **{**QUICK, "workers": 2}), found)


def test_a_matrix_too_large_to_be_held_gives_the_same(
    found: xr.Dataset, true: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering, "_IN_MEMORY", 0)
    xr.testing.assert_identical(cluster(true.counts, **QUICK), found)


@pytest.mark.parametrize("held", [True, False])
def test_what_is_in_memory_is_not_sent_to_a_cluster(
    true: Case, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    asked: list[str | None] = []
    work = matrix.run_blocks

    def run_blocks(function: Any, blocks: Any, execution: Execution) -> Iterator[Any]:
        asked.append(execution.scheduler)
        return work(function, blocks, replace(execution, scheduler=None))

    monkeypatch.setattr(matrix, "run_blocks", run_blocks)
    monkeypatch.setattr(clustering, "_IN_MEMORY", 2**30 if held else 0)
    cluster(true.counts[:8, :8], k=2, scheduler="tcp://host:8786", **QUICK)
    assert asked[0] == "tcp://host:8786"
    assert set(asked[1:]) == ({None} if held else {"tcp://host:8786"})


@pytest.mark.filterwarnings("ignore:whether two components overlap")
def test_all_that_takes_long_is_reported(true: Case) -> None:
    progress = Recorder()
    cluster(true.counts, progress=progress, **QUICK)
    assert {"preparing patterns", "compressing"} <= {label for label, _ in progress.labels}
    assert ("numbers of components", 6) in progress.labels
    with pytest.warns(InputWarning, match="more than one"):
        cluster(true.counts, k=3, progress=progress, **QUICK)
    assert ("numbers of components", 5) in progress.labels


def test_an_interrupted_run_goes_on_with_the_compressed_scan(
    found: xr.Dataset, true: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "results.zarr"

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(clustering, "choose_rank", dies)
        with pytest.raises(KeyboardInterrupt):
            cluster(true.counts, **kept(Checkpoints(store)))
    parts = tmp_path / "unfinished" / "components-cluster"
    assert [file.name for file in parts.glob("part-*")] == ["part-000000.npz"]
    with monkeypatch.context() as patched:
        patched.setattr(clustering, "compress", dies)
        again = cluster(true.counts, **kept(Checkpoints(store)))
    xr.testing.assert_identical(again, found)
    assert not parts.exists()
    checkpoints = Checkpoints(store)
    with monkeypatch.context() as patched:
        patched.setattr(clustering, "_in_memory", dies)
        stored = cluster(true.counts, **kept(checkpoints))
    assert checkpoints.reused == ["components: cluster"]
    xr.testing.assert_equal(stored, found)


def test_other_options_are_computed_anew(
    true: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = true.counts[:8, :8]

    def again(**options: Any) -> None:
        checkpoints = Checkpoints(tmp_path / "results.zarr")
        cluster(small, **{**kept(checkpoints), "k": 2, **options})

    again()

    def anew(*_: Any, **__: Any) -> None:
        raise InterruptedError

    monkeypatch.setattr(clustering, "_in_memory", anew)
    again()
    for other in ({"k": 3}, {"seed": 1}, {"overlap_ratio": 0.9}, {"sparsity": 0.1}):
        with pytest.raises(InterruptedError):
            again(**other)


def test_another_calibration_is_not_taken_for_the_same(true: Case, tmp_path: Path) -> None:
    small = true.counts[:8, :8]
    steps = []
    for pixel_size in (0.03, 0.05):
        checkpoints = Checkpoints(tmp_path / "results.zarr")
        made = cluster(calibrated(small, pixel_size), k=2, **kept(checkpoints))
        steps.append(float(made["kx"][1] - made["kx"][0]))
        assert made["kx"].attrs["units"] == "Å⁻¹"
    assert steps == pytest.approx([0.03, 0.05])


# Bad input.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be 'auto' or greater than or equal to 1, not 0"),
        ({"k": 3, "background": 3}, "background component 3 is none of 3"),
        ({"choose": "knee"}, "choose must be 'sound' or 'published', not 'knee'"),
        ({"seeds": 0}, "seeds must be greater than or equal to 1, not 0"),
        ({"loss": "kl", "smoothness": 1.0}, "smoothness goes with least squares only"),
        ({"scaling": "log"}, "scaling must be 'poisson' or 'none', not 'log'"),
    ],
)
def test_what_cannot_be_is_told_before_the_scan_is_read(
    true: Case, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(*_: Any, **__: Any) -> None:
        pytest.fail("the scan was read")

    monkeypatch.setattr(clustering, "prepare", reads)
    with pytest.raises(InputError, match=message):
        cluster(true.counts, **{**QUICK, **options})


def test_scans_that_are_too_small_are_told(true: Case) -> None:
    with pytest.raises(InputError, match="6 positions and at most 6 components leave no choice"):
        cluster(true.counts[:2, :3], **QUICK)
    with pytest.raises(InputError, match="of which no 8 can be made"):
        cluster(true.counts[:2, :3], k=8, **QUICK)
    assert cluster(true.counts[:2, 5:8], k=2, **QUICK)["label"].shape == (2, 3)
