# Everything people run. Both commands work on a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
PAGE := apps/pellucid_apps/web/page

.PHONY: demo test lint models web-models web-engine bench results clean

demo: .venv/runtime.done  ## restore the bundled photos with the torch-free runtime
	$(BIN)/pellucid demo

# A crashed process ends the run: xdist 3.8 waits for ever if it starts another one (loadfile).
test: .venv/dev.done  ## run the whole suite, in JOBS processes; quick ones: pytest -m "not slow"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --max-worker-restart 0

lint: .venv/dev.done  ## what pre-commit and the reviewers run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

models: .venv/dev.done  ## rebuild the bundled ONNX files from the weights
	for name in tiny nano pico sr4; do \
		$(BIN)/pellucid export student/weights/$$name.safetensors --for-pellucid \
			-o runtime/pellucid/models || exit 1; \
	done

web-models: .venv/dev.done  ## the same for the page of `pellucid web`; needs Node
	for name in tiny nano pico; do \
		$(BIN)/pellucid export $$name -f web -o build/web/$$name || exit 1; \
		cp build/web/$$name/web/*.onnx build/web/$$name/web/card.json $(PAGE)/models/$$name/ || exit 1; \
	done

web-engine:  ## fetch onnxruntime-web for the page again; needs npm
	mkdir -p build && cd build && npm pack onnxruntime-web@1.30.0 && tar xzf onnxruntime-web-1.30.0.tgz
	for set in wasm jspi; do \
		sed '/^\/\/# sourceMappingURL/d' build/package/dist/ort.$$set.min.mjs > $(PAGE)/engine/ort.$$set.min.mjs; \
	done
	for set in ort-wasm-simd-threaded ort-wasm-simd-threaded.jspi; do \
		cp build/package/dist/$$set.mjs $(PAGE)/engine/; \
		gzip -9nc build/package/dist/$$set.wasm > $(PAGE)/engine/$$set.wasm.gz; \
	done

bench: .venv/dev.done  ## profile the bundled model and compare its ratios with the baseline
	$(BIN)/pellucid profile tiny --size 640x360 --seconds 2 --threads 2 --against bench/baseline.json

results: .venv/dev.done  ## measure docs/results again on SETS, a folder of evaluation sets
	$(BIN)/pellucid eval --data $(SETS) -m sr4 --no-perceptual --json docs/results/sr4.json
	for run in tiny:1,2,3 nano:1,3 pico:1; do \
		$(BIN)/pellucid eval --data $(SETS) -m $${run%%:*} --steps $${run##*:} --no-perceptual \
			--json docs/results/$${run%%:*}.json || exit 1; \
		$(BIN)/pellucid eval --data $(SETS)/cbsd68 -m $${run%%:*} --steps $${run##*:} --clean \
			--no-perceptual --json docs/results/$${run%%:*}-clean.json || exit 1; \
	done
	$(BIN)/python bench/results.py

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
