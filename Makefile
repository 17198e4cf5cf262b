# Everything a fresh clone needs: `make demo` and `make test`.  Wants Python >= 3.11 with venv, make, a package index;
# for the servers that `make test` runs on, npm as well.

.PHONY: help demo test test-all pooled chaos bench bench-all lint format clean
.DEFAULT_GOAL := help

# A name such as python3.13; without one the newest that is installed.
PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# More than the cores of a small machine: tests wait for servers most of the time.
JOBS ?= 4
# All that are supported.  18 comes with a package, the others are fetched once; see tests/servers.lock.json.
PG ?= 18,17,16,15,14
TESTED := SYNCENGINE_REQUIRE_PG=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal --pg $(PG)
comma := ,
# On the newest server, with a PgBouncer in transaction mode before it; `make test` does that to a part of the suite.
POOLED := $(TESTED) --pg $(firstword $(subst $(comma), ,$(PG))) --pooled -m 'not slow'
TESTED_POOLED := contracts pg/test_accumulation.py pg/test_group.py pg/test_many_specs.py \
	pg/test_preview.py pg/test_returning.py pg/test_semantics.py pg/test_session.py
MINUTES ?= 15

help:
	@echo 'make demo      sync a small shop into a PostgreSQL of its own, twice'
	@echo 'make test      unit tests, and the suite on PostgreSQL $(PG)'
	@echo 'make test-all  the same with the slow tests, and every test on the oldest as well; measures coverage'
	@echo 'make pooled    the tests on servers through a PgBouncer in transaction mode'
	@echo 'make chaos     faults at random for MINUTES=15, on PostgreSQL $(PG)'
	@echo 'make bench     a benchmark against psql, 1M rows: about 8 minutes; bench-all: all cases and other tools, 30'
	@echo 'make lint      ruff, mypy, import contracts'
	@echo 'make format    put the code into ruff'"'"'s form'
	@echo 'make clean     remove the virtual environment and what tools left'

demo: $(VENV)/.installed
	@sh examples/quickstart/demo.sh $(BIN)/syncengine

test: $(VENV)/.installed-dev
	$(TESTED) -m 'not slow'
	@if command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ]; \
	then echo 'a part of it through PgBouncer:'; $(POOLED) $(addprefix tests/,$(TESTED_POOLED)); \
	else echo 'left out, as pgbouncer is not installed: a part of it through PgBouncer'; fi

test-all: $(VENV)/.installed-dev
	$(TESTED) --oldest-too --cov --cov-report=
	@printf 'lines and branches covered: %s %%\n' "$$($(BIN)/python -m coverage report --format=total)"

pooled: $(VENV)/.installed-dev
	$(POOLED) tests/contracts tests/pg

chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) --pg $(PG)

bench: $(VENV)/.installed-dev
	@echo 'about 8 minutes on two cores, and 3 GB under the temporary folder; leave the machine alone meanwhile'
	$(BIN)/python -m benchmarks run --quick

bench-all: $(VENV)/.installed-dev
	@echo 'about 30 minutes on two cores, and 15 GB of disk; the first time more, to install and generate'
	$(BIN)/python -m benchmarks install
	$(BIN)/python -m benchmarks run
	$(BIN)/python -m benchmarks crossover
	$(BIN)/python -m benchmarks report

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.installed: pyproject.toml $(BIN)/python
	@echo 'installing syncengine into $(VENV) ...'
	@$(PIP) --editable '.[embedded]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(BIN)/python
	@echo 'installing syncengine and its development tools into $(VENV) ...'
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@for python in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3); do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "creating $(VENV) with $$($$python --version)"; \
			exec $$python -m venv --clear $(VENV); \
		fi; \
	done; \
	echo 'no Python >= 3.11 found; name one: make PYTHON=/path/to/python3' >&2; exit 1

clean:
	rm -rf $(VENV) .ci/venv build dist .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
