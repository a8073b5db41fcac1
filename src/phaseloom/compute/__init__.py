"""Execution: blocks and workers, checkpoints on disk, devices, progress.

- ``execution``: workers, cluster, device, checkpoints and progress as one object, and as options
- ``keywords``: options of the steps, and of the execution, as keyword arguments of a chain
- ``blocks``: large scans in blocks, on threads or a dask cluster
- ``checkpoints``: finished stages in ``results.zarr``, from which a killed run continues
- ``parts``: finished blocks of an unfinished stage
- ``device``: processor or GPU for torch; threads of linear algebra
- ``progress``: progress bars, or lines where there is no terminal
- ``interrupts``: Ctrl-C raised again until it is noticed
"""
