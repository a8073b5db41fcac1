"""EMPAD: the ``.xml`` of a scan and the ``.raw`` beside it that it names.

128×128 float32 pixels per pattern, then two rows of notes of the detector; little-endian. As
RosettaSciIO has it, the field of view is shared by all scan positions of a row.
"""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._lazy import frames_in_file
from phaseloom.io.scan_axes import Axis, wavelength
from phaseloom.io.scan_making import make_scan
from phaseloom.io.tags import scaled

format_name = "EMPAD"
file_extensions = (".xml",)
describe = "EMPAD (.xml with .raw)"

_FRAME = np.dtype([("data", "<f4", (128, 128)), ("notes", "<f4", (2, 128))])
_NAMED_SHAPE = re.compile(r"_x(\d+)_y(\d+)")


def reads_this(path: Path) -> bool:
    """Whether the file is XML that names a raw file."""
    text = first_bytes(path, 2**20)
    return b"<root" in text and b"raw_file" in text


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a scan or a series of EMPAD, float32, given the ``.xml``.

    Of an incomplete ``.raw`` the missing patterns are NaN.

    Raises
    ------
    InputError
        The description is damaged, or the raw file missing or incomplete.
    """
    choice.require_only("patterns", path)
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as fault:
        raise InputError(f"is damaged XML ({fault})", "copy it again", source=path) from None
    named = root.find("raw_file")
    name = Path("" if named is None else named.get("filename", "")).name
    if not name:
        raise InputError("does not name its raw file", "copy it again", source=path)
    raw = path.with_name(name)
    if not raw.is_file():
        raise InputError(f"its raw file {name} is missing", "put it beside the .xml", source=path)
    rows, columns, is_series = _shape(root, raw, path)
    data = frames_in_file(
        raw, offset=0, frame=_FRAME, field="data", shape=(rows, columns), partial=choice.partial
    )
    voltage = scaled(_number(root, "source.get_voltage", "high_voltage"), 1e-3)
    step_y, step_x = (None, None) if is_series else _steps(root, rows, columns)
    pixel = _pixel_size(root, voltage, path)
    length = _number(root, "optics.get_cameralength", "nominal_camera_length")
    return make_scan(
        data,
        [
            _axis("y", step_y, "m", navigate=True),
            _axis("x", step_x, "m", navigate=True),
            _axis("ky", pixel, "1/Å"),
            _axis("kx", pixel, "1/Å"),
        ],
        format_name=format_name,
        source=path,
        fingerprint=input_fingerprint([path, raw]),
        facts={
            "voltage": voltage,
            "camera_length": scaled(length, 1e3),
            "exposure": scaled(_number(root, "exposure_time"), 1e-3),
            "scan_rotation": _number(root, "column.get_scanrotation", "scan_rotation"),
        },
    )


def _axis(name: str, scale: float | None, units: str, *, navigate: bool = False) -> Axis:
    if scale is None:
        return Axis(name=name, navigate=navigate)
    return Axis(name=name, units=units, scale=scale, navigate=navigate)


def _shape(root: ElementTree.Element, raw: Path, path: Path) -> tuple[int, int, bool]:
    """Rows, columns, and whether it is a series."""
    series = _number(root, "series_count")
    if series is not None:
        return 1, int(series), True
    columns, rows = _number(root, "pix_x"), _number(root, "pix_y")
    if columns is not None and rows is not None:
        return int(rows), int(columns), False
    in_name = _NAMED_SHAPE.search(raw.stem)
    if in_name is None:
        raise InputError("does not say what shape its scan has", source=path)
    return int(in_name[2]), int(in_name[1]), False


def _steps(root: ElementTree.Element, rows: int, columns: int) -> tuple[float | None, float | None]:
    """Scan steps (y, x) in m."""
    field = _text(root, "optics.get_full_scan_field_of_view")
    if field:
        try:
            sizes = [float(size) for size in ast.literal_eval(field)]
            return sizes[0] / rows, sizes[1] / columns
        except (ValueError, SyntaxError, TypeError, IndexError):
            return None, None
    size = _number(root, "full_scan_field_of_view/x")
    factor = _number(root, "full_scan_field_of_view/scale_factor")
    if not size or not factor:
        return None, None
    # Of the longer side, times a factor that does not belong there.
    step = size / factor / max(rows, columns)
    return step, step


def _pixel_size(root: ElementTree.Element, voltage: float | None, path: Path) -> float | None:
    """Å⁻¹ per pixel; the file may give it twice, as a size and as an angle."""
    size = _number(root, "calibrated_pixelsize")
    angle = _number(root, "calibrated_diffraction_angle")
    by_angle = angle / wavelength(voltage) if angle and voltage else None
    if not size:
        return by_angle
    size *= 1e8  # recorded as 1e-9 of the pixel in nm⁻¹
    if by_angle and abs(by_angle - size) > 0.01 * size:
        warnings.warn(
            f"{path}: its pixel size of {size:.5f} Å⁻¹ and its pixel angle, {by_angle:.5f} Å⁻¹ at "
            "its voltage, disagree; the former is used, --pixel-size replaces it",
            InputWarning,
            stacklevel=3,
        )
    return size


def _text(root: ElementTree.Element, name: str) -> str:
    for element in root.iter():
        parts = name.split("/")
        if element.tag == parts[0]:
            found = element if len(parts) == 1 else element.find(parts[1])
            if found is not None:
                return (found.text or "").strip()
    return ""


def _number(root: ElementTree.Element, *names: str) -> float | None:
    """The first of these elements that holds a number."""
    for name in names:
        try:
            value = float(_text(root, name))
        except ValueError:
            continue
        if np.isfinite(value):
            return value
    return None
