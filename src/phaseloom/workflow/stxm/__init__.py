"""Phase maps of X-ray stacks: ``phaseloom stxm``, ``phaseloom spectra``.

- ``recipe``: stacks, references, options
- ``run``: phase maps as a recipe says
- ``references``: ``phaseloom spectra``: a reference spectrum from a stack
- ``tables``: phase fractions, particles, interfaces, spectra per phase
- ``summary``: the answer in few numbers
- ``method``: the parts of the frame that are its own
- ``demo``: simulated stacks of known truth
"""
