# Everything but the digest goes to standard error: digest="$(make -s build-and-push)"
# (without -s, `make -C` adds lines of its own to standard output).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The local registry's port, as in ci/local_registry/settings.py.
DEFAULT_PORT := 5001

# Where the image goes, and what is built. Empty ones are left to the command's own defaults.
ifeq ($(origin REGISTRY),undefined)
REGISTRY := $(or $(LR_CI_REGISTRY),localhost:$(DEFAULT_PORT))
endif
ifeq ($(origin OWNER),undefined)
OWNER := $(or $(LR_CI_OWNER),linkradar)
endif
ifeq ($(origin NAME),environment)
override NAME := # WSL has the machine's name there; `make NAME=…` and LR_CI_NAME count
endif
NAME ?=
REF ?=
SHA ?=
LATEST ?=
ENGINE ?=
# Reach the recipes through the environment, letter by letter: a `$`, a quote or a space in a branch name stays one.
VARIABLES := REGISTRY OWNER NAME REF SHA LATEST ENGINE
$(foreach name,$(VARIABLES),$(eval override export $(name) := $$(value $(name))))

PY := .venv/bin

# Sets "$@" to the flags that the variables ask for.
FLAGS = set -- --registry "$$REGISTRY" --owner "$$OWNER"; \
	[[ -z "$$NAME" ]] || set -- "$$@" --name "$$NAME"; \
	[[ -z "$$REF" ]] || set -- "$$@" --ref "$$REF"; \
	[[ -z "$$SHA" ]] || set -- "$$@" --sha "$$SHA"
WITH_LATEST = [[ -z "$$LATEST" ]] || set -- "$$@" --latest "$$LATEST"
WITH_ENGINE = [[ -z "$$ENGINE" ]] || set -- "$$@" --engine "$$ENGINE"

# The local registry's port when REGISTRY is one of this machine, or nothing.
LOCAL_PORT = case "$$REGISTRY" in (localhost:*|127.0.0.1:*) port="$${REGISTRY\#\#*:}" ;; (*) port= ;; esac

.PHONY: help setup build-and-push plan verify test test-fast lint format lock clean registry-up registry-down

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables: REGISTRY=%s OWNER=%s NAME REF SHA LATEST ENGINE\n' "$$REGISTRY" "$$OWNER"

setup: ## Install what is missing: apt packages, uv, the locked Python packages
	@bin/setup

build-and-push: setup ## Build ./backend, push it to REGISTRY, print its digest
	@$(LOCAL_PORT); [[ -z "$$port" ]] || $(PY)/lr-ci registry up --port "$$port" >&2; \
	$(FLAGS); $(WITH_LATEST); $(WITH_ENGINE); $(PY)/lr-ci build-and-push "$$@"

plan: setup ## Show which tags a push would write, and why; nothing is built
	@$(FLAGS); $(WITH_LATEST); $(PY)/lr-ci plan "$$@"

verify: setup ## Run the published image and check that it answers
	@$(LOCAL_PORT); [[ -z "$$port" ]] || $(PY)/lr-ci registry up --port "$$port" >&2; \
	$(FLAGS); $(WITH_ENGINE); $(PY)/lr-ci verify "$$@"

test: setup ## Run every test
	@$(PY)/pytest

test-fast: setup ## Run the tests that need no engine, no registry and no build
	@$(PY)/pytest -q -m 'not engine and not registry and not build'

lint: ## Run every linter, and fail at the end when one did
	@bin/setup --lint; \
	failed=; try() { printf '%s\n' "-- $$*" >&2; "$$@" || failed="$$failed $${1##*/}"; }; \
	try $(PY)/ruff check; \
	try $(PY)/ruff format --check; \
	try $(PY)/mypy; \
	try $(PY)/shellcheck $$(git grep -lE '^#!(/usr)?/bin/(env )?(ba|da)?sh( |$$)'); \
	try $(PY)/hadolint backend/Dockerfile; \
	try $(PY)/actionlint -shellcheck $(PY)/shellcheck -pyflakes=; \
	try $(PY)/zizmor --persona pedantic --offline --quiet .github; \
	try $(PY)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml; \
	try $(PY)/check-jsonschema --quiet --builtin-schema vendor.renovate .github/renovate.json; \
	[[ -z "$$failed" ]] || { printf 'lint: failed:%s\n' "$$failed" >&2; exit 1; }

format: setup ## Format the Python code
	@$(PY)/ruff check --fix --quiet || true
	@$(PY)/ruff format

lock: setup ## Bring uv.lock up to date with pyproject.toml
	@UV_PYTHON_DOWNLOADS=never $(PY)/uv lock

registry-up: setup ## Start the local registry
	@$(LOCAL_PORT); $(PY)/lr-ci registry up --port "$${port:-$(DEFAULT_PORT)}"

registry-down: ## Stop the local registry; its images stay
	@$(PY)/lr-ci registry down

clean: ## Remove what tools left in the checkout, .venv too
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov dist build-report.json
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
