"""Certainty: probability, reliability, pseudo-symmetry, evidence of neighbours."""
