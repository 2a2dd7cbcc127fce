# make run    installs into .venv and runs the quickstart
# make test   installs the test tools too, then lints, type-checks and runs every test
# make docs   writes the generated parts of README.md and docs/
# They install once: again only after pyproject.toml or constraints.txt has changed.

PYTHON ?= python3
VENV ?= .venv
CONFIG ?= configs/quickstart.yaml

BIN := $(VENV)/bin
KEY := $(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
INSTALLED := $(VENV)/.installed-$(KEY)
TEST_INSTALLED := $(VENV)/.test-installed-$(KEY)
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt

.PHONY: run test docs clean
.DELETE_ON_ERROR:

run: $(INSTALLED)
	$(BIN)/clutch run $(CONFIG)

test: $(TEST_INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --durations=10

docs: $(INSTALLED)
	$(BIN)/python -m docs.generate

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv --clear $(VENV)

$(INSTALLED): | $(BIN)/pip
	@echo "installing into $(VENV): about two minutes, 2.4 GB"
	$(PIP_INSTALL) --editable .
	@touch $@

$(TEST_INSTALLED): | $(BIN)/pip
	@echo "installing into $(VENV), with the test tools: about two minutes, 2.4 GB"
	$(PIP_INSTALL) --editable '.[test]'
	@touch $@ $(INSTALLED)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
