"""Components of a scan: ``phaseloom cluster``.

- ``recipe``: options, crystals to index components with
- ``run``: components as a recipe says
- ``input``: registered peaks, or the scan as it is
- ``orientations``: components indexed, and their orientations on the map
- ``other_methods``: labels by other clusterers
- ``tables``: components, positions, boundaries
- ``summary``: the answer in few numbers
- ``method``: the parts of the frame that are its own
- ``demo``: a simulated scan of known truth
"""
