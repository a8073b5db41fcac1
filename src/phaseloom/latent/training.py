"""Training of the Gaussian-mixture variational autoencoder, and the trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from phaseloom.compute.device import one_thread, torch_device
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError
from phaseloom.latent.diagnostics import one_to_one
from phaseloom.latent.network import MixtureAutoencoder

Array = NDArray[np.float32]

BATCH = 4096
MIN_SEEDS = 20
"""Fewer confident points than this cannot seed a component."""
DEAD_RECALL = 0.5
"""A component that keeps less than this part of its own seeds is dead or swapped."""
_PRETRAINING = 0.2
_BLOCK = 32768


@dataclass
class Model:
    """A trained latent space. Component k is the one seeded by label k.

    Attributes
    ----------
    network
        The trained network.
    history
        Loss per training step: ``loss``, ``misfit``, ``divergence`` (numpy arrays).
    restarts
        How many trainings ended with an empty component before this one.
    """

    network: MixtureAutoencoder
    history: dict[str, NDArray[np.float64]]
    restarts: int = 0

    @property
    def device(self) -> torch.device:
        """Torch device of the network."""
        return self.network.component_mean.device

    @property
    def components(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means (K, latent) and covariances (K, latent, latent) of the mixture."""
        from phaseloom.latent.network import COMPONENT_LOG_VARIANCE

        variance = self.network.component_log_variance.detach().clamp(*COMPONENT_LOG_VARIANCE)
        diagonal = torch.diag_embed(variance.exp()).cpu().numpy().astype(float)
        return self.network.component_mean.detach().cpu().numpy().astype(float), diagonal

    @one_thread()
    def embed(self, spectra: NDArray[np.floating]) -> tuple[Array, Array]:
        """Mean and standard deviation (n, latent) of q(z|x), in blocks."""
        mean, sd = [], []
        with torch.no_grad():
            for block in self._blocks(spectra):
                z, log_variance = self.network.encode(block)
                mean.append(z.cpu().numpy())
                sd.append((0.5 * log_variance).exp().cpu().numpy())
        return np.concatenate(mean), np.concatenate(sd)

    @one_thread()
    def component_probability(self, spectra: NDArray[np.floating]) -> Array:
        """Responsibilities γ (n, K) of the components, in blocks."""
        with torch.no_grad():
            return np.concatenate(
                [
                    torch.softmax(self.network.log_joint(*self.network.encode(block)), dim=1)
                    .cpu()
                    .numpy()
                    for block in self._blocks(spectra)
                ]
            )

    @one_thread()
    def propagate(self, spectra: NDArray[np.floating], variance: NDArray[np.floating]) -> Array:
        """Covariance (n, latent, latent) of the latent mean caused by noise in the spectra.

        First order: J diag(variance) Jᵀ with the encoder's Jacobian J, which costs one backward
        pass per latent axis.

        Parameters
        ----------
        spectra, variance
            (n, features), or variance (features,) for all.
        """
        noise = np.broadcast_to(np.asarray(variance, dtype=np.float32), spectra.shape)
        covariances = []
        for block, spread in zip(self._blocks(spectra), self._blocks(noise), strict=True):
            block.requires_grad_(True)
            mean, _ = self.network.encode(block)
            rows = [
                torch.autograd.grad(mean[:, axis].sum(), block, retain_graph=True)[0]
                for axis in range(mean.shape[1])
            ]
            jacobian = torch.stack(rows, dim=1)
            covariance = torch.einsum("nie,ne,nje->nij", jacobian, spread, jacobian)
            covariances.append(covariance.detach().cpu().numpy())
        return np.concatenate(covariances)

    def _blocks(self, spectra: NDArray[np.floating]) -> list[torch.Tensor]:
        whole = torch.from_numpy(np.array(spectra, dtype=np.float32))
        return [block.to(self.device) for block in torch.split(whole, _BLOCK)]


