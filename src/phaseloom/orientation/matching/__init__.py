"""Matching: library of templates, and the orientations they propose for a pattern."""
