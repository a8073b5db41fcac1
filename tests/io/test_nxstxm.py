"""NXstxm: every dialect gives the same numbers; damage and aborted scans are never silent."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from phaseloom import InputError, InputWarning, read
from phaseloom.io.choice import Choice
from phaseloom.io.readers import _nexus, nxstxm

ENERGY = np.array([510.0, 515.1, 515.35, 517.25, 540.0])
Y = 12.0 + 0.05 * np.arange(6)
X = -3.0 + 0.08 * np.arange(7)
COUNTS = np.random.default_rng(7).poisson(400, (5, 6, 7)).astype(np.uint16)
CURRENT = np.array([400.0, 399.5, 399.0, 398.0, 397.0])


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: Any) -> h5py.Group:
    made = parent.create_group(name)
    made.attrs["NX_class"] = np.bytes_(nx_class)
    made.attrs.update(attributes)
    return made


def put(parent: h5py.Group, name: str, values: Any, units: str | bytes | None = None, **kw: Any):
    item = parent.create_dataset(name, data=values, **kw)
    if units is not None:
        item.attrs["units"] = np.bytes_(units.encode() if isinstance(units, str) else units)
    return item


def pollux(
    file: h5py.File,
    *,
    counts: Any = COUNTS,
    energy: Any = ENERGY,
    y: Any = Y,
    x: Any = X,
    entry_name: str = "entry1",
    detector: str = "counter0",
    axes: tuple[str, ...] = ("energy", "sample_y", "sample_x"),
    scan_type: str = "sample image stack",
) -> h5py.Group:
    """Pixelator at PolLux and MAXYMUS: fixed-length bytes, arrays of one, µm as UTF-8."""
    entry = group(file, entry_name, "NXentry")
    put(entry, "definition", np.array([b"NXstxm"]))
    put(entry, "title", np.array([b"Sample"]))
    put(entry, "start_time", np.array([b"2021-03-16T16:50:18+01:00"]))
    data = group(
        entry, detector, "NXdata", signal=np.bytes_("data"), axes=np.array(axes, dtype="S")
    )
    put(data, "data", counts, " ", chunks=(1,) * (np.ndim(counts) - 1) + np.shape(counts)[-1:],
        compression="gzip")  # fmt: skip
    put(data, "energy", energy, "eV")
    put(data, "sample_y", y, "μm")
    put(data, "sample_x", x, "μm")
    put(data, "count_time", np.full(np.size(energy), 0.01), "s")
    put(data, "stxm_scan_type", np.array([scan_type.encode()]))
    if np.shape(counts)[0] == CURRENT.size:
        control = group(entry, "control", "NXmonitor")
        shape = (-1,) + (1,) * (np.ndim(counts) - 1)
        put(control, "data", np.broadcast_to(CURRENT.reshape(shape), np.shape(counts)), "mA")
    return entry


def cls(file: h5py.File) -> None:
    """CLS: variable-length str, scalar padded definition, big-endian floats."""
    entry = group(file, "entry1", "NXentry")
    entry["definition"] = "NXstxm  "
    entry["title"] = "cls"
    data = group(entry, "counter0", "NXdata", signal="data")
    data.attrs["axes"] = ["energy", "sample_y", "sample_x"]
    put(data, "data", COUNTS.astype(">f8"))
    put(data, "energy", ENERGY, "eV")
    put(data, "sample_y", Y, "um")
    put(data, "sample_x", X, "um")
    put(data, "count_time", 0.01, "s")
    data["stxm_scan_type"] = "sample image stack"
    put(group(entry, "control", "NXmonitor"), "data", CURRENT, "mA")


def hermes(file: h5py.File) -> None:
    """SOLEIL HERMES: Counter0, metres, y falling."""
    entry = group(file, "entry1", "NXentry")
    put(entry, "definition", np.array(["NXstxm"], dtype="S6"))
    entry.create_group("collection")["beamline"] = "Hermes"
    data = group(entry, "Counter0", "NXdata", signal="data")
    data.attrs["axes"] = np.array([b"energy", b"sample_y", b"sample_x"])
    put(data, "data", COUNTS[:, ::-1])
    put(data, "energy", ENERGY / 1000, "keV")
    put(data, "sample_y", Y[::-1] * 1e-6, "m")
    put(data, "sample_x", X * 1e-6, "m")
    put(data, "count_time", np.full(5, 10.0), "ms")
    put(group(entry, "control", "NXmonitor"), "data", CURRENT / 1000, "A")


def softimax(file: h5py.File) -> None:
    """SoftiMAX: photon_energy, axis numbers instead of names, x running slowest of all."""
    entry = group(file, "entry1", "NXentry")
    data = group(entry, "counter0", "NXdata")
    item = put(data, "counts", np.transpose(COUNTS, (2, 1, 0)))
    item.attrs["signal"] = 1
    put(data, "photon_energy", ENERGY, "eV").attrs["axis"] = 3
    put(data, "sample_y", Y, b"\xb5m").attrs["axis"] = 2
    put(data, "sample_x", X, b"\xb5m").attrs["axis"] = 1
    put(data, "count_time", [0.01], "s")
    put(group(entry, "control", "NXmonitor"), "data", CURRENT, "mA")


def als_1(file: h5py.File) -> None:
    """ALS before version 2: entry0, a float for a definition, no attributes on the axes."""
    entry = group(file, "entry0", "NXentry")
    put(entry, "definition", 1.2)
    data = group(entry, "counter0", "NXdata")
    put(data, "data", COUNTS)
    put(data, "energy", ENERGY, "eV")
    put(data, "sample_y", Y, "um")
    put(data, "sample_x", X, "um")
    put(data, "count_time", np.full(5, 0.01), "s")
    data["stxm_scan_type"] = np.bytes_("Image")
    put(group(entry, "control", "NXmonitor"), "data", CURRENT, "mA")


def als_2(file: h5py.File, *, binned: bool) -> None:
    """ALS 2.0 and 2.1: three samples a pixel with their positions, grid kept apart."""
    entry = group(file, "entry0", "NXentry")
    entry.create_dataset("definition", data=np.bytes_("NXstxm")).attrs["version"] = b"2"
    data = group(entry, "counter0", "NXdata")
    step = X[1] - X[0]
    along = (X[:, None] + step * np.array([-0.3, 0.02, 0.29])).ravel()
    along = np.concatenate([[X[0] - 3 * step], along, [X[-1] + 2 * step, X[-1] + 3 * step]])
    samples = np.repeat(COUNTS / 3, 3, axis=2)
    wild = np.full((5, 6, 1), 9e9)  # while the stage turns round
    samples = np.concatenate([wild, samples, wild, wild], axis=2) * (21 / 24)
    shape = samples.shape
    put(data, "data", samples)
    put(data, "energy", ENERGY, "eV")
    put(data, "sample_x", np.broadcast_to(along, shape), "um")
    put(data, "sample_y", np.broadcast_to(Y[:, None], shape), "um")
    put(data, "count_time", np.full(5, 0.01), "s")
    data["stxm_scan_type"] = np.bytes_("Image")
    grid = group(entry, "binned_values" if binned else "requested_values", "NXdetector")
    put(grid, "sample_x", X, "um")
    put(grid, "sample_y", Y, "um")
    if binned:
        put(grid, "data", COUNTS, "um")
    put(group(entry, "control", "NXmonitor"), "data", CURRENT, "mA")


def als_3(file: h5py.File) -> None:
    """ALS 3: group `default` among other daqs, no units, time in ms, definition beside version."""
    entry = group(file, "entry0", "NXentry")
    entry["definition"] = [b"NXstxm"]
    entry["version"] = 3.0
    entry["title"] = b"proposal"
    for name, factor in (("axis", 2), ("default", 1)):
        data = group(entry, name, "NXdata", signal="data")
        data.attrs["axes"] = [np.bytes_(a) for a in ("energy", "sample_y", "sample_x")]
        put(data, "data", factor * COUNTS.astype(float))
        put(data, "energy", ENERGY).attrs["axis"] = 1
        put(data, "sample_y", Y).attrs["axis"] = 2
        put(data, "sample_x", X).attrs["axis"] = 3
        put(data, "count_time", np.full(5, 10.0))
        data["stxm_scan_type"] = ["Image"]
    put(group(entry, "control", "NXmonitor"), "data", CURRENT, "mA")


def ancient(file: h5py.File) -> None:
    """The oldest: X, Y, E and scan_type, axes in one string on the counts."""
    entry = group(file, "entry1", "NXentry")
    data = group(entry, "counter0", "NXdata")
    item = put(data, "data", COUNTS)
    item.attrs.update(signal=np.int32(1), axes="[E:Y:X]")
    put(data, "E", ENERGY, "eV")
    put(data, "Y", Y, "microns")
    put(data, "X", X, "microns")
    data["scan_type"] = "sample image stack"
    put(data, "count_time", 0.01, "s")
    put(group(entry, "control", "NXmonitor"), "data", CURRENT, "mA")


DIALECTS: dict[str, Callable[[h5py.File], object]] = {
    "pollux": pollux,
    "cls": cls,
    "hermes": hermes,
    "softimax": softimax,
    "als_1": als_1,
    "als_2.0": lambda file: als_2(file, binned=False),
    "als_2.1": lambda file: als_2(file, binned=True),
    "als_3": als_3,
    "ancient": ancient,
}


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Write a file with a builder and options for it."""

    def make(build: Callable[..., object], **options: Any) -> Path:
        path = tmp_path / "made.hdf5"
        with h5py.File(path, "w") as file:
            build(file, **options)
        return path

    return make


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_same_measurement(dialect: str, made: Callable[..., Path]) -> None:
    path = made(DIALECTS[dialect])
    if dialect == "als_3":
        with pytest.warns(InputWarning, match="has no units"):
            stack = read(path)
    else:
        stack = read(path)
    assert stack.attrs["kind"] == "stack"
    assert stack.attrs["format"] == "NXstxm"
    assert stack["counts"].dims == ("energy", "y", "x")
    np.testing.assert_allclose(stack["counts"], COUNTS, rtol=1e-12 if dialect == "als_2.0" else 0)
    np.testing.assert_allclose(stack["energy"], ENERGY, rtol=1e-15 if dialect == "hermes" else 0)
    np.testing.assert_allclose(stack["y"], Y, rtol=1e-14)
    np.testing.assert_allclose(stack["x"], X, rtol=1e-14)
    np.testing.assert_allclose(stack["dwell"], 0.01)
    np.testing.assert_allclose(stack["ring_current"], CURRENT)
    assert [stack[name].attrs["units"] for name in ("energy", "y", "x")] == ["eV", "µm", "µm"]
    assert stack["counts"].dtype.isnative


