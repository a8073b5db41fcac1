"""Figures and report section of the components of a scan (non-negative matrix factorisation).

- section: figures, headings, captions, headline and key numbers
- methods: text for the methods section of a paper, with citations
- data: the group ``/components`` of a result, and the colours of components
- panels: label maps, patterns, matrices and legends that the figures are made of
- maps: label map, weight map and pattern of every component
- rank: choice of the number of components
- quality: similarity of the components to each other and to the measured mean patterns
- patterns: components beside measured patterns
- checks: residual of the fit, and comparison with other clustering methods
- overlaps: overlap maps, and the network of adjacent components
- truth: comparison with the simulated ground truth
"""
