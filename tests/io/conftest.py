"""Fixtures that tests of several readers share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

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
