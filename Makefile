# Everything a developer or a new user does with this checkout.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
LAB ?= $(shell mktemp -u -d /tmp/provisioner-lab.XXXXXX)

.PHONY: help venv demo test check bench lab-up lab-down clean

help:  ## say what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.made: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

venv: $(VENV)/.made  ## make the virtual environment

demo: venv  ## make a sandbox, serve the sample requests, show what became of them
	@PATH="$(abspath $(BIN)):$$PATH" deploy/demo

test: venv  ## run all tests; installs Debian packages and starts a lab where it may
	@deploy/test $(BIN) $(LAB)

check: venv  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv  ## print the four figures; those of the lab need root
	@deploy/bench $(BIN) $(LAB)

lab-up:  ## start a lab in LAB=DIR: Samba AD, slapd, Slurm
	deploy/lab/install
	deploy/lab/up $(LAB)

lab-down:  ## stop the lab in LAB=DIR
	deploy/lab/down $(LAB)

clean:  ## remove what was made here
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
