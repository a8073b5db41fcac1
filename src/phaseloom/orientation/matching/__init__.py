"""Matching: a library of templates, and the orientations they propose for a pattern.

- ``library``: templates of all zone axes of all crystals, their reflections and symmetry
- ``zones``: zone axes on the part of the sphere that symmetry leaves
- ``patterns``: peaks of many patterns as plain arrays, with errors and limits of detection
- ``matching``: template matching of peak lists, on a processor or a GPU
- ``voting``: the same by sparse voting, compiled, for processors
- ``batched``: the same for many patterns at once in torch, for GPUs
- ``images``: template matching of images, as ASTAR does it
- ``image_reading``: its compiled loops: polar resampling, norms of templates, correlation
- ``starts``: the proposed orientations, how many and how far apart
"""
