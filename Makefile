# All that is needed before is make and a python3 that is 3.11 or newer: `make up`, `make test`.
#
# Everything runs from .venv, which is made on demand and brought up to date whenever pyproject.toml
# or constraints.txt has changed since, or when it was copied here with the folder around it.
# The stamps in it say what has been installed. Works with GNU make 3.81, which is what macOS has.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help up down test test-slow test-pythons soak mutants bench bench-peers check docs wheel \
	picture pictures clean rebuild
SHELL := /bin/sh

# Whatever the caller's environment says of other Pythons must not reach this one.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX

# Bytecode is kept, though a container may say otherwise: the tests start thousands of processes, and
# without it each compiles the program anew.
unexport PYTHONDONTWRITEBYTECODE

N :=
ARGS :=
VENV := .venv/bin/python
RUN := .venv/.installed-run
TEST := .venv/.installed-test
DOCS := .venv/.installed-docs
RELEASE := .venv/.installed-release
DEV := .venv/.installed-dev
PEERS := .venv/.installed-peers

ifeq ($(origin PYTHON),command line)
PYTHONS := $(PYTHON)
else
PYTHONS := python3 python3.13 python3.12 python3.11
endif

# A name on the path proves nothing (pyenv has one for each version that is not there): run it.
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
FIND_PYTHON = for python in $(PYTHONS); do \
	    if $$python -c '$(USABLE)' >/dev/null 2>&1; then echo $$python; exit; fi; done

# "good" if .venv was made here, for this folder, and its Python still runs.
STATE := $(shell if [ "`cat .venv/.made-for 2>/dev/null`" = "`pwd -P`" ] \
	    && PYTHONPATH= PYTHONHOME= $(VENV) -c '$(USABLE)' 2>/dev/null; then echo good; fi)

help:
	@echo "make up [N=5]   start a cluster and open its prompt (leaving it stops the cluster)"
	@echo "make down       stop a cluster that was left running"
	@echo "make test       the fast tests        (ARGS='-k name' picks some)"
	@echo "make test-slow   every other test with real processes and browsers, in at most 20 minutes"
	@echo "make test-pythons   the same with each of Python 3.11, 3.12 and 3.13 that is found"
	@echo "make soak       the tests that take many minutes"
	@echo "make mutants    break the product in 400 small ways: does a unit test notice each?"
	@echo "make bench      the benchmarks: each prints ratios (BENCH=simulation picks one)"
	@echo "make bench-peers   ours beside etcd (as root: installs Debian's) and PySyncObj"
	@echo "make check      ruff, mypy --strict and the tidy test"
	@echo "make docs       the documentation as a site: build/docs/index.html"
	@echo "make wheel      the packages: an sdist, and a wheel built from it, in build/dist"
	@echo "make picture    run the session that the README shows, and draw it anew"
	@echo "make pictures   draw the pictures of the page anew (needs Chromium)"
	@echo "make clean      remove .venv, build/ and caches; data/ and logs/ stay"
	@echo "PYTHON=python3.12 picks the Python that .venv is made with"

up: $(RUN)
	@$(VENV) -m launcher up $(N)

down: $(RUN)
	@$(VENV) -m launcher down

test: $(TEST)
	@$(VENV) -m pytest -m "not soak and not slow" -n 3 --dist loadgroup $(ARGS)

test-slow: $(TEST)
	@$(VENV) -m pytest -m "slow and not soak" -n 3 --dist loadgroup $(ARGS)

test-pythons:
	@tests/pythons.sh $(ARGS)

soak: $(TEST) $(RELEASE) $(DOCS)
	@$(VENV) -m pytest -m soak --timeout=3600 $(ARGS)

mutants: $(TEST)
	@$(VENV) -m tests.mutation $(ARGS)

BENCH := $(basename $(notdir $(filter-out %/__init__.py %/peers.py,$(wildcard bench/*.py))))

bench: $(TEST)
	@set -e; for bench in $(BENCH); do echo "== $$bench"; $(VENV) -m bench.$$bench; done

bench-peers: $(PEERS)
	@$(VENV) -m bench.peers $(ARGS)

check: $(DEV)
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy
	@$(VENV) -m pytest tests/test_tidy.py

docs: $(DOCS)
	@rm -rf build/docs
	@$(VENV) -m sphinx -q -W --keep-going -c docs/site -d build/doctrees . build/docs
	@echo "make: the documentation is in build/docs/index.html"

wheel: $(RELEASE)
	@rm -rf build/dist
	@$(VENV) -m build --outdir build/dist .
	@$(VENV) -m twine check --strict build/dist/*

picture: $(RUN)
	@$(VENV) docs/session.py

pictures: $(TEST)
	@PYTHONPATH=. $(VENV) docs/pictures.py

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find node launcher tests -type d -name __pycache__ -prune -exec rm -rf {} +

ifneq ($(STATE),good)
$(RUN) $(TEST) $(DEV) $(PEERS) $(DOCS) $(RELEASE): rebuild
endif

rebuild:
	@python=`$(FIND_PYTHON)`; \
	if [ -z "$$python" ]; then \
	    echo "make: needs Python 3.11 or newer with its venv module (tried: $(PYTHONS))" >&2; \
	    exit 1; \
	fi; \
	echo "make: creating .venv with `PYTHONPATH= PYTHONHOME= $$python -V`"; \
	rm -rf .venv && $$python -m venv .venv && pwd -P > .venv/.made-for

# Each of these installs the package with some of the extras of pyproject.toml; `make up` with none.
INSTALL = $(VENV) -m pip install -q --disable-pip-version-check -c constraints.txt
ONCE := into .venv (once, and when pyproject.toml or constraints.txt change)

$(RUN): pyproject.toml constraints.txt
	@echo "make: installing $(ONCE)"
	@$(INSTALL) -e .
	@touch $@

$(TEST): pyproject.toml constraints.txt
	@echo "make: installing what the tests need $(ONCE)"
	@$(INSTALL) -e '.[test]'
	@touch $(RUN) $@

$(DEV): pyproject.toml constraints.txt
	@echo "make: installing the development tools $(ONCE)"
	@$(INSTALL) -e '.[dev]'
	@touch $(RUN) $(TEST) $@

$(PEERS): pyproject.toml constraints.txt
	@echo "make: installing what bench-peers compares with $(ONCE)"
	@$(INSTALL) -e '.[test,peers]'
	@touch $(RUN) $(TEST) $@

$(DOCS): pyproject.toml constraints.txt
	@echo "make: installing what the documentation needs $(ONCE)"
	@$(INSTALL) -e '.[docs]'
	@touch $(RUN) $@

$(RELEASE): pyproject.toml constraints.txt
	@echo "make: installing what builds the packages $(ONCE)"
	@$(INSTALL) -e '.[release]'
	@touch $(RUN) $@
