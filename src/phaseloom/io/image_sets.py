"""Files that make one stack together: a folder, a pattern such as ``scan_*.xrm``, or a list.

Each file holds an image at one energy. Here is found which files of a folder are meant; reading and
joining them is the matter of ``reading`` and ``stacking``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from os.path import commonprefix
from pathlib import Path

from phaseloom.errors import InputError

_KINDS: dict[str, tuple[str, ...]] = {
    "SDF": (".hdr",),
    "Xradia": (".xrm",),
    "TIFF": (".tif", ".tiff"),
    "HDF5": (".hdf5", ".h5", ".hdf", ".nxs", ".stxm", ".cxi"),
    ".xim": (".xim",),
}
"""Extensions of files of X-ray images by kind; headers stand for the images beside them."""

# Words in names of images without the sample: flats and darks.
_NO_SAMPLE = re.compile(
    r"(?<![a-z])(refs?|references?|flats?|bkg|backgrounds?|whites?|darks?|i0)(?![a-z])",
    re.IGNORECASE,
)


def is_pattern(path: Path) -> bool:
    """Whether a path is a pattern with ``*``, ``?`` or ``[…]`` in it, and no file of that name."""
    return re.search(r"[*?\[]", str(path)) is not None and not path.exists()


def files_of(path: Path) -> list[Path]:
    """The files of X-ray images that a folder holds or a pattern fits, in counting order.

    Parameters
    ----------
    path
        A folder, whose own files of one kind count, not those in its folders; or a pattern.

    Returns
    -------
    list of Path
        Empty if the path is neither, or a folder without files of X-ray images.

    Raises
    ------
    InputError
        The folder holds images of several kinds, or no file fits the pattern.
    """
    if path.is_dir():
        return _files_in(path)
    if not is_pattern(path):
        return []
    anchor = Path(path.anchor)
    found = [file for file in anchor.glob(str(path.relative_to(anchor))) if file.is_file()]
    if not found:
        raise InputError("no file fits this pattern", "check the path", source=path)
    kinds = {_kind(file) for file in found} - {None, ".xim"}
    if kinds:  # lists of energies and the like may fit as well
        found = [file for file in found if _kind(file) in kinds]
    return in_counting_order(found)


def _files_in(folder: Path) -> list[Path]:
    if folder.suffix.lower() in (".zarr", ".zspy") or (folder / "results.zarr").is_dir():
        return []
    try:
        files = [f for f in folder.iterdir() if f.is_file() and not f.name.startswith(".")]
    except OSError:
        return []
    by_kind: dict[str, list[Path]] = {}
    for file in files:
        kind = _kind(file)
        if kind is not None:
            by_kind.setdefault(kind, []).append(file)
    if "SDF" in by_kind:
        by_kind.pop(".xim", None)
    if len(by_kind) > 1:
        kinds = " and ".join(f"{len(found)} of {kind}" for kind, found in sorted(by_kind.items()))
        raise InputError(
            f"holds images of several kinds ({kinds})",
            f'name those of one as a pattern: "{folder}/*{next(iter(by_kind.values()))[0].suffix}"',
            source=folder,
        )
    return in_counting_order(next(iter(by_kind.values()), []))


def _kind(file: Path) -> str | None:
    suffix = file.suffix.lower()
    return next((kind for kind, suffixes in _KINDS.items() if suffix in suffixes), None)


def in_counting_order(files: Iterable[Path]) -> list[Path]:
    """Files as a reader counts them: 2 before 10."""
    return sorted(files, key=lambda file: (_counted(file.name), file.name))


def _counted(name: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d{1,18}|\D+", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def without_flats(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Images of the sample, and those which their names call flats, references or darks.

    A set of nothing but flats is one of images.
    """
    flats = [file for file in files if _NO_SAMPLE.search(file.stem)]
    if len(flats) == len(files):
        return list(files), []
    return [file for file in files if file not in flats], flats


def name_of(path: Path | Sequence[Path]) -> str:
    """Name of a stack: the stem of its file, the folder's, or what the names of its files share.

    >>> name_of([Path("scan/one_700.0eV.tif"), Path("scan/one_701.5eV.tif")])
    'one'
    """
    if isinstance(path, Path):
        if path.is_dir():
            return path.resolve().name
        if not is_pattern(path):
            return path.stem
        path = files_of(path)
    prefix = commonprefix([file.stem for file in path])  # noqa: RUF071 - of names, not of paths
    shared = re.sub(r"[._\s-]*[\d.]*$", "", prefix)  # not into the energy: "one_70" is no name
    return shared or Path(path[0]).resolve().parent.name or "stack"


def said(path: Path | Sequence[Path]) -> str:
    """How messages call the files of a stack."""
    if isinstance(path, Path):
        return str(path)
    others = len(path) - 1
    return f"{path[0]}" + (f" and {others} {'others' if others > 1 else 'other'}" if others else "")
