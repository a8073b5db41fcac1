"""Spectra of the particle pixels of several stacks as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.blocks import slabs
from phaseloom.stxm.assignment.points import Rows, Variance
from phaseloom.stxm.preparation.preparation import counted_baseline
from phaseloom.stxm.references.references import sample_references

Array = NDArray[np.float32]

_LARGE_SHIFT = 0.03
"""Stacks whose energies, their shift off, differ by more are brought to common ones, in eV."""


def places(prepared: Mapping[str, xr.Dataset]) -> dict[str, slice]:
    """Rows of the table that hold each stack's particle pixels."""
    sizes = [int(np.count_nonzero(data["mask"])) for data in prepared.values()]
    ends = np.cumsum(sizes).tolist()
    return {
        name: slice(end - size, end) for name, size, end in zip(prepared, sizes, ends, strict=True)
    }


def common_spectra(
    prepared: Mapping[str, xr.Dataset],
    judged: Mapping[str, xr.Dataset],
    references: Sequence[xr.DataArray],
    shift: float,
) -> Array:
    """Spectra (pixel, energy) of all stacks' particles as they would be at the same energies.

    Those are the first stack's, at a common energy shift. Sparse spectra cannot be interpolated,
    so what moves is the fitted mixture of references: the difference between it at the common
    energies and at the stack's own is added.

    Parameters
    ----------
    prepared, judged
        By name of the stack, from :func:`phaseloom.stxm.prepare` and
        :func:`phaseloom.stxm.assignment.assignment.judge`.
    references
        (energy,) each.
    shift
        The common energy shift in eV.
    """
    place = places(prepared)
    common = next(iter(prepared.values()))["energy"].to_numpy()
    moved = sample_references(references, common, shift=shift).to_numpy().astype(np.float32)
    spectra = np.empty((max(p.stop for p in place.values()), common.size), dtype=np.float32)
    for name, data in prepared.items():
        inside = data["mask"].to_numpy()
        density = data["optical_density"].to_numpy()
        abundance = judged[name]["abundance"].to_numpy()
        effective = data["energy"].to_numpy() - judged[name].attrs["energy_shift"]
        moves = np.abs(effective - (common - shift)).max() > _LARGE_SHIFT
        of_stack = spectra[place[name]]
        for rows, chosen in slabs(inside):
            block = density[:, rows][:, inside[rows]]
            gaps = np.isnan(block)
            if moves or gaps.any():
                shares = abundance[:, rows][:, inside[rows]]
                mixture, scale = _fitted(block, shares, judged[name]["reference_spectrum"])
                if gaps.any():
                    block = np.where(gaps, _offset(block, scale * mixture) + scale * mixture, block)
                if moves:
                    block += scale * (moved.T @ shares - mixture)
            of_stack[chosen] = block.T
    return spectra


def counting_variance(
    prepared: Mapping[str, xr.Dataset], judged: Mapping[str, xr.Dataset], spectra: Array
) -> Variance:
    """Variance (pixel, energy) of any rows of the spectra: 1 / counts, at the noise's scale.

    Worked out when asked for: held for all pixels it would be as large as the stack.
    """
    place = places(prepared)
    n = len(spectra)
    removed = np.empty((n, 1), dtype=np.float32)
    stack = np.empty(n, dtype=np.intp)
    # Where counts are not known the noise's scale is that of one count in the empty beam.
    incident_counts = [data["i0"].fillna(1.0).to_numpy() for data in prepared.values()]
    incident = np.stack(incident_counts).astype(np.float32)
    for index, (name, data) in enumerate(prepared.items()):
        removed[place[name], 0] = counted_baseline(data)[data["mask"].to_numpy()]
        incident[index] /= np.float32(judged[name].attrs["noise_scale"])
        stack[place[name]] = index

    def variance(rows: Rows) -> Array:
        result = spectra[rows] + removed[rows]
        np.exp(result, out=result)
        result /= incident[stack[rows]]
        return result

    return variance


def residual(prepared: xr.Dataset, judged: xr.Dataset) -> float:
    """Root-mean-square of optical density less the fitted phases, over the particles' pixels."""
    inside = prepared["mask"].to_numpy()
    density = prepared["optical_density"].to_numpy()
    abundance = judged["abundance"].to_numpy()
    total, readings = 0.0, 0
    for rows, _ in slabs(inside):
        spectra = density[:, rows][:, inside[rows]]
        mixture, scale = _fitted(
            spectra, abundance[:, rows][:, inside[rows]], judged["reference_spectrum"]
        )
        rest = spectra - _offset(spectra, scale * mixture) - scale * mixture
        finite = rest[np.isfinite(rest)].astype(np.float64)
        total += float(finite @ finite)
        readings += finite.size
    return float(np.sqrt(total / readings)) if readings else float("nan")


def _fitted(spectra: Array, abundance: Array, reference: xr.DataArray) -> tuple[Array, Array]:
    """References mixed by abundance (energy, pixel), and how much of that is in each pixel.

    Missing readings take no part.
    """
    mixture = reference.to_numpy().T.astype(np.float32) @ abundance
    there = np.isfinite(spectra)
    number = np.maximum(there.sum(axis=0), 1)
    centred = np.where(there, mixture, np.float32(0))
    centred = np.where(there, centred - centred.sum(axis=0) / number, np.float32(0))
    known = np.where(there, spectra, np.float32(0))
    scale = np.einsum("ep,ep->p", centred, known) / np.einsum("ep,ep->p", centred, centred)
    return mixture, scale


def _offset(spectra: Array, fitted: Array) -> Array:
    """Mean (pixel,) of spectra less their fits, over the readings there are."""
    return np.asarray(np.nanmean(spectra - fitted, axis=0), dtype=np.float32)
