"""Figures and report section of phase maps of X-ray stacks."""
