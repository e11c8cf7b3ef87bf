"""Clients that are generated from the OpenAPI document with the defaults of their generators, and Postman, work with `make run`."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.conftest import ROOT
from tests.support import npm
from tests.support.local_server import LocalServer, run_server
from tools.generate import openapi

GENERATED = npm.FOLDER / "generated"
PYTHON = ROOT / ".venv" / "lint" / "bin" / "python"
OUTPUT = """\
created Task 0 pending null
again true true
listed Task 4,Task 3,Task 2,Task 1,Task 0 3
changed done 2
stale 412 "2"
refused /title
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with run_server(tmp_path_factory.mktemp("clients") / "home") as server:
        yield server


@pytest.fixture(scope="module")
def javascript() -> Path:
    """Generate both clients in TypeScript, check the types of their programs, and return the folder of the programs."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    document = str(openapi.DOCUMENT)
    for command in (
        ("openapi-typescript", document, "-o", str(GENERATED / "openapi-fetch.d.ts")),
        ("openapi-ts", "-i", document, "-o", str(GENERATED / "hey-api"), "-c", "@hey-api/client-fetch"),
        ("tsc", "--project", "tsconfig.clients.json"),
    ):
        done = npm.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    return GENERATED / "js" / "clients"


def run(server: LocalServer, person: str, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program as a new user, who has no tasks."""
    assert server.tools("signup", person).returncode == 0
    variables = os.environ | environment | {"API": server.url, "TOKEN": server.token(person)}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", ["openapi_fetch", "hey_api"])
def test_a_client_in_typescript(server: LocalServer, javascript: Path, program: str) -> None:
    done = run(server, f"{program}@example.org", "node", str(javascript / f"{program}.js"))
    assert done.stdout == OUTPUT, done.stderr
    assert done.stderr == ""


def test_a_client_of_openapi_python_client(server: LocalServer, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("post_hooks: []\n")  # it would format its code
    generate = ["-m", "openapi_python_client", "generate", "--fail-on-warning", "--config", str(config)]
    arguments = [*generate, "--path", str(openapi.DOCUMENT), "--output-path", str(tmp_path / "client")]
    done = subprocess.run([PYTHON, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    program = Path(__file__).parent.parent / "support" / "generated_client.py"
    done = run(server, "python@example.org", str(PYTHON), str(program), PYTHONPATH=str(tmp_path / "client"))
    assert done.stdout == OUTPUT, done.stderr
    assert done.stderr == ""


class Postman:
    """The requests of an import, by method and path; call it to send one as the import has made it."""

    def __init__(self, server: LocalServer, folder: Path, *, optional: bool) -> None:
        self.server, self.token = server, server.token("alice")
        document = folder / "openapi.json"
        document.write_bytes(server("GET", "/openapi.json").body)
        options = {"parametersResolution": "Example", "enableOptionalParameters": optional}
        npm.install()
        command = ["node", str(npm.FOLDER / "postman.js"), str(document), json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        collection = json.loads(done.stdout)
        self.base_url = {variable["key"]: variable["value"] for variable in collection["variable"]}["baseUrl"]
        requests = list(self._requests(collection))
        self.requests = {f"{request['method']} /{'/'.join(request['url']['path'])}": request for request in requests}

    def _requests(self, item: Any) -> Iterator[Any]:
        for inner in item.get("item", []):
            yield from self._requests(inner)
        if "request" in item:
            yield item["request"]

    def __call__(self, name: str, *, without: str = "") -> int:
        request = self.requests[name]
        query = [
            (one["key"], one["value"]) for one in request["url"]["query"] if not one["disabled"] and one["key"] != without
        ]
        headers = {one["key"]: one["value"] for one in request["header"] if not one.get("disabled")}
        path = f"/{'/'.join(request['url']['path'])}" + (f"?{urlencode(query)}" if query else "")
        raw = request.get("body", {}).get("raw")
        return self.server(request["method"], path, self.token, raw and raw.encode(), **headers).status


def test_the_requests_of_a_postman_import_work_as_they_stand(server: LocalServer, tmp_path: Path) -> None:
    postman = Postman(server, tmp_path, optional=False)
    assert postman.base_url == server.url
    assert [postman("GET /tasks"), postman("POST /tasks"), postman("GET /hello")] == [200, 201, 200]


def test_every_optional_parameter_of_a_postman_import_is_valid_but_the_cursor(server: LocalServer, tmp_path: Path) -> None:
    postman = Postman(server, tmp_path, optional=True)
    query = {one["key"]: one["value"] for one in postman.requests["GET /tasks"]["url"]["query"]}
    day = "2030-01-31T09:00:00Z"
    assert query | {"cursor": ""} == {"status": "done", "due_after": day, "due_before": day, "limit": "25", "cursor": ""}
    assert postman("GET /tasks", without="cursor") == 200
    assert postman("GET /tasks") == 400  # a cursor is good for one user and list, so no example can be
    assert postman("POST /tasks") == 201
