"""The settings in ePattern's README."""

from __future__ import annotations

from typing import Any

README: dict[str, Any] = {
    "binning": True,  # to 512² from whatever there is
    "align": True,
    "auto_prominence": True,
    "prominence_min": 2.0,
    "noise_factor": 1.8,
    "background_percentile": 20.0,
    "min_distance": 8,
    "threshold": 3.0,
    "max_items": 150,
    "noise_reduction_methods": [{"name": "Gaussian", "params": {"sigma": 1.0}}],
}
"""The call in its README."""
