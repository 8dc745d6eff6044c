# The first target makes the project's own environment; nothing but Python 3.11+, make and a package registry is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?=
# Where NVIDIA's driver is, the stack trains on its GPU: make up GPU=no trains on the CPU all the same.
GPU ?= $(if $(wildcard /proc/driver/nvidia/version /usr/lib/wsl/lib/libcuda.so.1),yes,no)
LOCAL := $(VENV)/.$(if $(filter yes,$(GPU)),local-gpu,local)

# Each of the many processes that the tests start would compile all sources again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo up help test pytest lint chaos chaos-short simulate resume-proof resume-proof-kinds script-proof programs-proof hostile-inputs many-images memory-proof bucket-proof bucket-volume-proof fashion-proof lost-often many-jobs sick-workers full-volume many-streams webhooks-proof mlflow-proof hostile-clients hostile-script schemathesis fuzz-api bench-api bench-page bench bench-images container-test bench-forecast bench-sweeps bench-live-sweeps bench-bucket bench-sweep-reads bench-sweep-page sweep-proof sweep-budget-proof replay-as-keras reference lock clean

##@ Run

demo: $(LOCAL)  ## run the article's job: make demo [DATA=winequalityN.csv]
	@$(BIN)/fitstop demo $(if $(DATA),--data-file "$(DATA)")

up: $(LOCAL)  ## run the whole service in this terminal: make up [GPU=yes|no]
	@$(BIN)/fitstop up

help:  ## list the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Check

# Most tests wait for a process: one more of pytest's own than there are cores (nproc; macOS: sysctl).
TESTERS ?= $(shell expr $$(nproc 2>/dev/null || sysctl -n hw.ncpu) + 1)

test: $(VENV)/.dev  ## run all checks and tests, side by side: make test [TESTERS=]
	@$(MAKE) --no-print-directory --jobs 2 lint pytest

pytest: $(VENV)/.dev  ## run the tests alone, in several processes
	$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.dev  ## check format, style, types and imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

##@ Prove: minutes or hours each

SEED ?= 1
JOBS ?= 100
FAULTS ?= 300
REQUESTS ?= 100000
STREAMS ?= 200
SLOW ?= 50

chaos: $(VENV)/.dev  ## kill, freeze, flush and fill the service at random: make chaos [JOBS= FAULTS= SEED=]
	$(BIN)/python -m proofs.chaos --jobs $(if $(filter command line,$(origin JOBS)),$(JOBS),40) --faults $(FAULTS) --seed $(SEED)

chaos-short: $(VENV)/.dev  ## run the short, seeded version of chaos
	$(BIN)/python -m pytest tests/chaos

INTERLEAVINGS ?= 100000

simulate: $(VENV)/.dev  ## simulate the protocol in many interleavings: make simulate [INTERLEAVINGS= SEED=]
	$(BIN)/python -m proofs.simulation --interleavings $(INTERLEAVINGS) --seed $(SEED)

resume-proof: $(VENV)/.dev  ## compare interrupted runs with an uninterrupted one: make resume-proof [JOBS= SEED=]
	$(BIN)/python -m proofs.resume_proof --jobs $(JOBS) --seed $(SEED)

resume-proof-kinds: $(VENV)/.dev  ## the same on images and arrays, with models of every kind: make resume-proof-kinds [JOBS= SEED=]
	$(BIN)/python -m proofs.resume_proof --kinds --jobs $(if $(filter command line,$(origin JOBS)),$(JOBS),60) --seed $(SEED)

script-proof: $(VENV)/.dev  ## the same of the scripts in examples/scripts: make script-proof [KILLS= SEED= SCRIPTS=]
	$(BIN)/python -m proofs.script_proof --kills $(or $(KILLS),10) --seed $(SEED) $(SCRIPTS)

programs-proof: $(VENV)/.dev  ## damage the compiled programs that jobs would reuse: make programs-proof [FILES= SEED=]
	$(BIN)/python -m proofs.kept_programs --files $(or $(FILES),100) --seed $(SEED)

LOSSES ?= 25

