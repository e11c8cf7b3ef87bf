"""The operators' commands: AWS's model has each one in the documents, and those of docs/operate.md do on a deployed stage what it says."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.error import HTTPError

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from msgspec import structs
from pycognito.aws_srp import AWSSRP

from chalicelib.config import settings
from chalicelib.dynamodb import table
from tests.conftest import ROOT
from tests.support import aws_cli, deployments
from tests.support.emulator import Checkout, Deployed, run_emulator
from tests.support.people import Person, Response

PAGE = (ROOT / "docs" / "operate.md").read_text()
ADDED = {("cloudformation", "package"), ("cloudformation", "deploy"), ("s3", "sync"), ("sso", "login")}
"""Commands that the AWS CLI has beyond the operations of the model."""
EMAIL = "blocked@example.com"


def find_commands(text: str) -> list[list[str]]:
    """Return the words of each `aws` command in the code of a document."""
    fence = re.compile(r"^ *```.*?\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
    spans = [span.replace("\n", " ") for span in re.findall("`([^`]+)`", fence.sub("", text))]
    found = []
    for code in [block.replace("\\\n", " ") for block in fence.findall(text)] + spans:
        for start in re.finditer(r"(?<![\w./-])aws (?=[a-z])", code):
            # Only as far as the command: what follows it may end a quotation that began before it.
            lexer = shlex.shlex(code[start.end() :], posix=True, punctuation_chars="();|<>&\n")
            lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
            words: list[str] = []
            while (word := lexer.get_token()) and not set(word) <= set("();|<>&\n"):
                words.append(word)
            found.append(words)
    return found


@cache
def service_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@pytest.mark.parametrize(("document", "least"), [("operate.md", 20), ("deploy.md", 10)])
def test_each_command_names_an_operation_and_parameters_that_aws_has(document: str, least: int) -> None:
    commands = find_commands((ROOT / "docs" / document).read_text())
    assert len(commands) >= least
    for service, operation, *words in commands:
        if (service, operation) in ADDED:
            continue
        model: Any = aws_cli.operation_model(service_model(service), operation)
        if words and words != ["help"]:  # else the text only names the command
            parameters, _ = aws_cli.parse(model, words)
            report = ParamValidator().validate(parameters, model.input_shape).generate_report()
            # A name in capitals may be shorter than what it stands for.
            errors = [error for error in report.splitlines() if not error.startswith("Invalid length for parameter ")]
            assert errors == [], f"{document}: aws {service} {operation}"


def section(title: str) -> str:
    """Return the text of a procedure."""
    (text,) = re.findall(rf"^### {title}\n(.*?)\n##", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def scripts(text: str, **names: str) -> list[str]:
    """Return the blocks and the single commands in the text of a procedure, in their order, with names filled in."""
    code = re.findall(r"^ *```sh\n(.*?)^ *```$|`(aws [^`]+)`", text, re.MULTILINE | re.DOTALL)
    return [fill(block or span, **names) for block, span in code]


def fill(script: str, **names: str) -> str:
    values = {"STAGE": "dev", "you@example.com": EMAIL} | names
    return re.sub("|".join(rf"\b{re.escape(name)}\b" for name in values), lambda found: values[found[0]], script)


@pytest.fixture
def calls() -> Iterator[list[tuple[str, Any]]]:
    """Return the list to which each call of the app to DynamoDB is added: the operation and its parameters."""
    seen: list[tuple[str, Any]] = []

    def see(params: Any, model: Any, **_: object) -> None:
        seen.append((model.name, params))

    table.client.meta.events.register("provide-client-params.dynamodb", see)
    yield seen
    table.client.meta.events.unregister("provide-client-params.dynamodb", see)


def partition_keys(operation: str, params: Any) -> set[tuple[str, str]]:
    """Return the actions of a call with the partition keys that it names."""
    match operation:
        case "TransactWriteItems":
            writes = [(f"{kind}Item", write) for part in params["TransactItems"] for kind, write in part.items()]
            return {key for action, write in writes for key in partition_keys(action, write)}
        case "BatchGetItem":
            (read,) = params["RequestItems"].values()
            return {(operation, key["PK"]["S"]) for key in read["Keys"]}
        case "Query":
            return {(operation, params["ExpressionAttributeValues"][":partition"]["S"])}
    return {(operation, (params.get("Key") or params["Item"])["PK"]["S"])}


def read_block(sub: str) -> tuple[set[str], set[str]]:
    """Return the actions that the policy for a user denies, and the partition keys."""
    words = next(words for words in find_commands(section("Block a user")) if words[1] == "put-role-policy")
    (statement,) = json.loads(words[-1].replace("SUB", sub))["Statement"]
    (keys,) = statement["Condition"]["ForAnyValue:StringEquals"].values()
    return {action.removeprefix("dynamodb:") for action in statement["Action"]}, set(keys)


@pytest.mark.parametrize("quota", [0, 5])
def test_the_policy_against_a_user_names_the_first_call_of_each_of_their_requests_and_of_no_other(
    alice: Person, bob: Person, admin: Person, calls: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch, quota: int
) -> None:
    monkeypatch.setattr("chalicelib.tasks.service.settings", structs.replace(settings, tasks_per_user_and_minute=quota))
    actions, keys = read_block(alice.sub)
    denied: list[bool] = []

    def send(person: Person, method: str, path: str, body: Any = None, **headers: str) -> Response:
        calls.clear()
        response = person(method, path, body, **headers)
        assert response.status < 300
        denied[:] = [any(action in actions and key in keys for action, key in partition_keys(*call)) for call in calls]
        return response

    for person in (alice, bob):
        task = f"/tasks/{person.creates()['task_id']}"
        requests: list[tuple[str, str, Any]] = [
            ("POST", "/tasks", {"title": "T"}), ("GET", task, None), ("GET", "/tasks", None), ("GET", "/tasks?status=pending", None),
            ("PATCH", task, {"status": "done"}), ("PATCH", task, {}), ("DELETE", task, None),
        ]  # fmt: skip
        for request in requests:
            send(person, *request)
            assert denied
            assert denied[0] if person is alice else not any(denied), request
        send(person, "POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        assert denied == [person is alice]
    board = send(admin, "GET", "/admin/tasks?status=pending")
    assert alice.sub in {task["owner"] for task in board.json["tasks"]}
    assert "BatchGetItem" in {operation for operation, _ in calls}
    assert not any(denied)
    send(alice, "GET", "/hello")
    assert calls == []


class Stage:
    """A deployed stage with its operator's shell."""

    def __init__(self, checkout: Checkout, api: Deployed) -> None:
        self.checkout, self.api = checkout, api

    def run(self, script: str) -> str:
        """Run commands in a shell and return their output."""
        command = f"PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)} -m tests.support.aws_cli"
        done = subprocess.run(
            ["bash", "-e"], input=f'aws() {{ {command} "$@"; }}\n{script}', cwd=self.checkout.folder,
            env=self.checkout.emulator.environment, capture_output=True, check=False, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), script + done.stdout + done.stderr
        return done.stdout

    def client(self, service: str) -> Any:
        return self.api.emulator.client(service)

    def role(self) -> str:
        """Return the role of the function of the API, found as the procedure says."""
        find = scripts(section("Block a user"))[1].splitlines()[1]
        return self.run(find).strip().rpartition("/")[2]

    def sign_in(self, email: str) -> str:
        """Return the ID token of a user; raises ClientError."""
        cognito, password = self.client("cognito-idp"), "Correct-Horse-9"
        user = AWSSRP(email, password, self.api.pool, self.api.settings["WEB_CLIENT_ID"], client=cognito)
        return f"Bearer {user.authenticate_user()['AuthenticationResult']['IdToken']}"

    @contextmanager
    def denied(self, *statements: dict[str, Any]) -> Iterator[None]:
        """Add a policy with these statements to the role of the function."""
        names = {"RoleName": self.role(), "PolicyName": "without-condition"}
        self.client("iam").put_role_policy(
            **names, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements})
        )
        yield
        self.client("iam").delete_role_policy(**names)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("procedures")
    with run_emulator(folder) as emulator:
        yield Stage(*deployments.deploy(folder, emulator))


