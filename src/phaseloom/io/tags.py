"""Numbers among the tags and attributes that files keep about an instrument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def number(value: Any) -> float | None:
    """The number in a value (the first in an array), or None where there is none."""
    try:
        return float(np.ravel(value)[0])
    except (TypeError, ValueError, IndexError):
        return None


def number_at(tree: Mapping[str, Any], *names: str) -> float | None:
    """The number at a place in nested mappings, or None where there is none."""
    node: Any = tree
    for name in names:
        if not isinstance(node, Mapping) or name not in node:
            return None
        node = node[name]
    return number(node)


def scaled(value: float | None, factor: float) -> float | None:
    """A number in another unit; None stays None."""
    return None if value is None else value * factor
