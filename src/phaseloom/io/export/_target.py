"""Files that appear under their names only when they are complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phaseloom.errors import InputError


def require_folder(path: Path) -> None:
    """Refuse a file whose folder does not exist.

    Raises
    ------
    InputError
        The folder does not exist.
    """
    if not path.parent.is_dir():
        raise InputError("its folder does not exist", "create it first", source=path)


@contextmanager
def completed(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """A place beside `path` to write to, which gets its name when all has gone well.

    What goes wrong leaves nothing behind. A file that is there already is replaced by a file, a
    folder by a folder.

    Parameters
    ----------
    path
        The file or folder to write, in a folder that exists.
    suffix
        What the name of the place ends in, for writers that go by it.

    Raises
    ------
    InputError
        The folder does not exist.
    """
    require_folder(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part{suffix}")
    try:
        yield unfinished
        if unfinished.is_dir() and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        unfinished.replace(path)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        unfinished.unlink(missing_ok=True)
