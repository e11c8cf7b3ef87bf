"""Runs the commands and the Python client in README."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

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
    session.remove("$ make run")
    script = "".join(f"echo {shlex.quote(line)}\n{line[2:]}\necho\n" for line in session if line.startswith("$ "))
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=ROOT, env=server.environment, capture_output=True, check=True, text=True
    )
    assert normalize("\n".join(filter(None, done.stdout.splitlines()))) == normalize("\n".join(session))


def test_the_client_in_readme_sends_sms_messages_with_one_token(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the code of README
    settings = server.settings()
    cognito = server.client("cognito-idp")
    pool = settings["USER_POOL_ARN"].rpartition("/")[2]
    client_id = settings["MACHINE_CLIENT_IDS"]
    secret = cognito.describe_user_pool_client(UserPoolId=pool, ClientId=client_id)["UserPoolClient"]["ClientSecret"]
    texts = names["SmsClient"](server.url, f"{settings['AWS_ENDPOINT_URL']}/oauth2/token", client_id, secret)
    first = texts.send("+442079460000", "One", "one")
    assert first["status"] == "sent"
    monkeypatch.setattr(texts, "_token_url", "http://127.0.0.1:9")  # the token endpoint is not called again
    assert texts.send("+442079460000", "One", "one") == first
    assert texts.send("+442079460000", "Two", "two")["message_id"] != first["message_id"]
    assert server.tools("inbox").stdout.splitlines().count("+442079460000  One") == 1
