"""Certainty: probability, reliability, pseudo-symmetry, evidence of neighbours.

- ``reliability``: probabilities of the solutions, ASTAR's orientation and phase reliability
- ``explanation``: does any of the crystals explain a pattern?
- ``pairs``: probabilities in patterns of two crystals
- ``context``: probabilities given the solutions of neighbouring pixels
- ``beliefs``: belief propagation on the map, compiled
- ``pseudo_symmetry``: misorientations by which the first two solutions often differ
"""
