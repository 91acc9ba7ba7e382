# `make run` and `make test` do all the set-up by themselves. They need python3 (3.11 or later), and
# root or sudo where a package of Debian or Ubuntu is missing. Everything else lands in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
ARGS ?=

.PHONY: run test test-desktops check pytest bench lock messages wheel man deb clean desktop-packages

# The real GPUs where there is a driver, else simulated ones; the tray where there is a desktop, else here.
run: $(VENV)/.run
	@echo 'Starting. Stop with Ctrl-C, or with Quit in the menu.'
	@$(BIN)/gpuwatch-tray --source auto $(ARGS)

test: desktop-packages check pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform win32
	$(BIN)/mypy --platform darwin
	$(BIN)/lint-imports

# One worker more than there are cores: the tests of desktops and of mail wait for much of their time.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)

pytest: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not desktops" --numprocesses=$(WORKERS) --maxprocesses=4 --dist=loadfile $(ARGS)

# The tray on GNOME and on KDE Plasma, X11 and Wayland: whole desktops, for which some 500 packages are installed.
test-desktops: desktop-packages $(VENV)/.dev
	@sh tests/install-packages $$(grep -v '^#' tests/packages-desktops.txt)
	$(BIN)/python -m pytest -m desktops --numprocesses=2 --dist=loadfile $(ARGS)

# What it costs, with the goal beside each figure, in some six minutes (ARGS=--quick: two; ARGS=--shells: also on GNOME
# and KDE): beside the bare driver calls, nvitop and gpustat, which get a virtual environment of their own.
bench: $(VENV)/.dev desktop-packages
	@test -x $(VENV)/bench/bin/python || $(PYTHON) -m venv $(VENV)/bench
	@$(VENV)/bench/bin/python -m pip --disable-pip-version-check install --quiet nvitop gpustat
	$(BIN)/python -m tests.bench.table $(VENV)/bench/bin/python $(ARGS)

wheel: $(VENV)/.dev
	$(BIN)/python -m build --no-isolation

man: $(VENV)/.dev
	@mkdir -p build
	$(BIN)/gpuwatch-tray setup manual > build/gpuwatch-tray.1

# The package for the Debian or Ubuntu release on which it is built, in build/; as any user.
deb: $(VENV)/.dev
	$(BIN)/python -m build --no-isolation --wheel --outdir build
	$(BIN)/python packaging/deb.py build/gpuwatch_tray-*.whl build

# The texts in the code into the catalogues of locale/, and what is translated into the form that is read.
messages: $(VENV)/.dev
	@$(BIN)/python -m tests.support.catalogue

# The versions that are tested. Run it to move them forward, then `make test`.
lock: $(VENV)/.dev
	$(PIP) install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links pyproject.toml --extra chat --group dev --output-file requirements.lock

clean:
	rm -rf $(VENV) .build build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "python3 3.11 or later is needed; this one is $$($(PYTHON) -V)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo 'python3-venv is missing; installing it is all that needs root here.'; \
	    sh tests/install-packages python3-venv; }
	@echo 'Making a virtual environment in $(VENV).'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml requirements.lock | $(VENV)/bin/python
	@echo 'Installing gpuwatch-tray and its libraries into $(VENV): about a minute.'
	@$(PIP) install --quiet --constraint requirements.lock --editable ".[chat]"
	@touch $@

$(VENV)/.dev: pyproject.toml requirements.lock | $(VENV)/bin/python
	@echo 'Installing gpuwatch-tray, its libraries and what the tests need into $(VENV): about two minutes.'
	@$(PIP) install --quiet 'pip>=25.1'
	@$(PIP) install --quiet --constraint requirements.lock --editable ".[chat]" --group dev
	@touch $@ $(VENV)/.run

# The desktop that the tests run on, a C compiler for the test driver, a clock that can be set; and a mail server,
# which is unpacked into .build and not installed: it would put itself in the place of this computer's own.
# So are Prometheus and its Alertmanager, which would start as services.
desktop-packages:
	@echo 'The tests need the Debian packages of tests/packages.txt. Missing ones are installed now: some minutes, once.'
	@sh tests/install-packages $$(grep -v '^#' tests/packages.txt)
	@sh tests/unpack-packages .build/debian $$(grep -v '^#' tests/unpacked.txt)
