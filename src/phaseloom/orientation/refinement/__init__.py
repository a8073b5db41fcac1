"""Refinement: likelihood of an orientation, its maximum, and second crystals."""
