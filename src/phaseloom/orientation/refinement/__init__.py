"""Refinement: likelihood of an orientation, its maximum, and second crystals.

- ``solving``: refines the proposed orientations and ranks them by likelihood
- ``solutions``: the table of refined orientations and their facts
- ``search``: refinement of all starts, half turns about zone axes, the likeliest ones
- ``fitting``: the fit of one orientation, steps towards the greatest likelihood
- ``likelihood``: likelihood of the peaks of a pattern, given an orientation
- ``excitation``: excitation profile of reflections with precession
- ``model``: thickness, spread of intensities, errors and rates from a sample of patterns
- ``chance``: how well a wrong crystal explains the patterns of the scan
- ``overlaps``: second crystals of all patterns, their weight and probability
- ``overlap_search``: refinement and likelihood of two crystals in one pattern
"""