def test_a_blocked_user_cannot_sign_in_until_the_block_ends(stage: Stage) -> None:
    mine, others = (f"Bearer {stage.api.sign_up(email)['IdToken']}" for email in (EMAIL, "other@example.com"))
    sub = stage.api("GET", "/hello", mine).json["user"]
    procedure, role = section("Block a user"), stage.role()
    disable, deny, end, enable = scripts(procedure, POOL_ID=stage.api.pool, ROLE=role, SUB=sub)
    stage.run(disable)
    with pytest.raises(ClientError, match="disabled"):
        stage.sign_in(EMAIL)
    assert stage.run(deny).splitlines()[0] == sub
    # The emulator does not know this condition key, so that it stores the policy is all that it shows: docs/proof.md.
    policy = {"RoleName": role, "PolicyName": f"block-{sub}"}
    (statement,) = stage.client("iam").get_role_policy(**policy)["PolicyDocument"]["Statement"]
    assert statement["Condition"] == {"ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": [f"USER#{sub}"]}}
    assert stage.api("GET", "/hello", mine).status == 200
    assert stage.api("POST", "/tasks", others, {"title": "T"}).status == 201
    stage.checkout.tools("deploy")
    assert f"block-{sub}" in policies(stage)
    stage.run(f"{end}\n{enable}")
    assert f"block-{sub}" not in policies(stage)
    again = stage.sign_in(EMAIL)
    assert stage.api("GET", "/hello", again).json["user"] == sub
    assert stage.api("POST", "/tasks", again, {"title": "T"}).status == 201
    keys = {item["PK"]["S"] for item in stage.client("dynamodb").scan(TableName="task-api-dev")["Items"]}
    assert f"USER#{sub}" in keys


