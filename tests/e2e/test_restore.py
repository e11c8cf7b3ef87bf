"""A rehearsal of `python -m tools restore`: a backup, losses, the comparison and the recovery, seen through the API.

The emulator restores a table as it is at that moment, so the first comparison is made before anything is lost.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support.local_server import LocalServer, clean_environment, run_server

TIME = "2026-11-27T08:00:00Z"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with run_server(tmp_path_factory.mktemp("restore") / "home") as server:
        yield server


@pytest.fixture
def carol(server: LocalServer) -> str:
    """Return the e-mail address of a new user."""
    email = f"carol{time.time_ns()}@example.org"
    assert server.tools("signup", email).returncode == 0
    return email


def run(server: LocalServer, command: str, *options: str, status: int = 0) -> str:
    """Run a command as the operator of a stage of Terraform does, and return what it prints."""
    settings = server.settings()
    place = ["--stage", "dev", "--table", settings["TABLE_NAME"], "--pool-arn", settings["USER_POOL_ARN"]]
    done = subprocess.run(
        [sys.executable, "-m", "tools", command, *options, *place], cwd=server.checkout,
        env=clean_environment(**settings), capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def titles(server: LocalServer, token: str, query: str = "") -> list[str]:
    return [task["title"] for task in server("GET", f"/tasks?limit=100{query}", token).json["tasks"]]


def test_what_was_lost_comes_back_and_what_was_made_since_stays(server: LocalServer, carol: str) -> None:
    token, bob = server.token(carol), server.token("bob")
    deleted, changed = (server("POST", "/tasks", token, {"title": title}).json for title in ("Deleted", "Changed"))
    foreign = server("POST", "/tasks", bob, {"title": "bob's"}, Idempotency_Key="k").json
    assert "2 are the same in both" in run(server, "restore", "--time", TIME, "--user", carol)
    erased = f"erased{time.time_ns()}@example.org"
    server.tools("signup", erased)
    server("POST", "/tasks", server.token(erased), {"title": "erased"})
    again = "2026-11-27T08:00:01Z"  # with the tasks of the second user
    run(server, "restore", "--time", again)

    for task, owner in ((deleted, token), (foreign, bob)):
        assert server("DELETE", f"/tasks/{task['task_id']}", owner).status == 204
    path = f"/tasks/{changed['task_id']}"
    assert server("PATCH", path, token, {"title": "Spoiled", "status": "done"}).status == 200
    server("POST", "/tasks", token, {"title": "Since"})
    run(server, "erase", erased, "--yes")

    compared = run(server, "restore", "--time", again, "--user", carol)
    assert re.findall(r"(\d+) (are only in|differ)", compared) == [
        ("1", "are only in"),
        ("1", "differ"),
        ("1", "are only in"),
    ]
    assert (
        "Nothing was changed in task-api-local. To bring back what is missing:\n  .venv/bin/python -m tools restore "
        in compared
    )
    assert sorted(titles(server, token)) == ["Since", "Spoiled"]
    run(server, "restore", "--time", again, "--task", deleted["task_id"], "--apply")
    assert sorted(titles(server, token)) == ["Deleted", "Since", "Spoiled"]
    assert "bob's" not in titles(server, bob)
    done = run(server, "restore", "--time", again, "--apply", "--changed")
    assert "1 belong to accounts that are gone" in done

    assert sorted(titles(server, token)) == ["Changed", "Deleted", "Since"]
    assert sorted(titles(server, token, "&status=pending")) == ["Changed", "Deleted", "Since"]
    assert "bob's" in titles(server, bob)
    found = server("GET", path, token)
    assert (found.etag, found.json["status"]) == ('"3"', "pending")
    assert server("PATCH", path, token, {"title": "T"}, If_Match='"2"').status == 412
    listed = server("GET", "/admin/tasks?status=pending&limit=100", server.token("admin")).json["tasks"]
    assert {deleted["task_id"], changed["task_id"], foreign["task_id"]} <= {task["task_id"] for task in listed}
    repeated = run(server, "restore", "--time", again, "--apply", "--changed")
    assert not re.search(r"were only|differed", repeated)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--time", "yesterday"], "yesterday is not a time. Give it as in 2026-11-27T08:00:00Z."),
        (["--from", "nowhere"], "There is no table nowhere in this account and Region."),
        (["--time", TIME, "--user", "nobody@example.com"], "No account of the user pool"),
    ],
)
def test_what_cannot_be_found_is_named(server: LocalServer, options: list[str], message: str) -> None:
    assert message in run(server, "restore", *options, status=1)
