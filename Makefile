.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint stack bench bench-stack hammer format lock clean demo-venv dev-venv lock-venv

# The environment others' shells carry must not change what runs here.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

PY := .venv/bin/python
INSTALL = python=$$(PYTHON="$(PYTHON)" make/python) && "$$python" make/install.py

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: demo-venv ## meters and PMUs to certified readings in a minute; a tampered row found out
	.venv/bin/bal demo $(ARGS)

test: lint stack ## lint, install the real servers, then every test, in three parts side by side (STACK=0 leaves the servers out)
	@$(PY) make/tests.py $(ARGS)

lint: dev-venv ## format, lint, types, import rules
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) make/imports.py

stack: dev-venv ## install the real servers into the user's cache: says first what it gets
	@$(PY) make/stack.py

hammer: dev-venv stack ## the repeated tests with their full counts: takes long
	BAL_HAMMER=1 $(PY) make/tests.py --timeout 7200 $(ARGS)

bench: demo-venv ## certified readings per second on this machine
	.venv/bin/bal bench $(ARGS)

bench-stack: dev-venv stack ## the same on the real servers, round by round: takes minutes
	.venv/bin/bal bench --stack $(ARGS)

format: dev-venv ## write the format, fix what can be fixed
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lock: lock-venv ## compile requirements/*.txt anew (LOCK=--upgrade moves the pins)
	LOCK="$(LOCK)" make/lock

clean: ## remove .venv and everything built or cached
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

demo-venv:
	@$(INSTALL) demo

dev-venv:
	@$(INSTALL) dev

lock-venv:
	@$(INSTALL) lock
