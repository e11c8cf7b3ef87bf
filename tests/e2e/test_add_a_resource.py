"""docs/add-a-resource.md, followed word by word in a copy of the checkout."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.test_package import run as run_linter
from tests.support.local_server import copy_checkout

PAGE = (ROOT / "docs" / "add-a-resource.md").read_text()
MODULE, CODE = re.findall(r"^\*\*(\S+\.py)\*\*:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
PATCHES = re.findall(r"^```diff\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a Python module in a copy with the resource."""
    copy = copy_checkout(tmp_path_factory.mktemp("resource") / "copy")

    def run(*command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run([sys.executable, "-m", *command], cwd=copy, check=False, capture_output=True, text=True)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    (copy / MODULE).write_text(CODE)
    subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
    for patch in PATCHES:
        subprocess.run(["git", "apply", "-"], cwd=copy, input=patch, check=True, text=True)
    subprocess.run(["git", "add", "-A"], cwd=copy, check=True)
    assert run("tools", "generate").stderr == ""
    return run


def test_the_page_has_few_lines_to_write_in_few_files() -> None:
    added = [line for patch in PATCHES for line in patch.splitlines() if re.match(r"\+(?!\+\+)\s*\S", line)]
    lines = len(added) + sum(bool(line.strip()) for line in CODE.splitlines())
    files = {MODULE, *re.findall(r"^\+\+\+ b/(\S+)$", "".join(PATCHES), re.MULTILINE)} - {"app.py"}
    assert lines <= 150
    assert f"{lines} lines in all" in PAGE
    assert len(files) <= 5


def test_the_new_code_keeps_the_rules_of_the_linters(run: Run) -> None:
    run("ruff", "check")
    run("ruff", "format", "--check")
    run("mypy")


def test_the_new_routes_pass_the_tests_that_read_the_document(run: Run) -> None:
    done = run(
        "pytest", "-q", "tests/api/test_conventions.py", "tests/api/test_isolation.py", "tests/api/test_openapi.py",
        "tests/unit/test_architecture.py", "tests/unit/test_policies.py", "tests/unit/test_documents.py",
    )  # fmt: skip
    assert " passed" in done.stdout
    listed = run("pytest", "-q", "--collect-only", "tests/api/test_conventions.py", "tests/api/test_isolation.py").stdout
    assert len(re.findall("/projects", listed)) > 50


def test_generate_says_in_a_sentence_what_a_new_route_lacks(tmp_path: Path) -> None:
    copy = copy_checkout(tmp_path / "copy")
    (copy / MODULE).write_text(CODE)
    (routes,) = [patch for patch in PATCHES if "+++ b/app.py" in patch]
    subprocess.run(["git", "apply", "-"], cwd=copy, input=routes, check=True, text=True)
    done = subprocess.run([sys.executable, "-m", "tools", "generate"], cwd=copy, check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == (
        "POST /projects is not described: add 'create_project' to OPERATIONS in tools/generate/operations.py."
    )
    assert "POST /projects has no example: add NewProject to EXAMPLES in tools/generate/operations.py." in done.stderr
    assert "Traceback" not in done.stderr


def test_background_functions_are_packaged_with_policy_settings_and_stream(tmp_path: Path) -> None:
    copy = copy_checkout(tmp_path / "copy")
    functions = [
        code
        for code in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if "def report" in code or "def index" in code
    ]
    assert len(functions) == 2

    def change(name: str, old: str, new: str) -> None:
        text = (copy / name).read_text()
        assert old in text
        (copy / name).write_text(text.replace(old, new))

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-m", *command], cwd=copy, check=False, capture_output=True, text=True)

    change("app.py", "import AuthRequest", "import AuthRequest, CloudWatchEvent, DynamoDBEvent")
    (copy / "app.py").write_text((copy / "app.py").read_text() + "\n\n" + "\n\n".join(functions))
    lacks = run("tools", "generate").stderr.splitlines()
    assert len(lacks) == 2 * (1 + 3 + 1), lacks  # a policy, its name in three stages, a log group
    change(
        "tools/generate/policies.py",
        '"user_authorizer": ()}',
        '"user_authorizer": (), "report": ("dynamodb",), "index_change": ()}',
    )
    config = json.loads((copy / ".chalice" / "config.json").read_text())
    template = json.loads((copy / ".chalice" / "resources.json").read_text())
    for name in ("report", "index_change"):
        for stage in ("dev", "staging", "prod"):
            config["stages"][stage]["lambda_functions"][name] = {"iam_policy_file": f"policy-{stage}-{name}.json"}
        log = template["Resources"]["ApiLog"]
        group = log["Properties"] | {"LogGroupName": {"Fn::Sub": f"/aws/lambda/task-api-${{Stage}}-{name}"}}
        template["Resources"][f"Log{name.title().replace('_', '')}"] = log | {"Properties": group}
    template["Resources"]["Table"]["Properties"]["StreamSpecification"] = {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    (copy / ".chalice" / "config.json").write_text(json.dumps(config))
    (copy / ".chalice" / "resources.json").write_text(json.dumps(template))
    assert run("tools", "generate").stderr == ""
    done = run("tools", "package", "prod")
    assert done.returncode == 0, done.stderr
    packaged = copy / "dist" / "prod" / "template.json"
    resources = json.loads(packaged.read_text())["Resources"]
    for name in ("Report", "IndexChange"):
        variables = resources[name]["Properties"]["Environment"]["Variables"]
        assert variables["TABLE_NAME"] == {"Ref": "Table"}
        assert variables["WEB_ORIGIN"] == {"Ref": "WebOrigin"}
    (event,) = resources["Report"]["Properties"]["Events"].values()
    assert event["Properties"]["Schedule"] == "rate(1 day)"
    (event,) = resources["IndexChange"]["Properties"]["Events"].values()
    assert event["Properties"]["Stream"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    actions = {
        name: {
            action
            for statement in resources[f"{name}Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            for action in statement["Action"]
            if not action.startswith(("logs:", "xray:"))
        }
        for name in ("Report", "IndexChange")
    }
    assert {"dynamodb:Query", "dynamodb:UpdateItem"} <= actions["Report"]
    assert not any(action.startswith("sns:") for action in actions["Report"])
    assert actions["IndexChange"] == {
        f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
    }
    manifest = (copy / "dist" / "prod" / "MANIFEST.md").read_text()
    assert "**report**" in manifest
    linted = run_linter("cfn-lint", "-t", packaged)
    assert (linted.returncode, linted.stdout) == (0, "")
