# The first target makes the project's own environment; nothing but Python 3.11+, make and a package registry is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?=

.PHONY: demo up test pytest lint chaos chaos-short simulate resume-proof lost-often many-jobs sick-workers full-volume many-streams schemathesis fuzz-api bench-api bench-page bench container-test bench-forecast replay-as-keras lock clean

demo: $(VENV)/.local  ## run the article's job: make demo [DATA=winequalityN.csv]
	@$(BIN)/fitstop demo $(if $(DATA),--data-file "$(DATA)")

up: $(VENV)/.local  ## run the whole service in this terminal
	@$(BIN)/fitstop up

# Most tests wait for a process: one more of pytest's own than there are cores (nproc; macOS: sysctl).
TESTERS ?= $(shell expr $$(nproc 2>/dev/null || sysctl -n hw.ncpu) + 1)

test: $(VENV)/.dev  ## run all checks and tests, side by side: make test [TESTERS=]
	@$(MAKE) --no-print-directory --jobs 2 lint pytest

pytest: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

SEED ?= 1
JOBS ?= 100
FAULTS ?= 300
REQUESTS ?= 100000
STREAMS ?= 200
SLOW ?= 50

chaos: $(VENV)/.dev  ## kill, freeze, flush and fill at random, and judge the promises: make chaos [JOBS= FAULTS= SEED=]
	$(BIN)/python -m proofs.chaos --jobs $(if $(filter command line,$(origin JOBS)),$(JOBS),40) --faults $(FAULTS) --seed $(SEED)

chaos-short: $(VENV)/.dev  ## a short seeded part of it
	$(BIN)/python -m pytest tests/chaos

INTERLEAVINGS ?= 100000

simulate: $(VENV)/.dev  ## the protocol alone in simulated time: make simulate [INTERLEAVINGS= SEED=]
	$(BIN)/python -m proofs.simulation --interleavings $(INTERLEAVINGS) --seed $(SEED)

resume-proof: $(VENV)/.dev  ## compare killed runs with an uninterrupted one: make resume-proof [JOBS= SEED=]
	$(BIN)/python -m proofs.resume_proof --jobs $(JOBS) --seed $(SEED)

LOSSES ?= 25

lost-often: $(VENV)/.dev  ## lose a job in every way, with the default limits: make lost-often [LOSSES= SEED=]
	$(BIN)/python -m proofs.lost_often --losses $(LOSSES) --seed $(SEED)

many-jobs: $(VENV)/.dev  ## does a worker leak?: make many-jobs [JOBS=]
	$(BIN)/python -m proofs.many_jobs --jobs $(JOBS)

MINUTES ?= 5

full-volume: $(VENV)/.dev  ## does a nearly full volume cost a job? (root): make full-volume [MINUTES= JOBS=]
	$(BIN)/python -m proofs.full_volume --minutes $(MINUTES) --jobs $(if $(filter command line,$(origin JOBS)),$(JOBS),10)

sick-workers: $(VENV)/.dev  ## does a sick worker fail the jobs of the queue? eight ways (root, for a full disk): make sick-workers
	$(BIN)/python -m proofs.sick_workers --jobs 10

many-streams: $(VENV)/.dev  ## does the API answer during many streams?: make many-streams [STREAMS= SLOW=]
	$(BIN)/python -m proofs.many_streams --streams $(STREAMS) --slow $(SLOW)

container-test:  ## build the image and run it as a stack and alone (root, Debian, podman): make container-test [DATA=]
	DATA="$(DATA)" nice -n 10 tests/container/run

EXAMPLES ?= 200

schemathesis: $(VENV)/.dev  ## check the API against its own document, for long: make schemathesis [EXAMPLES= SEED=]
	$(BIN)/python -m proofs.contract --examples $(EXAMPLES) --seed $(SEED)

bench-api: $(VENV)/.dev  ## how fast the API is, in pairs: make bench-api [JOBS=]
	$(BIN)/python -m bench.api

bench-page: $(VENV)/.dev  ## does the page stutter? (Debian's chromium): make bench-page [JOBS=]
	$(BIN)/python -m bench.page --jobs $(JOBS)

bench: $(VENV)/.dev  ## how fast, against stock Keras, in one run: make bench DATA=winequalityN.csv
	$(BIN)/python -m bench.article "$(DATA)" --json bench.json --svg bench.svg

fuzz-api: $(VENV)/.dev  ## send invalid requests: make fuzz-api [REQUESTS= SEED=]
	$(BIN)/python -m proofs.fuzz_api --requests $(REQUESTS) --seed $(SEED)

replay-as-keras: $(VENV)/.dev  ## does a replay stop where Keras does?: 200 curves, every patience from 1 to 30
	FITSTOP_ALL_CURVES=1 $(BIN)/python -m pytest -q tests/unit/worker/training/test_replay_as_keras.py

bench-forecast: $(VENV)/.dev  ## how good are the forecasts on curves that they have not seen?
	$(BIN)/python -m bench.forecast

lock:  ## write the lock files again (needs uv)
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
