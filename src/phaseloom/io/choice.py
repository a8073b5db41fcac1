"""What of a file is read: the detector, the entry, and whether an incomplete file will do."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phaseloom.errors import InputError, InputWarning


@dataclass(frozen=True)
class Choice:
    """What of a file is read; every reader takes one and says what its format makes of it."""

    detector: str | None = None
    """Name of the detector channel, or of one scan among several; None for the first."""
    entry: int | None = None
    """Spatial region of the file (NXentry, SDF region), counted from 1; None for the first."""
    partial: bool = False
    """Use an incomplete file as far as it can be read; a warning says what is missing."""

    def require_only(self, detector: str, path: Path) -> None:
        """Refuse what a file with one detector and one entry does not have.

        Raises
        ------
        InputError
            Another detector is asked for, or an entry that is not 1.
        """
        self.require_detector(detector, path)
        self.require_first_entry(path)

    def require_detector(self, detector: str, path: Path) -> None:
        """Refuse another detector than the only one of a file.

        Raises
        ------
        InputError
            Another detector is asked for.
        """
        if self.detector not in (None, detector):
            raise InputError(
                f"has no detector {self.detector!r}", f"the only one is {detector!r}", source=path
            )

    def require_first_entry(self, path: Path) -> None:
        """Refuse an entry, other than 1, of a file that has one.

        Raises
        ------
        InputError
            Another entry is asked for.
        """
        if self.entry not in (None, 1):
            raise InputError(f"has no entry {self.entry}", "there is only entry 1", source=path)

    def entry_among(self, entries: Sequence[int], path: Path) -> int:
        """The number of the entry to read: the one asked for, or the first of those there are.

        Raises
        ------
        InputError
            There is no such entry.

        Warns
        -----
        InputWarning
            There are several and none was asked for.
        """
        if self.entry is None:
            if len(entries) > 1:
                warnings.warn(
                    f"{path}: holds {len(entries)} entries; entry {entries[0]} is read, --entry "
                    "chooses another",
                    InputWarning,
                    stacklevel=4,
                )
            return entries[0]
        if self.entry not in entries:
            raise InputError(
                f"has no entry {self.entry}",
                f"entries are {', '.join(map(str, entries))}",
                source=path,
            )
        return self.entry


FIRST = Choice()
"""The first detector and the first entry of a complete file."""
