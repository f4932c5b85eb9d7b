# The two commands of the README, and what else one does here. Every target sets up what it needs.
VENV ?= .venv
PYTHON ?= python3
CONSTRAINTS ?= baselines/cpu/constraints.txt
WORKERS ?= 4
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup gate update test lint wheel real gpu

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /	/' | expand -t 10

setup: $(READY)  ## make the virtual environment with the versions that the baselines were made with

$(READY): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $@

gate: $(READY)  ## train the pocket suites and hold them against their baselines
	$(BIN)/python -m pytest suites/ -n $(WORKERS)

update: $(READY)  ## accept what the suites give now as their baselines; review git diff
	$(BIN)/python -m pytest suites/ -n $(WORKERS) --update-baselines

test: $(READY)  ## run the project's own tests
	$(BIN)/python -m pytest tests/ -n 2 --maxschedchunk 4

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(READY)  ## build the wheel and try it from an empty folder: init, check, update, gate
	.ci/wheel

real: $(READY)  ## run the tests on real models from the folder HUB, laid out by hub id
	FTCOMPARE_HUB=$(HUB) $(BIN)/python -m pytest tests/real -v

gpu: $(READY)  ## measure this machine's GPU (REHEARSE=1: rehearse that on a pretended one)
	$(BIN)/python -m $(if $(REHEARSE),tests.gpu_rehearsal,scripts.gpu $(PIECES) $(OPTIONS))
