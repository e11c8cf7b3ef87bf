# All targets need Python 3.11 or later; they install the rest, pinned and hashed, into .venv. `make help` lists them.
PYTHON ?= python3
PORT ?= 8000
AWS_PORT ?= 4566
export PORT AWS_PORT
export AGAIN = $(strip make $(MAKECMDGOALS) $(MAKEOVERRIDES))
unexport PYTHONSAFEPATH

.PHONY: .venv .venv/lint run stop help test check fuzz history bugs load generate rename package package-terraform deploy destroy lock clean

run: .venv  ## serve the API on this machine until Ctrl-C (PORT=8000 AWS_PORT=4566)
	@.venv/bin/python -m tools run --end-with-parent

stop: .venv  ## stop what `make run` or `chalice local` serves from this folder
	@.venv/bin/python -m tools stop

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

test: .venv  ## ruff, mypy and the tests of one process, or of T alone: T=tests/unit/test_task.py
ifdef T
	@.venv/bin/python -m pytest $(T)
else
	@.venv/bin/python -m ruff check
	@.venv/bin/python -m ruff format --check
	@.venv/bin/python -m mypy
	@.venv/bin/python -m pytest --cov --cov-report=term-missing:skip-covered --cov-fail-under=100
endif

check: .venv .venv/lint  ## all other tests: servers, deployments, faults
	@.venv/bin/python -m pytest tests/faults tests/e2e --numprocesses 3 --dist loadfile -o faulthandler_timeout=600

fuzz: .venv  ## 10,000 requests against what `make run` starts (SEED=1)
	@.venv/bin/python -u -m tests.support.fuzzer $(SEED)

history: .venv  ## concurrent clients, their histories checked (SEEDS=20)
	@.venv/bin/python -u -m tests.support.run_histories $(SEEDS)

bugs: .venv  ## seed bugs into a copy, each of which must be caught
	@.venv/bin/python -u -m tests.support.mutations

load: .venv  ## 64 clients against a deployed stack (SECONDS=60)
	@.venv/bin/python -u -m tests.support.load $(SECONDS)

# An environment that is ready takes no time here; it is made anew when its lock, its folder or the version of PYTHON is another.
.venv:
	@"$(PYTHON)" tools/install.py .venv requirements-dev.txt "$$AGAIN"

generate: .venv  ## write what is generated from the code
	@.venv/bin/python -m tools generate

rename: .venv  ## give the project another name (NAME=orders-api)
	@test "$(NAME)" || { echo "Name it: make rename NAME=orders-api" >&2; exit 1; }
	@.venv/bin/python -m tools rename "$(NAME)"

package: ## write the CloudFormation template and the zip of a stage (STAGE=prod) to dist
package-terraform: ## write the Terraform module and the zip of a stage (STAGE=prod) to dist
deploy: ## deploy a stage (STAGE=dev) to the AWS account that you are signed in to
destroy: ## take a stage (STAGE=dev) away from there
package package-terraform deploy destroy: .venv
	@test "$(STAGE)" || { echo "Name the stage: make $@ STAGE=dev" >&2; exit 1; }
	@.venv/bin/python -m tools $@ $(STAGE)

.venv/lint: .venv
	@.venv/bin/python tools/install.py .venv/lint tools/requirements-lint.txt "$$AGAIN"

LOCK = .venv/lint/bin/python -m uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
lock: .venv/lint  ## write the lock files from pyproject.toml
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(LOCK) --group pyproject.toml:lint -o tools/requirements-lint.txt

clean:  ## remove what running and testing leave behind, local users and tasks included
	rm -rf .venv .local .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
