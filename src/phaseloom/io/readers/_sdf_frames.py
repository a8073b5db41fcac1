"""The text files beside an SDF header: frames, spectra and aXis2000's list of alignments."""

from __future__ import annotations

import re
import string
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.readers._sdf_scan import Scan

_IMAGE_NAME = re.compile(r"(.+)_([a-z])[0-9]*", re.IGNORECASE)
_LARGEST_EXACT = 2.0**53
_NAMED = 12


class Table(NamedTuple):
    """Numbers of one text file, (rows, columns) float64."""

    values: NDArray[np.float64]
    whole: bool  # written without decimals
    ended: bool  # the last line has a line end


class FrameFile(NamedTuple):
    """The file of one frame, and which of the scan's it is."""

    place: int  # of its energy in the header
    number: int  # in the file name
    file: Path


class Frames(NamedTuple):
    """Frames that could be used, in the order of their places in the header."""

    places: NDArray[np.intp]
    numbers: list[int]  # as in the file names
    names: list[str]
    counts: NDArray[np.number]  # (frame, row, column)


def listing(names: Sequence[str]) -> str:
    """Return the names in one line; only the first of very many."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def read_table(file: Path, shape: tuple[int, int]) -> Table:
    """Read white-space separated numbers of a known shape (rows, columns).

    Raises
    ------
    InputError
        The file is absent, holds anything but numbers, or has another shape.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=file) from None
    rows, columns = shape
    widths = [len(line.split()) for line in text.splitlines() if line.strip()]
    if len(widths) != rows:
        raise InputError(f"has {len(widths)} rows where the header says {rows}", source=file)
    if set(widths) != {columns}:
        row = next(i for i, width in enumerate(widths) if width != columns)
        raise InputError(
            f"has {widths[row]} values in row {row + 1} where the header says {columns}",
            source=file,
        )
    try:
        with warnings.catch_warnings():
            # numpy < 2.3 only warns of text that it cannot read to its end.
            warnings.simplefilter("error", DeprecationWarning)
            values = np.fromstring(text, dtype=np.float64, sep=" ")
    except (ValueError, DeprecationWarning):
        values = np.empty(0)
    # One value per word: this also refuses "12-5", which could be read as two numbers.
    if values.size != rows * columns:
        raise InputError("holds text that is no number", source=file)
    invalid = values.size - np.count_nonzero(np.isfinite(values))
    if invalid:
        raise InputError(f"holds {invalid} values that are not finite", source=file)
    whole = not any(mark in text for mark in (b".", b"e", b"E"))
    if whole and np.abs(values).max() >= _LARGEST_EXACT:
        raise InputError("holds whole numbers too large to be counts", source=file)
    return Table(values.reshape(shape), whole, text[-1:].isspace())


def header_of(image: Path) -> tuple[Path, str]:
    """The header beside one image of a scan, and the letter of its detector channel.

    Raises
    ------
    InputError
        Its name is not that of an image, or there is no such header.
    """
    match = _IMAGE_NAME.fullmatch(image.stem)
    if match is None:
        raise InputError(
            "is not named as an image of an SDF scan is (SCAN_a000.xim)",
            "give the .hdr of the scan",
            source=image,
        )
    for suffix in (".hdr", ".HDR"):
        header = image.with_name(match[1] + suffix)
        if header.is_file():
            return header, match[2].lower()
    raise InputError(
        f"is one image of an SDF scan whose header {match[1]}.hdr is missing",
        "put the header, which has energies and axes, beside it",
        source=image,
    )


