# make demo       a rehearsal cluster of real machines, NocoBase deployed on it (root)
# make test       everything (root; sets up what it needs)
# make test-fast  what needs neither root nor real machines, for the daily work
# make upgrades   upgrades that go wrong, and the real app's (root; an hour)
# make lint       ruff and mypy
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# What the tests and the rehearsal machines need of Debian, beside Python itself.
PACKAGES := python3-venv openssh-server openssh-client sudo curl procps \
	systemd-container debootstrap iproute2 mount util-linux zstd

.PHONY: demo test test-fast matrix upgrades fuzz chaos network lint system venv lock docs audit

demo: system $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" .ci/demo

test: system $(READY) lint
	$(BIN)/pytest -q -n 2 -m "not lab and not nocobase and not series"
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder \
		-m "(lab or nocobase) and not series"

test-fast: $(READY)
	$(BIN)/pytest -q -n 2 -m "not lab and not nocobase and not ansible and not series"

# Every kind of cluster through deploy, upgrade and rollback; see docs/matrix.md.
matrix: system $(READY)
	$(BIN)/pytest -q --durations=0 tests/deploy/test_first_cluster.py tests/deploy/test_matrix.py

# Upgrades that break or are interrupted in every way, and the real NocoBase forth and back.
upgrades: system $(READY)
	$(BIN)/pytest -q -m series $(wildcard tests/deploy/test_upgrade*.py)

# Spoilt runbooks, inventories and answers of hosts for so many seconds; see docs/fuzzing.md.
SECONDS_OF_FUZZ ?= 600
fuzz: system $(READY)
	NBOPS_FUZZ_SECONDS=$(SECONDS_OF_FUZZ) $(BIN)/pytest -q -m series tests/fuzz

# Runs killed at so many points (`all`, or a number for each command), for so many minutes a
# series (CHAOS_MINUTES), but for those that a file (CHAOS_DONE) has already; see docs/chaos.md.
CHAOS_POINTS ?= all
chaos: system $(READY)
	CHAOS_POINTS=$(CHAOS_POINTS) $(BIN)/pytest -q -s -m series tests/chaos \
		$(NETWORK:%=--ignore=%)

# Upgrades under which hosts are cut off or restarted at random steps, and clocks that are an
# hour apart; see docs/chaos.md.
NETWORK_RUNS ?= 50
NETWORK := tests/chaos/test_network.py tests/chaos/test_clocks.py
network: system $(READY)
	NETWORK_RUNS=$(NETWORK_RUNS) $(BIN)/pytest -q -s -m series $(NETWORK)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

venv: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

# Writes docs/runbooks.md anew from the models of the language and of the actions.
docs: $(READY)
	$(BIN)/python -c "from nbops.cli import wire; from nbops.runbook.docs import page; \
		print(page(wire.catalog()), end='')" >docs/runbooks.md.new
	mv docs/runbooks.md.new docs/runbooks.md

# Installs only what is missing, and only as root.
system:
	@missing=$$(dpkg-query -W -f '$${db:Status-Abbrev} $${Package}\n' $(PACKAGES) 2>/dev/null \
		| awk '$$1 == "ii" { print $$2 }' | sort | comm -13 - <(printf '%s\n' $(PACKAGES) | sort)); \
	command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	if [ -n "$${missing// /}" ]; then \
		[ "$$(id -u)" = 0 ] || { echo "not root: run 'sudo apt-get install" $$missing "' first"; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $$missing; \
	fi

# Known weaknesses of what the lock names, where pip-audit is installed (it asks the network).
audit: $(READY)
	$(BIN)/pytest -q tests/security/test_dependencies.py
	@if command -v pip-audit >/dev/null; then \
		pip-audit --require-hashes --disable-pip -r requirements.lock; \
	else echo "pip-audit is not here: known weaknesses were not looked up"; fi

# Writes requirements.lock anew from pyproject.toml (needs pip-tools).
lock:
	pip-compile -q --extra dev --generate-hashes --strip-extras --no-emit-index-url \
		--no-emit-trusted-host --no-emit-find-links --no-emit-options -o requirements.lock pyproject.toml
