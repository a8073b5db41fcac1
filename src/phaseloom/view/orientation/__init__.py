"""Figures and report section of phase and orientation maps.

- section: figures, headings, captions, headline and key numbers
- methods: text for the methods section of a paper, with citations
- data: the group ``/orientation`` of a result, and orientations in colours
- panels: map panels with boundaries, legends and colour keys, and their pages
- maps: phase and IPF maps, reliability, second solutions, overlapping crystals
- calibration: pixel size, distortion and centre as text
- patterns: observed peaks overlaid with simulated spots
- poles: pole figures and inverse pole figures
- statistics: histograms of scores, misorientations and grain sizes
- truth: comparison with the simulated ground truth
- boundaries: grain boundaries and misorientations of neighbouring pixels
- keys: colour keys of the inverse pole figure colours
- sectors: fundamental sectors, IPF colours, Miller indices, stereographic projection
- settings: rotation from the setting of a crystal to that of the colour key
"""
