"""Grey images of patterns: one ``.png`` or ``.bmp``, or a folder of them as a series.

Numbers are as stored, 8 or 16 bits, row 0 the top; a palette or three equal colours are the grey
they show. In a folder the images follow each other as a reader counts them (2 before 10). Images
say nothing of scan shape, pixel size or voltage.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from phaseloom.errors import InputError
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.readers._files import FAULTS, damage_named, first_bytes
from phaseloom.io.readers._lazy import lazily
from phaseloom.io.scan_axes import plain_axes
from phaseloom.io.scan_making import make_scan

format_name = "grey images"
file_extensions = (".png", ".bmp", "")
describe = "patterns as grey images: .png, .bmp, or a folder of them"

_SIGNATURES = {b"\x89PNG": "PNG", b"BM": "BMP"}
_IMAGES = (".png", ".bmp")
_FAULTS = (*FAULTS, SyntaxError, EOFError, zlib.error, Image.DecompressionBombError)
_LARGEST = 2**28  # pixels
_GREY, _GREY_ALPHA, _COLOURS = 0, 4, (2, 6)  # colour types of PNG


def reads_this(path: Path) -> bool:
    """Whether this is such an image, or a folder with images of one kind in it."""
    if path.is_dir():
        return bool(images_in(path))
    return path.suffix != "" and _kind(path) is not None


def _kind(path: Path) -> str | None:
    start = first_bytes(path, 4)
    return next((kind for mark, kind in _SIGNATURES.items() if start.startswith(mark)), None)


def images_in(folder: Path) -> list[Path]:
    """Images in a folder that holds nothing else to read, in counting order."""
    try:
        files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError:
        return []
    # Results hold figures too.
    if any(file.is_dir() for file in files):
        return []
    images = [file for file in files if file.suffix.lower() in _IMAGES]
    if len({file.suffix.lower() for file in images}) != 1:
        return []
    return sorted(images, key=lambda file: (_counted(file.name), file.name))


def _counted(name: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d{1,18}|\D+", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read an image as a scan of one pattern, a folder of images as a series; uncalibrated.

    Raises
    ------
    InputError
        An image is damaged, coloured or animated, or another than the first.
    """
    choice.require_only("patterns", path)
    images = images_in(path) if path.is_dir() else [path]
    if not images:
        raise InputError("holds no images of one kind", source=path)
    shape, dtype = _described(images[0])
    for image in images[1:]:
        if _described(image) != (shape, dtype):
            raise InputError(
                f"is another image than {images[0].name} ({shape[0]}×{shape[1]}, {dtype})",
                "a series needs equal images",
                source=image,
            )
    if len(images) == 1:
        data: Any = _pixels(images[0], shape, dtype)[None, None]
    else:
        data = lazily(GreyImages(tuple(images), shape, dtype))
    return make_scan(
        data,
        plain_axes(4),
        format_name=format_name,
        source=path,
        fingerprint=input_fingerprint(images),
    )


@dataclass(frozen=True)
class GreyImages:
    """A series (1, N, ky, kx) of image files, each read when it is asked for."""

    images: tuple[Path, ...]
    image_shape: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, N, ky, kx)."""
        return 1, len(self.images), *self.image_shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 4

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part."""
        keys = key if isinstance(key, tuple) else (key,)
        keys = (*keys, *(slice(None),) * (4 - len(keys)))
        chosen = np.arange(len(self.images))[keys[1]]
        parts = [
            _pixels(self.images[i], self.image_shape, self.dtype)[keys[2]][..., keys[3]]
            for i in np.atleast_1d(chosen)
        ]
        series = np.stack(parts) if np.ndim(chosen) else parts[0]
        part: NDArray[Any] = series[None][keys[0]]
        return part


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    kind = _kind(path)
    what, remedy = f"{kind or 'image'} file", "write it again"
    # Of the kind its first bytes say: no other decoder of Pillow gets to see it.
    with (
        damage_named(path, what, remedy, faults=_FAULTS),
        warnings.catch_warnings(action="ignore"),
        Image.open(path, formats=[kind or "PNG"]) as image,
    ):
        if image.width * image.height > _LARGEST:
            raise InputError(
                f"says that it has {image.height}×{image.width} pixels", remedy, source=path
            )
        if getattr(image, "n_frames", 1) != 1:
            raise InputError("is animated", "save its images one by one", source=path)
        yield image


def _described(path: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Shape and type of the grey numbers of an image, from its header."""
    with _opened(path) as image:
        shape, mode = (image.height, image.width), image.mode
    bits, colour = 8, _GREY
    start = first_bytes(path, 26)
    if start.startswith(b"\x89PNG") and len(start) == 26:
        bits, colour = struct.unpack("BB", start[24:])
    if bits == 16 and colour in (*_COLOURS, _GREY_ALPHA):
        raise InputError(
            "is a colour image of 16 bits, or one with transparency", "save it as grey", source=path
        )
    if colour == _GREY and bits in (2, 4):
        raise InputError(f"is a grey image of {bits} bits", "save it with 8 bits", source=path)
    if mode in ("L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"):
        return shape, np.dtype(np.uint8)
    if mode == "1":
        return shape, np.dtype(np.bool_)
    if mode.startswith("I"):
        return shape, np.dtype(np.uint16)
    raise InputError(f"is an image of the unusual kind {mode}", "save it as grey", source=path)


def _pixels(path: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The grey numbers of an image."""
    with _opened(path) as image:
        wanted = {"LA": "L", "P": "RGB", "PA": "RGB", "RGBA": "RGB", "RGBX": "RGB"}
        numbers = np.asarray(image.convert(wanted[image.mode]) if image.mode in wanted else image)
    if numbers.ndim == 3:
        if np.any(numbers != numbers[..., :1]):
            raise InputError("is a colour image", "save it as grey", source=path)
        numbers = numbers[..., 0]
    if numbers.shape != shape or numbers.size == 0:
        raise InputError(f"is no longer of {shape[0]}×{shape[1]} pixels", source=path)
    return numbers.astype(dtype)
