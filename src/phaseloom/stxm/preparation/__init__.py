"""From counts to optical density: alignment, incident intensity, mask.

- preparation: all steps for one stack, mean spectra
- opening: the numbers of a stack as they come, which of them are readings
- unusable: fill values, saturation, lost lines, dead columns, counts that ran over
- beam_steps: lines of an image under another beam than the others
- left_out: energies and parts of the field that a user leaves out
- readings: dark level, spikes, empty frames
- row_shift: rows displaced by a scan to and fro
- alignment: drift estimate, resampling
- registration: fine shifts of the images
- placement: coarse shifts of the images
- beam: incident intensity of a stack, wherever it comes from
- flat_field: division by images of the beam, eigen-flats
- incident: I0 measured apart: scaled by dwell and ring current, or refused
- absorption: incident intensity, optical density, thickness, particle mask, baseline
"""
