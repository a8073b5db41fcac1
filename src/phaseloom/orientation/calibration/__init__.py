"""Calibration of the patterns on the crystals' own spots: scale, distortion, centre.

- ``calibrating``: the chain of this room
- ``correction``: what is taken off the peaks' vectors, with its errors
- ``scale_search``: the scale, wherever it lies within ±12 % of what the file says
- ``joint_fit``: scale, distortion and centre from the indexed spots of many patterns
- ``spots``: the spots that a calibration rests on, for a look at them
- ``pairs``: places of the reflections on the peaks of solved patterns, compiled
- ``scale_rivals``: scales that several crystals leave open, with their probabilities
- ``wholeness``: are patterns explained as a whole, by one crystal or by two?
"""
