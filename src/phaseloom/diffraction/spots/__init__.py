"""Spots: threshold for false alarms, search, fit of position and intensity."""
