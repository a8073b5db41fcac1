"""Whether transition phases sit at phase boundaries by more than the optics make them.

- boundary_test: the whole test of one stack: odds ratio, null model, pixels that remain
- grains: the grains of pure phases behind a map, their boundary to a part of a pixel, segments
- point_spread: width and tails of the point-spread function, from the particles' sharp edges
- null_model: what a stack of these grains would look like if only the optics mixed neighbours
- odds: odds ratios against distance, with intervals over segments of the boundary
"""
