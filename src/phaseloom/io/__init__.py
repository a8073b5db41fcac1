"""Files in, labelled measurements out; results to disk.

``read(path)`` returns an :class:`xarray.Dataset` whatever the beamline wrote;
``read_references(path)`` the spectra of a file, one by one; ``stack_images(images)`` joins images
of one energy each into a stack.
"""

from __future__ import annotations

from phaseloom.io.reading import read
from phaseloom.io.spectra import read_references
from phaseloom.io.stacking import stack_images

__all__ = ["read", "read_references", "stack_images"]
