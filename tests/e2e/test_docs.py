"""What the documents say is so."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import app
from chalicelib import RELEASE
from chalicelib.problems import Problem
from tests.conftest import ROOT
from tests.support.stand import Stand, running

README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
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
    texts = names["Texts"](stand.url, f"{settings['AWS_ENDPOINT_URL']}/oauth2/token", client_id, secret)
    first = texts.send("+442079460000", "One", "one")
    assert first["status"] == "sent"
    monkeypatch.setattr(texts, "_token_url", "http://127.0.0.1:9")  # it is not asked again
    assert texts.send("+442079460000", "One", "one") == first
    assert texts.send("+442079460000", "Two", "two")["message_id"] != first["message_id"]
    assert stand.local("inbox").stdout.splitlines().count("+442079460000  One") == 1


def test_the_routes_of_readme_are_the_routes_of_the_app() -> None:
    told = {
        (method, path): what
        for method, path, what in re.findall(r"^\| `([A-Z]+) (\S+)` \| [^|]+ \| (.+) \|$", README, re.MULTILINE)
    }
    routes = {
        (method, path): entry.view_function.__doc__
        for path, entries in app.routes.items()
        for method, entry in entries.items()
    }
    assert told == routes


def test_the_tree_of_problems_is_the_tree_of_classes() -> None:
    drawn = re.findall(r"^[├└]── (\w+) +(\S+) +([0-9]+)$", sys.modules[Problem.__module__].__doc__ or "", re.MULTILINE)
    assert drawn == [(problem.__name__, problem.slug, str(problem.status)) for problem in Problem.__subclasses__()]


def test_the_release_is_one() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == RELEASE
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == RELEASE  # type: ignore[index]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(document: Path) -> None:
    named = re.findall(r"`((?:[\w.]+/)*[\w.-]+\.(?:py|json|md|toml|txt))`", document.read_text())
    for name in named:
        assert list(ROOT.glob(name)) or list(ROOT.glob(f"*/{name}")), name
