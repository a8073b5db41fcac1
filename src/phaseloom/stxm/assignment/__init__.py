"""From correlations to phases: likelihood, latent space, spatial prior.

- assignment: the final phase of every pixel, all maps of a stack
- description: whether the references describe a stack: noise, energy shift, refusal
- likelihood: count-weighted fits of every pixel: posterior, abundance, χ²
- evidence: Bayesian evidence of one phase and of pairs, in closed form
- latent_space: ambiguous pixels resolved in the latent space
- neighbourhood: spatial prior (Potts field)
- rims: rims of an intermediate phase given to the two phases that meet there
- pixels: spectra of the particle pixels of several stacks as one table
- points: spectra centred and scaled, with their noise
"""
