"""Against simulated particles: truth decides, not Pearson."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from phaseloom.errors import InputError
from phaseloom.latent.diagnostics import calibration_error
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.assignment.latent_space import resolve

NAMES = [str(r.name) for r in nvpf_references()]
REFERENCES = np.stack([CubicSpline(r["energy"], r)(sparse_energies()) for r in nvpf_references()])


@dataclass
class Pixels:
    spectra: NDArray[np.float32]
    variance: NDArray[np.float32]
    truth: NDArray[np.int8]
    labels: NDArray[np.intp]
    ambiguous: NDArray[np.bool_]
    mixed: NDArray[np.bool_]


def pixels(
    fractions: Sequence[float] = (1,) * 5,
    *,
    counts: float = 3000,
    size: int = 64,
    seed: int = 3,
    energy_shift: float = 0.0,
    stray_light: float = 0.0,
    foreign: bool = False,
) -> Pixels:
    references = nvpf_references()
    if foreign:
        strange = references[2].copy(
            data=np.interp(
                references[2]["energy"] + 1.2, references[2]["energy"], references[2].values
            )
        )
        references, fractions = [*references, strange], [*fractions, 1]
    sample = particle(
        [str(r.name) for r in references],
        fractions,
        shape=(size, size),
        n_grains=20,
        seed=seed,
    )
    stack, truth = measure(
        sample,
        references,
        sparse_energies(),
        counts=counts,
        energy_shift=energy_shift,
        stray_light=stray_light,
        seed=seed,
    )
    inside = truth["phase"].to_numpy() >= 0
    seen = np.maximum(stack["counts"].to_numpy()[:, inside].T, 1).astype(float)
    spectra = -np.log(seen / truth["i0"].to_numpy())
    correlation = np.corrcoef(np.vstack([REFERENCES, spectra]))[5:, :5]
    ordered = np.sort(correlation, axis=1)
    return Pixels(
        spectra=spectra.astype(np.float32),
        variance=(1 / seen).astype(np.float32),
        truth=truth["phase"].to_numpy()[inside],
        labels=correlation.argmax(axis=1),
        ambiguous=ordered[:, -1] - ordered[:, -2] <= 0.005,
        mixed=truth["mixed"].to_numpy()[inside],
    )


def options(data: Pixels) -> dict[str, object]:
    return {
        "references": REFERENCES,
        "phase_names": NAMES,
        "variance": data.variance,
        "device": "cpu",
    }


def right(phase: NDArray[np.integer], data: Pixels, where: NDArray[np.bool_]) -> float:
    return float((phase == data.truth)[where].mean())


def test_ambiguous_pixels_are_better_than_pearson_and_the_posterior_means_what_it_says() -> None:
    data = pixels(counts=10_000)
    found = resolve(data.spectra, data.labels, data.ambiguous, **options(data))
    pearson = right(data.labels, data, data.ambiguous)
    assert right(found.phase, data, data.ambiguous) > pearson + 0.03
    assert found.present.all()
    assert calibration_error(found.posterior, data.truth) < 0.02
    assert calibration_error(found.posterior[data.ambiguous], data.truth[data.ambiguous]) < 0.06
    # Pure pixels are not called mixed, and most that are called mixed are.
    assert data.mixed[found.transition].mean() > 0.8
    assert not found.unknown.any()
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1.0, rtol=1e-4)


def test_a_wrong_energy_axis_does_not_mislead_it_and_false_assignments_are_found() -> None:
    data = pixels(energy_shift=-0.15)
    found = resolve(data.spectra, data.labels, data.ambiguous, **options(data))
    assert right(found.phase, data, data.ambiguous) > right(data.labels, data, data.ambiguous) + 0.1
    assert right(found.phase, data, ~data.mixed) > right(data.labels, data, ~data.mixed) + 0.02
    contradicted = found.false_assignment
    assert contradicted.any() and not (contradicted & data.ambiguous).any()
    assert right(found.phase, data, contradicted) > 0.8


def test_two_seeds_agree_and_so_do_noise_known_and_noise_estimated() -> None:
    from sklearn.metrics import adjusted_rand_score

    data = pixels()
    first, second = (
        resolve(data.spectra, data.labels, data.ambiguous, seed=seed, **options(data))
        for seed in (1, 2)
    )
    assert adjusted_rand_score(first.phase, second.phase) >= 0.98

    guessed = resolve(
        data.spectra, data.labels, data.ambiguous, **{**options(data), "variance": None}
    )
    exact = right(first.phase, data, data.ambiguous)
    assert right(guessed.phase, data, data.ambiguous) > exact - 0.03


def test_a_particle_of_two_phases_has_two_components() -> None:
    data = pixels([0, 1, 1, 0, 0])
    found = resolve(data.spectra, data.labels, data.ambiguous, **options(data))
    assert np.flatnonzero(found.present).tolist() == [1, 2]
    assert np.isnan(found.distance[:, 0]).all() and np.isnan(found.cluster[0]).all()
    assert right(found.phase, data, ~data.mixed) > 0.985
    assert np.isin(found.phase[~found.transition & ~found.unknown], [1, 2]).all()


def test_a_phase_without_reference_is_unknown_and_nothing_else_is() -> None:
    data = pixels(foreign=True)
    found = resolve(data.spectra, data.labels, data.ambiguous, **options(data))
    foreign = data.truth == 5
    assert (found.phase[foreign & ~data.mixed] == -2).mean() > 0.7
    assert found.unknown[~foreign & ~data.mixed].mean() < 0.002
    assert not (found.unknown & found.transition).any()


def test_a_pooled_covariance_holds_its_own() -> None:
    data = pixels()
    found = resolve(data.spectra, data.labels, data.ambiguous, covariance="pooled", **options(data))
    assert right(found.phase, data, data.ambiguous) > right(data.labels, data, data.ambiguous)


def test_flat_or_missing_spectra_and_tiny_regions_are_refused() -> None:
    data = pixels(size=48)
    broken = data.spectra.copy()
    broken[5] = np.nan
    with pytest.raises(InputError, match=r"1 of .* flat or not finite"):
        resolve(broken, data.labels, data.ambiguous, **options(data))
    few = slice(0, 50)
    with pytest.raises(InputError, match="50 pixels are too few"):
        resolve(
            data.spectra[few],
            data.labels[few],
            data.ambiguous[few],
            references=REFERENCES,
            phase_names=NAMES,
        )