def test_dtype_and_attributes_are_kept(made: Callable[..., Path]) -> None:
    stack = read(made(pollux))
    assert stack["counts"].dtype == np.uint16
    assert stack.attrs["title"] == "Sample"
    assert stack.attrs["start_time"] == "2021-03-16T16:50:18+01:00"
    assert (stack.attrs["detector"], stack.attrs["detectors"]) == ("counter0", ["counter0"])


def test_falling_axes_are_turned_with_their_counts(made: Callable[..., Path]) -> None:
    path = made(pollux, counts=COUNTS[::-1, ::-1, ::-1], energy=ENERGY[::-1], y=Y[::-1], x=X[::-1])
    stack = read(path)
    np.testing.assert_array_equal(stack["counts"], COUNTS)
    np.testing.assert_array_equal(stack["energy"], ENERGY)
    np.testing.assert_array_equal(stack["x"], X)
    np.testing.assert_array_equal(stack["y"], Y)


@given(energy=st.lists(st.sampled_from([510.0, 515.1, 515.2, 530.0]), min_size=2, max_size=9))
@settings(max_examples=40, deadline=None)
def test_energies_are_sorted_stably_and_repeats_kept(
    energy: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    counts = np.arange(1, len(energy) + 1)[:, None, None] * np.ones((1, 6, 7), int)
    path = tmp_path_factory.mktemp("sorted") / "stack.hdf5"
    with h5py.File(path, "w") as file:
        pollux(file, counts=counts, energy=energy)
    stack = read(path)
    order = sorted(range(len(energy)), key=lambda i: energy[i])
    np.testing.assert_array_equal(stack["energy"], [energy[i] for i in order])
    np.testing.assert_array_equal(stack["counts"], counts[order])


def test_positions_of_every_pixel_become_axes(made: Callable[..., Path]) -> None:
    jitter = np.random.default_rng(0).uniform(-0.02, 0.02, COUNTS.shape) * 0.05
    path = made(
        pollux,
        y=np.broadcast_to(Y[:, None], COUNTS.shape) + jitter,
        x=np.broadcast_to(X, COUNTS.shape) + jitter,
    )
    stack = read(path)
    np.testing.assert_allclose(stack["y"], Y, atol=0.001)
    np.testing.assert_allclose(stack["x"], X, atol=0.001)


def test_a_sheared_scan_is_refused(made: Callable[..., Path]) -> None:
    sheared = np.broadcast_to(X + 0.05 * np.arange(6)[:, None], COUNTS.shape)
    with pytest.raises(InputError, match="no rectangular grid"):
        read(made(pollux, x=sheared))


@pytest.mark.parametrize(("scale", "unit"), [(1.0, "µm"), (1e-3, "mm"), (1e-6, "metres")])
def test_units_unsaid_are_told_by_size_with_a_warning(
    scale: float, unit: str, made: Callable[..., Path]
) -> None:
    path = made(pollux, y=Y * scale, x=X * scale)
    with h5py.File(path, "a") as file:
        del file["entry1/counter0/sample_x"].attrs["units"]
        file["entry1/counter0/sample_y"].attrs["units"] = "furlong"
    with pytest.warns(InputWarning) as caught:
        stack = read(path)
    assert len(caught) == 2
    assert all(f"by its values it is in {unit}" in str(w.message) for w in caught)
    np.testing.assert_allclose(stack["x"], X)
    np.testing.assert_allclose(stack["y"], Y)


def test_without_positions_pixels_are_counted(made: Callable[..., Path]) -> None:
    path = made(pollux)
    with h5py.File(path, "a") as file:
        del file["entry1/counter0/sample_x"]
    with pytest.warns(InputWarning, match="positions are not recorded"):
        stack = read(path)
    assert stack["x"].attrs["units"] == stack["y"].attrs["units"] == "px"
    np.testing.assert_array_equal(stack["counts"], COUNTS)


def test_entries_and_detectors_are_chosen_by_number_and_name(tmp_path: Path) -> None:
    path = tmp_path / "regions.hdf5"
    with h5py.File(path, "w") as file:
        for i in (1, 2, 10):
            pollux(file, counts=COUNTS * i, entry_name=f"entry{i}", y=Y[: COUNTS.shape[1]])
        file.copy(file["entry2/counter0"], file["entry2"], "analog0")
        file["entry2/analog0/data"][...] = 3
        group(file, "macro", "NXcollection")
    with pytest.warns(InputWarning, match="3 entries; entry 1 is read"):
        first = read(path)
    np.testing.assert_array_equal(first["counts"], COUNTS)
    np.testing.assert_array_equal(read(path, entry=3)["counts"], COUNTS * 10)
    analog = read(path, entry=2, detector="Analog0")
    assert analog.attrs["detectors"] == ["counter0", "analog0"]
    np.testing.assert_array_equal(analog["counts"], np.full(COUNTS.shape, 3))
    with pytest.raises(InputError, match="no entry 4; entries are 1, 2, 3"):
        read(path, entry=4)
    with pytest.raises(InputError, match="detectors are counter0, analog0"):
        read(path, entry=2, detector="diode")


@pytest.mark.parametrize(
    "scan_type",
    ["sample focus", "osa focus", "osa image", "detector image", "generic scan", "Single Motor"],
)
def test_scans_that_map_nothing_are_refused_by_name(
    scan_type: str, made: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=f"a '{scan_type}' scan holds no map of the sample"):
        read(made(pollux, scan_type=scan_type))


def test_a_scan_over_another_axis_is_refused_by_its_name(made: Callable[..., Path]) -> None:
    path = made(pollux, axes=("zone_plate", "sample_y", "sample_x"))
    with pytest.raises(InputError, match="a scan over zone_plate holds no map"):
        read(path)


def test_single_image(made: Callable[..., Path]) -> None:
    path = made(
        pollux,
        counts=COUNTS[0],
        energy=[515.0],
        axes=("sample_y", "sample_x"),
        scan_type="sample image",
    )
    image = read(path)
    assert image.attrs["kind"] == "image"
    np.testing.assert_array_equal(image["counts"], COUNTS[:1])
    np.testing.assert_array_equal(image["energy"], [515.0])


@pytest.mark.parametrize("axes", [("energy", "line_position"), ("energy", "sample_x")])
def test_line_scan(axes: tuple[str, ...], made: Callable[..., Path]) -> None:
    y = np.linspace(0.0, 3.0, 7)
    x = np.linspace(5.0, 1.0, 7)
    counts = COUNTS[:, 0]
    path = made(pollux, counts=counts, y=y, x=x, axes=axes, scan_type="sample line spectrum")
    line = read(path)
    assert line.attrs["kind"] == "line_scan"
    assert line["counts"].dims == ("energy", "position")
    np.testing.assert_array_equal(line["counts"], counts)
    np.testing.assert_allclose(line["position"], np.linspace(0.0, 5.0, 7))
    np.testing.assert_allclose(line["x"], x)


def test_line_scan_of_the_als_with_a_row_of_its_own(made: Callable[..., Path]) -> None:
    path = made(pollux, counts=COUNTS[:, :1], y=[2.0], scan_type="Line Spectrum")
    line = read(path)
    assert line.attrs["kind"] == "line_scan"
    np.testing.assert_array_equal(line["counts"], COUNTS[:, 0])
    np.testing.assert_allclose(line["position"], X - X[0])


def test_point_spectrum(made: Callable[..., Path]) -> None:
    counts = COUNTS[:, 2, 3]
    path = made(
        pollux, counts=counts, y=[2.0], x=[3.0], axes=("energy",), scan_type="sample point spectrum"
    )
    point = read(path)
    assert point.attrs["kind"] == "point_spectra"
    np.testing.assert_array_equal(point["counts"], counts[:, None])
    assert float(point["x"][0]) == 3.0


@pytest.mark.parametrize("fill", [0.0, np.nan])
@pytest.mark.parametrize("in_frame", [0, 4])
def test_aborted_scan_is_refused_or_cut_and_named(
    fill: float, in_frame: int, made: Callable[..., Path]
) -> None:
    counts = COUNTS.astype(float)
    counts[3:] = fill
    counts[2, in_frame:] = fill  # stopped within the frame; at 0 before its first line
    path = made(pollux, counts=counts)
    with pytest.raises(InputError, match=r"3 of 5 frames .* at 515.35, 517.25, 540 eV"):
        read(path)
    with pytest.warns(InputWarning, match=r"3 of 5 frames .* they are dropped"):
        stack = read(path, partial=True)
    np.testing.assert_array_equal(stack["counts"], COUNTS[:2])
    np.testing.assert_array_equal(stack["energy"], ENERGY[:2])
    np.testing.assert_array_equal(stack["ring_current"], CURRENT[:2])


def test_aborted_scan_with_fewer_frames_than_energies(made: Callable[..., Path]) -> None:
    path = made(pollux, counts=COUNTS[:3])
    with pytest.raises(InputError, match="2 of 5 frames"):
        read(path)
    with pytest.warns(InputWarning, match="at 517.25, 540 eV"):
        stack = read(path, partial=True)
    np.testing.assert_array_equal(stack["counts"], COUNTS[:3])


def test_aborted_image_keeps_the_lines_measured(made: Callable[..., Path]) -> None:
    image = COUNTS[0].copy()
    image[4:] = 0
    options = {"counts": image, "energy": [515.0], "axes": ("sample_y", "sample_x")}
    path = made(pollux, scan_type="sample image", **options)
    with pytest.raises(InputError, match="2 of 6 lines"):
        read(path)
    with pytest.warns(InputWarning, match="2 of 6 lines"):
        kept = read(path, partial=True)
    np.testing.assert_array_equal(kept["counts"][0], image[:4])
    np.testing.assert_array_equal(kept["y"], Y[:4])


def test_a_line_that_is_missing_in_every_frame_is_a_dead_one(made: Callable[..., Path]) -> None:
    counts = COUNTS.astype(float)
    counts[:, 3] = np.nan
    stack = read(made(pollux, counts=counts))
    assert stack.sizes["energy"] == len(ENERGY)
    np.testing.assert_array_equal(np.isnan(stack["counts"]), np.isnan(counts))


def test_single_missing_pixels_stay_nan_and_are_counted(made: Callable[..., Path]) -> None:
    counts = COUNTS.astype(np.float32)
    counts[1, 2, 3] = np.nan
    with pytest.warns(InputWarning, match="1 pixels are NaN"):
        stack = read(made(pollux, counts=counts))
    np.testing.assert_array_equal(stack["counts"], counts)


def test_what_was_never_written_is_not_read_as_zeros(made: Callable[..., Path]) -> None:
    """HDF5 gives the fill value (here 7) for blocks that are not in the file."""

    def half_written(file: h5py.File) -> None:
        pollux(file)
        data = file["entry1/counter0"]
        del data["data"]
        item = data.create_dataset("data", COUNTS.shape, "u2", chunks=(1, 3, 7), fillvalue=7)
        item[:3] = COUNTS[:3]
        item[3, :3] = COUNTS[3, :3]

    path = made(half_written)
    with pytest.raises(InputError, match="2 of 5 frames"):
        read(path)
    with pytest.warns(InputWarning, match="at 517.25, 540 eV"):
        stack = read(path, partial=True)
    np.testing.assert_array_equal(stack["counts"], COUNTS[:3])

    def never_written(file: h5py.File) -> None:
        pollux(file)
        del file["entry1/counter0/data"]
        file["entry1/counter0"].create_dataset("data", COUNTS.shape, "u2", fillvalue=7)

    with pytest.raises(InputError, match="not written completely"):
        read(made(never_written), partial=True)


def test_all_zeros_are_refused_even_when_partial(made: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="not one frame holds counts"):
        read(made(pollux, counts=COUNTS * 0), partial=True)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"counts": COUNTS[:, :4]}, "has the shape"),
        ({"energy": ENERGY[:3]}, "5 frames are recorded for 3"),
        ({"energy": np.array([510, np.nan, 520, 530, 540])}, "NaN, zero or negative"),
        ({"x": X[[0, 2, 1, 3, 4, 5, 6]]}, "neither rise nor fall"),
        ({"x": X[[0, 1, 1, 3, 4, 5, 6]]}, "neither rise nor fall"),
        ({"y": np.full(6, np.nan)}, "neither rise nor fall"),
        ({"counts": np.full(COUNTS.shape, b"x")}, "holds no numbers"),
    ],
)
def test_what_does_not_fit_is_said(
    options: dict[str, Any], fault: str, made: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=fault):
        read(made(pollux, **options))


