"""Figures and report section of phase and orientation maps."""
