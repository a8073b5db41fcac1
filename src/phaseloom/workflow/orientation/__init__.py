"""Phase and orientation maps of a scan: ``phaseloom index``.

- ``recipe``: recipe: scan, crystals, options, exports
- ``run``: run of a recipe
- ``crystal_input``: the crystals that a recipe names
- ``sample``: measured peaks beside simulated spots, for some pixels
- ``tables``: tables of phases, grains, boundaries
- ``summary``: few numbers for the console and ``--json``
- ``method``: what the method gives to the frame of a run
- ``demo``: demonstration on a simulated scan, scored against the truth
"""
