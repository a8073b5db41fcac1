"""Registered peaks of a scan: ``peaks``, ``reconstruct``, ``calibrate``.

- ``recipe``: recipe: scan, detector images, options; requests of the two smaller commands
- ``run``: run of a recipe
- ``scan``: reading the scan of a recipe, with calibration and detector images
- ``input``: peaks for ``index`` and ``cluster``, of a scan or of a folder
- ``reconstruct``: ``phaseloom reconstruct``: clean patterns
- ``calibrate``: ``phaseloom calibrate``: pixel size and ellipticity
- ``tables``: tables of peaks
- ``summary``: few numbers for the console and ``--json``
- ``method``: what the method gives to the frame of a run
- ``demo``: demonstration on a simulated scan, scored against the truth
- ``demo_scan``: the simulated file that all demonstrations of scans begin with
"""
