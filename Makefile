# The first target makes the project's own environment; nothing but Python 3.11+, make and a package registry is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?=

.PHONY: demo up test lint chaos chaos-short resume-proof many-jobs bench-forecast lock clean

demo: $(VENV)/.local  ## the article's job, end to end: make demo [DATA=winequalityN.csv]
	@$(BIN)/fitstop demo $(if $(DATA),--data-file "$(DATA)")

up: $(VENV)/.local  ## the whole service in this terminal
	@$(BIN)/fitstop up

test: $(VENV)/.dev lint  ## everything that can be checked here
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

SEED ?= 1
JOBS ?= 100
FAULTS ?= 300

chaos: $(VENV)/.dev  ## kill, freeze, flush and fill at random, and judge the promises: make chaos [JOBS= FAULTS= SEED=]
	$(BIN)/python -m tests.chaos --jobs $(JOBS) --faults $(FAULTS) --seed $(SEED)

chaos-short: $(VENV)/.dev  ## a short seeded part of it
	$(BIN)/python -m pytest tests/chaos

resume-proof: $(VENV)/.dev  ## killed runs against an untouched one: make resume-proof [JOBS= SEED=]
	$(BIN)/python -m tests.resume_proof --jobs $(JOBS) --seed $(SEED)

many-jobs: $(VENV)/.dev  ## does a worker leak?: make many-jobs [JOBS=]
	$(BIN)/python -m tests.many_jobs --jobs $(JOBS)

bench-forecast: $(VENV)/.dev  ## how good are the forecasts on curves that they have not seen?
	$(BIN)/python -m tests.bench_forecast

lock:  ## write the lock files anew (needs uv)
	for extra in dev local api worker gpu; do \
	  uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --extra $$extra --group build $$([ $$extra = dev ] || echo -c requirements/dev.txt) \
	    --output-file requirements/$$extra.txt || exit 1; \
	done

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Fitstop needs Python 3.11 to 3.13; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Each stamp stands for one lock file installed, and the project itself beside it.
$(VENV)/.%: requirements/%.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
