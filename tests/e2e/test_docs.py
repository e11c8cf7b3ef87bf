"""Runs the commands and the Python code in the documents."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
from taskapi import TaskApi

from tests.conftest import ROOT
from tests.support.local_server import LocalServer, run_server

README = (ROOT / "README.md").read_text()
CHANGING = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "<id>",
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z": "<time>",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Return a server without tasks."""
    with run_server(tmp_path_factory.mktemp("readme") / "home") as server:
        yield server


def normalize(text: str) -> str:
    """Replace ids and times, which differ in each run."""
    for pattern, name in CHANGING.items():
        text = re.sub(pattern, name, text)
    return text


def test_the_commands_in_readme_print_the_output_in_readme(server: LocalServer) -> None:
    here = README.replace("http://127.0.0.1:8000", server.url).replace(".venv/bin/python", shlex.quote(sys.executable))
    session = [line for block in re.findall(r"```console\n(.*?)```", here, re.DOTALL) for line in block.splitlines()]
    session = [line for line in session if not line.startswith("$ make run")]  # this server runs already
    script = "".join(f"echo {shlex.quote(line)}\n{line[2:]}\necho\n" for line in session if line.startswith("$ "))
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=ROOT, env=server.environment, capture_output=True, check=True, text=True
    )
    assert normalize("\n".join(filter(None, done.stdout.splitlines()))) == normalize("\n".join(session))


@pytest.fixture(scope="module")
def names(server: LocalServer) -> dict[str, str]:
    """Return the values that the examples in Python leave open."""
    settings = server.settings()
    pool, client_id = settings["USER_POOL_ARN"].rpartition("/")[2], settings["MACHINE_CLIENT_IDS"]
    described = server.client("cognito-idp").describe_user_pool_client(UserPoolId=pool, ClientId=client_id)
    return {
        "url": server.url,
        "token_url": f"{settings['AWS_ENDPOINT_URL']}/oauth2/token",
        "client_id": client_id,
        "client_secret": described["UserPoolClient"]["ClientSecret"],
        "id_token": server.token("bob"),
    }


def run_examples(text: str, names: dict[str, str]) -> None:
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, dict(names))  # noqa: S102 - ours


def test_the_client_in_readme_sends_an_sms_message_once(
    server: LocalServer, names: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_examples(README, names)
    run_examples(README, names)
    assert capsys.readouterr().out == "sent\nsent\n"
    assert server.tools("inbox").stdout.splitlines().count("+12025550100  Your order is on its way") == 1


def test_the_examples_of_the_python_client_work(
    server: LocalServer, names: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with TaskApi(names["url"], token=names["id_token"]) as api:
        api.tasks.create(title="Buy bread", status="in_progress")
        run_examples((ROOT / "clients" / "python" / "README.md").read_text(), names)
        assert [(task.title, task.status, task.version) for task in api.tasks.list()] == [("Buy bread", "done", 2)]
    assert capsys.readouterr().out == ""
    assert server.tools("inbox").stdout.splitlines().count("+12025550100  Your order is on its way") == 1
