# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
PYTHON ?= python3
RUN = $(VENV)/bin
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help demo test lint help-files format benchmarks clean

help:
	@echo "make demo        take the churn project through the whole pipeline, on the sandbox"
	@echo "make test        run the tests, with branch coverage"
	@echo "make lint        ruff, mypy, import directions, Groovy, help of the Groovy steps"
	@echo "make help-files  write the parameters into the help of the Groovy steps"
	@echo "make benchmarks  compare with the baselines, print ratios"

$(VENV)/.installed: pyproject.toml constraints.txt tools/setup
	@VENV=$(VENV) PYTHON=$(PYTHON) tools/setup

demo: $(VENV)/.installed
	$(RUN)/mlops-steps sandbox demo --out demo-out

test: $(VENV)/.installed
	@tools/debian-packages groovy ant openssl
	rm -f .coverage .coverage.*
	$(RUN)/coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)
	$(RUN)/coverage combine --quiet
	$(RUN)/coverage report

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

benchmarks: $(VENV)/.installed
	for file in benchmarks/bench_*.py; do $(RUN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* build dist demo-out *.egg-info
