"""Header of NanoMegas block files (``.blo``), as reader and writer share it.

Little-endian: this header at the start of the file, a virtual image (y, x) of 8 bits, and from a
stated offset one record per pattern: AA 55, the number of the pattern (uint32), its pixels.
"""

from __future__ import annotations

import numpy as np

HEADER = np.dtype(
    [
        ("identity", "S6"),
        ("magic", "<u2"),
        ("image_offset", "<u4"),
        ("pattern_offset", "<u4"),
        ("flags", "<u4"),
        ("pattern_size", "<u2"),
        ("pattern_rotation", "<u2"),
        ("columns", "<u2"),
        ("rows", "<u2"),
        ("scan_rotation", "<u2"),  # hundredths of a degree
        ("step_x", "<f8"),
        ("step_y", "<f8"),
        ("volts", "<u4"),
        ("pixels_per_metre", "<u2"),
        ("camera_length", "<u4"),  # tenths of a millimetre
        ("time", "<f8"),  # days since 30 December 1899
        ("centring", "<f8", 8),
        ("distortion", "<f8", 14),
    ]
)
