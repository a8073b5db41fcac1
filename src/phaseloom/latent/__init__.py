"""The latent space: a Gaussian-mixture variational autoencoder for spectra or patterns alike.

Takes arrays, knows nothing of instruments. torch is imported with ``phaseloom.latent.training``.
"""
