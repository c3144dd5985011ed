# For a newcomer: `make demo`, `make test`.  Both need Python >= 3.11 with venv, and nothing else.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
SITE ?= docs/_build/html
COVERAGE ?= build/coverage

BIN := $(VENV)/bin

.PHONY: help demo test coverage lint bench measure bench-publish docs clean

help:
	@echo "make demo   fit a million normal distributions"
	@echo "make test   run the tests (ARGS='-k nan' hands options to pytest)"
	@echo "make coverage  run them compiled and uncompiled; each line of the package has to be run"
	@echo "make lint   ruff and mypy"
	@echo "make bench  run every benchmark once on small data"
	@echo "make measure        run them all in earnest, write docs/measured.md and its pictures"
	@echo "make bench-publish  what has been measured over commits, as a site in asv_bench/html"
	@echo "make docs   build the site in docs/_build/html"
	@echo "make clean  remove $(VENV) and what was built"

demo: $(VENV)/.stamp-cli
	@$(BIN)/python -m fastnat demo

test: $(VENV)/.stamp-test
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

# Bodies of kernels run only uncompiled; what makes machine code of them only compiled, and not if
# that is in a cache already.  (test_kernels.py compiles in processes of its own.)  What Python 3.12
# has for measuring costs nothing; before, plain Python kernels take three times as long.
coverage: export COVERAGE_FILE := $(abspath $(COVERAGE))/data
coverage: export COVERAGE_CORE = $(shell $(BIN)/python -c "import sys; \
	print('sysmon' if sys.version_info >= (3, 12) else 'ctrace')")
coverage: MEASURED := $(BIN)/python -m coverage run -m pytest -q -m "not slow"
coverage: $(VENV)/.stamp-test
	@rm -rf $(COVERAGE)
	@mkdir -p $(COVERAGE)
	@NUMBA_CACHE_DIR=$(abspath $(COVERAGE))/numba $(MEASURED) $(ARGS)
	@NUMBA_DISABLE_JIT=1 $(MEASURED) --ignore=tests/test_kernels.py $(ARGS)
	@$(BIN)/python -m coverage combine -q
	@$(BIN)/python -m coverage report

lint: $(VENV)/.stamp-lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy --strict tests/user_script.py

# asv keeps what it knows about the machine in the home directory: give it one of its own.
bench measure bench-publish: export HOME := $(abspath $(VENV))
bench: export FASTNAT_BENCH_QUICK := 1
bench: $(VENV)/.stamp-bench
	@cd asv_bench && $(abspath $(BIN))/asv machine --yes > /dev/null
	@cd asv_bench && $(abspath $(BIN))/asv run --quick --python=same --show-stderr $(ARGS)

# ARGS='--bench normal' measures a part; the page is written from all that is known of the commit.
measure: $(VENV)/.stamp-bench
	@cd asv_bench && $(abspath $(BIN))/asv machine --yes > /dev/null
	@cd asv_bench && $(abspath $(BIN))/asv run --python=same --show-stderr \
		--set-commit-hash "$$(git rev-parse HEAD)" $(ARGS)
	@cd asv_bench && $(abspath $(BIN))/python tables.py

bench-publish: $(VENV)/.stamp-bench
	@cd asv_bench && $(abspath $(BIN))/asv publish

docs: $(VENV)/.stamp-docs
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs $(SITE)

clean:
	rm -rf $(VENV) build dist asv_bench/env asv_bench/html asv_bench/results
	rm -rf docs/_build docs/api/generated docs/auto_gallery docs/sg_execution_times.rst
	find fastnat tests asv_bench -name __pycache__ -prune -exec rm -rf {} +

# One stamp for each extra of pyproject.toml that has been installed.
$(VENV)/.stamp-%: pyproject.toml
	@echo "Installing fastnat[$*] in $(VENV)"
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'fastnat needs Python 3.11')"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[$*]'
	@touch $@