lost-often: $(VENV)/.dev  ## lose a job in every way, with the default limits: make lost-often [LOSSES= SEED=]
	$(BIN)/python -m proofs.lost_often --losses $(LOSSES) --seed $(SEED)

many-jobs: $(VENV)/.dev  ## run many jobs on one worker and look for leaks: make many-jobs [JOBS=]
	$(BIN)/python -m proofs.many_jobs --jobs $(JOBS)

MINUTES ?= 5

full-volume: $(VENV)/.dev  ## run jobs on a nearly full volume (root): make full-volume [MINUTES= JOBS=]
	$(BIN)/python -m proofs.full_volume --minutes $(MINUTES) --jobs $(if $(filter command line,$(origin JOBS)),$(JOBS),10)

sick-workers: $(VENV)/.dev  ## make workers sick in eight ways and check the jobs (root)
	$(BIN)/python -m proofs.sick_workers --jobs 10

many-streams: $(VENV)/.dev  ## measure the API during many event streams: make many-streams [STREAMS= SLOW=]
	$(BIN)/python -m proofs.many_streams --streams $(STREAMS) --slow $(SLOW)

webhooks-proof: $(VENV)/.dev  ## kill the sender of webhooks, the API and Redis: make webhooks-proof [KILLS= SEED=]
	$(BIN)/python -m proofs.webhooks --kills $(or $(KILLS),50) --seed $(SEED)

mlflow-proof: $(VENV)/.dev  ## kill training and the sender to MLflow: make mlflow-proof [KILLS= SEED=]
	$(BIN)/python -m proofs.mlflow_live --kills $(or $(KILLS),20) --seed $(SEED)

SHARE ?= 2

hostile-clients: $(VENV)/.dev  ## attack the API as clients with and without a key: make hostile-clients [SHARE=]
	$(BIN)/python -m proofs.hostile_clients --share $(SHARE)

hostile-script: $(VENV)/.dev  ## run a script that attacks its worker, by user and kernel: make hostile-script [FORKS=6000]
	$(BIN)/python -m proofs.hostile_script --forks $(or $(FORKS),0)

container-test:  ## build the image and run it in every way (root, Debian, podman): make container-test [DATA=]
	DATA="$(DATA)" nice -n 10 tests/container/run

EXAMPLES ?= 200

schemathesis: $(VENV)/.dev  ## check the API against its OpenAPI document: make schemathesis [EXAMPLES= SEED=]
	$(BIN)/python -m proofs.contract --examples $(EXAMPLES) --seed $(SEED)

fuzz-api: $(VENV)/.dev  ## send invalid requests: make fuzz-api [REQUESTS= SEED=]
	$(BIN)/python -m proofs.fuzz_api --requests $(REQUESTS) --seed $(SEED)

hostile-inputs: $(VENV)/.dev  ## send 160 hostile archives, images, arrays, weights and models: each is refused and leaves nothing
	$(BIN)/python -m proofs.hostile_inputs

many-images: $(VENV)/.dev  ## upload 100,000 small images: make many-images [IMAGES=]
	$(BIN)/python -m proofs.many_images --images $(if $(filter command line,$(origin IMAGES)),$(IMAGES),100000)

memory-proof: $(VENV)/.dev  ## train on an array of 6 GB within 2 GiB of anonymous memory
	$(BIN)/python -m proofs.memory_of_arrays

bucket-proof: $(VENV)/.dev  ## kill a bucket's server while a volume is copied: make bucket-proof [KILLS= SEED=]
	$(BIN)/python -m proofs.bucket_copy --kills $(or $(KILLS),20) --seed $(SEED)

bucket-volume-proof: $(VENV)/.dev  ## lose and freeze machines, the API and the server of a volume in a bucket: make bucket-volume-proof [KILLS= SEED=]
	$(BIN)/python -m proofs.bucket_volume --kills $(or $(KILLS),8) --faults --seed $(SEED)

TRIALS ?= 200

sweep-proof: $(VENV)/.dev  ## kill workers, APIs and Redis during a sweep: make sweep-proof [TRIALS= KILLS= SEED=]
	$(BIN)/python -m proofs.sweep --trials $(TRIALS) --kills $(or $(KILLS),100) --seed $(SEED)

