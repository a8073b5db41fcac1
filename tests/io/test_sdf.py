"""SDF scans: headers and frames are written here as text, independently of the reader."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import phaseloom.io
from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import Choice
from phaseloom.io.readers import sdf
from phaseloom.io.readers._sdf_structures import parse_structures

X = [10.0, 10.25, 10.5, 10.75]
Y = [-2.0, -1.5, -1.0]
ENERGIES = [700.123, 701.5, 702.75]


def points(values) -> str:
    return f"Points = ({len(values)}, " + ", ".join(f"{value:.4f}" for value in values) + ");"


def axis(name: str, values, unit: str = "um") -> str:
    return (
        f'{{ Name = "{name}"; Unit = "{unit}"; Min = {min(values)}; Max = {max(values)}; Dir = 1;\n'
        f"\t\t\t\t{points(values)}\n}};\n"
    )


def header(
    *,
    scan_type="NEXAFS Image Scan",
    flags="Image Stack",
    x=X,
    y=Y,
    energies=ENERGIES,
    regions=None,
    channels=("PMT",),
    tail="",
) -> str:
    regions = regions or [
        f"PAxis = {axis('Sample X', x)}\n\t\t\tQAxis = {axis('Sample Y', y)}",
    ]
    channel_list = ",\n".join(f'{{ Name = "{name}"; Unit = "counts";}}' for name in channels)
    stack = f"\tStackAxis = {axis('Energy', energies, 'eV')}" if energies else ""
    return (
        f'\nScanDefinition = {{ Label = "map_1.hdr"; Type = "{scan_type}"; Flags = "{flags}"; '
        f"Dwell = 2.5; Dwell2 = -6.2774386e+066;\n\tRegions = ({len(regions)},\n"
        + ",\n".join(f"{{\n\t\t\t{region}}}" for region in regions)
        + f");\n\n{stack}\n\tChannels = ({len(channels)},\n{channel_list});\n}};\n"
        ' Time = "2018 November 10 23:57:34"; BeamFeedback = false;\n'
        'Monochromator = { Name = "Beamline Energy"; LastPosition = 699.9; Status = 1;};\n'
        f" StorageRingCurrent = 401.5;{tail}\n"
    )


def value(e: int, y: int, x: int, offset: int = 0) -> int:
    """No two pixels alike and no symmetry under exchange or reversal of axes."""
    return offset + 1000 * (e + 1) + 100 * y + 7 * x + 1


def frame(e: int, shape=(3, 4), offset: int = 0) -> list[list[int]]:
    return [[value(e, y, x, offset) for x in range(shape[1])] for y in range(shape[0])]


def expected(count: int = 3, offset: int = 0) -> np.ndarray:
    return np.array([frame(e, offset=offset) for e in range(count)])


def table(rows, form="{:d}", end="\t\r\n") -> str:
    return "".join("\t".join(form.format(number) for number in row) + end for row in rows)


def write_stack(folder: Path, text: str | None = None, count: int = 3, **how) -> Path:
    path = folder / "map.hdr"
    path.write_text(text or header(), newline="\r\n")
    for e in range(count):
        (folder / f"map_a{e:03d}.xim").write_text(table(frame(e), **how), newline="")
    return path


def test_stack_places_every_pixel(tmp_path: Path) -> None:
    path = write_stack(tmp_path)
    measurement = phaseloom.io.readers.sdf.read(path)
    assert measurement.attrs["kind"] == "stack"
    assert measurement["counts"].dims == ("energy", "y", "x")
    assert measurement["counts"].dtype == np.int32
    np.testing.assert_array_equal(measurement["counts"], expected())
    for name, values in (("energy", ENERGIES), ("y", Y), ("x", X)):
        np.testing.assert_array_equal(measurement[name], values)
    assert [measurement[name].attrs["units"] for name in ("energy", "y", "x")] == ["eV", "µm", "µm"]
    np.testing.assert_allclose(measurement["dwell"], [2.5e-3] * 3)
    assert "ring_current" not in measurement
    assert measurement.attrs["title"] == "map_1.hdr"
    assert measurement.attrs["source"] == "map.hdr"
    assert measurement.attrs["detectors"] == ["PMT"]
    assert measurement.attrs["start_time"] == "2018-11-10T23:57:34"


def test_one_image_is_read_with_its_energy(tmp_path: Path) -> None:
    write_stack(tmp_path, header(y=Y[::-1]))
    image = phaseloom.io.read(tmp_path / "map_a001.xim")
    assert image.attrs["kind"] == "image"
    assert image.attrs["source"] == "map_a001.xim"
    np.testing.assert_array_equal(image["energy"], ENERGIES[1:2])
    np.testing.assert_array_equal(image["counts"], expected()[1:2, ::-1])
    np.testing.assert_array_equal(image["y"], Y)
    (tmp_path / "map_a000.xim").unlink()  # the others need not be there
    assert phaseloom.io.read(tmp_path / "map_a001.xim").identical(image)


def test_one_image_of_a_region_and_a_channel(tmp_path: Path) -> None:
    write_regions(tmp_path, "Multi-Region Image Stack")
    image = sdf.read(tmp_path / "map_a0021.xim")
    assert image.attrs["entry"] == 2
    np.testing.assert_array_equal(image["counts"], expected(offset=90000)[2:])
    with pytest.raises(InputError, match="no entry 1; entries are 2"):
        sdf.read(tmp_path / "map_a0021.xim", Choice(entry=1))
    (tmp_path / "map_b0021.xim").write_text(table(frame(0)))
    with pytest.raises(InputError, match="letter b are not of the detector"):
        sdf.read(tmp_path / "map_b0021.xim")


def test_one_image_that_belongs_to_no_scan(tmp_path: Path) -> None:
    alone = tmp_path / "other_a000.xim"
    alone.write_text(table(frame(0)))
    with pytest.raises(InputError, match=r"of an SDF scan whose header other\.hdr is"):
        phaseloom.io.read(alone)
    odd = tmp_path / "odd.xim"
    odd.write_text(table(frame(0)))
    with pytest.raises(InputError, match=r"not named as an image.*give the \.hdr"):
        phaseloom.io.read(odd)
    write_stack(tmp_path)
    beyond = tmp_path / "map_a007.xim"
    beyond.write_text(table(frame(0)))
    with pytest.raises(InputError, match=r"none of the images that map\.hdr describes"):
        phaseloom.io.read(beyond)


def test_decimals_keep_their_digits(tmp_path: Path) -> None:
    path = write_stack(tmp_path, form="{:.3f}", end="\n")
    (tmp_path / "map_a001.xim").write_text(table(np.array(frame(1)) + 0.125, "{:.3f}"))
    counts = sdf.read(path)["counts"]
    assert counts.dtype == np.float64
    np.testing.assert_array_equal(counts[0], frame(0))
    np.testing.assert_array_equal(counts[1], np.array(frame(1)) + 0.125)


def test_descending_axes_are_turned_with_their_pixels(tmp_path: Path) -> None:
    path = write_stack(tmp_path, header(x=X[::-1], y=Y[::-1], energies=ENERGIES[::-1]))
    measurement = sdf.read(path)
    for name, values in (("energy", ENERGIES), ("y", Y), ("x", X)):
        np.testing.assert_array_equal(measurement[name], values)
    np.testing.assert_array_equal(measurement["counts"], expected()[::-1, ::-1, ::-1])


def test_repeated_energies_keep_their_order(tmp_path: Path) -> None:
    path = write_stack(tmp_path, header(energies=[702.0, 701.0, 702.0]))
    measurement = sdf.read(path)
    np.testing.assert_array_equal(measurement["energy"], [701.0, 702.0, 702.0])
    np.testing.assert_array_equal(measurement["counts"], expected()[[1, 0, 2]])


def test_vertical_fast_axis(tmp_path: Path) -> None:
    region = f"PAxis = {axis('Sample Y', X)}\n\t\t\tQAxis = {axis('Sample X', Y)}"
    measurement = sdf.read(write_stack(tmp_path, header(regions=[region])))
    np.testing.assert_array_equal(measurement["x"], Y)
    np.testing.assert_array_equal(measurement["counts"], expected().transpose(0, 2, 1))


def test_whitespace_and_line_breaks_mean_nothing(tmp_path: Path) -> None:
    text = header()
    loose = re.sub(r"([={(,;])", "\n \\1\t\n", text).replace('"map\n', '"map')
    tight = re.sub(r"\s*\n\s*", "", text)
    for variant in (loose, tight):
        measurement = sdf.read(write_stack(tmp_path, variant))
        np.testing.assert_array_equal(measurement["energy"], ENERGIES)
        np.testing.assert_array_equal(measurement["counts"], expected())


def test_unquoted_label_and_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeff" + header().replace('"map_1.hdr"', "map_1 (µ).hdr".replace("(µ)", "µ"))
    path = write_stack(tmp_path, text)
    path.write_text(text, encoding="utf-8")
    assert sdf.read(path).attrs["title"] == "map_1 µ.hdr"
    path.write_text(text[1:], encoding="latin-1")
    assert sdf.read(path).attrs["title"] == "map_1 µ.hdr"


def test_channels_have_letters(tmp_path: Path) -> None:
    path = write_stack(tmp_path, header(channels=("PMT", "TEY", "TEY2")))
    for e in range(3):
        (tmp_path / f"map_b{e:03d}.xim").write_text(table(frame(e, offset=50000)))
    assert sdf.read(path).attrs["detector"] == "PMT"
    measurement = sdf.read(path, Choice(detector="TEY"))
    assert measurement.attrs["detector"] == "TEY"
    assert measurement.attrs["detectors"] == ["PMT", "TEY", "TEY2"]
    np.testing.assert_array_equal(measurement["counts"], expected(offset=50000))
    with pytest.raises(InputError, match=r"no map_c000\.xim"):
        sdf.read(path, Choice(detector="TEY2"))
    with pytest.raises(InputError, match="no detector named 'APD'; it has PMT, TEY, TEY2"):
        sdf.read(path, Choice(detector="APD"))


def test_detectors_of_one_name_cannot_be_chosen_by_it(tmp_path: Path) -> None:
    path = write_stack(tmp_path, header(channels=("PMT", "PMT")))
    with pytest.raises(InputError, match="several detectors named 'PMT'"):
        sdf.read(path, Choice(detector="PMT"))


def write_regions(folder: Path, flags: str) -> Path:
    small = f"PAxis = {axis('Sample X', [1.0, 2.0])}QAxis = {axis('Sample Y', [5.0, 6.0])}"
    large = f"PAxis = {axis('Sample X', X)}QAxis = {axis('Sample Y', Y)}"
    logs = "".join(
        f"\nImage{e:03d}_{r} = {{StorageRingCurrent = {500 - 10 * e - r}.25; Energy = {E};}};"
        for e, E in enumerate(ENERGIES)
        for r in range(2)
    )
    text = header(flags=flags, regions=[small, large], tail=logs)
    path = write_stack(folder, text, count=0)
    for e in range(3):
        (folder / f"map_a{e:03d}0.xim").write_text(table(frame(e, (2, 2))))
        (folder / f"map_a{e:03d}1.xim").write_text(table(frame(e, offset=90000)))
    return path


def test_regions_of_a_stack(tmp_path: Path) -> None:
    path = write_regions(tmp_path, "Multi-Region Image Stack")
    with pytest.warns(InputWarning, match="2 entries; entry 1 is read"):
        first = sdf.read(path)
    np.testing.assert_array_equal(first["counts"], [frame(e, (2, 2)) for e in range(3)])
    np.testing.assert_array_equal(first["x"], [1.0, 2.0])
    np.testing.assert_allclose(first["ring_current"], [500.25, 490.25, 480.25])
    second = sdf.read(path, Choice(entry=2))
    np.testing.assert_array_equal(second["counts"], expected(offset=90000))
    np.testing.assert_array_equal(second["x"], X)
    np.testing.assert_allclose(second["ring_current"], [499.25, 489.25, 479.25])
    for entry in (0, 3):
        with pytest.raises(InputError, match=f"no entry {entry}; entries are 1, 2"):
            sdf.read(path, Choice(entry=entry))


def test_single_image(tmp_path: Path) -> None:
    path = tmp_path / "map.hdr"
    path.write_text(header(scan_type="Image Scan", flags="Image", energies=[705.5]))
    (tmp_path / "map_a.xim").write_text(table(frame(0)))
    measurement = sdf.read(path)
    assert measurement.attrs["kind"] == "image"
    np.testing.assert_array_equal(measurement["counts"], expected(1))
    np.testing.assert_array_equal(measurement["energy"], [705.5])
    np.testing.assert_array_equal(measurement["ring_current"], [401.5])
    path.write_text(header(scan_type="Image Scan", flags="Image", energies=None))
    with pytest.warns(InputWarning, match=r"monochromator's last position, 699\.9 eV"):
        assert sdf.read(path)["energy"].item() == 699.9
    path.write_text(header(scan_type="Image Scan", flags="Image"))
    with pytest.raises(InputError, match="single image with 3 energies"):
        sdf.read(path)


def test_single_image_of_several_regions(tmp_path: Path) -> None:
    path = tmp_path / "map.hdr"
    region = f"PAxis = {axis('Sample X', X)}QAxis = {axis('Sample Y', Y)}"
    path.write_text(
        header(
            scan_type="Image Scan",
            flags="Multi-Region Image",
            regions=[region] * 2,
            energies=[700.0],
        )
    )
    (tmp_path / "map_a0.xim").write_text(table(frame(0)))
    (tmp_path / "map_a1.xim").write_text(table(frame(1)))
    np.testing.assert_array_equal(sdf.read(path, Choice(entry=2))["counts"], [frame(1)])


def test_line_scan_has_energy_across(tmp_path: Path) -> None:
    path = tmp_path / "map.hdr"
    region = f"PAxis = {axis('Energy', [*ENERGIES, 704.0], 'eV')}QAxis = {axis('Sample', Y[::-1])}"
    path.write_text(
        header(scan_type="NEXAFS Line Scan", flags="Image", regions=[region], energies=[700.0])
    )
    (tmp_path / "map_a.xim").write_text(table(frame(0)))
    measurement = sdf.read(path)
    assert measurement.attrs["kind"] == "line_scan"
    assert measurement["counts"].dims == ("energy", "position")
    np.testing.assert_array_equal(measurement["counts"], np.array(frame(0))[::-1].T)
    np.testing.assert_array_equal(measurement["energy"], [*ENERGIES, 704.0])
    np.testing.assert_array_equal(measurement["position"], Y)
    assert measurement.sizes["energy"] == measurement["dwell"].size
    path.write_text(header(scan_type="NEXAFS Line Scan", flags="Image"))
    with pytest.raises(InputError, match="PAxis is 'Sample X' in 'um', not the energy"):
        sdf.read(path)


def write_points(folder: Path, count: int = 2) -> Path:
    region = f"PAxis = {axis('Energy', ENERGIES, 'eV')}"
    path = folder / "map.hdr"
    path.write_text(
        header(
            scan_type="NEXAFS Point Scan",
            flags="Multi-Region Spectra",
            regions=[region] * count,
            energies=None,
            channels=("PMT", "TEY"),
        )
    )
    for k in range(count):
        rows = [[E, 10.5 * (i + 1) + k, 1000.0 + i + k] for i, E in enumerate(ENERGIES)]
        (folder / f"map_{k}.xsp").write_text(table(rows, "{:.7E}"))
    return path


def test_point_spectra(tmp_path: Path) -> None:
    path = write_points(tmp_path)
    measurement = sdf.read(path)
    assert measurement.attrs["kind"] == "point_spectra"
    assert measurement["counts"].dims == ("energy", "point")
    np.testing.assert_allclose(measurement["counts"], [[10.5, 11.5], [21, 22], [31.5, 32.5]])
    np.testing.assert_array_equal(measurement["energy"], ENERGIES)
    np.testing.assert_array_equal(measurement["point"], [1, 2])
    second = sdf.read(path, Choice(entry=2, detector="TEY"))
    np.testing.assert_allclose(second["counts"], [[1001.0], [1002.0], [1003.0]])
    np.testing.assert_array_equal(second["point"], [2])


def test_point_spectra_at_fault_are_named(tmp_path: Path) -> None:
    path = write_points(tmp_path, count=3)
    (tmp_path / "map_1.xsp").unlink()
    with pytest.raises(InputError, match=r"map_1\.xsp is missing"):
        sdf.read(path)
    with pytest.warns(InputWarning, match=r"map_1\.xsp is missing"):
        np.testing.assert_array_equal(sdf.read(path, Choice(partial=True))["point"], [1, 3])
    shifted = (tmp_path / "map_0.xsp").read_text().replace("7.0150000E+02", "7.0550000E+02")
    (tmp_path / "map_0.xsp").write_text(shifted)
    with pytest.raises(InputError, match=r"map_0\.xsp: the energies in the first column"):
        sdf.read(path, Choice(entry=1))


@pytest.mark.parametrize(
    "scan_type", ["OSA Scan", "OSA Focus Scan", "Focus Scan", "Detector Scan", "Motor Scan"]
)
def test_setup_scans_are_refused_by_name(tmp_path: Path, scan_type: str) -> None:
    path = tmp_path / "map.hdr"
    path.write_text(header(scan_type=scan_type, flags="Image"))
    with pytest.raises(InputError, match=f"is a '{scan_type}', made to set up the microscope"):
        sdf.read(path)


def test_unknown_scans_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "map.hdr"
    path.write_text(header(scan_type="Tomography Scan"))
    with pytest.raises(InputError, match="type 'Tomography Scan' with flags 'image stack'"):
        sdf.read(path)
    path.write_text(header().replace('"Energy"', '"Polarization"'))
    with pytest.raises(InputError, match="stack axis is 'Polarization'"):
        sdf.read(path)


def test_dwell_follows_the_energy_regions(tmp_path: Path) -> None:
    tail = (
        "\nImageScan = { EnergyRegions = (2,\n{ Points = 1; DwellTime = 4;},"
        "{ Points = 2; DwellTime = 8.5;});};"
    )
    path = write_stack(tmp_path, header(energies=ENERGIES[::-1], tail=tail))
    np.testing.assert_allclose(sdf.read(path)["dwell"], [8.5e-3, 8.5e-3, 4e-3])
    path.write_text(header(tail=tail.replace("Points = 2", "Points = 3")))
    np.testing.assert_allclose(sdf.read(path)["dwell"], [2.5e-3] * 3)


def test_ring_current_of_every_image_or_none(tmp_path: Path) -> None:
    log = "\nImage2 = {StorageRingCurrent = 400.5;};\nImage3 = {StorageRingCurrent = 399.5;};"
    path = write_stack(tmp_path, header(tail=log))
    np.testing.assert_array_equal(sdf.read(path)["ring_current"], [401.5, 400.5, 399.5])
    path.write_text(header(tail=log.replace("Image3", "Image4")))
    assert "ring_current" not in sdf.read(path)
    path.write_text(header(tail=log.replace("399.5", "0.00")))
    assert "ring_current" not in sdf.read(path)


def test_missing_frames_are_named_or_left_out(tmp_path: Path) -> None:
    path = write_stack(tmp_path)
    (tmp_path / "map_a001.xim").unlink()
    with pytest.raises(InputError, match=r"1 of 3 frames are missing: map_a001\.xim"):
        sdf.read(path)
    with pytest.warns(InputWarning, match=r"map_a001\.xim"):
        measurement = sdf.read(path, Choice(partial=True))
    np.testing.assert_array_equal(measurement["energy"], [ENERGIES[0], ENERGIES[2]])
    np.testing.assert_array_equal(measurement["counts"], expected()[[0, 2]])
    assert measurement["dwell"].size == 2


def test_header_without_frames_names_the_first(tmp_path: Path) -> None:
    path = write_stack(tmp_path, count=0)
    for partial in (False, True):
        with pytest.raises(InputError, match=r"there is no map_a000\.xim beside the header"):
            sdf.read(path, Choice(partial=partial))


def test_other_numbers_are_paired_in_order_if_the_count_is_right(tmp_path: Path) -> None:
    logs = "".join(
        f"\nImage{n:03d}_0 = {{StorageRingCurrent = {n}.5; Energy = {E + 0.03};}};"
        for n, E in zip((4, 7, 19), ENERGIES, strict=True)
    )
    path = write_stack(tmp_path, header(tail=logs))
    for old, new in ((2, 19), (1, 7), (0, 4)):
        (tmp_path / f"map_a{old:03d}.xim").rename(tmp_path / f"map_a{new:03d}.xim")
    with pytest.warns(InputWarning, match=r"map_a004\.xim, map_a007\.xim, map_a019\.xim"):
        measurement = sdf.read(path)
    np.testing.assert_array_equal(measurement["counts"], expected())
    np.testing.assert_array_equal(measurement["ring_current"], [4.5, 7.5, 19.5])
    # The energies logged with the images contradict the pairing.
    path.write_text(header(tail=logs, energies=[*ENERGIES[:2], 709.0]))
    with (
        pytest.warns(InputWarning, match="paired in this order"),
        pytest.raises(InputError, match=r"map_a019\.xim would have 709\.0 eV but was logged"),
    ):
        sdf.read(path)
    (tmp_path / "map_a004.xim").unlink()
    with pytest.raises(InputError, match="3 of 3 frames are missing"):
        sdf.read(path, Choice(partial=True))


def test_frames_beyond_the_header_are_named(tmp_path: Path) -> None:
    path = write_stack(tmp_path, count=5)
    with pytest.warns(InputWarning, match=r"left out: map_a003\.xim, map_a004\.xim"):
        measurement = sdf.read(path)
    np.testing.assert_array_equal(measurement["counts"], expected())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (table(frame(1)[:2]), "has 2 rows where the header says 3"),
        (table(frame(1)).rstrip()[:-9] + "\n", "values in row 3 where the header says 4"),
        (table(frame(1)).rstrip()[:-1], "breaks off in its last value"),
        (table(frame(1)).replace("2001", "2O01"), "text that is no number"),
        (table(frame(1)).replace("2008", "20_08"), "text that is no number"),
        (table(frame(1)).replace("2008", "2008-15"), "text that is no number"),
        (table(frame(1)).replace("2008", "nan"), "1 values that are not finite"),
        (table([[0] * 4] * 3), "is all zeros"),
        (table(np.transpose(frame(1))), "has 4 rows where the header says 3"),
        ("", "has 0 rows where the header says 3"),
    ],
)
def test_damaged_frames_are_named_or_left_out(tmp_path: Path, text: str, fault: str) -> None:
    path = write_stack(tmp_path)
    (tmp_path / "map_a001.xim").write_text(text)
    with pytest.raises(InputError, match=rf"map_a001\.xim: .*{fault}"):
        sdf.read(path)
    with pytest.warns(InputWarning, match=rf"map_a001\.xim .*{fault}"):
        measurement = sdf.read(path, Choice(partial=True))
    np.testing.assert_array_equal(measurement["counts"], expected()[[0, 2]])
    np.testing.assert_array_equal(measurement["energy"], [ENERGIES[0], ENERGIES[2]])


def test_frames_without_line_end_are_read_if_all_lack_it(tmp_path: Path) -> None:
    path = write_stack(tmp_path)
    for file in tmp_path.glob("*.xim"):
        file.write_text(file.read_text().rstrip())
    with pytest.warns(InputWarning, match="do not finish with a line end"):
        np.testing.assert_array_equal(sdf.read(path)["counts"], expected())


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("Points = (4,", "Points = (5,", "'Points' in the header announces 5 elements and holds 4"),
        ("Points = (3, 700", "Points = (2, 700", "announces 2 elements and holds 3"),
        ("Points = (4, 10.0000, ", "Points = (4, ", "announces 4 elements and holds 3"),
        ("701.5000, ", "701.5000 ", "announces 3 elements and holds 2"),
        ("701.5000", "70l.5000", "not all points of StackAxis"),
        ("701.5000", "70_1.5000", "not all points of StackAxis"),
        ("701.5000", "1e999", "not all points of StackAxis"),
        ("701.5000", "-701.5000", "which is no photon energy"),
        ("10.2500", "10.7500", "neither ascend nor descend"),
        ('"um"', '"deg"', "has the unit 'deg', no length"),
        ('"eV"', '"nm"', "not the energy in eV"),
        ("Regions = (1,", "Regions = (2,", "'Regions' in the header announces 2"),
        ("Channels = (1,", "Channels = (0,", "'Channels' in the header announces 0"),
        ("PAxis = {", "PAxis {", "does not read as 'Name = value;'"),
        ("PAxis = {", "QAxis = {", "'QAxis' stands twice"),
        ("Dwell = 2.5;", "Dwell = 2.5", "no ';' after 'Dwell'"),
        ('Label = "', "Label = ", "does not read as|where a value belongs|no ';'"),
        ("Flags =", "Flag =", "with flags ''"),
    ],
)
def test_damaged_headers_are_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    text = header()
    assert old in text
    path = write_stack(tmp_path, text.replace(old, new, 1))
    with pytest.raises(InputError, match=fault):
        sdf.read(path)


def test_energies_in_kev(tmp_path: Path) -> None:
    text = header()
    path = write_stack(tmp_path, text)
    energy = sdf.read(path)["energy"].values
    path.write_text(text.replace('"eV"', '"keV"'))
    with pytest.warns(InputWarning, match="said to be in keV, but .* they are taken as eV"):
        np.testing.assert_array_equal(sdf.read(path)["energy"], energy)


def test_header_that_breaks_off_behind_the_scan_definition(tmp_path: Path) -> None:
    text = header(tail="\nImage2 = {StorageRingCurrent = 400.5; Time = ")
    path = write_stack(tmp_path, text)
    with pytest.raises(InputError, match="header is damaged: it breaks off"):
        sdf.read(path)
    with pytest.warns(InputWarning, match="only what precedes this is used"):
        measurement = sdf.read(path, Choice(partial=True))
    np.testing.assert_array_equal(measurement["counts"], expected())


def test_brackets_without_end_do_not_exhaust_the_parser() -> None:
    for text in ("a = {" * 5000, "a = " + "(" * 5000):
        with pytest.raises(InputError, match="nested deeper"):
            parse_structures(text, source="deep.hdr")


def test_sniffing_looks_into_the_file(tmp_path: Path) -> None:
    other = tmp_path / "envi.hdr"
    other.write_text("ENVI\nsamples = 3\n")
    assert not sdf.reads_this(other)
    assert not sdf.reads_this(tmp_path / "absent.hdr")
    assert sdf.reads_this(write_stack(tmp_path))


ALIGNED = "! aXis2000 alignment\n!\nALIGN, 1\nPLOTIT, 2\n"


def write_alignment(folder: Path, shifts, names=("700.12 eV", "701.50 eV", "702.75 eV")) -> None:
    lines = [f"{n}, {x}, {y}\n" for n, (x, y) in zip(names, shifts, strict=True)]
    (folder / "map.aln").write_text(ALIGNED + "".join(lines))


def test_alignment_samples_the_content_where_it_lies(tmp_path: Path) -> None:
    """A spot moved by (x, y) pixels; sampling at (y + shift_y, x + shift_x) puts it back."""
    shifts = [(0, 0), (1, -1), (-1, 1)]
    frames = np.ones((3, 3, 4), int)
    for e, (x, y) in enumerate(shifts):
        frames[e, 1 + y, 2 + x] = 50
    for text in (header(), header(x=X[::-1], y=Y[::-1], energies=ENERGIES[::-1])):
        path = write_stack(tmp_path, text)
        for e in range(3):
            (tmp_path / f"map_a{e:03d}.xim").write_text(table(frames[e]))
        write_alignment(tmp_path, shifts)
        measurement = sdf.read(path)
        spots = {tuple(np.argwhere(image == 50)[0]) for image in measurement["counts"].values}
        assert len(spots) == 3
        back = {
            tuple(np.argwhere(image == 50)[0] - np.array([dy, dx]))
            for image, dy, dx in zip(
                measurement["counts"].values,
                measurement["alignment_y"].values,
                measurement["alignment_x"].values,
                strict=True,
            )
        }
        assert len(back) == 1
        assert measurement["alignment_y"].attrs["units"] == "px"


def test_alignment_that_does_not_fit_is_not_used(tmp_path: Path) -> None:
    path = write_stack(tmp_path)
    write_alignment(tmp_path, [(0, 0), (1, 2)], names=("a", "b"))
    with pytest.warns(InputWarning, match="it lists 2 frames, the stack has 3"):
        assert "alignment_y" not in sdf.read(path)
    write_alignment(tmp_path, [(0, 0), (1, 2), (3, 4)], names=("map_a000", "map_a002", "map_a001"))
    with pytest.warns(InputWarning, match=r"'map_a002' in the place of map_a001\.xim"):
        assert "alignment_y" not in sdf.read(path)
    (tmp_path / "map.aln").write_text("map_a000.xim, 1, two\n")
    with pytest.warns(InputWarning, match="is not name, x, y"):
        assert "alignment_y" not in sdf.read(path)


def test_alignment_loses_the_energies_of_missing_frames(tmp_path: Path) -> None:
    path = write_stack(tmp_path)
    write_alignment(tmp_path, [(0, 0), (1, 2), (3, 4)])
    (tmp_path / "map_a001.xim").unlink()
    with pytest.warns(InputWarning, match="frames are missing"):
        measurement = sdf.read(path, Choice(partial=True))
    np.testing.assert_array_equal(measurement["alignment_x"], [0, 3])
    np.testing.assert_array_equal(measurement["alignment_y"], [0, 4])


# Damage at random: a refusal, or the numbers that a plain look at the files finds in them.

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"


def plainly(name: str, text: str) -> list[float]:
    """Points of an axis by a plain search of the header, blind to its structure."""
    at = re.search(rf"\b{name}\s*=.*?Points\s*=\s*\(([^)]*)\)", text, re.DOTALL | re.ASCII)
    return [] if at is None else [float(word.strip()) for word in at[1].split(",")[1:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def damaged(data: st.DataObject, text: bytes) -> bytes:
    at = data.draw(st.integers(0, len(text) - 1), label="at")
    how = data.draw(st.sampled_from(["cut", "flip", "drop", "token", "digit"]), label="how")
    if how == "cut":
        return text[:at]
    if how == "flip":
        return text[:at] + bytes([text[at] ^ data.draw(st.integers(1, 255))]) + text[at + 1 :]
    if how == "drop":
        return text[:at] + text[at + data.draw(st.integers(1, 40)) :]
    tokens = list(re.finditer(rb"[{}()=;,]|[^\s{}()=;,]+" if how == "token" else rb"\d", text))
    token = tokens[data.draw(st.integers(0, len(tokens) - 1), label="token")]
    new = b"" if how == "token" else b"%d" % data.draw(st.integers(0, 9))
    return text[: token.start()] + new + text[token.end() :]


def read_or_refuse(path: Path, *, partial: bool) -> xr.Dataset | None:
    try:
        return sdf.read(path, Choice(partial=partial))
    except InputError:
        return None


FULL = header(
    tail="\nImageScan = { EnergyRegions = (1,\n{ Points = 3; DwellTime = 4;});};"
    "\nImage2 = {StorageRingCurrent = 400.5;};\nImage3 = {StorageRingCurrent = 399.5;};"
)


@pytest.mark.filterwarnings("ignore::phaseloom.errors.InputWarning")
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data(), partial=st.booleans())
def test_damaged_header_is_refused_or_read_as_it_stands(
    folder: Path, data: st.DataObject, partial: bool
) -> None:
    path = write_stack(folder, FULL)
    raw = damaged(data, path.read_bytes())
    path.write_bytes(raw)
    measurement = read_or_refuse(path, partial=partial)
    if measurement is None:
        return
    text = raw.decode("latin-1")
    energies = plainly("StackAxis", text)
    kept = range(min(len(energies), 3))
    order = np.argsort([energies[k] for k in kept], kind="stable")
    np.testing.assert_array_equal(measurement["energy"], np.array(energies)[order])
    counts = expected()[order]
    for name, values in (("y", plainly("QAxis", text)), ("x", plainly("PAxis", text))):
        np.testing.assert_array_equal(measurement[name], np.sort(values))
        if values[0] > values[-1]:
            counts = np.flip(counts, measurement["counts"].dims.index(name))
    if measurement.attrs["kind"] == "stack" and measurement.sizes["y"] == 3:
        np.testing.assert_array_equal(measurement["counts"], counts)
    assert measurement["counts"].values.all()


@pytest.mark.filterwarnings("ignore::phaseloom.errors.InputWarning")
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data(), partial=st.booleans())
def test_damaged_frame_is_refused_or_read_as_it_stands(
    folder: Path, data: st.DataObject, partial: bool
) -> None:
    path = write_stack(folder)
    file = folder / "map_a001.xim"
    raw = damaged(data, file.read_bytes())
    file.write_bytes(raw)
    measurement = read_or_refuse(path, partial=partial)
    if measurement is None:
        assert not partial
        return
    if measurement.sizes["energy"] == 2:
        assert partial
        np.testing.assert_array_equal(measurement["counts"], expected()[[0, 2]])
        return
    words = raw.decode("latin-1").split()
    assert all(re.fullmatch(NUMBER, word, re.ASCII) for word in words)
    np.testing.assert_array_equal(
        measurement["counts"][1], np.array([float(word) for word in words]).reshape(3, 4)
    )
    np.testing.assert_array_equal(measurement["counts"][[0, 2]], expected()[[0, 2]])


# Measured scans.


def test_measured_stack_at_the_iron_edge(measured: Path) -> None:
    folder = measured / "stxm_fe_l23_als" / "71214078_FigS4" / "Aligned"
    began = time.perf_counter()
    measurement = phaseloom.io.read(folder / "71214078.hdr")
    taken = time.perf_counter() - began
    assert taken < 6.0, "0.4 s on an idle core; the margin is for a busy one"
    assert dict(measurement["counts"].sizes) == {"energy": 123, "y": 125, "x": 125}
    for k in (0, 61, 122):
        np.testing.assert_array_equal(
            measurement["counts"][k], np.loadtxt(folder / f"71214078_a{k:03d}.xim")
        )
    text = (folder / "71214078.hdr").read_text()
    np.testing.assert_array_equal(measurement["energy"], plainly("StackAxis", text))
    np.testing.assert_array_equal(measurement["x"], plainly("PAxis", text))
    assert measurement["energy"].values[[0, 9, -1]].tolist() == [700.0, 703.202, 730.353]
    np.testing.assert_allclose(np.diff(measurement["y"]), 0.08, atol=1e-9)
    np.testing.assert_allclose(measurement["dwell"], 0.433e-3)
    assert measurement["ring_current"].values[[0, 1, -1]].tolist() == [333.4, 333.08, 306.38]
    assert measurement.attrs["start_time"] == "2007-12-14T18:52:00"
    assert measurement.attrs["title"] == "71214078.hdr"
    # The spectrum of the incident intensity beside it has the same energies.
    i0 = np.loadtxt(folder / "i0.xsp")
    np.testing.assert_allclose(measurement["energy"], i0[:, 0], atol=1e-3)


def test_measured_pair_of_images_at_the_nickel_edge(measured: Path) -> None:
    folder = measured / "stxm_ni_cosmic"
    with pytest.warns(InputWarning, match=r"stxm-scan_a003\.xim, stxm-scan_a019\.xim"):
        measurement = sdf.read(folder / "stxm-scan.hdr")
    np.testing.assert_array_equal(measurement["energy"], [853.0, 857.75])
    assert measurement["counts"].dtype == np.int32
    for k, number in enumerate((3, 19)):
        np.testing.assert_array_equal(
            measurement["counts"][k], np.loadtxt(folder / f"stxm-scan_a{number:03d}.xim")
        )
    # This beamline logs a ring current of zero: it is not recorded.
    assert "ring_current" not in measurement
    assert measurement.attrs["detector"] == "V/F"


def test_measured_header_without_frames(measured: Path) -> None:
    with pytest.raises(InputError, match=r"there is no NS_181111148_a000\.xim"):
        sdf.read(measured / "stxm_ni_cosmic" / "NS_181111148.hdr", Choice(partial=True))
