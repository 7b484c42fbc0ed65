# The project's commands; each sets up what it needs first. `make` alone lists them.
.POSIX:
.NOTPARALLEL:
.PHONY: help rehearse test setup packages lint soak benchmark acceptance vendor stop clean

BIN = .venv/bin
# Tests wait for servers more than they compute, so that three do well on two cores.
WORKERS = 3

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

rehearse: setup ## deploy all of Kubeflow on this machine; costs nothing, whatever is in the environment
	@unset TIDEFLOW_PLATFORM; $(BIN)/pyinfra -y inventory.py deploys/all.py

test: setup lint ## lint, types and all tests but the slow ones
	@$(BIN)/pytest -m "not soak" --numprocesses $(WORKERS) --dist loadfile

setup: ## Python packages into .venv, a rehearsal's programs into ~/.cache/tideflow
	@scripts/setup.sh

packages:
	@scripts/setup.sh --packages

lint: packages ## style, import direction and types
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "make: not formatted; run $(BIN)/ruff format" >&2; exit 1; }
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

soak: setup ## the tests that take long
	@$(BIN)/pytest -m soak

benchmark: setup ## measure Tideflow beside kubectl; CONTESTS=no-op measures only that
	@$(BIN)/python -m tests.benchmarks $(CONTESTS)

acceptance: packages ## the whole life of a platform on a real account, for real money up to a cap
	@$(BIN)/python -m tests.acceptance

vendor: packages ## fetch and render the pinned Kubeflow into vendored/kubeflow
	@$(BIN)/tideflow vendor

stop: ## stop all that rehearsals started; what they made is kept
	@if [ -x $(BIN)/tideflow ]; then $(BIN)/tideflow rehearsal stop; \
	elif [ -d .tideflow ]; then echo "make: .venv is gone; run make packages, then make stop" >&2; exit 1; fi

clean: stop ## stop, and remove .tideflow, .venv and what tools keep here
	@rm -rf .tideflow .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist pyinfra-debug.log
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Kept: ~/.cache/tideflow, so that nothing is compiled or downloaded twice, and vendored/kubeflow."
	@echo "To remove them too: rm -rf ~/.cache/tideflow vendored/kubeflow"