sweep-budget-proof: $(VENV)/.dev  ## run sweeps against their budgets: make sweep-budget-proof [SWEEPS= SEED=]
	$(BIN)/python -m proofs.sweep_budgets --sweeps $(or $(SWEEPS),20) --seed $(SEED)

FASHION ?= /usr/share/datasets/fashion-mnist

fashion-proof: $(VENV)/.dev  ## train on Fashion-MNIST as a zip of PNG files: make fashion-proof [FASHION=FOLDER]
	$(BIN)/python -m proofs.fashion_mnist $(FASHION)

replay-as-keras: $(VENV)/.dev  ## compare replays with Keras: 200 curves, every patience from 1 to 30
	FITSTOP_ALL_CURVES=1 $(BIN)/python -m pytest -q tests/unit/worker/training/test_replay_as_keras.py

##@ Measure

IMAGES ?= 5000
SIDE ?= 224
GREY ?= 60000
EPOCHS ?= 6
ROUNDS ?= 3

bench-api: $(VENV)/.dev  ## compare the API with a bare Flask route and MLflow: make bench-api [JOBS=]
	$(BIN)/python -m bench.api

bench-page: $(VENV)/.dev  ## measure how long the page keeps the browser busy (chromium): make bench-page [JOBS=]
	$(BIN)/python -m bench.page --jobs $(JOBS)

bench: $(VENV)/.dev  ## compare training with stock Keras: make bench DATA=winequalityN.csv
	$(BIN)/python -m bench.article "$(DATA)" --json bench.json --svg bench.svg

bench-images: $(VENV)/.dev  ## compare epochs of images and arrays with stock Keras: make bench-images [IMAGES= SIDE= GREY= EPOCHS= ROUNDS=]
	$(BIN)/python -m bench.images --images $(IMAGES) --side $(SIDE) --grey-images $(GREY) --epochs $(EPOCHS) --rounds $(ROUNDS)

bench-forecast: $(VENV)/.dev  ## measure the forecast on curves that it was not fitted on
	$(BIN)/python -m bench.forecast

bench-sweeps: $(VENV)/.dev  ## score the rules that stop trials, on recorded trials
	$(BIN)/python -m bench.sweeps
	$(BIN)/python -m bench.sweeps --held-out

bench-live-sweeps: $(VENV)/.dev  ## compare rules, and a loop of Keras scripts, on a running service: make bench-live-sweeps DATA=winequalityN.csv
	$(BIN)/python -m bench.live_sweeps "$(DATA)"

bench-bucket: $(VENV)/.dev  ## compare a volume in a bucket with one on a disk (SeaweedFS)
	$(BIN)/python -m bench.bucket

bench-sweep-reads: $(VENV)/.dev  ## count the files that the API opens for a sweep of 5,000 trials
	$(BIN)/python -m bench.sweep_reads

bench-sweep-page: $(VENV)/.dev  ## measure the page of a sweep of 5,000 trials in Chromium
	$(BIN)/python -m bench.sweep_page

##@ Maintain

reference: $(VENV)/.dev  ## write the pages of docs/reference from the code
	$(BIN)/python -m docs.generate

lock:  ## write the lock files again (needs uv)
	for extra in dev local local-gpu api worker gpu; do \
	  uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --extra $$extra --group build $$([ $$extra = dev ] || echo -c requirements/dev.txt) \
	    --output-file requirements/$$extra.txt || exit 1; \
	done

clean:  ## remove the environment
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Fitstop needs Python 3.11 to 3.13; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Each stamp stands for one lock file installed, and the project itself beside it. TensorFlow's builds for the CPU and for
# GPUs are two packages with the same files: what was installed with the other one goes first. Pip compiles file by file,
# half of its time: all cores do it afterwards.
OTHERS = $(wildcard $(addprefix $(VENV)/.,$(if $(findstring gpu,$*),dev local worker,local-gpu gpu)))

$(VENV)/.%: requirements/%.txt pyproject.toml | $(VENV)/bin/python
	$(if $(OTHERS),$(BIN)/python -m pip uninstall --quiet --quiet --yes tensorflow tensorflow-cpu && rm -f $(OTHERS))
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r $<
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	-@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib
	@touch $@
