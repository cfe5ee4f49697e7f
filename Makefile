# Everything a clone needs: `make evolve` and `make test` do their own set-up. See `make help`.

PYTHON ?= python3
VENV ?= .venv
WORKSPACE ?= instar-workspace
GENERATIONS ?= 3
# Where PyTorch comes from. Empty: the package index that pip is set up for (on Linux that is the
# CUDA build, some gigabytes). For the CPU build, which is enough for pocket:
#   make evolve TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

BIN = $(VENV)/bin
# What is imported is compiled at that time, and most files never are.
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install --no-compile
# From an index of its own PyTorch comes alone, because such an index lacks the pinned versions of
# what it needs; the next installation brings those.
TORCH_FROM = $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX),-c constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help evolve test check fix soak clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

evolve: $(VENV)/.run $(VENV)/.chromium  ## set up, then run three generations (again: go on)
	$(BIN)/instar evolve --preset pocket --generations $(GENERATIONS) --workspace $(WORKSPACE)

# Three workers on two cores, since tests wait a lot: for disks, browsers and processes.
test: $(VENV)/.dev $(VENV)/.chromium  ## set up, then run the tests on three workers
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev  ## lint, format and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.dev  ## mend what the linter and the formatter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(VENV)/.dev $(VENV)/.chromium  ## long checks; stopped, they go on where they were
	$(BIN)/python -m pytest -m soak --timeout 0

clean:  ## remove the environment, caches and builds; workspaces stay
	[ ! -f $(VENV)/pyvenv.cfg ] || rm -rf $(VENV)
	rm -rf build dist .soak .mypy_cache .ruff_cache .pytest_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up. Each stamp is made last, so a step that was stopped halfway is done again.

$(VENV)/.venv:
	@missing=""; \
	if ! command -v $(PYTHON) >/dev/null 2>&1; then missing="$$missing  Python 3.11 or newer ($(PYTHON) was not found)\n"; \
	elif ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then missing="$$missing  Python 3.11 or newer ($(PYTHON) is $$($(PYTHON) -V 2>&1); on Ubuntu 22.04: python3.11 python3.11-venv)\n"; \
	elif ! $(PYTHON) -c 'import venv, ensurepip' >/dev/null 2>&1; then missing="$$missing  the venv module of $(PYTHON)\n"; fi; \
	if [ -n "$$missing" ]; then \
	  printf "Instar needs, and did not find:\n$$missing"; \
	  echo "On Debian or Ubuntu:  sudo apt-get install python3 python3-venv make"; \
	  echo "Another interpreter:  make PYTHON=python3.11 $(MAKECMDGOALS)"; \
	  exit 1; fi >&2
	@if [ -d "$(VENV)" ] && [ ! -f "$(VENV)/pyvenv.cfg" ] && [ -n "$$(ls -A $(VENV))" ]; then \
	  echo "$(VENV) exists and is no virtual environment: choose another with VENV=DIR" >&2; exit 1; fi
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.torch: $(VENV)/.venv constraints.txt
	$(INSTALL) $(TORCH_FROM) "$$(grep '^torch==' constraints.txt)"
	@touch $@

$(VENV)/.run: $(VENV)/.torch pyproject.toml constraints.txt
	$(INSTALL) -e '.[local,bench]' -c constraints.txt
	@touch $@

# The world bfcl comes without what it asks for, which would clash with the rest and is not needed.
$(VENV)/.dev: $(VENV)/.torch pyproject.toml constraints.txt
	$(INSTALL) -e '.[all]' -e ./client -c constraints.txt
	$(INSTALL) --no-deps bfcl-eval mpmath -c constraints.txt
	@touch $(VENV)/.run $@

$(VENV)/.chromium: $(VENV)/.run tools/install_chromium.py
	$(BIN)/python -m tools.install_chromium
	@touch $@
