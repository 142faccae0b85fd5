# make demo: set up and run the main job.  make test: set up, check and test.  make test-fast: test without engines.
# make setup: only set up; with GPU=1 for CUDA.  make lock: renew constraints/.  make dist: build and check the wheels.
# make screenshots PAGES="runs/<run>": pictures of pages for docs/pictures.
# make real-model: fetch a trained model of 135M parameters for the tests that want one.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
PACKAGES := $(dir $(wildcard packages/*/pyproject.toml packages/*/*/pyproject.toml))
LOCK := constraints/$(if $(GPU),gpu,cpu).txt
STAMP := $(VENV)/.installed$(if $(GPU),-gpu)

.PHONY: setup demo test test-fast check pytest lock dist real-model screenshots clean

setup: $(STAMP)

# Every version is pinned, so pip resolves nothing (which would take it minutes here). Torch comes first, by exact
# version, so that nothing else decides which build is had. One hatchling builds all packages, without isolation. A .venv
# of the other lock is emptied first: the two builds of vLLM are one module.
$(STAMP): $(LOCK) Makefile $(addsuffix pyproject.toml,$(PACKAGES))
	$(PYTHON) -m venv $(if $(filter-out $(STAMP),$(wildcard $(VENV)/.installed*)),--clear) $(VENV)
	$(PIP) $$(grep -E '^(pip|torch)==' $(LOCK))
	$(PIP) --no-deps -r $(LOCK)
	$(PIP) --no-deps --no-build-isolation $(addprefix -e ./,$(PACKAGES))
	touch $@

demo: setup
	$(BIN)/python -m core.run +arch=shared_ffn +data=finemath

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(addsuffix src,$(PACKAGES)) tools
	$(BIN)/python tools/gates.py

# One process of tests more than there are cores, each on one thread: tests wait for processes that they start. A file's
# tests stay together, for they share models and servers; conftest.py says which files begin first. Images of Python often
# forbid it to keep what it compiles: each of these processes would compile everything again.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile \
	--no-loadscope-reorder --durations=30

pytest: setup
	$(PYTEST)

# Side by side: the type checker has one thread.
test: setup
	$(MAKE) --no-print-directory -j2 check pytest

# For daily work, under two minutes on two cores: no engine is imported, nothing is trained or served, no whole run
# is started, and no plugin is held against the conformance kit.
test-fast: setup
	$(PYTEST) -m "not slow and not engine and not kit"

lock: setup
	$(BIN)/python tools/lock.py $(LOCK_OPTIONS)

dist: setup
	$(BIN)/python tools/dist.py

screenshots: setup
	$(BIN)/python tools/screenshots.py $(PAGES)

real-model: setup
	$(BIN)/python tools/real_model.py real_model

clean:
	rm -rf $(VENV) store runs dist
