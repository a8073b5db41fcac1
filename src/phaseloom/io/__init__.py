"""Files in, labelled measurements out; results to disk.

``read(path)`` returns an :class:`xarray.Dataset` whatever the beamline wrote.
"""

from __future__ import annotations

from phaseloom.io.reading import read

__all__ = ["read"]
