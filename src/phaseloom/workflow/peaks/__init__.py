"""Registered peaks of a scan: recipe, run, clean patterns, calibration, demonstration."""
