from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from phaseloom.compute.blocks import slabs


@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 50), st.integers(0, 99))
def test_slabs_hold_every_chosen_pixel_once_and_in_order(
    ny: int, nx: int, pixels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.normal(size=(ny, nx))
    inside = rng.random((ny, nx)) < 0.3
    gathered = np.full(int(inside.sum()), np.nan)
    for rows, chosen in slabs(inside, pixels=pixels):
        assert (rows.stop - rows.start) * nx <= max(pixels, nx)
        gathered[chosen] = picture[rows][inside[rows]]
    np.testing.assert_array_equal(gathered, picture[inside])