def test_truncated_or_foreign_files_are_named(made: Callable[..., Path]) -> None:
    path = made(pollux)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert nxstxm.reads_this(path)
    with pytest.raises(InputError, match=r"made.hdf5: truncated, half-written or damaged"):
        read(path)
    path.write_bytes(b"no HDF5 at all")
    assert not nxstxm.reads_this(path)
    with pytest.raises(InputError, match="not an HDF5 file"):
        nxstxm.read(path)
    with h5py.File(path, "w") as file:
        group(file, "entry", "NXentry")
    assert not nxstxm.reads_this(path)


def independent(folder: Path, name: str) -> dict[str, np.ndarray]:
    with h5py.File(next(folder.glob(f"stxm_nxstxm_sls/Sample_{name}_*.hdf5"))) as file:
        data = file["entry1/counter0"]
        found = {key: data[key][()] for key in data if data[key].dtype.kind == "f"}
        return found | {"current": file["entry1/control/data"][()]}


def test_measured_stack(measured: Path) -> None:
    truth = independent(measured, "Stack")
    stack = read(next(measured.glob("stxm_nxstxm_sls/Sample_Stack*")))
    assert stack.attrs["kind"] == "stack"
    np.testing.assert_array_equal(stack["energy"], [280.0, 284.5, 285.0, 320.0])
    np.testing.assert_array_equal(stack["counts"], truth["data"])
    np.testing.assert_array_equal(stack["y"], truth["sample_y"])
    np.testing.assert_array_equal(stack["x"], truth["sample_x"])
    np.testing.assert_array_equal(stack["dwell"], truth["count_time"])
    np.testing.assert_allclose(stack["ring_current"], truth["current"].mean(axis=(1, 2)))


