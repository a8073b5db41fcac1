"""Reference spectra: sampling, energy shift, Pearson correlation.

- references: checks, sampling on a stack's energies, values
- energy_shift: fit of the energy shift between a stack and its references
- shift_fit: least squares for that shift and stray light, and its uncertainty
- tiles: averaged spectra for that fit, and mixtures of references fitted to them
- correlation: Pearson correlation maps, ambiguous pixels
"""
