"""Fixtures that tests of several readers share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from phaseloom.errors import InputError

Spoil = Callable[[st.DataObject, bytearray], None]
Damaged = Callable[..., tuple[bytes, bool]]


def _flip_byte(data: st.DataObject, content: bytearray) -> None:
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(1, 255))


@pytest.fixture(scope="session")
def damaged() -> Damaged:
    """Draws a damaged copy of a file: cut short, or with bytes that `spoil` replaces."""

    def draw(data: st.DataObject, whole: bytes, spoil: Spoil = _flip_byte) -> tuple[bytes, bool]:
        if data.draw(st.booleans()):
            return whole[: data.draw(st.integers(0, len(whole) - 1))], True
        content = bytearray(whole)
        spoil(data, content)
        return bytes(content), False

    return draw


@pytest.fixture
def refuses_rubbish(tmp_path: Path) -> Callable[[Any, str], None]:
    """Checks that a reader of files of a suffix refuses rubbish, and a file that is not there."""

    def check(reader: Any, suffix: str) -> None:
        path = tmp_path / f"rubbish{suffix}"
        path.write_bytes(b"no such format at all")
        assert not reader.reads_this(path)
        with pytest.raises(InputError, match="damaged or truncated"):
            reader.read(path)
        with pytest.raises(InputError, match="no such file"):
            reader.read(tmp_path / f"absent{suffix}")

    return check
