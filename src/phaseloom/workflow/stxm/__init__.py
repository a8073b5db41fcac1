"""Phase maps of X-ray stacks: ``phaseloom stxm``, ``phaseloom spectra``.

- ``recipe``: recipe: stacks, references, options; request of ``phaseloom spectra``
- ``run``: run of a recipe
- ``beam``: arguments of a run about the beam and the field: I0, regions, masks
- ``references``: ``phaseloom spectra``: a reference spectrum from a stack
- ``misfit``: what is written of stacks that the references do not describe
- ``tables``: tables of phase fractions, particles, interfaces; spectra per phase
- ``summary``: few numbers for the console and ``--json``
- ``method``: what the method gives to the frame of a run
- ``demo``: demonstration on simulated stacks, scored against the truth
"""
