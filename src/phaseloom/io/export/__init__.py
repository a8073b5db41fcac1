"""Results to files: orientation data, spectra, maps."""
