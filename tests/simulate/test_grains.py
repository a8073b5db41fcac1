from __future__ import annotations

import numpy as np
from orix.quaternion import Rotation

from phaseloom.simulate import grain_map, random_orientations


def test_grains_are_of_one_phase_and_nearly_one_orientation() -> None:
    sample = grain_map((40, 50), [3, 1], n_grains=12, spread=0.5, seed=1)
    grain, phase = sample["grain"].to_numpy(), sample["phase"].to_numpy()
    assert len(np.unique(grain)) > 8
    angles = []
    for number in np.unique(grain):
        inside = grain == number
        assert len(np.unique(phase[inside])) == 1
        turns = Rotation(sample["rotation"].to_numpy()[inside])
        angles.append((turns * ~turns[0]).angle[1:])
    # Difference of two positions, about three axes: √2 · √3 · 0.5° rms.
    rms = np.degrees(np.sqrt(np.mean(np.concatenate(angles) ** 2)))
    assert 0.8 < rms < 1.7
    np.testing.assert_allclose(np.linalg.norm(sample["rotation"], axis=-1), 1)
    of_grain = [phase[grain == g][0] for g in np.unique(grain)]
    assert 0.5 < np.mean(np.array(of_grain) == 0) < 1
    assert sample["y"].attrs["units"] == "nm"


def test_overlap_is_half_at_the_boundary_and_none_in_the_grain() -> None:
    sample = grain_map((60, 60), [1], n_grains=5, overlap_width=3.0, seed=3)
    grain, overlap = sample["grain"].to_numpy(), sample["overlap"].to_numpy()
    assert overlap.max() <= 0.5
    edge = grain[:, 1:] != grain[:, :-1]
    assert overlap[:, :-1][edge].min() > 0.25
    assert (overlap == 0).mean() > 0.4
    # What lies beside it is the grain across the boundary.
    across = sample["grain_2"].to_numpy()[:, :-1][edge] == grain[:, 1:][edge]
    assert across.mean() > 0.9
    assert (grain_map((60, 60), [1], n_grains=5, seed=3)["overlap"] == 0).all()


def test_random_orientations_are_uniform() -> None:
    turns = Rotation(random_orientations((50, 80), seed=0)["rotation"].to_numpy().reshape(-1, 4))
    z = turns.to_matrix()[:, :, 2]
    # A uniform direction has uniform coordinates.
    np.testing.assert_allclose(np.mean(z, axis=0), 0, atol=0.04)
    np.testing.assert_allclose(np.mean(z**2, axis=0), 1 / 3, atol=0.02)
    # Angles of uniform rotations: (1 − cos ω) / π, mean π/2 + 2/π.
    assert abs(turns.angle.mean() - (np.pi / 2 + 2 / np.pi)) < 0.03
