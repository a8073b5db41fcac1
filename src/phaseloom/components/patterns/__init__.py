"""Preparation of the patterns of a scan as a matrix in blocks.

- preparation: the matrix of a scan or its peaks: resized, aligned, direct beam masked
- sample: sample of the patterns: usable pixels, position and radius of the direct beam
- pattern_blocks: blocks computed when loaded, from counts or drawn from peaks
- binning: area-weighted binning of counts into larger pixels
- matrix: the matrix, positions by pixels, and work on its blocks
"""
