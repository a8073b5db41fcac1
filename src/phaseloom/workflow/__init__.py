"""Recipes and runs: from input files to a folder of results.

- ``recipe``: recipes as validated data, read from TOML and written to it
- ``run``: the frame of every run: folder, log, stages, tables, figures, report
- ``method``: what a method gives to that frame, as one object
- ``folder``: folder of results: its record, its lock, what ``--overwrite`` removes
- ``log``: log file ``run.log`` of the folder
- ``outcome``: outcome of a run; provenance and times in its attributes
- ``export``: ``phaseloom export``: results for other programs
- ``console``: descriptions of files, and tables of numbers, as text
- ``stxm``, ``peaks``, ``orientation``, ``components``: rooms of the four methods
"""
