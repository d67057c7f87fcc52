# `make help` lists the targets. Nothing has to be activated or installed beforehand but Python >= 3.10
# with pip and venv. PYTHON=... uses an environment of your own instead, as it is.

VENV := .venv
# The interpreter that makes the environments.
BASE_PYTHON ?= python3
CONSTRAINTS := requirements/constraints.txt

ifdef PYTHON
INSTALLED :=
else
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
endif

PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(PYTHON) -m pip --quiet
# torch first and by itself, see $(CONSTRAINTS)
TORCH := torch==2.13.0

# Each pytest worker keeps to one thread, so that two workers fill two cores and no more.
export OMP_NUM_THREADS ?= 1
# Workers, and the many processes that tests start, compile every file once and not each.
unexport PYTHONDONTWRITEBYTECODE
PYTEST_WORKERS ?= 2

NO_BROWSER := No browser for the end-to-end tests; 'pytest -m e2e -rs' says how to get one.

.DEFAULT_GOAL := help
.PHONY: help install browser lint format typecheck pytest test coverage test-lower fuzz test-peers demo docs first-hour bench bench-gpu wheel clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: $(INSTALLED)  ## make the environment .venv (the other targets do it when needed)

$(VENV)/bin/python:
	$(BASE_PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	@echo "Installing into $(VENV) (the first time takes some minutes) ..."
	@$(PIP) install --constraint $(CONSTRAINTS) $(TORCH)
	@$(PIP) install --constraint $(CONSTRAINTS) "setuptools>=77" "setuptools-scm>=8"
	@$(PIP) install --constraint $(CONSTRAINTS) --no-build-isolation --editable ".[gui,distributed,realtime,docs,tests]"
	@touch $@

# Installed without asking on a Debian where we are root, as in a container, and nowhere else: without a
# browser those tests are skipped, unless CI is set. Headless Chromium needs a font, or it draws boxes.
browser: $(INSTALLED)  ## a browser for the end-to-end tests, where it can be installed
	@if ! $(PYTHON) tests/e2e/browser.py >/dev/null; then \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	        echo "Installing chromium ..."; \
	        apt-get -qq update >/dev/null 2>&1; \
	        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
	            chromium fonts-dejavu-core >/dev/null 2>&1 || true; \
	    fi; \
	    $(PYTHON) tests/e2e/browser.py >/dev/null || echo "$(NO_BROWSER)"; \
	fi

# With room for what is new, pyright's Node looks for it in memory less often: an eighth of its time.
# Behind the tests, which leave a processor idle while they wait for a browser or a cluster.
lint: export NODE_OPTIONS ?= --max-semi-space-size=64
lint: $(INSTALLED)  ## ruff and pyright
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@nice -n 10 $(PYTHON) -m pyright --pythonpath "$$($(PYTHON) -c 'import sys; print(sys.executable)')"

format: $(INSTALLED)  ## let ruff correct what it can
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

# The GNU allocator keeps the memory of arrays instead of fetching it again for each of them.
pytest: export MALLOC_TRIM_THRESHOLD_ ?= 536870912
pytest: export MALLOC_MMAP_THRESHOLD_ ?= 33554432
# By file, in their order, so that no worker makes the fixtures of a module again. A worker that dies
# ends the run: with another one in its place it would wait for ever.
pytest: $(INSTALLED) browser
	@$(PYTHON) -m pytest --quiet --numprocesses $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart=0 $(OPTIONS) --durations=10

# Side by side, since pyright keeps one core busy and no more.
test: $(INSTALLED) browser  ## everything that continuous integration checks
	@$(MAKE) --no-print-directory --jobs=2 lint pytest

# Apart from the test, since measuring takes a third of the time.
coverage: OPTIONS := --cov --cov-report=term
coverage: pytest  ## the tests, and which lines and branches they reach

LOWER := .venv-lower
$(LOWER)/.installed: pyproject.toml requirements/lower.txt
	$(BASE_PYTHON) -m venv --clear $(LOWER)
	@$(LOWER)/bin/python -m pip --quiet install --constraint requirements/lower.txt torch
	@$(LOWER)/bin/python -m pip --quiet install --constraint requirements/lower.txt "setuptools>=77" "setuptools-scm>=8"
	@$(LOWER)/bin/python -m pip --quiet install --constraint requirements/lower.txt --no-build-isolation \
	    --editable . hypothesis pytest pytest-timeout
	@touch $@

test-lower: $(LOWER)/.installed  ## the oldest versions that pyproject.toml allows
	@$(LOWER)/bin/python -m pytest --quiet -p no:cacheprovider tests/test_attach.py tests/test_packaging.py \
	    tests/test_architecture.py tests/windows

FUZZ_EXAMPLES ?= 100000

fuzz: $(INSTALLED)  ## drawn examples through the public methods (FUZZ_EXAMPLES=100000; goes on where it was)
	@$(PYTHON) -m tests.fuzz.run --examples $(FUZZ_EXAMPLES) --workers $(PYTEST_WORKERS)

# Each suite twice: in an environment without this package, and in the one with it.
test-peers: $(INSTALLED)  ## the suites of eXSpy and HyperSpy, which pass as without us (not in CI)
	@$(PYTHON) tests/faults/peers.py

demo: $(INSTALLED)  ## the whole job on simulated data, offline; results in demo_output/
	@$(PYTHON) examples/demo.py

docs: $(INSTALLED)  ## the web pages, in docs/_build/html (GALLERY=plot_x runs only that example)
	@GALLERY=$(GALLERY) $(PYTHON) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

first-hour: $(INSTALLED)  ## the code of README and Getting started, after "pip install ." in a new environment
	@$(PYTHON) docs/check_first_hour.py --fresh

bench: $(INSTALLED)  ## every benchmark but the coverage studies, and their table (an hour)
	@$(PYTHON) benchmarks/run.py

bench-gpu: $(INSTALLED)  ## tests and benchmarks of a graphics card, and their table (8 minutes; needs one)
	@$(PYTHON) benchmarks/gpu.py

wheel: $(INSTALLED)  ## the wheel, in dist/
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist

clean:  ## remove everything that the other targets have made but the environments
	rm -rf build dist docs/_build docs/reference/generated docs/gallery docs/sg_execution_times.rst demo_output
	rm -rf .pytest_cache .ruff_cache .hypothesis test_artifacts .coverage .coverage.* htmlcov hyperspy_dosekin.egg-info
	find hyperspy_dosekin tests benchmarks examples docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
