# `make run` and `make test` need Python 3.11 or later and make; they fetch the rest, pinned and hashed, into .venv.
PYTHON ?= python3
PORT ?= 8000
AWS_PORT ?= 4566
export PORT AWS_PORT

.PHONY: .venv .venv/lint run test check fuzz history bugs load generate package package-terraform deploy destroy lock clean

run: .venv
	@.venv/bin/python -m local run

# What everybody runs: all checks that need one process, or those of T alone: make test T=tests/unit/test_task.py
test: .venv
ifdef T
	@.venv/bin/python -m pytest $(T)
else
	@.venv/bin/python -m ruff check
	@.venv/bin/python -m ruff format --check
	@.venv/bin/python -m mypy
	@.venv/bin/python -m pytest --cov --cov-report=term-missing:skip-covered --cov-fail-under=100
endif

# What needs servers, deployments and time, with as many side by side as there are workers.
check: .venv .venv/lint
	@.venv/bin/python -m pytest tests/faults tests/e2e --numprocesses 3 --dist loadfile -o faulthandler_timeout=600

fuzz: .venv
	@.venv/bin/python -u -m tests.support.fuzzer $(SEED)

history: .venv
	@.venv/bin/python -u -m tests.support.histories $(SEEDS)

bugs: .venv
	@.venv/bin/python -u -m tests.support.bugs

load: .venv
	@.venv/bin/python -u -m tests.support.load $(SECONDS)

# An environment that is ready takes no time here; it is made anew when its lock, its folder or PYTHON is another.
.venv:
	@$(PYTHON) local/install.py .venv requirements-dev.txt "make $(MAKECMDGOALS)"

generate: .venv
	@.venv/bin/python -m local generate

package package-terraform deploy destroy: .venv
	@test "$(STAGE)" || { echo "Name the stage: make $@ STAGE=dev" >&2; exit 1; }
	@.venv/bin/python -m local $@ $(STAGE)

.venv/lint: .venv
	@.venv/bin/python local/install.py .venv/lint requirements-lint.txt "make $(MAKECMDGOALS)"

LOCK = .venv/lint/bin/python -m uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
lock: .venv/lint
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(LOCK) --group pyproject.toml:lint -o requirements-lint.txt

clean:
	rm -rf .venv .local .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
