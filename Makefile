# Everything a person or a machine runs here; `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
WORKERS ?= 2
export OMP_NUM_THREADS ?= 1

.PHONY: help setup run demo test test-all check docs ui report clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## make .venv with the pinned versions (again only when pyproject.toml or constraints.txt changed)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[check]'
	$(BIN)/igsm generate --num 1 --out .venv/first.jsonl  # compiles the kernels, once
	touch $@

run: setup  ## compute what is stale of the mini experiment
	env -u OMP_NUM_THREADS $(BIN)/igsm run mini

test: setup  ## the quick tests
	$(BIN)/python -m pytest -n $(WORKERS)

test-all: setup  ## every test, the slow ones too
	$(BIN)/python -m pytest -n $(WORKERS) -m 'slow or not slow'

check: setup docs  ## format, lint, types, import order, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup  ## the documentation site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site

demo: setup  ## play with a model in a browser: the published one of this repository
	env -u OMP_NUM_THREADS $(BIN)/igsm play

ui: setup  ## Dagster's and MLflow's pages on this machine
	$(BIN)/igsm ui

report: setup  ## print the path of the mini experiment's report
	$(BIN)/igsm report mini

clean:  ## remove caches and build leftovers; data/ and .venv/ stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
