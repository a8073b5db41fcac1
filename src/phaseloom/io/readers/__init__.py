"""One module per file format family; a new format is one module and one line here.

Each module has five names: ``format_name``, ``file_extensions``, ``describe`` (a line for the
table of formats), ``reads_this(path)`` and ``read(path, choice)``, which takes a
:class:`phaseloom.io.choice.Choice` (detector, entry, partial) and gives the measurement as
:func:`phaseloom.io.read` describes it. The first that says it reads a file does: those of one
program come before those of any.
"""

from __future__ import annotations

READERS = (
    "arina",
    "hyperspy_files",
    "emd",
    "nxstxm",
    "mistral",
    "cxi",
    "sdf",
    "axis_ncb",
    "axis_stk",
    "xradia",
    "tiff",
    "spectra",
    "blo",
    "mib",
    "tvips",
    "digitalmicrograph",
    "tia",
    "empad",
    "arrays",
)