def test_measured_image_and_line_scan(measured: Path) -> None:
    truth = independent(measured, "Image")
    image = read(next(measured.glob("stxm_nxstxm_sls/Sample_Image*")))
    assert image.attrs["kind"] == "image"
    np.testing.assert_array_equal(image["counts"][0], truth["data"])
    np.testing.assert_array_equal(image["energy"], [350.0])
    truth = independent(measured, "Line")
    line = read(next(measured.glob("stxm_nxstxm_sls/Sample_Line*")))
    assert line.attrs["kind"] == "line_scan"
    np.testing.assert_array_equal(line["counts"], truth["data"])
    np.testing.assert_array_equal(line["energy"], truth["energy"])
    np.testing.assert_allclose(line["position"], truth["line_position"], atol=1e-9)


def test_measured_focus_scan_is_refused_by_name(measured: Path) -> None:
    with pytest.raises(InputError, match="'sample focus'"):
        read(next(measured.glob("stxm_nxstxm_sls/Focus*")))


def written_bytes(folder: Path, build: Callable[[h5py.File], object], libver: str) -> bytearray:
    path = folder / "whole.hdf5"
    with h5py.File(path, "w", libver=libver) as file:
        build(file)
    return bytearray(path.read_bytes())


def read_damaged(path: Path, *, partial: bool) -> Any:
    """The measurement, or None where an InputError named the fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        try:
            return nxstxm.read(path, Choice(partial=partial))
        except InputError as error:
            assert str(path) in str(error)
            return None


DAMAGE = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@given(part=st.floats(0, 1, exclude_max=True), partial=st.booleans())
@DAMAGE
def test_property_truncated(part: float, partial: bool, tmp_path: Path) -> None:
    whole = written_bytes(tmp_path, pollux, "earliest")
    path = tmp_path / "short.hdf5"
    path.write_bytes(whole[: int(part * len(whole))])
    assert read_damaged(path, partial=partial) is None


@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1,
                   max_size=4),
    partial=st.booleans(),
)  # fmt: skip
@DAMAGE
def test_property_bytes_flipped(
    flips: list[tuple[float, int]], partial: bool, tmp_path: Path
) -> None:
    """Without checksums on the file's structure (as PolLux writes): no zeros that are not there.

    Axes have no checksum of their own, so the order of frames may change; each frame is one
    of the true ones, which gzip's checksum guards.
    """
    whole = written_bytes(tmp_path, pollux, "earliest")
    for place, mask in flips:
        whole[int(place * len(whole))] ^= mask
    path = tmp_path / "flipped.hdf5"
    path.write_bytes(whole)
    stack = read_damaged(path, partial=partial)
    if stack is None or stack.attrs["kind"] not in ("stack", "image"):
        return
    true = {frame.tobytes() for flip in (COUNTS, COUNTS[:, ::-1]) for frame in flip}
    for frame in stack["counts"].values:
        assert frame.any()
        assert frame.dtype != COUNTS.dtype or frame.tobytes() in true


MEMBERS = ["data", "energy", "sample_y", "sample_x", "count_time", "stxm_scan_type"]


@given(
    missing=st.sets(st.sampled_from(MEMBERS)),
    bare=st.sets(st.sampled_from(["", *MEMBERS[:4]])),
    partial=st.booleans(),
)
@example(missing=set(), bare={"", *MEMBERS[:4]}, partial=False)
@DAMAGE
def test_property_missing_parts(
    missing: set[str], bare: set[str], partial: bool, tmp_path: Path
) -> None:
    path = tmp_path / "lacking.hdf5"
    with h5py.File(path, "w") as file:
        data = pollux(file)["counter0"]
        for name in bare:
            item = data[name] if name else data
            for attribute in [a for a in item.attrs if a != "NX_class"]:
                del item.attrs[attribute]
        for name in missing:
            del data[name]
    stack = read_damaged(path, partial=partial)
    assert (stack is None) == bool(missing & {"data", "energy"})
    if stack is not None:
        np.testing.assert_array_equal(stack["counts"], COUNTS)
        np.testing.assert_array_equal(stack["energy"], ENERGY)


shapes = st.lists(st.integers(0, 8), max_size=4).map(tuple)


@given(name=st.sampled_from(MEMBERS[:5]), shape=shapes, partial=st.booleans())
@DAMAGE
def test_property_wrong_shapes(
    name: str, shape: tuple[int, ...], partial: bool, tmp_path: Path
) -> None:
    path = tmp_path / "shape.hdf5"
    values = 1.0 + np.arange(np.prod(shape, dtype=int)).reshape(shape)
    with h5py.File(path, "w") as file:
        data = pollux(file)["counter0"]
        del data[name]
        put(data, name, values, "s" if name == "count_time" else "eV" if name == "energy" else "um")
    stack = read_damaged(path, partial=partial)
    if stack is None:
        return
    truth = values if name == "data" else COUNTS
    read_counts = stack["counts"].values
    assert read_counts.size
    np.testing.assert_array_equal(read_counts.ravel(), truth.ravel()[: read_counts.size])


@given(
    pixel=st.floats(5e-3, 1.0),
    n=st.integers(60, 400),
    start=st.floats(-2000.0, 2000.0),
    unit=st.sampled_from(["µm", "mm", "metres"]),
)
def test_a_usual_scan_without_units_is_read_in_its_own(
    pixel: float, n: int, start: float, unit: str
) -> None:
    factor = {"µm": 1.0, "mm": 1e3, "metres": 1e6}[unit]
    assert _nexus._unsaid_length((start + pixel * np.arange(n)) / factor)[0] == unit


def test_an_ambiguous_unit_is_called_so() -> None:
    unit, more = _nexus._unsaid_length(2e-3 * np.arange(200.0) * 1e3)  # 2 µm: or 2 nm
    assert unit == "µm"
    assert "pixels of 2000 nm" in more
    unit, more = _nexus._unsaid_length(2e-3 * np.arange(200.0))
    assert "could be in mm" in more


def test_copies_without_classes_are_read_by_their_names(made: Callable[..., Path]) -> None:
    path = made(pollux)
    with h5py.File(path, "a") as file:
        for name in ("entry1", "entry1/counter0"):
            for attribute in list(file[name].attrs):
                del file[name].attrs[attribute]
        del file["entry1/definition"]
        del file["entry1/counter0/stxm_scan_type"]
    stack = read(path)
    assert stack.attrs["format"] == "NXstxm"
    np.testing.assert_array_equal(stack["counts"], COUNTS)
    np.testing.assert_allclose(stack["x"], X)
