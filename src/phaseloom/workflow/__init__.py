"""What to do (recipe) and doing it (run); one room per method.

- ``recipe``: recipes as validated data, read from TOML and written to it
- ``run``: the frame of every run: folder, log, stages, tables, figures, report
- ``method``: what a method gives to that frame
- ``folder``: what a folder of results holds, who may write there, what is removed
- ``log``: ``run.log`` of the folder
- ``outcome``: what a run states of itself, and what it leaves behind
- ``export``: ``phaseloom export``: results for other programs
- ``console``: descriptions of files as text
"""
