# make demo   maps a simulated beamtime; registers, indexes, clusters simulated 4D-STEM scans; says how well
# make test   runs the tests
# make check  lint, types, import contracts
# make docs   writes the pages of the documentation that are made from the code
# make bench  accuracy, speed and memory, beside other programs in environments of their own
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test check docs bench peers clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "phaseloom needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/phaseloom demo stxm --out demo/stxm
	$(BIN)/phaseloom demo peaks --out demo/peaks
	$(BIN)/phaseloom demo index --out demo/index
	$(BIN)/phaseloom demo cluster --out demo/cluster

test: $(READY)
	$(BIN)/python -m pytest -n 2 -q

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m phaseloom.cli.reference > docs/options.new
	mv docs/options.new docs/options.md

bench: $(READY) peers
	$(BIN)/python benchmarks/stxm.py
	$(BIN)/python benchmarks/peaks.py
	$(BIN)/python benchmarks/peak_statistics.py
	$(BIN)/python benchmarks/orientation.py
	$(BIN)/python benchmarks/comparison.py
	$(BIN)/python benchmarks/materials.py --side 16 --seconds
	$(BIN)/python benchmarks/parameter_sweeps.py
	$(BIN)/python benchmarks/paper_bytes.py
	$(BIN)/python benchmarks/components.py table sweep memory scan
	$(BIN)/python benchmarks/component_counts.py

peers: $(READY)
	$(BIN)/python benchmarks/environments.py

clean:
	rm -rf .venv .numba_cache demo build
