"""Figure of the boundary test."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.view.stxm.boundaries import boundary_figure, has_boundary_test


def answer(share: float) -> xr.Dataset:
    """A map of 6 × 8 pixels with two transition pixels, one of them beyond the optics."""
    transition, beyond = np.zeros((2, 6, 8), dtype=bool)
    transition[2, 3:5] = True
    beyond[2, 3] = True
    shares = np.full(8, share)
    return xr.Dataset(
        {
            "mask": (("y", "x"), np.ones((6, 8), dtype=bool)),
            "boundary_distance": (("y", "x"), np.ones((6, 8), np.float32)),
            "boundary_transition": (("y", "x"), transition),
            "beyond_optics": (("y", "x"), beyond),
            **{
                f"{name}{end}": ("boundary_class", shares + step)
                for name in ("boundary_share", "optics_share")
                for end, step in (("_low", -0.1), ("", 0.0), ("_high", 0.1))
            },
        },
        coords={
            "y": ("y", np.arange(6) * 0.1, {"units": "µm"}),
            "x": ("x", np.arange(8) * 0.1, {"units": "µm"}),
            "boundary_class": np.arange(1, 9),
        },
    )


def test_the_figure_shows_data_and_optics_in_per_cent() -> None:
    shares, _, *_ = boundary_figure(answer(0.3)).axes
    drawn = [line.get_ydata() for line in shares.get_lines()]
    assert any(np.allclose(y, 30.0) for y in drawn)
    assert shares.get_xticklabels()[-1].get_text() == "≥ 8"
    assert "%" in shares.get_ylabel() and "px" in shares.get_xlabel()


def test_without_an_answer_there_is_no_figure() -> None:
    assert not has_boundary_test(answer(np.nan))
    with pytest.raises(InputError, match="no boundary test"):
        boundary_figure(answer(np.nan))
