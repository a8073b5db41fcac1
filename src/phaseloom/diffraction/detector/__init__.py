"""The detector: correction of counts, unusable pixels, a sample of the patterns.

- ``correction``: dark, gain, saturation and mask applied; mean over neighbouring positions
- ``outlying``: dead and hot pixels, and the shadow of a beam stop, found in a sample
- ``sampling``: patterns evenly spread over the scan, read without reading the scan
- ``shapes``: check that patterns, mask and positions belong together
- ``neighbours``: neighbouring positions with the same pattern, and the sums of these
- ``gaps``: gaps between modules, dead modules
"""