@one_thread()
def fit(
    spectra: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    n_components: int,
    variance: NDArray[np.floating] | None = None,
    names: Sequence[str] | None = None,
    latent_dims: int = 3,
    epochs: int = 20,
    restarts: int = 3,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Model:
    """Train a Gaussian-mixture variational autoencoder seeded from confident labels.

    The encoder starts on the discriminant axes of the seeds, is trained as an autoencoder, the
    components are put where the seeds lie, and the mixture's divergence is then warmed up over
    half of the remaining steps. Labels are seeds only: nothing holds a point to its label.
    Components are named one-to-one afterwards; one that lost most of its seeds counts as dead,
    and training starts again with the next seed.

    Parameters
    ----------
    spectra
        (n, features), each spectrum centred and scaled.
    labels
        (n,) component of each confident point, −1 elsewhere.
    n_components
        Number of components; each needs at least 20 confident points.
    variance
        (n, features) known noise variance of ``spectra``; the learned variance adds to it.
    names
        Names of the components, for messages.
    latent_dims
        Dimensions of the latent space, at most features − 1: centred spectra have no more.
    epochs
        Passes over the points (at least 300 steps are made however few the points are).
    restarts
        How often to start again when a component dies.
    seed, device
        Same seed and device, same model. ``auto``, ``cpu`` or ``cuda``.
    progress
        Receiver of progress reports.

    Raises
    ------
    InputError
        Too few seeds for a component, more latent dimensions than the spectra have, or a
        component dead after every restart.
    """
    quoted = [f"'{name}'" for name in names or [str(k) for k in range(n_components)]]
    count = np.bincount(labels[labels >= 0], minlength=n_components)
    for k in np.flatnonzero(count < MIN_SEEDS):
        raise InputError(
            f"component {quoted[k]} has {count[k]} confident points, it needs {MIN_SEEDS}",
            "leave out a phase that is absent from the data, or lower the margin",
        )
    if latent_dims > spectra.shape[1] - 1:
        raise InputError(
            f"a latent space of {latent_dims} dimensions is too large for spectra of "
            f"{spectra.shape[1]} energies",
            f"choose --latent-dims {spectra.shape[1] - 1} or less",
        )
    if not np.isfinite(spectra).all():
        raise InputError("spectra hold values that are not finite", "mask those pixels")

    target_device = torch_device(device)
    for attempt in range(restarts + 1):
        model = _train(
            spectra,
            labels,
            n_components=n_components,
            variance=variance,
            latent_dims=latent_dims,
            epochs=epochs,
            seed=seed + 7919 * attempt,
            device=target_device,
            progress=progress,
        )
        model.restarts = attempt
        component = model.component_probability(spectra).argmax(axis=1)
        name, recall = one_to_one(component, labels, n_components=n_components)
        if not (recall < DEAD_RECALL).any():
            _rename(model.network, name)
            return model
    worst = int(np.argmin(recall))
    raise InputError(
        f"component {quoted[worst]} ended empty after {restarts} restarts "
        f"({recall[worst]:.0%} of its confident pixels are left in it)",
        "this phase cannot be told from its neighbours in these data: leave it out, "
        "or use --resolve likelihood",
    )


def _train(
    spectra: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    n_components: int,
    variance: NDArray[np.floating] | None,
    latent_dims: int,
    epochs: int,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> Model:
    # Random numbers are drawn on the CPU, so that a seed means the same on every device.
    generator = torch.Generator().manual_seed(seed)
    n, n_features = spectra.shape
    network = MixtureAutoencoder(n_features, n_components, latent_dims, generator=generator)
    _start_on_axes(network, spectra, labels, variance)
    network.to(device)
    x = torch.from_numpy(np.ascontiguousarray(spectra, dtype=np.float32)).to(device)
    v = None
    if variance is not None:
        v = torch.from_numpy(np.ascontiguousarray(variance, dtype=np.float32)).to(device)

    batch = min(BATCH, max(n // 8, 512), n)
    steps = max(epochs * -(-n // batch), 300)
    pretraining_steps = int(_PRETRAINING * steps)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, total_steps=steps, pct_start=0.1
    )
    history = np.empty((steps, 2))
    for step in progress.track(range(steps), "latent space", total=steps):
        if step == pretraining_steps:
            _place_components(network, x, torch.from_numpy(np.asarray(labels)).to(device))
        index = torch.randint(n, (batch,), generator=generator).to(device)
        mean, log_variance = network.encode(x[index])
        noise = torch.randn(mean.shape, generator=generator).to(device)
        latent = mean + (0.5 * log_variance).exp() * noise
        misfit = network.misfit(x[index], latent, None if v is None else v[index]).mean()
        if step < pretraining_steps:
            # The components have no place yet: only keep the latent space small.
            divergence = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance)
            divergence = divergence.sum(dim=1).mean()
            weight = 0.1
        else:
            divergence = network.divergence(mean, log_variance).mean()
            weight = min(1.0, 2.0 * (step - pretraining_steps + 1) / (steps - pretraining_steps))
        loss = misfit + weight * divergence
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        history[step] = misfit.item(), divergence.item()
    return Model(
        network.eval(),
        {"misfit": history[:, 0], "divergence": history[:, 1], "loss": history.sum(axis=1)},
    )


def _start_on_axes(
    network: MixtureAutoencoder,
    spectra: NDArray[np.floating],
    labels: NDArray[np.integer],
    variance: NDArray[np.floating] | None,
) -> None:
    """Set the straight part of encoder and decoder to the seeds' discriminant axes."""
    n_components, latent_dims = network.component_mean.shape
    x = np.asarray(spectra, dtype=float)
    centres = np.stack([np.median(x[labels == k], axis=0) for k in range(n_components)])
    residual = x[labels >= 0] - centres[labels[labels >= 0]]
    spread = np.median(residual**2, axis=0) / 0.455 if variance is None else variance.mean(axis=0)
    noise = np.sqrt(np.maximum(spread, 1e-3 * spread.mean() + 1e-12))
    between = (centres - centres.mean(axis=0)) / noise
    within = residual / noise
    # Axes that separate the seeds come first, then those of largest variance; never a zero axis.
    axes = np.linalg.svd(between, full_matrices=True)[2]
    rank = min(n_components - 1, latent_dims)
    rest = axes[rank:]
    spread_of_rest = np.atleast_2d(np.cov(within @ rest.T, rowvar=False))
    order = np.linalg.eigh(spread_of_rest)[1][:, ::-1].T @ rest
    axes = np.concatenate([axes[:rank], order])[:latent_dims] / noise
    origin = x.mean(axis=0)
    projected = (x - origin) @ axes.T
    axes /= max(float(np.sqrt((projected**2).mean())), 1e-12)
    projected = (x - origin) @ axes.T
    back = np.linalg.lstsq(projected, x - origin, rcond=None)[0]
    left = ((x - origin - projected @ back) ** 2).mean(axis=0)
    noise_variance = 0.0 if variance is None else spread
    with torch.no_grad():
        network.encoder_line.weight.copy_(torch.from_numpy(axes))
        network.encoder_line.bias.copy_(torch.from_numpy(-axes @ origin))
        network.decoder_line.weight.copy_(torch.from_numpy(back.T))
        network.decoder_line.bias.copy_(torch.from_numpy(origin))
        start = np.log(np.maximum(left - noise_variance, 0.05 * left) + 1e-7)
        network.feature_log_variance.copy_(torch.from_numpy(start))


def _place_components(
    network: MixtureAutoencoder, spectra: torch.Tensor, labels: torch.Tensor
) -> None:
    """Put each component on the median of its seeds, as wide as their median deviation."""
    with torch.no_grad():
        latent = network.encode(spectra)[0]
        for k in range(len(network.component_mean)):
            seeds = latent[labels == k]
            centre = seeds.median(dim=0).values
            variance = (seeds - centre).square().median(dim=0).values / 0.455
            network.component_mean[k] = centre
            network.component_log_variance[k] = (variance + 1e-4).log()


def _rename(network: MixtureAutoencoder, name: NDArray[np.intp]) -> None:
    """Reorder the components so that component k is the one named k."""
    order = torch.from_numpy(np.argsort(name)).to(network.component_mean.device)
    with torch.no_grad():
        for parameter in (
            network.component_mean,
            network.component_log_variance,
            network.component_weight,
        ):
            parameter.copy_(parameter[order].clone())
