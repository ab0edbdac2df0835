# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
PYTHON ?= python3
RUN = $(VENV)/bin
# Much of a test is waiting: more workers than cores. A file stays with one of them, the cases of a matrix do not.
JOBS ?= 6
SIDE_BY_SIDE = -n $(JOBS) --dist loadscope --no-loadscope-reorder
# Tests with many cases outside of tests/faults: few of them in `make test`, all with the faults.
MATRICES = $(shell grep -rlE "support.generated|faults.choice" tests --include='test_*.py' | grep -v ^tests/faults/)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Images often switch the bytecode cache off; without it each of thousands of processes compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo prepare test coverage faults requests lint help-files format mutants bench clean

help:
	@echo "make demo        take the churn project through the whole pipeline, on the sandbox"
	@echo "make test        run the tests, with a part of the faults that changes with the commit"
	@echo "make coverage    the same, with branch coverage"
	@echo "make faults      every fault at every request, every kill: an hour or more"
	@echo "make requests    record the requests that the steps make, after a change to them"
	@echo "make lint        ruff, mypy, import directions, Groovy, help of the Groovy steps"
	@echo "make help-files  write the parameters into the help of the Groovy steps"
	@echo "make mutants MODULE=mlops_steps/report/junit.py   which breaks of a module no test notices"
	@echo "make bench       compare with the baselines, write the table of docs/performance.md: ten minutes"

$(VENV)/.installed: pyproject.toml constraints.txt tools/setup
	@VENV=$(VENV) PYTHON=$(PYTHON) tools/setup

# Collected once before all workers do so at the same time: what pytest makes of the modules is then in the cache.
$(VENV)/.collected: $(VENV)/.installed $(shell find mlops_steps tests -name '*.py')
	@$(RUN)/python -m pytest --collect-only -qq > $@.log || { cat $@.log; exit 1; }
	@touch $@

demo: $(VENV)/.installed
	$(RUN)/mlops-steps sandbox demo --out demo-out

# What the tests need.
prepare: $(VENV)/.collected
	@tools/debian-packages groovy ant openssl
	@tools/axe-core || true  # the tests that need it are skipped, and say so

test: prepare
	$(RUN)/python -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

coverage: prepare
	rm -f .coverage .coverage.*
	$(RUN)/coverage run -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)
	$(RUN)/coverage combine --quiet
	$(RUN)/coverage report

faults: $(VENV)/.collected
	MLOPS_FAULTS=all $(RUN)/python -m pytest $(SIDE_BY_SIDE) --durations=20 tests/faults $(MATRICES) $(PYTEST_ARGS)

requests: $(VENV)/.installed
	$(RUN)/python -m tests.faults.recorded
	$(RUN)/python -m tests.faults.waves

lint: $(VENV)/.installed
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/python tools/help-files --check
	tools/lint-groovy

help-files: $(VENV)/.installed
	$(RUN)/python tools/help-files

format: $(VENV)/.installed
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

mutants: $(VENV)/.installed
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[mutants]'
	$(RUN)/python tools/mutants $(MODULE) $(MUTANTS_ARGS)

bench: $(VENV)/.installed
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[bench]'
	$(RUN)/python -m benchmarks $(BENCH_ARGS) --write docs/performance.md

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* build dist demo-out *.egg-info
