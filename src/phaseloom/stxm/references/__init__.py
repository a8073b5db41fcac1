"""Reference spectra: sampling, energy shift, Pearson correlation."""
