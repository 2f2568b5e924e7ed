# Standard output is the digest alone: digest="$(make -s build-and-push)"
# (without -s, `make -C` adds lines of its own to it).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The local registry's port, as in ci/local_registry/settings.py.
DEFAULT_PORT := 5001

# The options of lr-ci that are variables here, `make plan REF=refs/heads/x`. Each is exported as LR_CI_<name>, which
# lr-ci reads: unexpanded, so that a `$`, a quote or a space in a branch name reaches it as it is.
OPTIONS := REGISTRY OWNER NAME REF SHA LATEST ENGINE
ifeq ($(origin NAME),environment)
override NAME := # WSL sets it to the name of the computer; use `make NAME=…` or LR_CI_NAME
endif
$(foreach name,$(OPTIONS),$(if $(value $(name)),$(eval override export LR_CI_$(name) := $$(value $(name)))))
$(if $(value LR_CI_REGISTRY),,$(eval export LR_CI_REGISTRY := localhost:$(DEFAULT_PORT)))
$(if $(value LR_CI_OWNER),,$(eval export LR_CI_OWNER := linkradar))

PY := .venv/bin

# Sets `port` to the port of the registry if it is a local one.
LOCAL_PORT = case "$$LR_CI_REGISTRY" in (localhost:*|127.0.0.1:*) port="$${LR_CI_REGISTRY\#\#*:}" ;; (*) port= ;; esac
WITH_LOCAL_REGISTRY = $(LOCAL_PORT); [[ -z "$$port" ]] || $(PY)/lr-ci registry up --port "$$port" >&2

.PHONY: help setup setup-dev build-and-push plan verify test test-fast fuzz kills races faults bench lint format lock clean registry-up registry-down

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables: $(OPTIONS) (REGISTRY is %s, OWNER is %s)\n' "$$LR_CI_REGISTRY" "$$LR_CI_OWNER"

setup: ## Install missing apt packages, uv and the locked Python packages of lr-ci
	@bin/setup

setup-dev: ## Install the packages of tests and linters, too
	@bin/setup --dev

build-and-push: setup ## Build ./backend, push it to REGISTRY, print its digest
	@$(WITH_LOCAL_REGISTRY); $(PY)/lr-ci build-and-push

plan: setup ## Show which tags build-and-push would write, without building
	@$(PY)/lr-ci plan

verify: setup ## Run the published image and check that it answers
	@$(WITH_LOCAL_REGISTRY); $(PY)/lr-ci verify

test: ## Run every test
	@bin/setup --test
	@$(PY)/pytest -n $$(( 2 * $$(nproc) )) --maxprocesses 8 --dist loadfile # tests wait half of their time

test-fast: setup-dev ## Run the tests that require no engine, registry or build
	@$(PY)/pytest -q -m 'not engine and not registry and not build'

fuzz: setup-dev ## Give arbitrary input to rules, registry client and messages: 100,000 examples for each test
	@$(PY)/pytest -q -m fuzz --hypothesis-profile=fuzz -n $$(nproc)

kills: setup-dev ## Stop runs by signals at every step and request, and print what is left as a table
	@PYTHONPATH=. $(PY)/python -m tests.acceptance.kills

races: setup-dev ## Explore every order of the requests of runs at once, and print which promises broke as a table
	@PYTHONPATH=. $(PY)/python -m tests.pipeline.races
	@PYTHONPATH=. $(PY)/python -m tests.pipeline.socket_races

faults: ## Publish against a registry that fails in every way; print a table of exit codes
	@bin/setup --test
	@$(PY)/python -m tests.faults.table

bench: setup ## Measure runs, tags, contexts and starts, side by side with doing it by hand; print a table
	@$(PY)/python -m bench

lint: ## Run every linter, and fail if any of them fails
	@bin/setup --lint; \
	failed=; try() { printf '%s\n' "-- $$*" >&2; "$$@" || failed="$$failed $${1##*/}"; }; \
	try $(PY)/ruff check; \
	try $(PY)/ruff format --check; \
	try $(PY)/mypy; \
	try $(PY)/shellcheck $$(git grep -lE '^#!(/usr)?/bin/(env )?(ba|da)?sh( |$$)'); \
	try $(PY)/hadolint $$(git ls-files '*Dockerfile'); \
	try $(PY)/actionlint -shellcheck $(PY)/shellcheck -pyflakes= $$(git ls-files '*.github/workflows/*.yml'); \
	try $(PY)/zizmor --persona pedantic --offline --quiet .github; \
	try $(PY)/check-jsonschema --quiet --builtin-schema vendor.github-workflows $$(git ls-files '*.github/workflows/*.yml'); \
	try $(PY)/check-jsonschema --quiet --builtin-schema vendor.renovate .github/renovate.json; \
	[[ -z "$$failed" ]] || { printf 'lint: failed:%s\n' "$$failed" >&2; exit 1; }

format: setup-dev ## Format the Python code
	@$(PY)/ruff check --fix --quiet || true
	@$(PY)/ruff format

lock: setup ## Update uv.lock to pyproject.toml
	@UV_PYTHON_DOWNLOADS=never $(PY)/uv lock

registry-up: setup ## Start the local registry
	@$(LOCAL_PORT); $(PY)/lr-ci registry up --port "$${port:-$(DEFAULT_PORT)}"

registry-down: ## Stop the local registry and keep its images
	@$(PY)/lr-ci registry down

clean: ## Remove generated files from the checkout, .venv too
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov dist build-report.json
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
