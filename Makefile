# Leeky Raft. `make up` and `make test` do all the set-up themselves; `make help` lists the rest.
# Works with GNU make 3.81. Needs Python 3.11 or newer, and nothing else.

N ?= 5
VENV := .venv
BIN := $(VENV)/bin
# Whatever environment make was called from, ours is the one that counts.
RUN := env -u VIRTUAL_ENV -u PYTHONPATH -u PYTHONHOME
FIND_PYTHON := for p in python3 python3.13 python3.12 python3.11; do \
	  $(RUN) $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit 0; }; \
	done; exit 1

.PHONY: help up down test check soak clean

help:
	@echo 'make up [N=5]  start N nodes and open the prompt (sets everything up first)'
	@echo 'make down      stop the cluster'
	@echo 'make test      the fast tests, at most four minutes (sets everything up first)'
	@echo 'make check     ruff, mypy, and the test that keeps the house in order'
	@echo 'make soak      the long tests, some minutes each'
	@echo 'make clean     remove the environment and caches, not data/ or logs/'

up: $(VENV)/run.stamp
	@$(RUN) $(BIN)/python -m launcher up $(N)

down: $(VENV)/run.stamp
	@$(RUN) $(BIN)/python -m launcher down

test: $(VENV)/test.stamp
	$(RUN) $(BIN)/python -m pytest -m 'not soak'

soak: $(VENV)/test.stamp
	$(RUN) $(BIN)/python -m pytest -m soak

check: $(VENV)/dev.stamp
	$(RUN) $(BIN)/ruff check .
	$(RUN) $(BIN)/ruff format --check .
	$(RUN) $(BIN)/mypy
	$(RUN) $(BIN)/python -m pytest tests/test_tidy.py

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What to install grows with what is asked for: running needs no test tools, testing no linters.
$(VENV)/run.stamp: EXTRA :=
$(VENV)/test.stamp: EXTRA := [test]
$(VENV)/dev.stamp: EXTRA := [dev]

$(VENV)/run.stamp $(VENV)/test.stamp $(VENV)/dev.stamp: pyproject.toml constraints.txt
	@python=$$($(FIND_PYTHON)) || { echo 'make: Python 3.11 or newer is needed, as python3' >&2; exit 1; }; \
	echo "setting up $(VENV) with $$python (once)"; \
	[ -x $(BIN)/python ] || $(RUN) $$python -m venv $(VENV)
	@$(RUN) $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.$(EXTRA)'
	@touch $@
