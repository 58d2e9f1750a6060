# make run    the whole pipeline on this machine      make test   tests and static checks
# make manifests   render every overlay for Kubernetes and check each object
# make lock   resolve the locked versions again (needs uv)
PYTHON ?= python3
CONFIG ?= configs/quick.yaml
DATA ?=
SET ?=
PY := .venv/bin/python

.PHONY: run test lint manifests lock compile clean

run: .venv/ready
	@$(PY) pipeline.py run --config $(CONFIG) $(if $(DATA),--data "$(DATA)") $(foreach set,$(SET),--set $(set))

test: lint
	@$(PY) -m pytest -n 2 --dist loadfile --durations=10

lint: .venv/ready
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy sarslim components pipeline.py

manifests: .venv/ready
	@$(PY) -m pytest tests/test_manifests.py -rs

compile: .venv/ready
	@$(PY) pipeline.py compile --out build

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sarslim needs Python 3.11 or newer; set PYTHON=")'
	@echo "Setting up .venv from the locked versions (once; torch is large) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	-@$(PY) -m compileall -qq -j 0 .venv/lib  # on all cores, which pip does not; each of six tasks saves seconds
	@touch $@

lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate \
		--output-file requirements.lock

clean:
	rm -rf .venv build runs
