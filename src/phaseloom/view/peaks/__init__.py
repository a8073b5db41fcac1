"""Figures and report section of the diffraction peaks of a scan.

- section: figures, headings, captions, headline and key numbers
- methods: text for the methods section of a paper, with citations
- data: the groups under ``/peaks`` of a result
- patterns: sampled patterns with their peaks, and close-ups
- maps: density of all peaks, maps over the scan, displacement of the direct beam
- calibration: what a calibration was measured on, and how far off it is
- uncertainty: position errors, intensities, signal-to-noise ratios, prominences
"""