def frames_beside(scan: Scan, region: int) -> dict[int, Path]:
    """The frame files of the scan's channel beside its header, by the number in their names.

    Parameters
    ----------
    scan
        What the header says.
    region
        Index of the region; it counts where file names carry it.
    """
    # File names that went through other systems may have changed their case.
    present = {file.name.lower(): file for file in scan.path.parent.iterdir()}
    start, end = (re.escape(part.lower()) for part in _frame_name(scan, region))
    pattern = re.compile(start + ("([0-9]{3,})" if scan.layout == "stack" else "()") + end)
    matches = [match for key in present if (match := pattern.fullmatch(key))]
    numbers = sorted(int(match[1] or 0) for match in matches)
    files = {number: present.get(_name(scan, region, number).lower()) for number in numbers}
    return {number: file for number, file in files.items() if file is not None}


def _frame_name(scan: Scan, region: int) -> tuple[str, str]:
    """What precedes and what follows the number in the name of a frame file."""
    letter = string.ascii_lowercase[scan.channel]
    return f"{scan.path.stem}_{letter}", f"{region if scan.numbered_regions else ''}.xim"


def _name(scan: Scan, region: int, number: int) -> str:
    start, end = _frame_name(scan, region)
    return f"{start}{f'{number:03d}' if scan.layout == 'stack' else ''}{end}"


def pair_frames(frames: Mapping[int, Path], count: int) -> list[FrameFile]:
    """The frames that belong to the `count` energies of a header.

    They are counted from 0; if not, and there are as many as energies, they follow in order.
    """
    within = [number for number in frames if number < count]
    if len(within) < count and len(frames) == count:
        return [FrameFile(place, n, file) for place, (n, file) in enumerate(frames.items())]
    return [FrameFile(number, number, frames[number]) for number in within]


def find_frames(scan: Scan, region: int, count: int, *, partial: bool) -> list[FrameFile]:
    """Find the frame files of one region.

    Parameters
    ----------
    scan
        What the header says.
    region
        Index of the region.
    count
        Number of energies in the header.
    partial
        Accept missing frames, with a warning.

    Raises
    ------
    InputError
        There is no frame at all, or frames are missing and ``partial`` is False.
    """
    path = scan.path
    frames = frames_beside(scan, region)

    def named(numbers: Iterable[int]) -> list[str]:
        return [_name(scan, region, number) for number in numbers]

    if not frames:
        raise InputError(
            f"the frames are missing: there is no {_name(scan, region, 0)} beside the header",
            "put header and frames into one folder",
            source=path,
        )
    files = pair_frames(frames, count)
    if len(files) == count and any(image.place != image.number for image in files):
        warnings.warn(
            f"{path}: the frames are not numbered from 000 on; paired in this order with the "
            f"{count} energies of the header are {listing(named(frames))}",
            InputWarning,
            stacklevel=2,
        )
        return files
    missing = named(number for number in range(count) if number not in frames)
    if missing and (not partial or not files):
        raise InputError(
            f"{len(missing)} of {count} frames are missing: {listing(missing)}",
            "restore them, or allow partial reading to use the others",
            source=path,
        )
    if missing:
        warnings.warn(
            f"{path}: {len(missing)} of {count} frames are missing and their energies left out: "
            f"{listing(missing)}",
            InputWarning,
            stacklevel=2,
        )
    extra = named(number for number in frames if number >= count)
    if extra:
        warnings.warn(
            f"{path}: the header has {count} energies; frames beyond these are left out: "
            f"{listing(extra)}",
            InputWarning,
            stacklevel=2,
        )
    return files


