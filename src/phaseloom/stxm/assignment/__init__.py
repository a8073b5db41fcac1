"""From correlations to phases: likelihood, latent space, neighbours."""
