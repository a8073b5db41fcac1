"""Stacks as a command line names them: files, folders and patterns, single images among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phaseloom.errors import InputError
from phaseloom.io.image_sets import files_of, in_counting_order, is_pattern, name_of, without_flats


def spread(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The stacks of a folder or pattern: one of all its images, or one for each file with a stack.

    Parameters
    ----------
    entry
        ``file`` as given, and ``name`` if there is one.

    Raises
    ------
    InputError
        There are several stacks, but one name.
    """
    path = Path(entry["file"])
    files = files_of(path)
    if len(files) < 2 or _single_images(files):
        return [entry]
    if "name" in entry:
        raise InputError(
            f"holds {len(files)} stacks, to which one name is given ({entry['name']})",
            "name them one by one",
            source=path,
        )
    return [{"file": str(file)} for file in files]


def joined_images(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stacks with all single images among them joined into one, in place of the first.

    Folders, patterns and what has a name stay what they are.
    """
    plain = [
        entry
        for entry in entries
        if "name" not in entry and Path(entry["file"]).is_file() and not _is_set(entry)
    ]
    if len(plain) < 2:
        return entries
    from phaseloom.io.reading import holds_one_image

    images = [entry for entry in plain if holds_one_image(Path(entry["file"]))]
    if len(images) < 2:
        return entries
    files = in_counting_order(Path(entry["file"]) for entry in images)
    kept, _ = without_flats(files)
    stack = {**images[0], "file": tuple(map(str, files)), "name": name_of(kept)}
    return [
        stack if entry is images[0] else entry
        for entry in entries
        if entry is images[0] or all(entry is not image for image in images)
    ]


def _single_images(files: list[Path]) -> bool:
    """Whether files hold an image each, by the first that is one of the sample."""
    from phaseloom.io.reading import holds_one_image

    kept, _ = without_flats(files)
    return holds_one_image(kept[0])


def _is_set(entry: dict[str, Any]) -> bool:
    path = Path(entry["file"])
    return path.is_dir() or is_pattern(path)
