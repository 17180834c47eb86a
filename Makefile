# Two commands matter: `make up` starts the example site, `make test` checks everything.
# Both set themselves up on a fresh machine that has Python 3.11 to 3.13, make and git.
SHELL := /bin/bash
.DEFAULT_GOAL := help
ARGS ?=
VENV := .venv
LOCK := .venv/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,13))' 2>/dev/null && echo $$p && break; done)

.PHONY: help up install dev test check unit interop functional browser chromium bench bench-start lock audit reference clean
help:  ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

up: install  ## Start the example site (pass arguments with ARGS='--speed 1')
	@$(VENV)/bin/photosynth up $(ARGS)

install: $(VENV)/.installed  ## Create .venv and install the locked dependencies by hash

dev: $(VENV)/.dev  ## The same with the tools that checking needs

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Photosynth needs Python 3.11, 3.12 or 3.13, and none was found on the PATH. Debian: sudo apt-get install python3 python3-venv"; exit 2; }
	@command -v git >/dev/null || { echo "Photosynth needs git, and it was not found on the PATH. Debian: sudo apt-get install git"; exit 2; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing. Debian: sudo apt-get install python3-venv"; exit 2; }

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked dependencies (about a minute the first time)"
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.installed
	@echo "Installing the tools that checking needs"
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

test: check unit interop functional browser  ## Run every check and every test

check: dev  ## Style, types, imports, dependencies
	@$(VENV)/bin/ruff check src tests
	@$(VENV)/bin/ruff format --check src tests
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache
	@$(VENV)/bin/deptry src

unit: dev  ## The fast tests, in parallel
	@$(VENV)/bin/pytest -q -n auto -m "not postgres" tests/unit tests/contract

interop: dev  ## Against real software: bitcoind, a miner's library, and the state's tests again on PostgreSQL
	@$(VENV)/bin/pytest -q tests/interop
	@$(VENV)/bin/pytest -q -n auto -m postgres tests/unit

functional: dev  ## The whole system in processes of its own
	@$(VENV)/bin/pytest -q -n 3 --dist loadfile tests/functional

browser: dev chromium  ## The pages in Chromium
	@$(VENV)/bin/pytest -q -n 2 --dist loadfile tests/browser

chromium:
	@command -v chromium >/dev/null || { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium, which the browser tests look at the pages with"; \
		apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends chromium >/dev/null; \
	else \
		echo "The browser tests need Chromium, and are skipped without it: sudo apt-get install chromium"; \
	fi; }

bench: dev  ## Every benchmark; each prints its figures and the limit or peer beside them
	@for script in tests/benchmarks/*.py; do echo "== $$script"; $(VENV)/bin/python $$script || exit 1; done

bench-start: dev  ## Seconds to the first block and to the first page
	@$(VENV)/bin/python tests/benchmarks/start.py

audit: dev  ## Ask whether a locked dependency has a known weakness (needs the network)
	@$(VENV)/bin/pip-audit --require-hashes --disable-pip -r requirements.lock

reference: dev  ## Write docs/reference anew from the models
	@$(VENV)/bin/python -m photosynth.cli.reference docs/reference

lock: dev  ## Lock the dependencies anew, by version and hash
	@$(LOCK) --extra dev pyproject.toml -o requirements-dev.lock
	@$(LOCK) --extra build --constraint requirements-dev.lock pyproject.toml -o requirements.lock

clean:  ## Remove .venv and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
