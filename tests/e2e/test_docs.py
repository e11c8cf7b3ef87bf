"""The commands and the client of README, as a reader would run them."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.local_server import Stand, running

README = (ROOT / "README.md").read_text()
CHANGING = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "<id>",
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z": "<time>",
}


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Serve the commands of README, with nobody's tasks in it."""
    with running(tmp_path_factory.mktemp("readme") / "home") as stand:
        yield stand


def lasting(text: str) -> str:
    """Return a text without what differs from run to run."""
    for pattern, name in CHANGING.items():
        text = re.sub(pattern, name, text)
    return text


def test_the_commands_of_readme_give_the_answers_of_readme(stand: Stand) -> None:
    here = README.replace("http://127.0.0.1:8000", stand.url).replace(".venv/bin/python", sys.executable)
    session = [line for block in re.findall(r"```console\n(.*?)```", here, re.DOTALL) for line in block.splitlines()]
    session.remove("$ make run")
    script = "".join(f"echo {shlex.quote(line)}\n{line[2:]}\necho\n" for line in session if line.startswith("$ "))
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=ROOT, env=stand.environment, capture_output=True, check=True, text=True
    )
    assert lasting("\n".join(filter(None, done.stdout.splitlines()))) == lasting("\n".join(session))


def test_the_client_of_readme_sends_texts_with_one_token(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - as a reader would paste it
    settings = stand.settings()
    local = stand.client("cognito-idp")
    pool = settings["USER_POOL_ARN"].rpartition("/")[2]
    client_id = settings["MACHINE_CLIENT_IDS"]
    secret = local.describe_user_pool_client(UserPoolId=pool, ClientId=client_id)["UserPoolClient"]["ClientSecret"]
    texts = names["SmsClient"](stand.url, f"{settings['AWS_ENDPOINT_URL']}/oauth2/token", client_id, secret)
    first = texts.send("+442079460000", "One", "one")
    assert first["status"] == "sent"
    monkeypatch.setattr(texts, "_token_url", "http://127.0.0.1:9")  # it is not asked again
    assert texts.send("+442079460000", "One", "one") == first
    assert texts.send("+442079460000", "Two", "two")["message_id"] != first["message_id"]
    assert stand.local("inbox").stdout.splitlines().count("+442079460000  One") == 1
