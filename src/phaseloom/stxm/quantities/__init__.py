"""Quantities of a spectrum that every reader of XANES knows, as maps with standard errors.

- edge: edge jump, edge position, white line, centroid; no references needed
- linear_combination: fits of whole particles with all references, as in larch
- estimates: what is read off many spectra at once, each as a weighted sum of its readings
- windows: which energies lie before the edge, after it, and about its maximum
- smoothing: spectra smoothed by local cubics, as weights on the readings
"""
