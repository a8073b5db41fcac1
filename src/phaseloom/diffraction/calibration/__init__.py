"""Pixel size and ellipticity from the rings or spots of a known crystal."""
