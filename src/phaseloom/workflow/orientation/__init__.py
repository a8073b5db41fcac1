"""Phase and orientation maps of a scan: ``phaseloom index``.

- ``recipe``: crystals, options, exports
- ``run``: orientation maps as a recipe says
- ``crystal_input``: the crystals that a recipe names
- ``sample``: measured peaks beside simulated spots, for some pixels
- ``tables``: grains, boundaries, phases
- ``summary``: the answer in few numbers
- ``method``: the parts of the frame that are its own
- ``demo``: a simulated scan of known truth
"""