def read_frames(
    path: Path, files: Sequence[FrameFile], shape: tuple[int, int], *, partial: bool
) -> Frames:
    """Read frames of one shape (rows, columns).

    Raises
    ------
    InputError
        A frame is damaged, incomplete or all zeros and ``partial`` is False, or no frame is left.
    """
    counts = np.empty((len(files), *shape))
    faults: dict[int, InputError] = {}
    unended: list[int] = []
    whole = True
    for k, (_, _, file) in enumerate(files):
        try:
            table = read_table(file, shape)
            if not table.values.any():
                raise InputError("is all zeros, as in a scan that was stopped", source=file)
        except InputError as fault:
            faults[k] = fault
            continue
        counts[k] = table.values
        whole &= table.whole
        if not table.ended:
            unended.append(k)
    if unended and len(unended) == len(files) - len(faults):
        # The writer's habit, or a single file: it cannot be told from a file cut short.
        warnings.warn(
            f"{path}: frames do not finish with a line end; their last value may be cut short",
            InputWarning,
            stacklevel=2,
        )
    else:
        for k in unended:
            faults[k] = InputError("breaks off in its last value", source=files[k][2])
    if faults and (not partial or len(faults) == len(files)):
        first = faults[min(faults)]
        others = f" (and {len(faults) - 1} more frames at fault)" if len(faults) > 1 else ""
        raise InputError(
            first.fault + others,
            "restore the frame, or allow partial reading to leave it out",
            source=first.source,
        )
    if faults:
        described = [f"{files[k][2].name} {faults[k].fault}" for k in sorted(faults)]
        warnings.warn(
            f"{path}: frames left out with their energies: {listing(described)}",
            InputWarning,
            stacklevel=2,
        )
    kept = [k for k in range(len(files)) if k not in faults]
    if faults:
        counts = counts[kept]
    return Frames(
        places=np.array([files[k][0] for k in kept], dtype=np.intp),
        numbers=[files[k][1] for k in kept],
        names=[files[k][2].name for k in kept],
        counts=as_stored(counts, whole=whole),
    )


def as_stored(values: NDArray[np.float64], *, whole: bool) -> NDArray[np.number]:
    """Return whole numbers as int32, int64 if they need it; others unchanged."""
    if not whole:
        return values
    large = np.abs(values).max() > np.iinfo(np.int32).max
    return values.astype(np.int64 if large else np.int32)


def read_alignment(path: Path, frames: Frames, *, count: int) -> NDArray[np.float64] | None:
    """Read aXis2000's list of alignments, ``STEM.aln``, if there is one.

    Its lines are ``name,x,y`` beside comments (``!``) and commands. aXis2000 moves a frame by
    the negative of (x, y), so (x, y) is the displacement of the sample's image in that frame.

    Parameters
    ----------
    path
        The header.
    frames
        The frames in use.
    count
        Number of energies in the header.

    Returns
    -------
    ndarray (2, frame) or None
        Displacement along rows and along columns in pixels, as filed; None, with a warning,
        if the list does not fit the frames.
    """
    file = path.with_suffix(".aln")
    if not file.is_file():
        return None
    names: list[str] = []
    shifts: list[tuple[float, float]] = []
    fault = ""
    for line in file.read_text(encoding="latin-1").splitlines():
        if not line.strip() or line.lstrip().upper().startswith(("!", "ALIGN", "PLOTIT")):
            continue
        parts = line.rsplit(",", 2)
        try:
            shifts.append((float(parts[-1]), float(parts[-2])))
        except (ValueError, IndexError):
            fault = f"'{line.strip()}' is not name, x, y"
            break
        names.append(parts[0].split()[0].lower().removesuffix(".xim") if parts[0].split() else "")
    drift = np.array(shifts).reshape(-1, 2).T
    if not fault and drift.shape[1] == count:
        drift = drift[:, frames.places]
        names = [names[place] for place in frames.places]
    if not fault and drift.shape[1] != len(frames.names):
        fault = f"it lists {drift.shape[1]} frames, the stack has {len(frames.names)}"
    if not fault and not np.isfinite(drift).all():
        fault = "it holds values that are not finite"
    stem = f"{path.stem}_".lower()
    for listed, used in zip(names, frames.names, strict=False):
        if not fault and listed.startswith(stem) and listed != used.lower().removesuffix(".xim"):
            fault = f"it lists '{listed}' in the place of {used}"
    if fault:
        warnings.warn(
            f"{file}: this list of alignments is not used: {fault}", InputWarning, stacklevel=2
        )
        return None
    return drift
