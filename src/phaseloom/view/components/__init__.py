"""Figures and report section of components."""
