"""Certainty: probability, reliability, pseudo-symmetry, evidence of neighbours.

- ``reliability``: probabilities of the solutions, ASTAR's orientation and phase reliability
- ``explanation``: does any of the crystals explain a pattern?
- ``rehearsal``: correction of probabilities by patterns of known truth made like the scan's
- ``pairs``: probabilities in patterns of two crystals
- ``context``: probabilities given the solutions of neighbouring pixels
- ``open_grains``: patches of pixels of which several orientations are possible
- ``completion``: solutions that a pattern lacks and its neighbours have
- ``shared_patterns``: of two grains in a pattern the stronger one
- ``labels``, ``joint_evidence``: what all patterns say together where the same is open in all
- ``beliefs``: belief propagation on the map, compiled
- ``pseudo_symmetry``: misorientations by which the first two solutions often differ
"""
