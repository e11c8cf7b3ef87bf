"""What the functions may do: what stands in the files is what the code calls, and what these tests have seen it call."""

import json
from collections import defaultdict
from fnmatch import fnmatchcase
from typing import Any

import pytest

from local import policies
from tests.conftest import ROOT, TABLE
from tests.support import recorder

STAGES = ("dev", "staging", "prod")
FILES = policies.files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_policy_file_is_stale(path: Any) -> None:
    assert FILES[path] == path.read_text(), "`make generate` writes it anew"


def test_every_function_of_every_stage_has_its_file() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    assert config["autogen_policy"] is False
    named = set()
    for name in STAGES:
        stage = config["stages"][name]
        named |= {stage["iam_policy_file"], stage["lambda_functions"]["any_user"]["iam_policy_file"]}
    assert named == {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_star_stands_for_a_table_or_an_action(path: Any) -> None:
    for statement in json.loads(path.read_text())["Statement"]:
        assert not any("*" in action for action in statement["Action"])
        if statement.get("Resource") == "*":  # X-Ray knows no resources (Service Authorization Reference)
            assert all(action.startswith("xray:") for action in statement["Action"])


def allowed(function: str) -> dict[str, set[str]]:
    """Return action: resources, without what Lambda itself does for a function."""
    found: dict[str, set[str]] = defaultdict(set)
    for statement in policies.policy("prod", function)["Statement"]:
        resource = statement.get("Resource") or f"not {statement['NotResource']}"
        for action in statement["Action"]:
            if not action.startswith(("logs:", "xray:")):
                found[action] |= set(resource if isinstance(resource, list) else [resource])
    return found


def used() -> dict[str, set[str]]:
    """Return action: resources, as the app has asked for them while these tests ran, with prod's name for the table."""
    found: dict[str, set[str]] = defaultdict(set)
    for action, resource in recorder.SEEN:
        found[action].add(resource.replace(TABLE, "task-api-prod"))
    return found


@pytest.mark.whole
def test_what_the_app_has_called_is_what_it_may_call() -> None:
    assert used() == allowed("")


@pytest.mark.whole
def test_the_authorizer_calls_nothing() -> None:
    assert allowed("any_user") == {}


def test_topics_are_shut() -> None:
    (shut,) = [one for one in policies.policy("prod", "")["Statement"] if "NotResource" in one]
    assert fnmatchcase("arn:aws:sns:eu-central-1:123456789012:news", shut["NotResource"])
    assert not fnmatchcase("+12025550100", shut["NotResource"])
