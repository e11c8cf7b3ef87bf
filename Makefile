# All targets need Python 3.11 or later, and install pinned and hashed packages into .venv. `make help` lists them.
PYTHON ?= python3
PORT ?= 8000
AWS_PORT ?= 4566
export PORT AWS_PORT
export REPEAT = $(strip make $(MAKECMDGOALS) $(MAKEOVERRIDES))
unexport PYTHONSAFEPATH

.PHONY: .venv .venv/lint .venv/bench .venv/browser run stop help test check browser fuzz history bugs load bench generate rename package package-terraform rehearse deploy destroy restore audit lock clean

run: .venv  ## serve the web app and the API on this machine until Ctrl-C (WEB_PORT=3000 PORT=8000 AWS_PORT=4566)
	@.venv/bin/python -m tools run --end-with-parent

stop: .venv  ## stop what `make run` or `chalice local` serves from this folder
	@.venv/bin/python -m tools stop

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

test: .venv  ## ruff, mypy and the fast tests; or only some: T=tests/unit/test_task.py
ifdef T
	@.venv/bin/python -m pytest $(T)
else
	@.venv/bin/python -m ruff check
	@.venv/bin/python -m ruff format --check
	@.venv/bin/python -m mypy
	@.venv/bin/python -m pytest --cov --cov-report=term-missing:skip-covered --cov-fail-under=100
endif

check: .venv .venv/lint .venv/browser  ## the slow tests: faults, servers, deployments, the web app
	@.venv/bin/python -m pytest tests/faults tests/e2e tests/browser --numprocesses 3 --dist loadfile -o faulthandler_timeout=600

browser: .venv .venv/browser  ## the tests of the web app in Chromium (SCREENSHOTS=docs writes its pictures)
	@.venv/bin/python -m pytest tests/browser

fuzz: .venv  ## send 10,000 random requests to a local server (SEED=1)
	@.venv/bin/python -u -m tests.support.fuzzer $(SEED)

history: .venv  ## check histories of concurrent clients for linearizability (SEEDS=20)
	@.venv/bin/python -u -m tests.support.run_histories $(SEEDS)

bugs: .venv  ## check that the tests catch each of a list of seeded bugs
	@.venv/bin/python -u -m tests.support.mutations

load: .venv  ## load a deployed stack with 64 clients (SECONDS=60)
	@.venv/bin/python -u -m tests.support.load $(SECONDS)

bench: .venv .venv/bench  ## compare speed, memory, units and prices with other frameworks (ROUNDS=5)
	@.venv/bin/python -u -m tools.bench $(ROUNDS)

# Does nothing if the environment is ready; recreates it for another lock file, folder or version of PYTHON.
.venv:
	@"$(PYTHON)" tools/install.py .venv requirements-dev.txt "$$REPEAT"

generate: .venv  ## write the generated files: OpenAPI, docs page, README's routes, policies, merge template, licences
	@.venv/bin/python -m tools generate

rename: .venv  ## give the project another name (NAME=orders-api)
	@test "$(NAME)" || { echo "Name it: make rename NAME=orders-api" >&2; exit 1; }
	@.venv/bin/python -m tools rename "$(NAME)"

package: ## write the CloudFormation template and the zip of a stage (STAGE=prod) to dist
package-terraform: ## write the Terraform module and the zip of a stage (STAGE=prod) to dist
deploy: ## deploy a stage (STAGE=dev) to the current AWS account
destroy: ## delete a stage (STAGE=dev) from the current AWS account
package package-terraform deploy destroy: .venv
	@test "$(STAGE)" || { echo "STAGE is missing. Run: make $@ STAGE=dev" >&2; exit 1; }
	@.venv/bin/python -m tools $@ $(STAGE)

rehearse: .venv  ## deploy a stage (STAGE=prod) to an AWS emulator on this machine until Ctrl-C (WAY=chalice or terraform)
	@test "$(STAGE)" || { echo "STAGE is missing. Run: make rehearse STAGE=prod" >&2; exit 1; }
	@.venv/bin/python -m tools rehearse $(STAGE) $(if $(WAY),--way $(WAY))

restore: .venv  ## compare a stage (STAGE=dev) with its table at a time (TIME=2026-11-27T08:00:00Z)
	@test "$(STAGE)" && test "$(TIME)" || { echo "Name both: make restore STAGE=dev TIME=2026-11-27T08:00:00Z" >&2; exit 1; }
	@.venv/bin/python -m tools restore --stage "$(STAGE)" --time "$(TIME)"

.venv/browser: .venv
	@.venv/bin/python tools/install.py .venv/browser tools/requirements-browser.txt "$$REPEAT"

.venv/lint: .venv
	@.venv/bin/python tools/install.py .venv/lint tools/requirements-lint.txt "$$REPEAT"

.venv/bench: .venv
	@.venv/bin/python tools/install.py .venv/bench tools/bench/requirements.txt "$$REPEAT"

LOCK = .venv/lint/bin/python -m uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
audit: .venv/lint  ## look up known vulnerabilities of all locked packages
	@status=0; \
	for lock in requirements.txt requirements-dev.txt tools/requirements-lint.txt tools/requirements-browser.txt tools/bench/requirements.txt; do \
		echo "$$lock"; .venv/lint/bin/python -m pip_audit --strict --disable-pip --require-hashes -r $$lock || status=1; \
	done; \
	echo tests/npm; (cd tests/npm && npm audit --package-lock-only) || status=1; \
	exit $$status

lock: .venv/lint  ## write the lock files from pyproject.toml, and that of npm
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(LOCK) --group pyproject.toml:lint -o tools/requirements-lint.txt
	$(LOCK) --group pyproject.toml:bench -c requirements.txt -o tools/bench/requirements.txt
	$(LOCK) --group pyproject.toml:browser -c requirements-dev.txt -o tools/requirements-browser.txt
	cd tests/npm && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved

clean:  ## delete .venv, caches, dist, and the local users and tasks
	rm -rf .venv .local .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
