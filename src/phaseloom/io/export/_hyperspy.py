"""Patterns in HyperSpy's layout, in HDF5 (``.hspy``) and zarr (``.zspy``).

The layout is written here rather than by RosettaSciIO because the patterns come as a stream, and
because the ``.zspy`` writer of version 0.15 needs zarr 2; its reader takes both.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from phaseloom.io.export.pattern_header import Blocks, PatternHeader

_LAYOUT = "3.3"
_CHUNK_BYTES = 4e6
_PYXEM_UNITS = {"Å⁻¹": "$A^{-1}$"}


def write_hspy(path: Path, blocks: Blocks, header: PatternHeader) -> None:
    """HyperSpy's HDF5, compressed with what every HDF5 library reads."""
    import h5py

    with h5py.File(path, "w") as file:

        def create(group: Any, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Any:
            return group.create_dataset(
                "data",
                shape=shape,
                dtype=header.dtype,
                chunks=chunks,
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )

        _write(file, "HyperSpy", blocks, header, create)


def write_zspy(path: Path, blocks: Blocks, header: PatternHeader) -> None:
    """HyperSpy's zarr folder, of format 2 which old and new zarr libraries read."""
    import zarr
    from numcodecs import Blosc  # type: ignore[import-untyped]

    def create(group: Any, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Any:
        return group.create_array(
            "data",
            shape=shape,
            dtype=header.dtype,
            chunks=chunks,
            compressors=Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
            fill_value=0,
            # Chunks in nested folders, as HyperSpy's own files have them.
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )

    _write(zarr.open_group(path, mode="w", zarr_format=2), "ZSpy", blocks, header, create)


def _write(
    file: Any,
    layout: str,
    blocks: Blocks,
    header: PatternHeader,
    create: Callable[[Any, tuple[int, ...], tuple[int, ...]], Any],
) -> None:
    file.attrs["file_format"] = layout
    file.attrs["file_format_version"] = _LAYOUT
    title = header.title.replace("/", "-")
    signal = file.create_group("Experiments").create_group(title or "__unnamed__")
    # The package that provides the class of the signal, not the one that writes the file.
    signal.attrs["package"] = "pyxem"
    signal.attrs["package_version"] = ""
    for index, axis in enumerate(_axes(header)):
        signal.create_group(f"axis-{index}").attrs.update(axis)
    metadata = signal.create_group("metadata")
    general = metadata.create_group("General")
    general.attrs["title"] = header.title
    if header.scaling:
        general.attrs["notes"] = header.scaling
    metadata.create_group("Signal").attrs["signal_type"] = "electron_diffraction"
    if header.voltage is not None:
        microscope = metadata.create_group("Acquisition_instrument").create_group("TEM")
        microscope.attrs["beam_energy"] = float(header.voltage)
    for empty in ("original_metadata", "learning_results"):
        signal.create_group(empty)
    signal["original_metadata"].attrs["written_by"] = f"phaseloom {version('phaseloom')}"
    signal.create_group("attributes").attrs.update({"_lazy": False, "ragged": False})

    width = header.scan_shape[1]
    one = int(np.prod(header.pattern_shape)) * header.dtype.itemsize
    chunks = (1, min(width, max(1, int(_CHUNK_BYTES / one))), *header.pattern_shape)
    data = create(signal, (*header.scan_shape, *header.pattern_shape), chunks)
    for chosen, patterns in blocks:
        for row in range(chosen.start // width, -(-chosen.stop // width)):
            first = max(chosen.start, row * width)
            last = min(chosen.stop, (row + 1) * width)
            data[row, first - row * width : last - row * width] = patterns[
                first - chosen.start : last - chosen.start
            ]


def _axes(header: PatternHeader) -> list[dict[str, Any]]:
    """The four axes; the direct beam is at zero of ky and kx."""
    units = _PYXEM_UNITS.get(header.units, header.units)
    described = [
        (name, size, scale, 0.0, header.step_units, True)
        for name, size, scale in zip("yx", header.scan_shape, header.step, strict=True)
    ] + [
        (name, size, header.pixel_size, -at * header.pixel_size, units, False)
        for name, size, at in zip(("ky", "kx"), header.pattern_shape, header.centre, strict=True)
    ]
    return [
        {
            "_type": "UniformDataAxis",
            "name": name,
            "size": int(size),
            "scale": float(scale),
            "offset": float(offset),
            "units": unit,
            "navigate": navigate,
            "is_binned": False,
        }
        for name, size, scale, offset, unit, navigate in described
    ]
