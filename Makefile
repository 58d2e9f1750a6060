.DEFAULT_GOAL := help
PYTHON ?= python3
CONFIG ?= configs/quick.yaml
DATA ?=
SET ?=
NAME ?= MSTAR
DEVICE ?=
HOST ?=
NAMESPACE ?=
RUN_AS ?= sarslim-runner
BUCKET ?= sarslim
STORE ?= deployment/sarslim-store
PY := .venv/bin/python
CLI := .venv/bin/sarslim

DISK_GB := 11
CASES ?= 100000
READER ?=
FAULTS ?= 300
KILLS ?= 60

BASE ?= python:3.11-slim-bookworm
TORCH ?= cuda
TAG ?=
# Makes a stand-in for the base image where none can be pulled.
STAND_IN ?= ../shared/tools/stand-in-base

.PHONY: help run test lint fuzz faults manifests lock compile method speed docs images base push test-docker test-cluster clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/ready ## the whole pipeline on this machine (CONFIG=, DATA=, SET=)
	@$(CLI) run --config $(CONFIG) $(if $(DATA),--data "$(DATA)") $(foreach set,$(SET),--set $(set))

test: lint ## tests and static checks
	@$(PY) -m pytest -n 2 --dist loadfile --durations=10

lint: .venv/ready ## static checks alone
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy sarslim components benchmarks pipeline.py

# What is found is kept in build/fuzz and fails the target. Linux on x86-64 and Python 3.11 to 3.13: what Atheris runs on.
fuzz: .venv/ready ## mutated files for every reader, 100,000 of them: about half an hour (CASES=, READER=)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/faults/requirements.lock
	@OMP_NUM_THREADS=1 PYTHONPATH=.:tests:tests/chips $(PY) -m faults.fuzz --cases $(CASES) $(foreach name,$(READER),--reader $(name))

faults: .venv/ready ## faults of the store and kills in every stage, at random: about 20 minutes (FAULTS=, KILLS=)
	@OMP_NUM_THREADS=1 PYTHONPATH=.:tests:tests/chips $(PY) -m faults --faults $(FAULTS) --kills $(KILLS)

manifests: .venv/ready ## render every overlay for Kubernetes and check each object
	@$(PY) -m pytest tests/test_manifests.py -rs

# The table of recovery methods, pruning paths and rivals. Cells that are done are not run again.
method: .venv/ready ## methods, pruning paths and rivals against each other: hours, resumable (DATA=, OTHERS=, NAME=, DEVICE=cuda)
	@$(PY) -m benchmarks.method run --name $(NAME) --data "$(DATA)" $(if $(OTHERS),--others "$(OTHERS)") \
	  $(if $(DEVICE),--device $(DEVICE))
	@$(PY) -m benchmarks.method costs --name $(NAME)
	@$(PY) -m benchmarks.method ceiling --name $(NAME)
	@$(PY) -m benchmarks.method table --name $(NAME)

# Nothing else may run beside it. Its result tells the load of the machine and how far the turns lie apart.
speed: .venv/ready ## how fast the parts are beside what does the same without sarslim: benchmarks/SPEED.md
	@$(PY) -m benchmarks.speed $(if $(DEVICE),--device $(DEVICE))

compile: .venv/ready ## every pipeline as YAML, into build/
	@$(CLI) compile --out build

docs: .venv/ready ## these pages, as a site that reads offline, into build/docs
	@$(PY) -m docs.generate
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict
	@echo "The pages are in build/docs/index.html"

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sarslim needs Python 3.11 or newer; set PYTHON=")'
	@$(PYTHON) -c 'import shutil, sys; free = shutil.disk_usage(".").free / 1e9; sys.exit(free < $(DISK_GB) and \
	  f"{free:.0f} GB are free on this disk; .venv takes 7, and its downloads 4 while it is set up. Make room.")'
	@echo "Setting up .venv from the locked versions (once; torch is large) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(PY) -m compileall -qq -j 0 .venv/lib || true  # on all cores, unlike pip; some packages carry files it cannot read
	@touch $@

images: export SARSLIM_TORCH = $(TORCH)
images: .venv/ready base ## the image of every stage (BASE=, TAG=, TORCH=cpu)
	@PYTHONPATH=. $(PY) docker/build.py --base "$(BASE)" --tag "$(TAG)"

push: export SARSLIM_TORCH = $(TORCH)
push: export SARSLIM_REGISTRY = $(REGISTRY)
push: .venv/ready base ## the same, into a registry (REGISTRY=host/team)
	@test -n "$(REGISTRY)" || { echo "Say where to: make push REGISTRY=host/team" >&2; exit 2; }
	@PYTHONPATH=. $(PY) docker/build.py --base "$(BASE)" --tag "$(TAG)" --push

base:
	@docker image inspect "$(BASE)" >/dev/null 2>&1 || timeout 600 docker pull --quiet "$(BASE)" || $(STAND_IN) "$(BASE)"

test-docker: images ## tests that run in the images
	@$(PY) -m pytest -m docker --durations=10

# On a KFP of yours, in about 30 minutes on two cores. It needs the images where the cluster pulls them (make push, and
# SARSLIM_REGISTRY set), an overlay of manifests/ applied, and for some scenarios more: kubectl with the right to list
# and delete pods and to scale STORE (else skipped), Chromium for the clone in the UI, AWS_* that lead to the store to
# remove what was written there. Everything it makes is in an experiment, under pipeline names and in a folder of its
# own, and removed afterwards.
test-cluster: .venv/ready ## scenarios on a KFP (HOST=URL, NAMESPACE=, RUN_AS=, BUCKET=, STORE=)
	@test -n "$(HOST)" || { echo "Say where: make test-cluster HOST=http://localhost:8080 (make help, Makefile)" >&2; exit 2; }
	@SARSLIM_CLUSTER_HOST="$(HOST)" SARSLIM_CLUSTER_NAMESPACE="$(NAMESPACE)" SARSLIM_CLUSTER_RUN_AS="$(RUN_AS)" \
	  SARSLIM_CLUSTER_BUCKET="$(BUCKET)" SARSLIM_CLUSTER_STORE="$(STORE)" $(PY) -m pytest tests/cluster -m cluster -rs

# Every image has its own locked versions, the same as those of the whole.
COMPILE = uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate
LOCKS = docker/locks/$(TORCH)
lock-image = $(COMPILE) --no-header --constraints requirements.lock $(if $(filter cpu,$(TORCH)),--torch-backend cpu)
lock: ## resolve the locked versions again (needs uv)
	$(COMPILE) --extra dev --output-file requirements.lock
	mkdir -p $(LOCKS)
	$(lock-image) --extra component --output-file $(LOCKS)/base.lock
	$(lock-image) --extra component --extra chips --output-file $(LOCKS)/prepare.lock
	$(lock-image) --extra component --extra torch --output-file $(LOCKS)/torch.lock
	$(lock-image) --extra component --extra prune --output-file $(LOCKS)/train.lock
	$(lock-image) --extra component --extra prune --extra chips --output-file $(LOCKS)/prune.lock
	$(lock-image) --extra component --extra evaluate --extra chips --output-file $(LOCKS)/evaluate.lock
	$(lock-image) --extra component --extra prune --extra chips --extra evaluate --output-file $(LOCKS)/cell.lock

clean: ## remove .venv, build/ and runs/
	rm -rf .venv build runs
