"""Reading of measurements into labelled arrays, and writing of results and exports.

``read(path)`` returns an :class:`xarray.Dataset` whatever the beamline or the microscope wrote;
a folder, a pattern or a list of X-ray images is a stack. ``read_references(path)`` gives the
spectra of a file, one by one; ``stack_images(images)`` joins images of one energy each. For
4D-STEM ``read_scan(path)`` takes what holds diffraction patterns, ``read_pattern(path)`` a single
one, ``as_scan(data)`` an array or a HyperSpy signal; ``calibrated``, ``with_scan_shape`` and
``oriented`` say what a file does not.

- ``reading``: finds the reader of a file; ``readers/`` has one module per format family
- ``choice``: detector, entry and partial reading, as every reader takes them
- ``spectra``: reference spectra of a file
- ``scans``, ``patterns``: files, arrays and HyperSpy signals as 4D-STEM scans; single patterns
- ``scan_making``, ``scan_axes``, ``scan_calibration``, ``chunking``: parts of a scan
- ``scan_turning``: detector images flipped and rotated
- ``hyperspy_signals``: HyperSpy and pyxem signals in and out
- ``images``, ``stacking``, ``image_sets``: labelled images of one file; images joined into a
  stack; the files of a folder or pattern that make one
- ``description``: what ``phaseloom info`` prints
- ``fingerprint``, ``tags``, ``block_file``: hashes of inputs, numbers in tags, header of ``.blo``
- ``export/``: orientations, maps, patterns, spectra, NeXus
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

if TYPE_CHECKING:
    from phaseloom.io.patterns import read_pattern
    from phaseloom.io.reading import read
    from phaseloom.io.scans import (
        as_scan,
        calibrated,
        oriented,
        read_scan,
        to_hyperspy,
        with_scan_shape,
    )
    from phaseloom.io.spectra import read_references
    from phaseloom.io.stacking import stack_images

_HOMES = {
    "as_scan": "scans",
    "calibrated": "scans",
    "oriented": "scans",
    "read": "reading",
    "read_pattern": "patterns",
    "read_references": "spectra",
    "read_scan": "scans",
    "stack_images": "stacking",
    "to_hyperspy": "scans",
    "with_scan_shape": "scans",
}

__all__ = [
    "as_scan",
    "calibrated",
    "oriented",
    "read",
    "read_pattern",
    "read_references",
    "read_scan",
    "stack_images",
    "to_hyperspy",
    "with_scan_shape",
]

__getattr__ = lazy_names(__name__, _HOMES)
