"""Export and erasure of one person's data, against the table and the pool of `make run`."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from tests.support.local_server import LocalServer, clean_environment, run_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with run_server(tmp_path_factory.mktemp("people") / "home") as server:
        yield server


@pytest.fixture
def carol(server: LocalServer) -> str:
    """Return the e-mail address of a new user with 30 tasks and an idempotency record."""
    email = f"carol{time.time_ns()}@example.org"
    assert server.tools("signup", email).returncode == 0
    token = server.token(email)
    for number in range(30):
        assert server("POST", "/tasks", token, {"title": f"carol's {number}"}).status == 201
    assert server("POST", "/tasks", token, {"title": "with a key"}, Idempotency_Key="k").status == 201
    return email


def run(
    server: LocalServer, *command: str, typed: str = "", status: int = 0, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command as an operator whose environment names table and pool, as for a stage of Terraform."""
    done = subprocess.run(
        [sys.executable, "-m", "tools", *command, "--stage", "dev"], cwd=server.checkout, input=typed,
        env=clean_environment(**server.settings() | environment), capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def titles(server: LocalServer, token: str) -> list[str]:
    return [task["title"] for task in server("GET", "/tasks?limit=100", token).json["tasks"]]


def test_the_export_has_the_account_and_every_item_of_this_person(server: LocalServer, carol: str) -> None:
    server("POST", "/tasks", server.token("bob"), {"title": "bob's"})
    exported: Any = json.loads(run(server, "export", carol).stdout)
    assert exported["account"]["attributes"]["email"] == carol
    assert sorted(item["SK"].partition("#")[0] for item in exported["items"]) == ["IDEMPOTENCY"] + ["TASK"] * 31
    assert {f"carol's {number}" for number in range(30)} <= {item.get("title") for item in exported["items"]}
    assert "bob's" not in json.dumps(exported)


def test_an_erasure_leaves_no_item_and_no_account_of_this_person_alone(server: LocalServer, carol: str) -> None:
    token, bob = server.token(carol), server.token("bob")
    server("POST", "/tasks", bob, {"title": "kept"})
    done = run(server, "erase", carol, typed=f"{carol}\n")
    assert f"Deleted the account {carol} and 32 items.\nWhat stays" in done.stdout
    assert titles(server, token) == []
    assert "kept" in titles(server, bob)
    assert "0 accounts of stage dev" in run(server, "export", carol, status=1).stderr
    # A token that was issued before makes another task, which the sub finds.
    server("POST", "/tasks", token, {"title": "late"})
    sub = jwt.decode(token, options={"verify_signature": False})["sub"]
    assert "and 1 items." in run(server, "erase", sub, "--yes").stdout
    assert titles(server, token) == []


def test_another_address_at_the_prompt_deletes_nothing(server: LocalServer, carol: str) -> None:
    done = run(server, "erase", carol, typed="yes\n", status=1)
    assert "The e-mail addresses differ. Nothing was deleted." in done.stderr
    assert len(titles(server, server.token(carol))) == 31


@pytest.mark.parametrize("email", ["nobody@example.com", 'x" or email = "alice@example.com', "@"])
def test_an_unknown_person_is_named(server: LocalServer, email: str) -> None:
    assert run(server, "export", email, status=1).stderr.startswith("0 accounts of stage dev have the e-mail address")


def test_a_failure_of_aws_is_said_without_a_traceback(server: LocalServer) -> None:
    done = run(server, "export", "carol@example.com", status=1, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    assert done.stderr.startswith("AWS did not answer as expected: ")
