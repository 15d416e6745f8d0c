# Two commands: `make demo` and `make test`. Both make .venv first, with Python 3.11 or newer.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo test slow lint clean

demo: .venv/installed  ## train a small Swin on real pictures, measure it, show pictures
	$(BIN)/swin demo

test: .venv/installed-dev lint  ## what CI runs
	$(BIN)/pytest -n auto

slow: .venv/installed-dev  ## minutes more, before a release
	$(BIN)/pytest -m slow

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis demo

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "swinkit needs Python 3.11 or newer: install it, or give make PYTHON=/path/to/python."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@ .venv/installed
