# `make demo` and `make test` are all that a fresh machine needs: Python 3.11 or newer, make, and a way to pip's index.
# Which build of torch comes (CPU or CUDA) is pip's own business: whatever its configuration finds for this machine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.runtime  ## install, then paint 32 samples with the embedded model into demo/
	$(BIN)/factory generate --prompts prompts/demo.txt --n 32 --shard-size 8 --out demo
	@echo "report: $(CURDIR)/demo/report/index.html"
	@echo "shards: $(CURDIR)/demo/data/"

test: $(VENV)/.dev  ## install, then linters, type checker and all tests but the slow ones: minutes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadgroup -m 'not slow'

test-slow: $(VENV)/.dev  ## install, then the slow tests: wheels, crashes at every file operation, killed drivers on Ray
	$(BIN)/pytest -n 2 --dist loadgroup -m slow

bench: $(VENV)/.dev  ## install, then every figure in benchmarks/
	$(BIN)/python benchmarks

clean:  ## remove what the targets above made
	rm -rf $(VENV) demo dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is as new as the installation: pip runs again only when pyproject.toml or constraints.txt changed.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing factory into $(VENV) …"
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing factory and what its tests need into $(VENV) …"
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.runtime

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "factory needs Python 3.11 or" \
	"newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo absent): install one and name it, for example" \
	"\`make $(MAKECMDGOALS) PYTHON=python3.12\`." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'This Python cannot make a virtual environment:' \
	'install its venv module, for example `apt-get install python3-venv`.' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
