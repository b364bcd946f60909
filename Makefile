# Everything starts here. `make demo` and `make test` do the set-up they need; each is fast the second time.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup ops wheel wheels canary demo picture mlperf demo-weights test test-quick test-long test-sanitizers fuzz fuzz-long test-python313 test-cortex-m crc-matrix check clean test-tflm

# What the whole run agrees on: TensorFlow's C++ side reports fatal errors only, and uses no GPU.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export CUDA_VISIBLE_DEVICES ?= -1

PY := .venv/bin/python
CORES := m0plus m3 m4 m7 m33 m55
FUZZ_SECONDS ?= 15
PYTEST_JOBS ?= $(shell nproc)
MODELS ?= build/demo $(wildcard ../shared/data/models)
DATA ?= ../shared/data
SAMPLES ?= $(wildcard ../shared/data/samples)
OPS := //tflm_kernels/micro:libquantmcu_ops.so //tflm_kernels/portable:libquantmcu_kernels.so

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

setup: .venv/setup.stamp ## Debian packages, .venv, pinned Python packages (PYTHON=... picks the interpreter)

.venv/setup.stamp: setup.py third_party/python/requirements.txt tools/setup.sh
	@tools/setup.sh
	@touch $@

ops: setup ## the custom-op library and the kernels for Python, in bazel-bin/
	@bazel build $(OPS)

wheel: setup ## what users install: dist/*.whl and dist/*.tar.gz, built without Bazel
	@$(PY) -m tools.package

wheels: setup ## five TFLM wheels of different versions, in build/wheels/, for `make test`
	@$(PY) -m tools.wheels

canary: setup ops ## whether the TFLM wheel that is newest today gives the bytes of the pinned one
	@$(PY) -m tools.wheels --newest
	@$(PY) -m pytest tests/e2e/test_tflm_wheels.py

demo: setup ops ## shrink a CNN that reads handwriting, run it on TFLM (FRESH=1 trains it anew)
	@$(PY) -m tools.demo.demo $(if $(FRESH),--fresh)

picture: setup ops ## MobileNetV2-1.0 at 224x224, stock against split, in one picture: docs/mobilenet_v2.svg (3 minutes)
	@$(PY) -m tools.demo.mobilenet_v2

mlperf: setup ops ## MLPerf Tiny's networks on its boards, modelled, beside the published rows: build/mlperf.md (DATA=folder)
	@$(PY) -m experiments.mlperf --folder $(DATA) --output build/mlperf.md

demo-weights: setup ops ## train the network that the package brings anew: figures of README change
	@$(PY) -m tools.demo.train

test: setup ops wheels ## every test, C++ and Python
	@bazel test --test_output=errors //tests/kernels/...
	@OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 $(PY) -m pytest -n $(PYTEST_JOBS) --dist loadgroup # a core a worker
	@echo "make test: all C++ and Python tests passed"

test-quick: setup ## for every save, in less than a minute: no TensorFlow, nothing that Bazel builds
	@$(PY) -m tools.quick_tests

test-long: setup ops ## the tests that are marked `long`; the others are those of `make test`
	@OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 $(PY) -m pytest -n $(PYTEST_JOBS) -m long || [ $$? = 5 ] # 5: there are none

test-sanitizers: setup ## the C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@bazel test --config=asan --config=ubsan --test_timeout=300 --test_output=errors //tests/kernels/...

fuzz: setup ops ## the fuzz targets of tests/fuzz, each for FUZZ_SECONDS (15)
	@$(PY) -m tools.fuzz --seconds $(FUZZ_SECONDS)

fuzz-long: setup ops ## 10 million executions of each C++ fuzz target, 300,000 of each Python target: hours
	@$(PY) -m tools.fuzz --runs 10000000 --targets cpp
	@$(PY) -m tools.fuzz --runs 300000 --targets python

test-python313: setup ops ## the tests of the lower rooms on a Python 3.13 of this machine, with the newest packages and no TensorFlow
	@$(PY) -m tools.python313

test-cortex-m: setup ops ## the images of tests/cortex_m and a small model on every Cortex-M core, in QEMU
	@for core in $(CORES); do bazel test --config=cortex_$$core //tests/cortex_m/... || exit 1; done
	@$(PY) -m pytest tests/tools/test_crc_matrix.py

crc-matrix: setup ops ## CRC32s of whole models: TFLM, host, every core (MODELS=folders SAMPLES=folders)
	@test -e build/demo/int8.tflite || $(MAKE) demo
	@$(PY) -m tools.crc_matrix --models $(MODELS) $(if $(SAMPLES),--samples $(SAMPLES))

test-tflm: setup ops ## TFLM from TFLM_DIR with our ops, on the host and a Cortex-M4 in QEMU
	@tools/test_tflm.sh

check: setup ## formats, lint, types, layers
	@tools/check.sh

clean: ## what the builds made; .venv and the trained demo model stay
	@bazel clean
	@rm -rf dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
