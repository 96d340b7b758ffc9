# `make help` lists the targets. Everything happens inside .venv, which the first target makes.
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench faults clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo-is-installed ## From a local S3 server to pictures of sample plans, in demo-output/
	$(BIN)/kkg demo

test: $(VENV)/.tests-are-installed ## Run the tests (offline, a few minutes)
	$(BIN)/python -m pytest --cov --cov-report=
	$(BIN)/coverage report --include='*/hub/*,*/areas/*' --fail-under=95

check: $(VENV)/.tests-are-installed ## Lint, format, types, and the walls of the house
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.tests-are-installed ## Format the code and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.bench-is-installed ## Measure us against plain transformers, boto3 and s5cmd
	$(BIN)/python benchmarks/segmentation.py
	$(BIN)/python benchmarks/agreement.py
	$(BIN)/python benchmarks/tiling.py
	$(BIN)/python benchmarks/postprocessing.py
	$(BIN)/python benchmarks/areas.py
	$(BIN)/python benchmarks/area_quality.py
	$(BIN)/python benchmarks/styles.py
	$(BIN)/python benchmarks/hub.py

faults: $(VENV)/.tests-are-installed ## Fault storms, kills, races: a table of faults and outcomes (a quarter of an hour)
	$(BIN)/python -m pytest -m faults -s --timeout=1800

clean: ## Remove .venv, caches and results
	rm -rf $(VENV) demo-output build dist .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.exists:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed. Next step: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo-is-installed: $(VENV)/.exists pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.bench-is-installed: $(VENV)/.exists pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[bench]'
	@touch $@

$(VENV)/.tests-are-installed: $(VENV)/.exists pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[test]'
	@touch $@
