# Every target is a few lines that README also spells out; nobody needs make.
PYTHON ?= python3
IO_PYTHON ?= $(PYTHON)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

IO := .venv-tfio/bin/python
WHEEL_FILES := $(shell find nonlocal_tf training -name '*.py' -o -name '*.html') \
	training/recipes/shown_abilities.json
# Without LLVM's optimisations programs compile in two thirds of the time.
ON_JAX := KERAS_BACKEND=jax XLA_FLAGS=--xla_backend_optimization_level=0

# One thread for each of two processes.
ON_TORCH := KERAS_BACKEND=torch OMP_NUM_THREADS=1
# The build for processors; other systems have it under its usual name.
TORCH ?= torch==2.13.0+cpu
TORCH_PIP := .venv-torch/bin/python -m pip install --quiet \
	--disable-pip-version-check

# Processes of tests share what Python compiles.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help train evidence test test-tensorflow test-jax test-torch test-slow \
	test-full test-wheel test-io test-io-all test-beam mutants docs lint format

help:
	@echo "make train      train, test and export the main example (runs/digits_nl)"
	@echo "make evidence   which network sees what, one seed of each (an hour)"
	@echo "make test       the tests, on TensorFlow and on JAX"
	@echo "make test-tensorflow, make test-jax    the tests on one of them"
	@echo "make test-torch the tests of the library on PyTorch"
	@echo "make test-slow  longer runs and large networks: what takes minutes"
	@echo "make test-full  more of the same, for which CI has no time"
	@echo "make test-wheel the built wheel, in an environment of its own"
	@echo "make test-io    s3:// and http://, and tensorflow-io in its environment"
	@echo "make test-io-all    all the tests on TensorFlow there"
	@echo "make test-beam  making shards by Apache Beam, in tensorflow-io's environment"
	@echo "make mutants    which faults of a table the tests see (an hour)"
	@echo "make docs       the site, in docs/site"
	@echo "make lint       ruff and mypy"
	@echo "make format     let ruff format the code"

train: .venv/.train
	$(BIN)/nonlocal-tf train --recipe digits_nl \
		--workdir runs/digits_nl --export savedmodels/digits_nl

# Trained anew: results that were published are not taken.
evidence: .venv/.train
	$(BIN)/nonlocal-tf ablations --table abilities --anew --jobs 2 \
		--workdir runs/evidence

test: test-tensorflow test-jax

test-tensorflow: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-jax: .venv/.dev
	$(ON_JAX) $(BIN)/python -m pytest -n 2 --dist loadfile \
		tests/ops tests/layers tests/models tests/attention/test_*.py \
		tests/test_api.py tests/test_preprocess.py

test-torch: .venv-torch/.torch
	$(ON_TORCH) .venv-torch/bin/python -m pytest -n 2 --dist loadfile \
		tests/ops tests/layers tests/models tests/checkpoints/test_load.py \
		tests/checkpoints/test_assign.py tests/attention/test_*.py

# In their order, else the longest file, of few tests, would be the last.
test-slow: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow

test-full: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m full
	$(ON_JAX) $(BIN)/python -m pytest -n 2 --dist loadfile -m full \
		tests/ops tests/layers tests/models tests/attention/test_*.py

test-wheel: .venv/.dev .venv-wheel/.wheel
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		-m 'wheel and not full' tests/wheel

# The first line, because the tests skip where it does not load.
test-io: .venv-tfio/.io
	$(IO) -c 'from training.io import tensorflow_plugins; \
		tensorflow_plugins.require("s3://x/")'
	$(IO) -m pytest -n 2 --dist loadfile tests/io

test-io-all: .venv-tfio/.io
	$(IO) -m pytest -n 2 --dist loadfile

test-beam: .venv-tfio/.io
	$(IO) -m pytest tests/training/data/test_beam.py

mutants: .venv/.dev
	$(BIN)/python -m tests.mutants --jobs 2

# The variable: Material for MkDocs advertises its successor.
docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet \
		--strict --config-file docs/mkdocs.yml

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
	$(PIP) --editable '.[digits,viz]'
	@touch $@

.venv/.dev: setup.cfg .venv/.made
	$(PIP) --editable '.[test,dev,docs]'
	@touch $@

# Without TensorFlow, which the package requires and the library never imports.
.venv-torch/.torch: setup.cfg .venv/.made
	.venv/bin/python -m venv .venv-torch
	$(TORCH_PIP) '$(TORCH)' || $(TORCH_PIP) torch
	$(TORCH_PIP) 'keras>=3.15.1' numpy hypothesis pytest pytest-xdist
	@touch $@

# Beam, too, needs a protobuf that later releases of TensorFlow do not.
.venv-tfio/.io: setup.cfg constraints-tfio.txt
	@$(IO_PYTHON) -c 'import sys; \
		sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
		echo "tensorflow-io needs Python 3.11 or 3.12:" \
		"make IO_PYTHON=/path/to/python3.11"; exit 1; }
	$(IO_PYTHON) -m venv .venv-tfio
	$(IO) -m pip install --quiet --disable-pip-version-check \
		-c constraints-tfio.txt --editable '.[io,test,url,io-test,beam]'
	@touch $@

.venv-wheel/.wheel: .venv/.made setup.cfg setup.py $(WHEEL_FILES)
	rm -rf .venv-wheel dist build
	.venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir .venv-wheel/dist .
	.venv/bin/python -m venv .venv-wheel
	@# Python compiles what the tests import, a third of all.
	.venv-wheel/bin/python -m pip install --quiet --no-compile \
		--disable-pip-version-check \
		"$$(echo .venv-wheel/dist/*.whl)[coco,digits,video]"
	@touch $@