def policies(stage: Stage) -> list[str]:
    """Return the names of the policies of the function's role."""
    return list(stage.client("iam").list_role_policies(RoleName=stage.role())["PolicyNames"])


def test_what_the_policy_denies_is_503_and_the_list_of_all_tasks_needs_another_statement(stage: Stage) -> None:
    user = f"Bearer {stage.api.sign_up('carol@example.com')['IdToken']}"
    admin = f"Bearer {stage.api.sign_up('dora@example.com', 'admin')['IdToken']}"
    task = f"/tasks/{stage.api('POST', '/tasks', user, {'title': 'T'}).json['task_id']}"
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/tasks", {"title": "T"}), ("GET", task, None), ("GET", "/tasks", None), ("GET", "/tasks?status=pending", None),
        ("PATCH", task, {"status": "done"}), ("PATCH", task, {}), ("DELETE", task, None),
    ]  # fmt: skip
    words = next(words for words in find_commands(section("Block a user")) if words[1] == "put-role-policy")
    (statement,) = json.loads(words[-1])["Statement"]
    del statement["Condition"]  # which this emulator takes as never met
    with stage.denied(statement):
        assert {stage.api(method, path, user, body).problem for method, path, body in requests} == {(503, "unavailable")}
        assert stage.api("POST", "/tasks", user, {"title": "T"}, Idempotency_Key="k").status == 503
        assert stage.api("GET", "/hello", user).status == 200
    (close,) = re.findall('`({"Effect".*?})`', section("Block a user"))
    board = ("GET", "/admin/tasks?status=pending", admin)
    assert stage.api(*board).status == 200
    with stage.denied(json.loads(close)):
        assert stage.api(*board).status == 503
        assert stage.api("GET", "/tasks", user).status == 200
    assert stage.api(*board).status == 200


def test_all_requests_stop_and_go_on(stage: Stage) -> None:
    stop, go_on = scripts(section("Restore"))[:2]
    go_on_with_a_reserve = stop.replace(" 0", " 5")
    for command in (go_on, go_on_with_a_reserve):
        stage.run(stop)
        with pytest.raises(HTTPError, match="429"):  # the error of Lambda, which API Gateway makes a 5xx
            stage.api.emulator.get(f"{stage.api.base}/health")
        stage.run(command)
        assert stage.api("GET", "/health").status == 200
    function = {"FunctionName": "task-api-dev"}
    assert stage.client("lambda").get_function_concurrency(**function)["ReservedConcurrentExecutions"] == 5
    stage.run(stop)
    stage.checkout.tools("deploy")
    assert stage.api("GET", "/health").status == 200


def test_a_table_from_a_backup_gets_what_a_restore_leaves_out(stage: Stage) -> None:
    dynamodb, table_name = stage.client("dynamodb"), {"TableName": "task-api-prod"}
    backup = dynamodb.create_backup(TableName=stage.api.settings["TABLE_NAME"], BackupName="last")
    *_, list_backups, restore, settle = scripts(section("Restore"), ARN=backup["BackupDetails"]["BackupArn"])
    stage.run(f"{list_backups}\n{restore}")

    def read() -> tuple[Any, ...]:
        recovery = dynamodb.describe_continuous_backups(**table_name)["ContinuousBackupsDescription"]
        return (
            dynamodb.describe_time_to_live(**table_name)["TimeToLiveDescription"].get("AttributeName"),
            recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
            dynamodb.describe_table(**table_name)["Table"]["DeletionProtectionEnabled"],
        )

    assert read() == (None, "DISABLED", False)
    stage.run(settle)
    assert read() == ("expires_at", "ENABLED", True)


def test_sms_messages_stop_and_keys_and_limits_come_back(stage: Stage) -> None:
    machine, message = f"Bearer {stage.api.machine_token()}", {"to": "+12025550100", "message": "Hello"}
    stop, _, go_on = scripts(section("Stop all SMS messages"), ROLE=stage.role())
    sent = stage.api.count_sms_messages()
    stage.run(stop)
    for _ in range(4):  # a number gets three messages an hour
        assert stage.api("POST", "/sms", machine, message, Idempotency_Key="order-1").problem == (503, "unavailable")
    stage.run(go_on)
    responses = [stage.api("POST", "/sms", machine, message, Idempotency_Key="order-1") for _ in range(2)]
    assert [response.status for response in responses] == [202, 202]
    assert [response.headers["Idempotency-Replayed"] for response in responses] == [None, "true"]
    assert stage.api.count_sms_messages() == sent + 1
