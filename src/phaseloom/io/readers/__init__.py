"""One module per file format family; a new format is one module and one line here.

Each module has five names: ``format_name``, ``file_extensions``, ``describe`` (a line for the
table of formats), ``reads_this(path)`` and ``read(path, choice)``, which takes a
:class:`phaseloom.io.choice.Choice` (detector, entry, partial) and gives the measurement as
:func:`phaseloom.io.read` describes it. The first that says it reads a file does: those of one
program come before those of any. Modules with an underscore are shared parts:

- ``_files``, ``_text``, ``_hdf5``, ``_zarr``, ``_table``: access to files of a kind
- ``_npy``: headers of numpy arrays, of ``arrays`` and ``prz``
- ``_lazy``, ``_hdf_scan``: patterns as lazy arrays
- ``_signal_stack``: X-ray stacks of ``hyperspy_files`` and ``rosettasciio_files``
- ``_quantity``: what numbers are of which a file does not say it
- ``_frames``: unmeasured frames of aborted scans
- ``_hdf5_sources``: links, virtual datasets and filters of HDF5; ``_hdf5_stacks``: where
  ``hdf5_stacks`` finds images and energies
- ``_nexus``, ``_nxstxm_scan``, ``_als``: parts of ``nxstxm``
- ``_sdf_structures``, ``_sdf_scan``, ``_sdf_logs``, ``_sdf_frames``: parts of ``sdf``
- ``_energy_list``: the energies of a stack, as text beside it
- ``_tiff_pages``, ``_tiff_energies``: parts of ``tiff``; ``_axis_stack`` of ``axis_ncb`` and
  ``axis_stk``
- ``_columns``, ``_absorption``, ``_headers``, ``_athena``: parts of ``spectra``
"""

from __future__ import annotations

READERS = (
    "arina",
    "hyperspy_files",
    "emd",
    "nxstxm",
    "mistral",
    "cxi",
    "hdf5_stacks",
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
    "mrc",
    "prz",
    "image_files",
    "rosettasciio_files",
    "arrays",
)
