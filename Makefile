PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export GOMP_SPINCOUNT ?= 2000
export NO_ALBUMENTATIONS_UPDATE ?= 1

.DEFAULT_GOAL := help
.PHONY: help repro test lint format ui lock clean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}. Name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

repro: $(VENV)/.installed  ## Set up and run the whole pipeline
	dvc repro
	@viewfinder results

test: $(VENV)/.installed  ## Set up and run all tests
	pytest

lint: $(VENV)/.installed  ## Check style, types and the direction of imports
	ruff check
	ruff format --check
	mypy
	lint-imports

format: $(VENV)/.installed  ## Bring the code into shape
	ruff check --fix
	ruff format

ui: $(VENV)/.installed  ## Open the MLflow pages on http://127.0.0.1:5000
	mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

lock: $(VENV)/.installed  ## Write the installed versions to requirements.lock
	@pip freeze --exclude-editable | sed -E '/^(nvidia|cuda|triton)/s/$$/ ; sys_platform == "linux"/' > requirements.lock

clean:  ## Remove the environment and the caches of tools, but no data, models or runs
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
