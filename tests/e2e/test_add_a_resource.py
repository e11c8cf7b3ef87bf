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
from tests.support.emulator import run_emulator
from tests.support.local_server import copy_checkout
from tests.support.terraform import Module, plugin_folder

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
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 5 + 4 + 1), done.stderr  # routes, examples, a tag
    for sentence in (
        "POST /projects is not described: add 'create_project' to OPERATIONS in tools/generate/operations.py.",
        "The type NewProject has no example: add it to EXAMPLES in tools/generate/operations.py.",
        "The tag projects has no description: add 'projects' to TAGS in tools/generate/operations.py",
    ):
        assert sentence in done.stderr


@pytest.fixture(scope="module")
def background(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy with the two background functions of the page, and one that sends SMS messages by a helper."""
    copy = copy_checkout(tmp_path_factory.mktemp("background") / "copy")
    code = re.findall(r"^```python\n(@app\.(?:schedule|on_dynamodb_record).*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(code) == 2

    def change(name: str, *pairs: tuple[str, str]) -> None:
        for old, new in pairs:
            text = (copy / name).read_text()
            assert text.count(old) == 1
            (copy / name).write_text(text.replace(old, new))

    (copy / "app.py").write_text("\n\n".join([(copy / "app.py").read_text(), *code, SENDER]))
    change("app.py", ("import AuthRequest", "import AuthRequest, CloudWatchEvent, DynamoDBEvent, SQSEvent"))
    done = tools(copy, "generate", status=1)
    assert done.stderr.startswith("index_change reads the stream of the table, which has none. Add ")
    table = '"BillingMode": "PAY_PER_REQUEST",'
    change(".chalice/resources.json", (table, f'{table} "StreamSpecification": {{"StreamViewType": "NEW_AND_OLD_IMAGES"}},'))
    hcl = '  range_key                   = "SK"\n'
    stream = '  stream_enabled              = true\n  stream_view_type            = "NEW_AND_OLD_IMAGES"\n'
    change(".chalice/terraform/table.tf", (hcl, hcl + stream))
    done = tools(copy, "package", "prod", status=1)
    assert done.stderr == "The policies are not those of the functions in app.py. Run: make generate\n"
    assert tools(copy, "generate").stderr == ""
    return copy


@pytest.fixture(scope="module")
def packaged(background: Path) -> Path:
    tools(background, "package", "prod")
    return background / "dist" / "prod"


SENDER = '''\
@app.on_sqs_message(queue="messages")
def send(event: SQSEvent) -> None:
    """Send the messages of a queue."""
    _send_all(event)


def _send_all(event: SQSEvent) -> None:
    for record in event:
        sms.send(record)
'''


def tools(copy: Path, *arguments: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools", *arguments]
    done = subprocess.run(command, cwd=copy, check=False, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_background_functions_have_the_settings_of_the_stack_and_their_events(packaged: Path) -> None:
    resources = json.loads((packaged / "template.json").read_text())["Resources"]
    for name in ("Report", "IndexChange", "Send"):
        assert resources[name]["Properties"]["Environment"] == resources["APIHandler"]["Properties"]["Environment"]
    events = {
        name: next(iter(resources[name]["Properties"]["Events"].values()))["Properties"]
        for name in ("Report", "IndexChange", "Send")
    }
    assert events["Report"]["Schedule"] == "rate(1 day)"
    assert events["IndexChange"]["Stream"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    assert "messages" in json.dumps(events["Send"]["Queue"])


def test_a_background_function_may_do_what_its_modules_do(packaged: Path) -> None:
    resources = json.loads((packaged / "template.json").read_text())["Resources"]

    def allowed(name: str) -> set[str]:
        (policy,) = resources[f"{name}Role"]["Properties"]["Policies"]
        actions = {action for statement in policy["PolicyDocument"]["Statement"] for action in statement["Action"]}
        logs = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
        assert logs <= actions
        return actions - logs

    stream = {f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")}
    queue = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
    everything = allowed("ApiHandler")
    assert allowed("UserAuthorizer") == set()
    assert allowed("Report") == everything - {"sns:Publish"}
    assert allowed("IndexChange") == stream
    assert allowed("Send") == everything | queue  # sms/ counts in the table
    assert "**report**" in (packaged / "MANIFEST.md").read_text()


def test_a_background_function_has_a_log_group_and_an_alarm(packaged: Path) -> None:
    resources = json.loads((packaged / "template.json").read_text())["Resources"]
    for name, function in (("Report", "report"), ("IndexChange", "index_change"), ("Send", "send")):
        assert resources[f"{name}Log"]["Properties"]["LogGroupName"] == {
            "Fn::Sub": f"/aws/lambda/task-api-${{Stage}}-{function}"
        }
        alarm = resources[f"{name}ErrorsAlarm"]["Properties"]
        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Fn::Sub": f"task-api-${{Stage}}-{function}"}}]
    assert not resources.keys() & {"UserAuthorizerLog", "UserAuthorizerErrorsAlarm"}  # it has AuthorizerLog


def test_cfn_lint_finds_nothing_in_the_template_with_background_functions(packaged: Path) -> None:
    linted = run_linter("cfn-lint", "-t", packaged / "template.json")
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_fast_tests_of_policies_and_templates_pass_with_background_functions(background: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "tests/unit/test_policies.py", "tests/unit/test_deployment.py"]
    done = subprocess.run(command, cwd=background, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_terraform_plans_background_functions(background: Path) -> None:
    plugin_folder()  # skips the test without Terraform
    tools(background, "package-terraform", "prod")
    with run_emulator(background.parent) as emulator:
        module = Module(background / "dist" / "prod-terraform", emulator)
        module.set_variables(alarm_topic_arn="arn:aws:sns:us-east-1:000000000000:alarms")
        module("fmt", "-check", "-diff", ".")
        module("plan", "-input=false", "-out=plan")
        planned = json.loads(module("show", "-json", "plan"))
    resources = planned["planned_values"]["root_module"]["resources"]
    logs = {one["values"]["name"] for one in resources if one["type"] == "aws_cloudwatch_log_group"}
    alarms = {one["values"]["alarm_name"] for one in resources if one["type"] == "aws_cloudwatch_metric_alarm"}
    configured = planned["configuration"]["root_module"]["resources"]
    sources = {
        one["name"]: one["expressions"]["event_source_arn"]
        for one in configured
        if one["type"] == "aws_lambda_event_source_mapping"
    }
    for function in ("report", "index_change", "send"):
        assert f"/aws/lambda/task-api-prod-{function}" in logs
        assert f"task-api-prod-{function}-errors" in alarms
    assert "aws_dynamodb_table.tasks.stream_arn" in sources["index_change-dynamodb-event-source"]["references"]
    assert "data.aws_caller_identity.chalice" in sources["send-sqs-event-source"]["references"]
