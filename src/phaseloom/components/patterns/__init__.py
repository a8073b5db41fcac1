"""Patterns made ready: scaling, binning, mask, and the scan as a matrix in blocks."""
