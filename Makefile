# Every command of the project. The two that matter first: `make demo` and `make test`.
PYTHON3 ?= python3
PYTHON := .venv/bin/python
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)/tests
TESTS ?= tests
# End-to-end tests mostly wait, so more of them run at a time than there are cores. An existing cluster is one for all.
WORKERS ?= $(if $(filter true,$(USE_EXISTING_CLUSTER)),,--numprocesses=4 --dist=loadfile --no-loadscope-reorder)

.DEFAULT_GOAL := help
.PHONY: help demo test sandbox-up sandbox-down check generate test-unit sabotage bench chaos

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-13s %s\n", $$1, $$2 }'

demo: .venv/ready ## the whole story on this machine: a backup, a damage, a restore (root, Debian 12)
	@$(PYTHON) -m demo

test: .venv/ready ## every test, the end-to-end ones against real parts; TESTS=tests/crds runs some
	@$(PYTHON) -m realparts on-ground $(PYTHON) -m pytest $(WORKERS) --durations=15 $(TESTS)

sandbox-up: .venv/ready ## a control plane, an engine and the operator from its image, left running
	@$(PYTHON) -m realparts up

sandbox-down: ## stop the sandbox and leave nothing behind
	@$(PYTHON3) -m demo forget
	@$(PYTHON3) -m realparts down

check: .venv/ready ## lint, types, layers and generated files, in seconds
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@$(PYTHON) -m compose_backup.api.crdgen --check crds
	@$(PYTHON) -m compose_backup.api.docgen --check docs/reference
	@$(PYTHON) -m house

generate: .venv/ready ## write again what is generated from the types
	@$(PYTHON) -m compose_backup.api.crdgen crds
	@$(PYTHON) -m compose_backup.api.docgen docs/reference

test-unit: .venv/ready ## the tests that need no real part, in less than half a minute
	@$(PYTHON) -m pytest --quiet --numprocesses=2 tests/unit

sabotage: .venv/ready ## break each guarded rule in a scratch copy and see its test turn red
	@$(PYTHON) -m sabotage

bench: .venv/ready ## the figures, each with what it must be
	@$(PYTHON) -m realparts on-ground $(PYTHON) benchmarks/run.py

chaos: .venv/ready ## a campaign of faults: RUNS=20 SEED=number, ROUND=number plays one again, SHORT=yes
	@$(PYTHON) -m chaos --runs $(or $(RUNS),20) $(if $(SEED),--seed $(SEED)) $(if $(ROUND),--round $(ROUND)) $(if $(SHORT),--short)

# Made anew when the list of packages changes.
.venv/ready: pyproject.toml
	@$(PYTHON3) -m realparts environment
