"""Analysis of finished maps: particles and grains, boundaries, misorientations, statistics.

Works on plain arrays (y, x) of labels, whichever instrument they come from: labels ≥ 0 are
phases, −1 is outside the sample, −2 is unknown. Maps of orientations add quaternions (y, x, 4)
and, per phase, the rotations of its symmetry.

- ``regions``: connected regions (particles) and their table
- ``boundaries``: boundaries and interfaces between phases
- ``grains``: grains of an orientation map
- ``grain_boundaries``: boundaries between grains, cubic twins
- ``misorientation``: angles and axes under symmetry
- ``statistics``: area fractions with intervals, correlation length, mean spectra
"""
