"""What one does with a finished map: particles and grains, boundaries, statistics.

Works on plain arrays (y, x) of labels, whichever instrument they come from: labels ≥ 0 are
phases, −1 is outside the sample, −2 is unknown. Maps of orientations add quaternions (y, x, 4)
and, per phase, the rotations of its symmetry.
"""
