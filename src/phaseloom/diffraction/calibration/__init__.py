"""Pixel size and ellipticity from the rings or spots of a known crystal.

- ``calibration``: the calibration, its file, and both ways to one (rings, spots)
- ``rings``: powder rings in one pattern: first pixel size, position sector by sector
- ``ring_spots``: single spots given to the rings of the crystal
- ``geometry``: least-squares fit of centre, ellipse and pixel size, for both
"""
