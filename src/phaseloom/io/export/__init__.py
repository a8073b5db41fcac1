"""Export of results to files of other programs.

- ``orientations``: orientation maps to ``.ang``, ``.ctf``, ``.h5``
- ``patterns``: diffraction patterns to ``.blo``, ``.hspy``, ``.zspy``, TIFF; ``pattern_header``
  is what each format states of them
- ``maps``: maps to TIFF stacks
- ``nexus``: image stacks to NXstxm, results to NXdata
- ``spectra``: spectra to CSV
"""
