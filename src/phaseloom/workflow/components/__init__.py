"""Components of a scan: ``phaseloom cluster``.

- ``recipe``: recipe: scan, options, crystals to index components with
- ``run``: run of a recipe
- ``input``: patterns of a recipe: registered peaks, or the scan as measured
- ``orientations``: orientation map of indexed components
- ``other_methods``: labels by other clustering methods
- ``tables``: tables of components, positions, boundaries
- ``summary``: few numbers for the console and ``--json``
- ``method``: what the method gives to the frame of a run
- ``demo``: demonstration on a simulated scan, scored against the truth
"""
