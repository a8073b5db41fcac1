"""Pixel size and ellipticity from the rings of a known crystal.

- ``calibration``: the calibration, its file, and the chain to one from rings
- ``rings``: powder rings in one pattern: first pixel size, position sector by sector
- ``material``: its rings: which lie in one, and whether enough were measured
- ``spot_radii``: pixel sizes that the radii of single spots leave possible
- ``geometry``: least-squares fit of centre, ellipse and pixel size; rings that are each off
"""
