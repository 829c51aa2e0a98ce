# The commands of the README and of CONTRIBUTING. Everything lives in .venv and models;
# a stamp in .venv says what is installed, so that a repeated run starts at once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PROJECTS := pyproject.toml kernels/pyproject.toml kernels/setup.py $(wildcard kernels/inferd_kernels/wire/*.p[yx]*) \
  plugins/inferd-backend-onnx/pyproject.toml
CHECKERS := 'ruff>=0.8' 'mypy>=1.14' 'import-linter>=2.1'

.DELETE_ON_ERROR:
.PHONY: help demo samples serve test lint types layers clean

help:
	@echo 'make demo    build the sample models, serve them, classify a picture, stop'
	@echo 'make serve   serve the sample models until Ctrl-C'
	@echo 'make test    run every test'
	@echo 'make lint    check style; make types: check types; make layers: check imports'
	@echo 'make clean   remove what these commands made'

demo: samples
	@$(BIN)/python examples/demo.py models

samples: $(VENV)/.installed
	@$(BIN)/inferd samples models

serve: samples
	@exec $(BIN)/inferd serve --model-repository models

test: $(VENV)/.test-tools
	$(BIN)/python -m pytest

lint: $(VENV)/.checkers
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.checkers
	$(BIN)/mypy

layers: $(VENV)/.checkers
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) models .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Debian splits venv's pip off into a package of its own; a system-wide pip can stand in for it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'inferd needs Python 3.11 or newer; name one: make PYTHON=python3.12' >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -m venv --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; \
	else \
	  echo 'no pip to install with: apt-get install python3-venv python3-pip' >&2; exit 1; \
	fi

$(VENV)/.installed: $(PROJECTS) | $(BIN)/python
	@kernels/install-headers.sh
	$(PIP) install --quiet -e kernels -e '.[images,samples]' -e 'plugins/inferd-backend-onnx[cpu]'
	@touch $@

$(VENV)/.test-tools: tests/requirements.txt $(VENV)/.installed
	@tests/install-tools.sh
	$(PIP) install --quiet -r tests/requirements.txt
	@touch $@

$(VENV)/.checkers: $(VENV)/.installed
	$(PIP) install --quiet $(CHECKERS)
	@touch $@
