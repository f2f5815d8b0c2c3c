# The doors of the project. `make demo` and `make test` set up all they need, as an ordinary user.
# Wants: make, and python3 (3.11 or later, with venv) or uv.

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
unexport PYTHONDONTWRITEBYTECODE # hundreds of processes would each compile all that they import
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

help: ## Show the doors
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- setting up -------------------------------------------------------------------------------------------------------

$(BIN)/uv: requirements/bootstrap.lock
	@if [ -n "$(PYTHON)" ] && $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "setting up $(VENV) with $(PYTHON)"; \
	    $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock; \
	elif command -v uv >/dev/null 2>&1; then \
	    echo "setting up $(VENV) with uv"; \
	    uv venv --quiet --allow-existing --python '>=3.11' $(VENV) && uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/bootstrap.lock; \
	else \
	    echo "fleet needs python3 3.11 or later with venv (Debian: apt-get install python3-venv), or uv" >&2; exit 2; \
	fi
	@touch $@

$(VENV)/.demo: $(BIN)/uv requirements/demo.lock pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/demo.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(BIN)/uv requirements/dev.lock pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(VENV)/.demo $@

setup: $(VENV)/.dev ## Set up .venv with all that the suite needs

locks: $(BIN)/uv ## Make the hash locks anew (UPGRADE=1 takes newer versions)
	@for name in bootstrap demo dev; do \
	    case $$name in bootstrap) from=requirements/bootstrap.in ;; demo) from='pyproject.toml --extra sim --extra mlx' ;; dev) from='pyproject.toml --all-extras' ;; esac; \
	    $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url $(if $(UPGRADE),--upgrade,) $$from -o requirements/$$name.lock || exit 1; \
	done

# --- the main job -----------------------------------------------------------------------------------------------------

demo: $(VENV)/.demo ## Simulated Macs, a real deploy over SSH, a real model answers
	@$(BIN)/python -m fleet.sim.demo up --dir $(DEMO)

demo-down: ## Stop the demo's Macs and leave nothing behind
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m fleet.sim.demo down --dir $(DEMO); fi

# --- proving ----------------------------------------------------------------------------------------------------------

compiled: $(VENV)/.dev
	@$(BIN)/python -m compileall -q -j 2 fleet
	@$(BIN)/python -c 'import mlx_lm.server' >/dev/null 2>&1 & \
	ls -d tests/*/ | xargs -P 2 -n 4 $(BIN)/python -m pytest -q --collect-only -p no:cacheprovider >/dev/null 2>&1 || true

test: $(VENV)/.dev compiled ## The whole suite
	@$(BIN)/python -m pytest -q -n 4 --dist loadgroup --no-loadscope-reorder $(PYTEST)

soak: $(VENV)/.dev ## The state machines of money and policy at 2,000 examples each (200 in make test)
	@FLEET_SOAK=$${FLEET_SOAK:-2000} $(BIN)/python -m pytest -q --timeout 3600 tests/traffic/gray/test_gray_machine.py tests/traffic/budget/test_dollar_machine.py $(PYTEST)

test-mac: $(VENV)/.dev ## The suite for a real Mac (docs/mac-acceptance.md)
	@$(BIN)/python -m pytest -q -m mac tests/mac $(PYTEST)

lint: $(VENV)/.dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev
	@$(BIN)/mypy

directions: $(VENV)/.dev
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports

docs: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/docs

check: lint types directions docs ## Lint, types, import directions, docs

reference: $(VENV)/.dev ## Write the reference pages anew
	@$(BIN)/python docs/reference/generate.py

picture: $(VENV)/.demo ## Draw docs/demo.svg anew, from a real run of the demo
	@$(BIN)/python docs/picture.py

fmt: $(VENV)/.dev ## Format and fix
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .

include show.mk
include bench.mk

clean: demo-down ## Remove what was set up here
	@rm -rf $(VENV) $(DEMO) dist build

.PHONY: picture reference help setup locks demo demo-down compiled test soak test-mac lint types directions docs check fmt clean
