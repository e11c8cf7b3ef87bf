"""Chalice's own commands in a clean copy, by somebody whose environment has nothing of AWS in it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import aws as e2e
from tests.support import deployments
from tests.support.aws import Aws, Checkout
from tests.support.events import event
from tests.support.local_server import PATIENCE, Stand, clean_environment, copied, free_port, listening

CHALICE = str(Path(sys.executable).with_name("chalice"))
NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true"}  # else boto3 asks the network for credentials
SHELL = {
    "TABLE_NAME": "task-api-laptop",
    "USER_POOL_ARN": "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_laptop",
    "WEB_CLIENT_ID": "laptop",
    "MACHINE_CLIENT_IDS": "laptop",
    "WEB_ORIGIN": "http://laptop",
    "AWS_DEFAULT_REGION": "cn-north-1",
}
"""What a shell may hold after `eval "$(python -m tools env)"`."""


def chalice(folder: Path, *arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Chalice and return what came of it; whatever that is, nobody sees a traceback."""
    done = subprocess.run(
        [CHALICE, *arguments],
        cwd=folder, env=clean_environment(**NOWHERE, **environment), input=typed, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("chalice") / "checkout")


@pytest.fixture(scope="module")
def merged(checkout: Path) -> Path:
    """Package with the merge template, and return the folder."""
    done = chalice(checkout, "package", "--stage", "prod", "--merge-template", ".chalice/merge.json", "merged")
    assert done.returncode == 0, done.stderr
    return checkout / "merged"


@pytest.fixture(scope="module")
def bare(checkout: Path) -> Path:
    """Package without the merge template, and return the folder."""
    done = chalice(checkout, "package", "--stage", "prod", "bare")
    assert done.returncode == 0
    assert "To add them: --merge-template .chalice/merge.json" in done.stderr
    return checkout / "bare"


