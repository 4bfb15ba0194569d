# `make demo` and `make test` set up a virtual environment of their own in .venv; nothing else is needed but Python 3.11+.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test check fast clean

demo: $(VENV)/demo
	$(BIN)/headrace demo

# Everything that has to hold. Starts Apache Kafka, PostgreSQL and MariaDB by itself; some 45 minutes on two cores.
test: check
	$(BIN)/python -m pytest

check: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What needs no broker: seconds.
fast: $(VENV)/test
	$(BIN)/python -m pytest tests/unit tests/property tests/flows tests/contract -m "not kafka"

$(VENV)/demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[demo,local]'
	touch $@

$(VENV)/test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test,demo]'
	touch $@

clean:
	rm -rf $(VENV) dist build
