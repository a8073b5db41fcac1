"""Registered peaks of a scan: ``peaks``, ``reconstruct``, ``calibrate``.

- ``recipe``: scan, detector images, options; requests of the two smaller commands
- ``run``: peaks as a recipe says
- ``scan``: the scan of a recipe with what its file does not say
- ``input``: peaks of a scan or of a folder, for ``index`` and ``cluster``
- ``reconstruct``: ``phaseloom reconstruct``: clean patterns
- ``calibrate``: ``phaseloom calibrate``: pixel size and ellipticity
- ``tables``: tables of peaks
- ``summary``: the answer in few numbers
- ``method``: the parts of the frame that are its own
- ``demo``: a simulated scan of known truth
- ``demo_scan``: the simulated file that all demonstrations of scans begin with
"""
