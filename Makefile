# Everything people run. Both commands work on a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint models bench clean

demo: .venv/runtime.done  ## restore the bundled photos with the torch-free runtime
	$(BIN)/pellucid demo

test: .venv/dev.done  ## run the whole suite
	$(BIN)/python -m pytest

lint: .venv/dev.done  ## what pre-commit and the reviewers run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

models: .venv/dev.done  ## rebuild the bundled ONNX files from the weights
	for name in tiny nano pico; do \
		$(BIN)/python -m pellucid_export student/weights/$$name.safetensors \
			-o runtime/pellucid/models || exit 1; \
	done

bench: .venv/dev.done  ## profile the bundled model and compare its ratios with the baseline
	$(BIN)/pellucid profile tiny --shape 360x640 --seconds 2 --threads 2 --against bench/baseline.json

clean:
	rm -rf .venv build dist demo-out

.venv/runtime.done: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# The CPU build of torch is asked for by its exact version: a range may bring gigabytes of CUDA.
.venv/dev.done: .venv/runtime.done
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
