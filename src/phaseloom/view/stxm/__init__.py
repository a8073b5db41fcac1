"""Figures and report section of phase maps of X-ray stacks.

- section: captions, tables and text of the report
- maps: workflow figure of one stack
- charge_series: several stacks side by side, phase fractions
- diagnostics: drift, energy shift, incident intensity, spectra per phase
- quality: fit residual, confidence, flags, mask
- latent: panels of the latent space
- methods: methods paragraph, citations
"""
