# Two commands: `make demo` and `make test`. The others are listed by `make`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
export PYTHON

# A stamp is named after the content it stands for, so that a fresh checkout of the same content installs nothing.
RUNTIME := .venv/.runtime-$(shell cat requirements.lock pyproject.toml scripts/setup.sh | sha256sum | cut -c 1-16)
DEV := .venv/.dev-$(shell cat requirements-dev.lock pyproject.toml scripts/setup.sh | sha256sum | cut -c 1-16)

# What the tests start by themselves: PostgreSQL, Ceph RGW, a token, a browser, traces, a network of two hosts, a proxy.
CEPH := radosgw ceph-mon ceph-osd openssl curl
PACKAGES := postgresql $(CEPH) softhsm2 chromium strace iproute2 caddy docker-compose python3-yaml systemd
# And a sign-in service, which runs on node; a node from elsewhere brings its own npm, and conflicts with Debian's.
PACKAGES += $(if $(shell command -v npm),,nodejs npm)

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1	/' | expand -t 18

$(RUNTIME):
	@scripts/setup.sh venv requirements.lock
	@rm -f .venv/.runtime-* && touch $@

$(DEV):
	@scripts/setup.sh venv requirements-dev.lock
	@rm -f .venv/.dev-* && touch $@

.PHONY: demo
demo: $(RUNTIME)  ## an archive with sample calls in ./demo-data, from hook to destruction; ONCE=1 ends after the walk; S3=1 on a Ceph
	@$(if $(S3),[ "$$(id -u)" != 0 ] || scripts/setup.sh packages $(CEPH))
	@$(if $(S3),$(BIN)/python -m scripts.demo_s3,$(BIN)/recvault demo) $(if $(ONCE),--once)

.PHONY: test
test: $(DEV) packages lint types layers  ## everything; as root it installs the servers it needs
	@$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder -q $(PYTEST_ARGS)

.PHONY: check
check: $(DEV) lint types layers  ## the quick loop, under two minutes, no root
	@$(BIN)/pytest -n 2 --dist loadfile -q tests/unit $(PYTEST_ARGS)

.PHONY: packages
packages:  ## Debian packages for the whole test: installed as root, else named
	@scripts/setup.sh packages $(PACKAGES)

.PHONY: lint
lint: $(DEV)  ## style
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --quiet --check . || { echo "not formatted: run make format" >&2; exit 1; }

.PHONY: types
types: $(DEV)  ## types, strict
	@$(BIN)/mypy

.PHONY: layers
layers: $(DEV)  ## imports point one way
	@$(BIN)/lint-imports --no-cache >.venv/layers.txt || { cat .venv/layers.txt; exit 1; }

.PHONY: documents
documents: $(DEV)  ## links, names and help texts in the documents (part of test)
	@$(BIN)/pytest -q tests/documents

.PHONY: test-asterisk
test-asterisk: $(DEV)  ## a real Asterisk phones, the hook delivers; as root, about ten minutes the first time
	@tests/asterisk/run.sh

.PHONY: bench
bench: $(DEV)  ## throughput, on this machine
	@$(BIN)/python -m benchmarks

.PHONY: soak
soak: $(DEV) packages  ## half an hour at the ceiling with everything going wrong, then a count; SOAK_MINUTES=n
	@SOAK_MINUTES=$(or $(SOAK_MINUTES),30) SOAK_SEED=$(or $(SOAK_SEED),$$(date +%s)) $(BIN)/pytest -q -s tests/soak

.PHONY: screenshots
screenshots: $(DEV)  ## the plain page as pictures, into docs/pictures
	@$(BIN)/python scripts/screenshots.py

.PHONY: format
format: $(DEV)  ## put the style right
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

# The public index only, without this machine's settings; hashes of every file of a release, so that both
# architectures and all Python versions from 3.11 on are covered. UPGRADE=1 takes newer releases.
UV := env -u UV_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_DEFAULT_INDEX -u UV_FIND_LINKS $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.PHONY: lock
lock: $(DEV)  ## requirements*.lock anew from pyproject.toml; UPGRADE=1 takes newer releases
	@$(COMPILE) --extra pkcs11 --group build pyproject.toml -o requirements.lock
	@$(COMPILE) --extra pkcs11 --group dev --constraint requirements.lock pyproject.toml -o requirements-dev.lock
	@! grep -nE '://|file:|find-links|index-url' requirements.lock requirements-dev.lock

.PHONY: clean
clean:  ## remove what make made, the demo's data included
	rm -rf .venv demo-data dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
