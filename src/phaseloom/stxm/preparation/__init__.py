"""From counts to optical density: alignment, incident intensity, mask.

- preparation: all steps for one stack, mean spectra
- readings: dark level, spikes, empty frames
- alignment: drift estimate, resampling
- registration: fine shifts of the images
- placement: coarse shifts of the images
- absorption: incident intensity, optical density, thickness, particle mask, baseline
"""
