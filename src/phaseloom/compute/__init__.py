"""How work is carried out: in blocks, on which device, kept on disk, with progress.

- ``execution``: workers, cluster, device, checkpoints and progress as one object, and as options
- ``keywords``: options of the steps, and of the execution, as keywords of a chain
- ``blocks``: large scans in blocks, on threads or a dask cluster
- ``checkpoints``: finished stages in ``results.zarr``: a killed run continues
- ``parts``: finished blocks of a stage that is not finished yet
- ``device``: processor or GPU; threads of linear algebra
- ``progress``: bars, or a line now and then where there is no terminal
- ``interrupts``: Ctrl-C also where Python drops it
"""