class TestPackage:
    def test_with_the_merge_template_it_writes_the_template_of_make_package(self, checkout: Path, merged: Path) -> None:
        command = [sys.executable, "-m", "tools", "package", "prod"]
        subprocess.run(command, cwd=checkout, env=clean_environment(), check=True, capture_output=True)
        assert (merged / "sam.json").read_bytes() == (checkout / "dist" / "prod" / "template.json").read_bytes()

    @pytest.mark.parametrize("arguments", [["--merge-template", ".chalice/merge.json"], []])
    def test_it_takes_no_setting_from_the_shell(
        self, checkout: Path, merged: Path, bare: Path, tmp_path: Path, arguments: list[str]
    ) -> None:
        assert chalice(checkout, "package", "--stage", "prod", *arguments, str(tmp_path), **SHELL).returncode == 0
        assert (tmp_path / "sam.json").read_bytes() == ((merged if arguments else bare) / "sam.json").read_bytes()

    def test_without_it_the_template_shows_what_is_missing(self, bare: Path) -> None:
        resources = json.loads((bare / "sam.json").read_text())["Resources"]
        for name in ("APIHandler", "UserAuthorizer"):
            variables = resources[name]["Properties"]["Environment"]["Variables"]
            empty = {"TABLE_NAME", "USER_POOL_ARN", "WEB_CLIENT_ID", "MACHINE_CLIENT_IDS"}
            assert empty <= {variable for variable, value in variables.items() if value == ""}
        assert "SetByTheMergeTemplate" in json.dumps(resources["RestAPI"])

    def test_a_function_that_starts_without_its_settings_says_so(self, bare: Path, tmp_path: Path) -> None:
        function = json.loads((bare / "sam.json").read_text())["Resources"]["APIHandler"]["Properties"]
        with zipfile.ZipFile(bare / "deployment.zip") as archive:
            archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith(("app.py", "chalicelib/"))])
        environment = clean_environment(AWS_LAMBDA_FUNCTION_NAME="task-api-prod", **function["Environment"]["Variables"])
        command = [sys.executable, "-c", "import app"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert "A setting of the stage is missing or wrong" in done.stderr.splitlines()[-1]
        assert "TABLE_NAME" in done.stderr.splitlines()[-1]

    def test_four_at_once_write_what_one_writes(self, checkout: Path, bare: Path, tmp_path: Path) -> None:
        command = [CHALICE, "package", "--stage", "prod"]
        outs = [str(tmp_path / name) for name in ("one", "two", "three", "four")]
        processes = [subprocess.Popen([*command, out], cwd=checkout, env=clean_environment(**NOWHERE)) for out in outs]
        assert [process.wait(PATIENCE) for process in processes] == [0] * 4
        for name in ("sam.json", "deployment.zip"):
            assert {(Path(out) / name).read_bytes() for out in outs} == {(bare / name).read_bytes()}

    def test_one_merge_template_serves_every_stage(self, checkout: Path, merged: Path, tmp_path: Path) -> None:
        done = chalice(checkout, "package", "--stage", "dev", "--merge-template", ".chalice/merge.json", str(tmp_path))
        assert done.returncode == 0, done.stderr
        for folder, stage, protected in ((tmp_path, "dev", "false"), (merged, "prod", "true")):
            parameters = json.loads((folder / "sam.json").read_text())["Parameters"]
            assert (parameters["Stage"]["Default"], parameters["Stage"]["AllowedValues"]) == (stage, [stage])
            assert parameters["DomainPrefix"]["Default"] == f"task-api-{stage}"
            assert parameters["DeletionProtection"]["Default"] == protected

    def test_terraform_is_written_too(self, checkout: Path) -> None:
        assert chalice(checkout, "package", "--pkg-format", "terraform", "--stage", "prod", "tf").returncode == 0
        assert sorted(path.name for path in (checkout / "tf").iterdir()) == ["chalice.tf.json", "deployment.zip"]


class TestOtherCommands:
    @pytest.mark.parametrize("environment", [{}, SHELL, {"AWS_PROFILE": "nosuch"}], ids=["clean", "laptop", "profile"])
    @pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
    def test_the_models_of_every_stage_are_generated(self, checkout: Path, stage: str, environment: dict[str, str]) -> None:
        done = chalice(checkout, "generate-models", "--stage", stage, **environment)
        assert done.returncode == 0
        assert json.loads(done.stdout)["paths"].keys() >= {"/tasks", "/sms"}

    @pytest.mark.parametrize("command", ["package out", "deploy", "generate-models", "dev plan", "dev appgraph"])
    def test_a_stage_that_is_none_is_named_in_one_line(self, checkout: Path, command: str) -> None:
        done = chalice(checkout, *command.split(), "--stage", "nosuch", AWS_DEFAULT_REGION="us-east-1")
        assert done.returncode == 1
        expected = "nosuch is not a stage on AWS. Use one of dev, staging, prod (.chalice/config.json).\n"
        assert done.stderr == expected

    def test_what_was_never_deployed_has_no_url(self, checkout: Path) -> None:
        assert chalice(checkout, "url", "--stage", "prod").returncode == 2
        assert chalice(checkout, "invoke", "--stage", "prod", "-n", "api_handler").returncode == 2


@pytest.fixture(scope="class")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Give an account with nothing in it, and a checkout that leads there."""
    folder = tmp_path_factory.mktemp("account")
    with e2e.running(folder) as aws:
        yield Checkout(folder, aws, "dev")


def held(aws: Aws) -> list[object]:
    """Return what an account holds of what Chalice deploys."""
    return [
        *aws.client("apigateway").get_rest_apis()["items"],
        *aws.client("lambda").list_functions()["Functions"],
        *aws.client("iam").list_roles()["Roles"],
    ]


class TestDeploy:
    """In the order of a first deployment."""

    def test_before_there_is_a_stack_it_names_the_command_and_touches_nothing(self, account: Checkout) -> None:
        before = held(account.aws)
        done = chalice(account.folder, "deploy", "--stage", "dev", **account.aws.environment)
        expected = "Stage dev has no table and no users: there is no stack task-api-dev. Run: make deploy STAGE=dev\n"
        assert (done.returncode, done.stderr) == (1, expected)
        assert held(account.aws) == before

    def test_it_asks_with_the_profile_that_it_was_given_whatever_keys_the_shell_holds(
        self, account: Checkout, tmp_path: Path
    ) -> None:
        (tmp_path / "config").write_text("[profile mine]\nregion = us-east-1\n")
        (tmp_path / "credentials").write_text("[mine]\naws_access_key_id = test\naws_secret_access_key = test\n")
        shell = account.aws.environment | {
            "AWS_ACCESS_KEY_ID": "AKIASHELL",
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        }
        done = chalice(account.folder, "deploy", "--stage", "dev", "--profile", "mine", **shell)
        assert (done.returncode, done.stderr.partition(":")[0]) == (1, "Stage dev has no table and no users")
        done = chalice(account.folder, "deploy", "--stage", "dev", "--profile", "nosuch", **shell)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "nosuch" in done.stderr

    @pytest.mark.parametrize(("environment", "told"), [
        ({}, "No AWS region is set."), ({"AWS_DEFAULT_REGION": "eu-central-1"}, "The stack task-api-dev cannot be read: Unable to locate credentials"),
    ])  # fmt: skip
    def test_without_a_region_or_credentials_it_says_so_in_one_line(
        self, account: Checkout, environment: dict[str, str], told: str
    ) -> None:
        done = chalice(account.folder, "deploy", "--stage", "dev", **environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(told)
        assert done.stderr.count("\n") == 1

    def test_with_the_stack_it_deploys_an_api_that_answers_as_any_other(self, account: Checkout) -> None:
        cloudformation = account.aws.client("cloudformation")
        chosen = {"Stage": "dev", "DomainPrefix": "task-api-dev", "CallbackUrls": "http://localhost:3000/callback"}
        cloudformation.create_stack(
            StackName="task-api-dev",
            TemplateBody=(account.folder / ".chalice" / "resources.json").read_text(),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in chosen.items()],
        )
        patience = {"Delay": 1, "MaxAttempts": PATIENCE}
        cloudformation.get_waiter("stack_create_complete").wait(StackName="task-api-dev", WaiterConfig=patience)
        shell = {name: value for name, value in SHELL.items() if not name.startswith("AWS_")}
        done = chalice(account.folder, "deploy", "--stage", "dev", **shell | account.aws.environment)
        assert done.returncode == 0, done.stderr
        assert "Rest API URL" in done.stdout
        function = account.aws.client("lambda").get_function_configuration(FunctionName="task-api-dev")
        assert not set(shell.values()) & set(function["Environment"]["Variables"].values())
        deployed = deployments.found(account, account.aws)
        assert deployed("GET", "/health").status == 200
        tokens = deployed.signs_up("chalice@example.org")
        assert deployed("POST", "/tasks", tokens["IdToken"], {"title": "T"}).status == 201
        refused = deployed("GET", "/tasks", "garbage")
        assert (refused.status, refused.json["type"]) == (401, "urn:problem:unauthorized")

    def test_then_url_logs_and_invoke_know_it(self, account: Checkout) -> None:
        environment = account.aws.environment
        assert "execute-api" in chalice(account.folder, "url", **environment).stdout
        assert chalice(account.folder, "logs", **environment).returncode == 0
        health = json.dumps(event("GET", "/health"))
        invoked = chalice(account.folder, "invoke", "-n", "api_handler", typed=health, **environment)
        assert invoked.returncode == 0
        assert json.loads(json.loads(invoked.stdout)["body"])["status"] == "ok"

    def test_delete_takes_functions_and_api_away_and_leaves_the_data(self, account: Checkout) -> None:
        assert chalice(account.folder, "delete", "--stage", "dev", **account.aws.environment).returncode == 0
        assert account.aws.client("apigateway").get_rest_apis()["items"] == []
        assert account.aws.client("lambda").list_functions()["Functions"] == []
        assert account.aws.client("dynamodb").list_tables()["TableNames"] == ["task-api-dev"]


@contextmanager
def served(stand: Stand, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `chalice local` for the length of a block, in a terminal of its own, and end it with Ctrl-C."""
    with stand.output.open("wb") as output:
        process = subprocess.Popen(
            [CHALICE, "local", "--port", str(stand.port), *arguments],
            cwd=stand.checkout, env=stand.environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    stand.process = process
    try:
        stand.prints("More: README.md")
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)


def closed(*ports: int) -> bool:
    """Wait until nobody listens on these ports any more."""
    end = time.monotonic() + PATIENCE
    while listening(*ports):
        assert time.monotonic() < end
        time.sleep(0.1)
    return True


class TestLocal:
    @pytest.mark.parametrize("arguments", [[], ["--stage", "local"], ["--no-autoreload"]], ids=" ".join)
    def test_it_serves_with_real_tokens_and_ends_what_it_has_started(
        self, checkout: Path, tmp_path: Path, arguments: list[str]
    ) -> None:
        stand = Stand(tmp_path / "home", checkout)
        with served(stand, *arguments):
            token = stand.token("alice")
            assert stand("POST", "/tasks", token, {"title": "kept"}).status == 201
            assert stand("GET", "/tasks", token[:-4] + "AAAA").status == 401
        assert closed(stand.port, stand.aws_port)
        with served(stand, *arguments):
            assert stand("GET", "/tasks", stand.token("alice")).json["count"] == 1
        assert closed(stand.port, stand.aws_port)

    def test_two_at_once_share_one_aws_until_the_last_has_ended(self, checkout: Path, tmp_path: Path) -> None:
        first = Stand(tmp_path / "home", checkout)
        second = Stand(tmp_path / "home", checkout)
        second.output = tmp_path / "second.txt"
        second.aws_port = first.aws_port
        second.environment["AWS_PORT"] = str(first.aws_port)
        with served(second):
            with served(first):
                token = first.token("alice")
                assert first("POST", "/tasks", token, {"title": "T"}).status == 201
            assert closed(first.port)
            assert second("GET", "/tasks", token).json["count"] == 1
        assert closed(second.port, second.aws_port)

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
    def test_nothing_is_left_when_chalice_itself_is_killed(self, checkout: Path, tmp_path: Path, how: int) -> None:
        stand = Stand(tmp_path / "home", checkout)
        with served(stand) as process:
            process.send_signal(how)
            process.wait(PATIENCE)
            assert closed(stand.port, stand.aws_port)

    def test_a_stage_that_is_not_deployed_is_named_in_one_line(self, account: Checkout) -> None:
        environment = account.aws.environment
        done = chalice(account.folder, "local", "--stage", "staging", "--port", str(free_port()), **environment)
        assert done.returncode != 0
        assert re.fullmatch(r"Stage staging has no table and no users: .* make deploy STAGE=staging\n", done.stderr)

    def test_a_deployed_stage_is_served_on_its_own_table(self, account: Checkout, tmp_path: Path) -> None:
        account.local("deploy")
        stand = Stand(tmp_path / "home", account.folder)
        stand.environment = account.aws.environment
        command = [CHALICE, "local", "--stage", "dev", "--port", str(stand.port)]
        process = subprocess.Popen(command, cwd=account.folder, env=stand.environment, start_new_session=True)
        try:
            end = time.monotonic() + PATIENCE
            while not listening(stand.port):
                assert time.monotonic() < end
                time.sleep(0.1)
            token = deployments.found(account, account.aws).signs_up("served@example.org")["IdToken"]
            created = stand("POST", "/tasks", token, {"title": "T"}).json
            deployed = deployments.found(account, account.aws)
            assert deployed("GET", f"/tasks/{created['task_id']}", token).json == created
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(PATIENCE)
        assert closed(stand.port)
