# Every target is a few lines that README also spells out; nobody needs make.
PYTHON ?= python3
IO_PYTHON ?= $(PYTHON)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# compat: else a script beside a clone called nonlocal_tf imports the clone.
EDITABLE := --config-settings editable_mode=compat --editable

IO := .venv-tfio/bin/python
# Without LLVM's optimisations programs compile in two thirds of the time.
ON_JAX := KERAS_BACKEND=jax XLA_FLAGS=--xla_backend_optimization_level=0

.PHONY: help train test test-slow test-full test-io test-io-all test-beam \
	mutants lint format

help:
	@echo "make train      train, test and export the main example (runs/digits_nl)"
	@echo "make test       the tests, on TensorFlow and on JAX"
	@echo "make test-slow  full runs and large networks: what takes minutes"
	@echo "make test-full  more of the same, for which CI has no time"
	@echo "make test-io    s3:// and http://, in tensorflow-io's environment"
	@echo "make test-io-all    all the tests on TensorFlow there"
	@echo "make test-beam  making shards by Apache Beam, in .venv-beam"
	@echo "make mutants    which faults of a table the tests see (an hour)"
	@echo "make lint       ruff and mypy"
	@echo "make format     let ruff format the code"

train: .venv/.train
	$(BIN)/python -m training.train --recipe digits_nl \
		--workdir runs/digits_nl --export savedmodels/digits_nl

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile
	$(ON_JAX) $(BIN)/python -m pytest -n 2 --dist loadfile \
		tests/ops tests/layers tests/models tests/test_*.py

# In their order, else the longest file, of two tests, would be the last.
test-slow: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow

test-full: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m full
	$(ON_JAX) $(BIN)/python -m pytest -n 2 --dist loadfile -m full \
		tests/ops tests/models

# The first line, because the tests skip where it does not load.
test-io: .venv-tfio/.io
	$(IO) -c 'from training import remote; remote.require("http://x/")'
	$(IO) -m pytest -n 2 --dist loadfile tests/io

test-io-all: .venv-tfio/.io
	$(IO) -m pytest -n 2 --dist loadfile

test-beam: .venv-beam/.beam
	.venv-beam/bin/python -m pytest tests/training/data/test_beam.py

mutants: .venv/.dev
	$(BIN)/python -m tests.mutants --jobs 2

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; \
		exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.train: setup.cfg .venv/.made
	$(PIP) $(EDITABLE) '.[digits,viz]'
	@touch $@

.venv/.dev: setup.cfg .venv/.made
	$(PIP) $(EDITABLE) '.[test,dev]'
	@touch $@

.venv-tfio/.io: setup.cfg constraints-tfio.txt
	@$(IO_PYTHON) -c 'import sys; \
		sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
		echo "tensorflow-io needs Python 3.11 or 3.12:" \
		"make IO_PYTHON=/path/to/python3.11"; exit 1; }
	$(IO_PYTHON) -m venv .venv-tfio
	$(IO) -m pip install --quiet --disable-pip-version-check \
		-c constraints-tfio.txt $(EDITABLE) '.[io,test,io-test]'
	@touch $@

# Of its own, because Beam holds protobuf back.
.venv-beam/.beam: setup.cfg .venv/.made
	.venv/bin/python -m venv .venv-beam
	.venv-beam/bin/python -m pip install --quiet \
		--disable-pip-version-check $(EDITABLE) '.[beam,test]'
	@touch $@
