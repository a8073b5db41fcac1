"""Figures and report section of registered diffraction peaks."""
