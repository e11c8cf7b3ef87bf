"""Export and erasure of one person's data, against the table and the pool of `make run`."""

import json
import re
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
    """Run a command as the operator of a stage of Terraform does."""
    settings = server.settings()
    place = ["--stage", "dev", "--table", settings["TABLE_NAME"], "--pool-arn", settings["USER_POOL_ARN"]]
    done = subprocess.run(
        [sys.executable, "-m", "tools", *command, *place], cwd=server.checkout, input=typed,
        env=clean_environment(**settings | environment), capture_output=True, check=False, text=True,
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
    assert exported["account"]["groups"] == []
    assert json.loads(run(server, "export", "admin@example.com").stdout)["account"]["groups"] == ["admin"]
    assert sorted(item["SK"].partition("#")[0] for item in exported["items"]) == ["IDEMPOTENCY"] + ["TASK"] * 31
    assert {f"carol's {number}" for number in range(30)} <= {item.get("title") for item in exported["items"]}
    assert "bob's" not in json.dumps(exported)


def test_an_erasure_leaves_no_item_and_no_account_of_this_person_alone(server: LocalServer, carol: str) -> None:
    token, bob = server.token(carol), server.token("bob")
    server("POST", "/tasks", bob, {"title": "kept"})
    done = run(server, "erase", carol, typed=f"{carol}\n")
    (sub,) = re.findall(rf"^Deleted the account and 32 items of {carol} \((\S+)\)\.$", done.stdout, re.MULTILINE)
    assert titles(server, token) == []
    assert "kept" in titles(server, bob)
    assert run(server, "export", carol, status=1).stderr.startswith("No account of the user pool")
    # A token that was issued before makes another task, which the printed sub finds.
    server("POST", "/tasks", token, {"title": "late"})
    assert f"with {sub} in place of" in done.stdout
    assert f"Deleted 1 items of {sub}" in run(server, "erase", sub, "--yes").stdout
    assert titles(server, token) == []
    assert run(server, "erase", sub, "--yes", status=1).stderr.startswith(f"Nothing is stored of {sub}")


def test_an_erasure_that_was_interrupted_can_be_run_again(server: LocalServer, carol: str) -> None:
    token = server.token(carol)
    broken = {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    done = run(server, "erase", carol, "--yes", status=1, **broken)
    assert done.stderr.startswith("AWS did not answer as expected: ")
    assert done.stderr.endswith("Run the same command again.\n")
    assert len(titles(server, token)) == 31
    assert "Deleted the account and 32 items" in run(server, "erase", carol, "--yes").stdout


@pytest.mark.parametrize("typed", ["yes\n", ""])
def test_another_name_at_the_prompt_deletes_nothing(server: LocalServer, carol: str, typed: str) -> None:
    done = run(server, "erase", carol, typed=typed, status=1)
    assert "Nothing was deleted." in done.stderr
    assert len(titles(server, server.token(carol))) == 31


@pytest.mark.parametrize("name", ["nobody@example.com", 'x" or email = "alice@example.com', "alice"])
def test_an_unknown_person_is_named(server: LocalServer, name: str) -> None:
    for command in ("export", "erase"):
        assert run(server, command, name, status=1).stderr.startswith("No account of the user pool ")


def test_the_caller_of_a_log_line_is_found_by_its_hash(server: LocalServer, carol: str) -> None:
    token = server.token(carol)
    server("GET", "/tasks", token)
    lines = [json.loads(line) for line in server.output.read_text().splitlines() if line.startswith('{"request_id"')]
    sub = jwt.decode(token, options={"verify_signature": False})["sub"]
    assert run(server, "caller", lines[-1]["caller"]).stdout == f"user {sub}  {carol}\n"
    machine = server.tools("machine-token").stdout.strip()
    server("POST", "/sms", machine, {})
    line = json.loads(server.output.read_text().splitlines()[-1])
    assert run(server, "caller", line["caller"]).stdout.startswith(f"machine {server.settings()['MACHINE_CLIENT_IDS']}  ")
    assert "is of another stage, or deleted" in run(server, "caller", "0" * 16, status=1).stderr


def test_half_of_a_place_is_refused(server: LocalServer) -> None:
    command = [sys.executable, "-m", "tools", "export", "a@example.com", "--stage", "dev", "--table", "t"]
    environment = clean_environment(**server.settings())
    done = subprocess.run(command, cwd=server.checkout, env=environment, capture_output=True, check=False, text=True)
    message = "Give --table and --pool-arn together, or neither for the stack of the stage.\n"
    assert (done.returncode, done.stderr) == (1, message)
