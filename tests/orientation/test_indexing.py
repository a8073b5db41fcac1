"""The chain: peaks in, phase and orientation out; against truth, and in a table of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from orientation_cases import K_MAX, Case

from phaseloom.compute.checkpoints import Checkpoints
from phaseloom.compute.execution import Execution
from phaseloom.crystals import crystals_from_json, gold, kinematic_spots, lithium_iron_phosphate
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.maps.misorientation import misorientation_angles
from phaseloom.orientation import index, indexing
from phaseloom.orientation.options import Matching
from phaseloom.simulate import Beam, Camera, grain_map, simulate_peaks


def test_orientations_are_right_and_their_probabilities_fair(
    gold_case: Case, lfp_case: Case
) -> None:
    for case, share, median in ((lfp_case, 0.97, 0.05), (gold_case, 0.8, 0.25)):
        data = case.indexed
        errors = case.errors(data["rotation"].to_numpy().reshape(-1, 4))
        right = errors < 3.0
        assert right.mean() >= share
        assert np.nanmedian(errors) < median
        probability = np.nan_to_num(data["probability"].to_numpy().ravel())
        assert probability.mean() == pytest.approx(right.mean(), abs=0.06)
        if not right.all():
            assert probability[right].mean() > probability[~right].mean() + 0.2


def test_the_dataset_is_as_described(gold_case: Case) -> None:
    data = gold_case.indexed
    shape = (8, 12)
    assert data["rotation"].dims == ("y", "x", "quaternion")
    assert data["solution_rotation"].shape == (5, *shape, 4)
    assert data["phase"].dtype == np.int16 and data["phase"].shape == shape
    for name in ("correlation", "orientation_reliability", "probability", "explained", "residual"):
        assert data[name].dtype == np.float32 and data[name].shape == shape
        assert (np.isfinite(data[name]) == (data["phase"] >= 0)).all()
    assert data["phase_name"].to_numpy().tolist() == ["Au"]
    np.testing.assert_array_equal(data["y"], gold_case.table["y"])
    assert data.attrs["voltage"] == 200.0
    assert crystals_from_json(data.attrs["crystals"])[0].name == "Au"
    np.testing.assert_allclose(data["phase_reliability"].to_numpy()[data["phase"] >= 0], 100.0)
    share = data["solution_probability"].to_numpy()
    steps = np.diff(share, axis=0)
    assert (steps[np.isfinite(steps)] <= 1e-6).all(), "most probable first"
    assert np.nansum(share, axis=0).max() < 1.0 + 1e-5
    sure = data["solution_rotation"][0].to_numpy()[data["phase"].to_numpy() >= 0]
    np.testing.assert_array_equal(sure, data["rotation"].to_numpy()[data["phase"].to_numpy() >= 0])
    ambiguous = data["ambiguous"].to_numpy()
    assert 0 < ambiguous.mean() < 0.6
    assert (data["probability"].to_numpy()[ambiguous] < 0.951).all()


def table_of(spots: list[tuple[np.ndarray, np.ndarray, np.ndarray]], **attrs: object) -> xr.Dataset:
    """A peak table, (1, patterns), of ky, kx (Å⁻¹) and counts."""
    ky, kx, counts = (np.concatenate(column) for column in zip(*spots, strict=True))
    n = len(spots)
    columns = {"ky": ky, "kx": kx, "intensity": counts}
    offset = np.concatenate([[0], np.cumsum([len(s[0]) for s in spots])])
    return xr.Dataset(
        {name: ("peak", v.astype(np.float32), {"units": "Å⁻¹"}) for name, v in columns.items()}
        | {"offset": ("edge", offset)}
        | {c: (("y", "x"), np.full((1, n), 127.5)) for c in ("centre_y", "centre_x")},
        attrs={
            "pixel_size": 1.5 / 122, "pixel_size_units": "Å⁻¹", "detector_shape": [256, 256],
            "distortion": [1.0, 0.0, 0.0, 1.0], "spot_sigma": 2.0, **attrs,
        },
    )  # fmt: skip


def test_an_asymmetric_pattern_is_not_mirrored_nor_turned_back() -> None:
    """Written out by hand: a along x tilted about y, then turned about the beam by +30°.

    From x (right) towards y (down): the spots of a* move down, and those on the side that is
    tilted towards the source differ from those on the other.
    """
    tilt, turn = np.radians(4.0), np.radians(30.0)
    about_y = np.array(
        [[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]]
    )
    about_z = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    # v_sample = turn · tilt · v_crystal, so v_crystal = (turn · tilt)ᵀ v_sample.
    crystal, matrix = lithium_iron_phosphate(), (about_z @ about_y).T
    at = crystal.reciprocal @ matrix
    assert at[0, 1] > 0, "a* points down and right"
    from scipy.spatial.transform import Rotation

    truth = np.roll(Rotation.from_matrix(matrix).as_quat(), 1)
    spots = kinematic_spots(crystal, truth, voltage=200.0, thickness=150.0, k_max=1.4)
    seen = spots.intensity > 2e-3 * spots.intensity.max()
    peaks = (spots.ky[seen], spots.kx[seen], 1e5 * spots.intensity[seen])
    data = index(table_of([peaks]), crystal, voltage=200.0, thickness=150.0)
    rotation = data["rotation"].to_numpy()[0, 0]
    assert misorientation_angles(truth, rotation, crystal.laue_rotations) < 0.1
    # Its mirror images and the opposite turn are far away: the pattern is asymmetric indeed.
    for other in ((about_y @ about_z).T, about_z @ about_y, (about_z.T @ about_y).T):
        wrong = np.roll(Rotation.from_matrix(other).as_quat(), 1)
        assert misorientation_angles(wrong, rotation, crystal.laue_rotations) > 1.0


@pytest.fixture(scope="module")
def mixture() -> tuple[xr.Dataset, Peaks]:
    """Grains of gold and LiFePO4, one in eight of nothing."""
    sample = grain_map((6, 8), [0.5, 0.5], n_grains=12, spread=0.2, empty=0.15, seed=5)
    table = simulate_peaks(
        sample, [gold(), lithium_iron_phosphate()], seed=5,
        beam=Beam(dose=3e5, intensity_spread=0.3), camera=Camera(jitter=0.3), false_peaks=0.3,
    )  # fmt: skip
    return sample, Peaks(table)


@pytest.fixture(scope="module")
def mixture_map(mixture: tuple[xr.Dataset, Peaks]) -> xr.Dataset:
    return index(mixture[1], [gold(), lithium_iron_phosphate()], voltage=200.0, k_max=K_MAX)


def test_two_phases_are_told_apart(
    mixture: tuple[xr.Dataset, Peaks], mixture_map: xr.Dataset
) -> None:
    truth = mixture[0]["phase"].to_numpy()
    found = mixture_map["phase"].to_numpy()
    crystals = truth >= 0
    assert (found[crystals] == truth[crystals]).mean() > 0.97
    assert (found[~crystals] == -1).all(), "few false peaks are no crystal"
    sure = mixture_map["phase_probability"].to_numpy()[crystals & (found == truth)]
    assert np.median(sure) > 0.99
    assert np.isnan(mixture_map["rotation"].to_numpy()[found < 0]).all()
    assert mixture_map["phase"].attrs["flag_meanings"] == "Au LiFePO4 unindexed"


def test_noise_is_unindexed(gold_case: Case) -> None:
    rng = np.random.default_rng(0)
    noise = [(*rng.uniform(-1.2, 1.2, (2, 6)), rng.uniform(50, 80, 6)) for _ in range(30)]
    real = [
        tuple(gold_case.peaks[y, x].data[c].to_numpy() for c in ("ky", "kx", "intensity"))
        for y in range(4)
        for x in range(8)
    ]
    data = index(table_of([*noise, *real]), gold(), voltage=200.0, k_max=K_MAX)
    phase = data["phase"].to_numpy()[0]
    assert (phase[:30] == -1).mean() > 0.85
    assert (phase[30:] == 0).mean() > 0.85
    assert (data["matched"].to_numpy()[0][phase < 0] == -1).all()
    assert not data["ambiguous"].to_numpy()[0][phase < 0].any()


def test_what_is_not_known_is_asked_for(gold_case: Case) -> None:
    data = gold_case.table
    with pytest.raises(InputError, match=r"the voltage is not known.*--voltage"):
        index(data, gold())
    pixels = Peaks(data).calibrated(1.0, units="px")
    with pytest.raises(InputError, match=r"pixel size of the detector is not known.*--pixel-size"):
        index(pixels, gold(), voltage=200.0)
    with pytest.raises(InputError, match="a voltage of -3 cannot be"):
        index(data, gold(), voltage=-3)
    with pytest.raises(InputError, match="two phases are called 'Au'"):
        index(data, [gold(), gold()], voltage=200.0)
    with pytest.raises(InputError, match="solutions must be greater than or equal to 1, not 0"):
        index(data, gold(), voltage=200.0, solutions=0)
    with pytest.raises(InputError, match="thickness must be a finite number, not nan"):
        index(data, gold(), voltage=200.0, thickness=float("nan"))
    with pytest.raises(InputError, match="all reflections of Au lie outside"):
        index(data, gold(), voltage=200.0, k_max=0.35)


def test_fewer_than_three_peaks(gold_case: Case) -> None:
    k = np.array([0.0, 0.42, -0.42])
    poor = table_of([(k, k, np.full(3, 100.0))] * 3)
    with pytest.raises(InputError, match=r"no pattern has three peaks .*\(the most is 2\)"):
        index(poor, gold(), voltage=200.0)
    with pytest.raises(InputError, match="no pattern has three peaks"):
        empty = np.zeros(0)
        index(table_of([(empty, empty, empty)]), gold(), voltage=200.0)


def test_pixel_size_and_voltage_of_the_table_or_given(gold_case: Case) -> None:
    some = gold_case.peaks[:2, :4]
    stated = Peaks(some.data.assign_attrs(voltage=200.0))
    scaled = some.calibrated(1.0, units="px")
    one = index(stated, gold(), k_max=K_MAX, thickness=120.0)
    other = index(
        scaled, gold(), voltage=200.0, pixel_size=some.pixel_size, k_max=K_MAX, thickness=120.0
    )
    np.testing.assert_array_equal(one["phase"], other["phase"])
    angle = misorientation_angles(one["rotation"], other["rotation"], gold().laue_rotations)
    assert np.nanmax(angle) < 0.01


class KilledError(Exception):
    pass


def test_a_killed_run_continues_and_gives_the_same(
    gold_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"voltage": 200.0, "k_max": K_MAX, "thickness": 120.0}
    monkeypatch.setattr(indexing, "_BLOCK", 24)
    whole = index(gold_case.peaks, gold(), **options)
    solve_block, calls = indexing._solve_block, []

    def until_killed(block, **rest):
        if len(calls) == 2:
            raise KilledError
        calls.append(block)
        return solve_block(block, **rest)

    kept_at = Execution(workers=1, checkpoints=Checkpoints(tmp_path / "results.zarr"))
    with monkeypatch.context() as patch:
        patch.setattr(indexing, "_solve_block", until_killed)
        with pytest.raises(KilledError):
            index(gold_case.peaks, gold(), **options, execution=kept_at)
    again: list[object] = []

    def counted(block, **rest):
        again.append(block)
        return solve_block(block, **rest)

    monkeypatch.setattr(indexing, "_solve_block", counted)
    resumed = index(gold_case.peaks, gold(), **options, execution=kept_at)
    assert len(again) < 4, "finished blocks are kept"
    assert resumed.drop_attrs().identical(whole.drop_attrs())
    again.clear()
    kept = index(gold_case.peaks, gold(), **options, execution=kept_at)
    assert not again, "the finished stage is read"
    assert kept["rotation"].identical(resumed["rotation"])


def test_seed_and_workers_do_not_change_the_result(
    gold_case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_BLOCK", 20)
    options = {"voltage": 200.0, "k_max": K_MAX}
    one, other = (index(gold_case.peaks, gold(), **options, workers=n) for n in (1, 2))
    assert one.identical(other)
    for name in ("phase", "rotation", "probability"):
        np.testing.assert_array_equal(one[name], gold_case.indexed[name])


def test_options_are_keywords_or_a_model_and_crystals_go_by_name(gold_case: Case) -> None:
    some = gold_case.peaks[:2, :4]
    options = {"k_max": K_MAX, "thickness": 120.0, "solutions": 2}
    keywords = index(some, "Au", voltage=200.0, **options)
    model = index(some, [gold()], voltage=200.0, matching=Matching(**options))
    assert keywords.identical(model)
    assert keywords.sizes["solution"] == 2
    with pytest.raises(InputError, match="zone_step must be less than or equal to 10"):
        index(some, "Au", voltage=200.0, zone_step=11)
    with pytest.raises(InputError, match=r"Pt: no such file; .* built-in crystal: Ag, Au"):
        index(some, "Pt", voltage=200.0)
