"""Latent space: Gaussian-mixture variational autoencoder for spectra or patterns.

Takes arrays, knows nothing of instruments. torch is imported with ``phaseloom.latent.training``.

- ``seeding``: initial clusters from references registered to the data
- ``network``: encoder, decoder and mixture
- ``training``: training of the network, the trained model
- ``mixtures``: posterior of pixels of one phase or two
- ``diagnostics``: naming of components, Mahalanobis distances, calibration error
"""
