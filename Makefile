# Everything here works from a fresh clone; `make help` lists it.
#
# TORCH=cpu takes PyTorch's CPU build from its own index; PYTHON names the interpreter, VENV
# another folder than .venv.

.DEFAULT_GOAL := help
.PHONY: help run test bench soak pins clean
VENV ?= .venv
export TORCH PYTHON VENV

help:  ## List what can be made
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

run:  ## Start the daemon on ./media, or on a demonstration library
	@scripts/venv.sh
	@scripts/run.sh

test:  ## Check everything: format, lint, types, layers, tests
	@scripts/venv.sh dev
	@scripts/browser.sh
	@scripts/test.sh

bench:  ## Measure speed and memory beside their baselines
	@scripts/venv.sh
	@$(VENV)/bin/python -m benchmarks

soak:  ## Long trials: kills, floods, large libraries
	@scripts/venv.sh
	@$(VENV)/bin/python -m benchmarks.soak

pins:  ## Renew requirements/*.txt from pyproject.toml
	@scripts/venv.sh dev
	@scripts/pins.sh

clean:  ## Remove .venv and caches; your data and media stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
