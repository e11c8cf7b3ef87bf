# `make run` and `make test` need Python 3.11 or later and make; they fetch the rest, pinned and hashed, into .venv.
PYTHON ?= python3
PORT ?= 8000
AWS_PORT ?= 4566
export PORT AWS_PORT

.PHONY: run test fuzz history bugs load generate package package-terraform deploy destroy lock clean

run: .venv/.ready
	@.venv/bin/python -m local run

test: .venv/.ready .venv/lint/.ready
	@.venv/bin/python -m ruff check
	@.venv/bin/python -m ruff format --check
	@.venv/bin/python -m mypy
	@.venv/bin/python -m pytest

fuzz: .venv/.ready
	@.venv/bin/python -u -m tests.fuzzer $(SEED)

history: .venv/.ready
	@.venv/bin/python -u -m tests.histories $(SEEDS)

bugs: .venv/.ready
	@.venv/bin/python -u -m tests.bugs

load: .venv/.ready
	@.venv/bin/python -u -m tests.load $(SECONDS)

.venv/.ready: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed. Name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test ! -L .venv || { echo ".venv is a link, and what it leads to would be emptied. Remove the link, then: make $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Fetching the pinned packages into .venv (once, about a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

generate: .venv/.ready
	@.venv/bin/python -m local generate

package package-terraform deploy destroy: .venv/.ready
	@test "$(STAGE)" || { echo "Name the stage: make $@ STAGE=dev" >&2; exit 1; }
	@.venv/bin/python -m local $@ $(STAGE)

.venv/lint/.ready: .venv/.ready requirements-lint.txt
	@echo "Fetching the pinned linters of templates into .venv/lint (once, about a minute) ..."
	@.venv/bin/python -m venv --clear .venv/lint
	@.venv/lint/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-lint.txt
	@touch $@

lock: .venv/.ready
	.venv/bin/python -m pip install --quiet uv==0.13.8
	.venv/bin/python -m uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.txt
	.venv/bin/python -m uv pip compile pyproject.toml --group dev --upgrade -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements-dev.txt
	.venv/bin/python -m uv pip compile --group pyproject.toml:lint --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements-lint.txt

clean:
	rm -rf .venv .local .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
