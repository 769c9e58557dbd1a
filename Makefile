# Everything a developer or a new user does with this checkout.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
LAB ?= /var/tmp/provisioner-lab
SUITES ?= bookworm trixie forky
INPUTS ?= 1000000
MAN ?= build/man
MINUTES ?= 10
SEED ?= 1
BENCH ?=

.PHONY: help venv demo test postgresql oldest packages packages-check matrix fuzz soak fault check bench site man lab-up lab-down clean

help:  ## say what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.made: setup.cfg pyproject.toml deploy/venv
	@deploy/venv $(VENV) $(PYTHON)

venv: $(VENV)/.made  ## make the virtual environment

demo: venv  ## a story in five scenes, in a sandbox: served, refused, corrected, killed, counted
	@PATH="$(abspath $(BIN)):$$PATH" deploy/demo

test: venv  ## run all tests, half an hour; needs root: installs Debian packages, starts a lab
	@deploy/test $(BIN)

postgresql: venv  ## run the journal's, the engine's and the fault suite's tests with the journal in PostgreSQL
	JOURNAL_ON=postgresql $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not lab" tests/unit/journal \
	    tests/fault/test_model.py tests/fault/test_kill_sweep.py tests/fault/test_after_a_crash.py \
	    $$(grep -l engine_site tests/service/*.py)

oldest:  ## run the tests that need no lab on the oldest libraries that setup.cfg allows
	@PIP_CONSTRAINT=deploy/oldest.txt deploy/venv .venv-oldest $(PYTHON)
	.venv-oldest/bin/python -m pytest -q -n 2 --dist loadfile -m "not lab" tests/unit tests/contract tests/service

packages: venv  ## build the packages for Debian 12 and 13, EL 9 and 10 into build/packages; needs rpm
	@rm -rf build/packages
	@deploy/packages/build $(BIN) build/packages

packages-check:  ## build, install, upgrade and remove them in bare Debians; needs root
	@{ command -v debootstrap && command -v rpmbuild; } > /dev/null || apt-get install --yes --quiet=2 debootstrap rpm
	@$(MAKE) packages
	deploy/packages/check bookworm build/packages/*+deb12_*.deb
	deploy/packages/check trixie build/packages/*+deb13_*.deb
	deploy/packages/check here build/packages/*.el9.*.rpm
	deploy/packages/check here build/packages/*.el10.*.rpm

matrix: venv  ## tests that ask a lab on Debian's three suites (SUITES=), and their speed, as a table; needs root, and hours
	deploy/lab/install debootstrap
	@$(BIN)/python deploy/matrix $(SUITES) -- -q -n 2 --dist loadfile

fault: venv  ## kill the service at every point, fail every kind of call; fuzz; a model; an hour or two
	PROVISIONER_FAULT=whole $(BIN)/python -m pytest -q -s -o faulthandler_timeout=0 tests/fault
	$(MAKE) fuzz

fuzz: venv  ## a million inputs (INPUTS=, SEED=) for the request parser
	@$(BIN)/python -m tests.fault.fuzz $(INPUTS) $(SEED)

soak: venv  ## ten minutes (MINUTES=, SEED=) of requests under random kills
	@$(BIN)/python -m tests.fault.soak $(MINUTES) $(SEED)

check: venv  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv  ## print the figures beside floors, the last release and aims (BENCH="--only engine"); those of labs need root
	@$(BIN)/python -m tests.bench $(BENCH)

site:  ## build the documentation as a site into build/site, with every link checked
	@deploy/venv .venv-site $(PYTHON) '.[site]'
	@NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --strict --config-file deploy/site/mkdocs.yml
	@echo "build/site/index.html"

man: venv  ## write the manual's pages into MAN=DIR (build/man), for man(1)
	@$(BIN)/provisioner help --man $(MAN) | tail -n 1

lab-up: venv  ## start a lab in LAB=DIR: Samba AD, slapd, Slurm; needs root
	deploy/lab/install
	deploy/lab/up $(LAB)

lab-down:  ## stop the lab in LAB=DIR, and remove it
	deploy/lab/down $(LAB)
	rm -rf $(LAB)

clean:  ## remove what was made here
	rm -rf $(VENV) .venv-coldfront .venv-site .venv-oldest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
