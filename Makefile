# Every command sets up what it needs: .venv for the packages, data/ for all state. Nothing else is written.
# Recipes use relative paths, so that a clone in a folder with spaces in its name works.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VENV   := .venv
PYTHON := $(VENV)/bin/python
READY  := $(VENV)/.installed
PORT   ?= 8080
SERVICES := tests/cluster tests/dags tests/e2e
WHOLE    := tests/browser tests/crash tests/pipeline
EARLY    := $(wildcard tests/unit/test_[a-e]*.py)

export PYTHONPATH := .:plugins
export PYTHONNOUSERSITE := 1
export XDG_CACHE_HOME := $(CURDIR)/data/cache
export KERAS_HOME := $(CURDIR)/data/cache/keras
export MPLCONFIGDIR := $(CURDIR)/data/cache/matplotlib

.PHONY: help run ui airflow env test test-fast test-services test-whole test-early test-parts test-cluster test-image test-all lint picture lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

run: $(READY)  ## set everything up, send a sample batch through the nightly DAG, show the results
	@$(PYTHON) -m tounum_airflow.local run

ui: $(READY)  ## the same installation with the web UI left running (PORT=8080)
	@$(PYTHON) -m tounum_airflow.local ui --port $(PORT)

airflow: $(READY)  ## Airflow's own command line: make airflow ARGS="backfill create --help"
	@$(PYTHON) -m tounum_airflow.local airflow $(ARGS)

env:  ## write .env with generated secrets, for docker compose; an existing .env is left alone
	@python3 plugins/tounum_airflow/cluster/env_file.py

test: $(READY)  ## the whole test suite, with a real Airflow (minutes); a part of it: ARGS="tests/unit -k names"
	@.ci/services
	$(PYTHON) -m pytest $(ARGS)

# Four parts of `make test` that go well side by side on two processors: the first two often wait for what they start, and
# the others take about as long as each other. Each computes in one thread, where it does not choose itself: libraries
# whose threads wait busily for each other would take the processors from the other parts.
test-services test-whole test-early test-parts: export OPENBLAS_NUM_THREADS := 1
test-services test-whole test-early test-parts: export OMP_NUM_THREADS := 1
test-services test-whole test-early test-parts: export TF_NUM_INTRAOP_THREADS := 1
test-services test-whole test-early test-parts: export TF_NUM_INTEROP_THREADS := 1

test-services: $(READY)
	$(PYTHON) -m pytest $(SERVICES)

test-whole: $(READY)
	$(PYTHON) -m pytest $(WHOLE)

test-early: $(READY)
	$(PYTHON) -m pytest $(EARLY)

test-parts: $(READY)
	$(PYTHON) -m pytest $(SERVICES:%=--ignore=%) $(WHOLE:%=--ignore=%) $(EARLY:%=--ignore=%)

test-fast: $(READY)  ## all tests but those that start Airflow
	$(PYTHON) -m pytest -m "not e2e and not cluster and not image"

test-cluster: $(READY)  ## the cluster of docker-compose.yaml without containers, broken in every way that we know
	@.ci/services
	$(PYTHON) -m pytest -m "" tests/cluster

test-image: $(READY)  ## build the image without Docker, full and lean, and run it (a quarter of an hour, as root)
	@.ci/image_tools
	$(PYTHON) -m pytest -m "" tests/image

test-all: $(READY)  ## unit and pipeline tests on every Python of 3.11, 3.12 and 3.13 that starts here
	@.ci/test_all $(ARGS)

lint: $(READY)  ## formatting, style, types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

picture: $(READY)  ## draw docs/images/rooms.svg, the rooms of tounum_tasks, from their imports
	$(PYTHON) -m tests.rooms_picture

lock: $(READY)  ## resolve requirements.in into requirements.txt, for Python 3.11 to 3.13 (newer ones: ARGS=--upgrade)
	$(PYTHON) -m uv pip compile --no-cache --universal --python-version 3.11 --no-emit-index-url --no-header --quiet \
	    $(ARGS) requirements.in --output-file requirements.txt

clean:  ## remove the packages and all local state, results included
	rm -rf $(VENV) data

$(READY): requirements.txt
	@for candidate in python3.12 python3.13 python3.11 python3 none; do \
	    if $$candidate -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
	    then break; fi; \
	done; \
	if [ $$candidate = none ]; then \
	    echo "TouNum needs Python 3.11, 3.12 or 3.13 with its venv module (Debian, Ubuntu: apt install python3-venv)." >&2; \
	    exit 2; \
	fi; \
	if [ ! -x $(PYTHON) ]; then echo "Creating .venv with $$candidate"; $$candidate -m venv $(VENV); fi
	@echo "Installing the packages into .venv: some minutes, about 1 GB to download."
	@$(PYTHON) -m pip install --no-cache-dir --disable-pip-version-check --requirement requirements.txt \
	    | awk -v total=$$(grep -c '^[A-Za-z]' requirements.txt) \
	    '/^Collecting /{printf "\r  %d of %d packages found", ++n, total} /^Installing /{printf "\n  installing them\n"} {fflush()}'
	@touch $(READY)
