"""Chalice's own commands in a clean copy, without AWS settings in the environment."""

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import deployments
from tests.support.emulator import Checkout, Emulator, run_emulator
from tests.support.events import event
from tests.support.local_server import (
    TIMEOUT,
    LocalServer,
    clean_environment,
    copy_checkout,
    free_port,
    open_ports,
    wait_for,
)

CHALICE = str(Path(sys.executable).with_name("chalice"))
NO_METADATA = {"AWS_EC2_METADATA_DISABLED": "true"}  # otherwise boto3 looks for credentials on the network
SHELL = {
    "TABLE_NAME": "task-api-laptop",
    "USER_POOL_ARN": "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_laptop",
    "WEB_CLIENT_ID": "laptop",
    "MACHINE_CLIENT_IDS": "laptop",
    "SIGN_IN_URL": "http://laptop",
    "WEB_ORIGIN": "http://laptop",
    "AWS_DEFAULT_REGION": "cn-north-1",
}
"""Variables that `eval "$(python -m tools env)"` leaves in a shell."""


def chalice(folder: Path, *arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Chalice, which must print no traceback."""
    done = subprocess.run(
        [CHALICE, *arguments],
        cwd=folder, env=clean_environment(**NO_METADATA, **environment), input=typed, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("chalice") / "checkout")


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
    def test_chalice_package_with_the_merge_template_writes_the_template_of_make_package(
        self, checkout: Path, merged: Path
    ) -> None:
        command = [sys.executable, "-m", "tools", "package", "prod"]
        subprocess.run(command, cwd=checkout, env=clean_environment(), check=True, capture_output=True)
        assert (merged / "sam.json").read_bytes() == (checkout / "dist" / "prod" / "template.json").read_bytes()

    @pytest.mark.parametrize("arguments", [["--merge-template", ".chalice/merge.json"], []])
    def test_chalice_package_ignores_settings_in_the_shell(
        self, checkout: Path, merged: Path, bare: Path, tmp_path: Path, arguments: list[str]
    ) -> None:
        assert chalice(checkout, "package", "--stage", "prod", *arguments, str(tmp_path), **SHELL).returncode == 0
        assert (tmp_path / "sam.json").read_bytes() == ((merged if arguments else bare) / "sam.json").read_bytes()

    def test_a_template_without_the_merge_template_has_empty_settings(self, bare: Path) -> None:
        resources = json.loads((bare / "sam.json").read_text())["Resources"]
        for name in ("APIHandler", "UserAuthorizer"):
            variables = resources[name]["Properties"]["Environment"]["Variables"]
            empty = {"TABLE_NAME", "USER_POOL_ARN", "WEB_CLIENT_ID", "MACHINE_CLIENT_IDS", "SIGN_IN_URL"}
            assert empty <= {variable for variable, value in variables.items() if value == ""}
        assert "SetByTheMergeTemplate" in json.dumps(resources["RestAPI"])

    def test_a_function_without_its_settings_fails_at_start_and_names_one(self, bare: Path, tmp_path: Path) -> None:
        function = json.loads((bare / "sam.json").read_text())["Resources"]["APIHandler"]["Properties"]
        with zipfile.ZipFile(bare / "deployment.zip") as archive:
            archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith(("app.py", "chalicelib/"))])
        environment = clean_environment(AWS_LAMBDA_FUNCTION_NAME="task-api-prod", **function["Environment"]["Variables"])
        command = [sys.executable, "-c", "import app"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert "A setting of the stage is missing or wrong" in done.stderr.splitlines()[-1]
        assert "TABLE_NAME" in done.stderr.splitlines()[-1]

    def test_four_concurrent_chalice_package_commands_write_the_same_files(
        self, checkout: Path, bare: Path, tmp_path: Path
    ) -> None:
        command = [CHALICE, "package", "--stage", "prod"]
        outs = [str(tmp_path / name) for name in ("one", "two", "three", "four")]
        processes = [subprocess.Popen([*command, out], cwd=checkout, env=clean_environment(**NO_METADATA)) for out in outs]
        assert [process.wait(TIMEOUT) for process in processes] == [0] * 4
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

    def test_chalice_package_writes_terraform_files(self, checkout: Path) -> None:
        assert chalice(checkout, "package", "--pkg-format", "terraform", "--stage", "prod", "tf").returncode == 0
        assert sorted(path.name for path in (checkout / "tf").iterdir()) == ["chalice.tf.json", "deployment.zip"]


class TestOtherCommands:
    @pytest.mark.parametrize("environment", [{}, SHELL, {"AWS_PROFILE": "nosuch"}], ids=["clean", "laptop", "profile"])
    @pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
    def test_chalice_generate_models_works_for_every_stage(
        self, checkout: Path, stage: str, environment: dict[str, str]
    ) -> None:
        done = chalice(checkout, "generate-models", "--stage", stage, **environment)
        assert done.returncode == 0
        assert json.loads(done.stdout)["paths"].keys() >= {"/tasks", "/sms"}

    @pytest.mark.parametrize("command", ["package out", "deploy", "generate-models", "dev plan", "dev appgraph"])
    def test_an_unknown_stage_is_reported_in_one_line(self, checkout: Path, command: str) -> None:
        done = chalice(checkout, *command.split(), "--stage", "nosuch", AWS_DEFAULT_REGION="us-east-1")
        assert done.returncode == 1
        expected = "nosuch is not a stage on AWS. Use one of dev, staging, prod (.chalice/config.json).\n"
        assert done.stderr == expected

    def test_url_and_invoke_fail_for_a_stage_that_is_not_deployed(self, checkout: Path) -> None:
        assert chalice(checkout, "url", "--stage", "prod").returncode == 2
        assert chalice(checkout, "invoke", "--stage", "prod", "-n", "api_handler").returncode == 2


@pytest.fixture(scope="class")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Return a checkout with an empty account."""
    folder = tmp_path_factory.mktemp("account")
    with run_emulator(folder) as emulator:
        yield Checkout(folder, emulator, "dev")


def deployed_resources(emulator: Emulator) -> list[object]:
    """Return the APIs, functions and roles of an account."""
    return [
        *emulator.client("apigateway").get_rest_apis()["items"],
        *emulator.client("lambda").list_functions()["Functions"],
        *emulator.client("iam").list_roles()["Roles"],
    ]


class TestDeploy:
    """In the order of a first deployment; each test needs those before it."""

    def test_chalice_deploy_without_a_stack_names_the_command_and_changes_nothing(self, account: Checkout) -> None:
        before = deployed_resources(account.emulator)
        done = chalice(account.folder, "deploy", "--stage", "dev", **account.emulator.environment)
        expected = "Stage dev has no table and no users: there is no stack task-api-dev. Run: make deploy STAGE=dev\n"
        assert (done.returncode, done.stderr) == (1, expected)
        assert deployed_resources(account.emulator) == before

    def test_chalice_deploy_uses_the_given_profile_instead_of_the_keys_in_the_shell(
        self, account: Checkout, tmp_path: Path
    ) -> None:
        (tmp_path / "config").write_text("[profile mine]\nregion = us-east-1\n")
        (tmp_path / "credentials").write_text("[mine]\naws_access_key_id = test\naws_secret_access_key = test\n")
        shell = account.emulator.environment | {
            "AWS_ACCESS_KEY_ID": "AKIASHELL",
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        }
        done = chalice(account.folder, "deploy", "--stage", "dev", "--profile", "mine", **shell)
        assert (done.returncode, done.stderr.partition(":")[0]) == (1, "Stage dev has no table and no users")
        done = chalice(account.folder, "deploy", "--stage", "dev", "--profile", "nosuch", **shell)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "nosuch" in done.stderr

    @pytest.mark.parametrize(("environment", "message"), [
        ({}, "No AWS region is set."), ({"AWS_DEFAULT_REGION": "eu-central-1"}, "The stack task-api-dev cannot be read: Unable to locate credentials"),
    ])  # fmt: skip
    def test_chalice_deploy_without_a_region_or_credentials_fails_with_one_line(
        self, account: Checkout, environment: dict[str, str], message: str
    ) -> None:
        done = chalice(account.folder, "deploy", "--stage", "dev", **environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(message)
        assert done.stderr.count("\n") == 1

    def test_chalice_deploy_with_the_stack_deploys_a_working_api(self, account: Checkout) -> None:
        parameters = {"Stage": "dev", "DomainPrefix": "task-api-dev", "CallbackUrls": "http://localhost:3000/callback"}
        account.emulator.client("cloudformation").create_stack(
            StackName="task-api-dev",
            TemplateBody=(account.folder / ".chalice" / "resources.json").read_text(),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        )
        account.emulator.wait("stack_create_complete", StackName="task-api-dev")
        shell = {name: value for name, value in SHELL.items() if not name.startswith("AWS_")}
        done = chalice(account.folder, "deploy", "--stage", "dev", **shell | account.emulator.environment)
        assert done.returncode == 0, done.stderr
        assert "Rest API URL" in done.stdout
        function = account.emulator.client("lambda").get_function_configuration(FunctionName="task-api-dev")
        assert not set(shell.values()) & set(function["Environment"]["Variables"].values())
        api = deployments.deployed(account)
        assert api("GET", "/health").status == 200
        tokens = api.sign_up("chalice@example.org")
        assert api("POST", "/tasks", tokens["IdToken"], {"title": "T"}).status == 201
        rejected = api("GET", "/tasks", "garbage")
        assert (rejected.status, rejected.json["type"]) == (401, "urn:problem:unauthorized")

    def test_chalice_deploy_without_its_state_creates_no_second_api(self, account: Checkout) -> None:
        before = deployed_resources(account.emulator)
        state = account.folder / ".chalice" / "deployed" / "dev.json"
        written = state.read_text()
        state.unlink()
        done = chalice(account.folder, "deploy", "--stage", "dev", **account.emulator.environment)
        assert (done.returncode, done.stderr) == (1, "Run the same command again.\n")
        assert ".chalice/deployed/dev.json, which does not name it." in done.stdout
        done = chalice(account.folder, "deploy", "--stage", "dev", **account.emulator.environment)
        assert (done.returncode, state.read_text()) == (0, written)
        assert len(deployed_resources(account.emulator)) == len(before)

    def test_chalice_url_logs_and_invoke_work_after_a_deployment(self, account: Checkout) -> None:
        environment = account.emulator.environment
        assert "execute-api" in chalice(account.folder, "url", **environment).stdout
        assert chalice(account.folder, "logs", **environment).returncode == 0
        health = json.dumps(event("GET", "/health"))
        invoked = chalice(account.folder, "invoke", "-n", "api_handler", typed=health, **environment)
        assert invoked.returncode == 0
        assert json.loads(json.loads(invoked.stdout)["body"])["status"] == "ok"

    def test_chalice_delete_removes_functions_and_api_and_keeps_the_table(self, account: Checkout) -> None:
        assert chalice(account.folder, "delete", "--stage", "dev", **account.emulator.environment).returncode == 0
        assert account.emulator.client("apigateway").get_rest_apis()["items"] == []
        assert account.emulator.client("lambda").list_functions()["Functions"] == []
        assert account.emulator.client("dynamodb").list_tables()["TableNames"] == ["task-api-dev"]


@contextmanager
def chalice_local(server: LocalServer, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `chalice local` in its own process group, and stop it with SIGINT."""
    with server.output.open("wb") as output:
        process = subprocess.Popen(
            [CHALICE, "local", "--port", str(server.port), *arguments],
            cwd=server.checkout, env=server.environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    server.process = process
    try:
        server.wait_for_output("More: README.md")
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(TIMEOUT)


class TestLocal:
    @pytest.mark.parametrize("arguments", [[], ["--stage", "local"], ["--no-autoreload"]], ids=" ".join)
    def test_chalice_local_serves_with_real_tokens_keeps_the_data_and_stops_its_processes(
        self, checkout: Path, tmp_path: Path, arguments: list[str]
    ) -> None:
        server = LocalServer(tmp_path / "home", checkout)
        with chalice_local(server, *arguments):
            token = server.token("alice")
            assert server("POST", "/tasks", token, {"title": "kept"}).status == 201
            assert server("GET", "/tasks", token[:-4] + "AAAA").status == 401
        server.wait_until_closed()
        with chalice_local(server, *arguments):
            assert server("GET", "/tasks", server.token("alice")).json["count"] == 1
        server.wait_until_closed()

    def test_two_chalice_local_servers_share_an_emulator_until_the_last_one_stops(
        self, checkout: Path, tmp_path: Path
    ) -> None:
        first = LocalServer(tmp_path / "home", checkout)
        second = LocalServer(tmp_path / "home", checkout)
        second.output = tmp_path / "second.txt"
        second.aws_port = first.aws_port
        second.environment["AWS_PORT"] = str(first.aws_port)
        with chalice_local(second):
            with chalice_local(first):
                token = first.token("alice")
                assert first("POST", "/tasks", token, {"title": "T"}).status == 201
            wait_for(lambda: not open_ports(first.port))
            assert second("GET", "/tasks", token).json["count"] == 1
        second.wait_until_closed()

    @pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
    def test_all_processes_stop_when_chalice_local_is_killed(
        self, checkout: Path, tmp_path: Path, signal_number: int
    ) -> None:
        server = LocalServer(tmp_path / "home", checkout)
        with chalice_local(server) as process:
            process.send_signal(signal_number)
            process.wait(TIMEOUT)
            server.wait_until_closed()

    def test_chalice_local_with_a_stage_that_is_not_deployed_fails_with_one_line(self, account: Checkout) -> None:
        environment = account.emulator.environment
        done = chalice(account.folder, "local", "--stage", "staging", "--port", str(free_port()), **environment)
        assert done.returncode != 0
        assert re.fullmatch(r"Stage staging has no table and no users: .* make deploy STAGE=staging\n", done.stderr)

    def test_chalice_local_serves_a_deployed_stage_with_its_table(self, account: Checkout, tmp_path: Path) -> None:
        account.tools("deploy")
        server = LocalServer(tmp_path / "home", account.folder)
        server.environment = account.emulator.environment
        command = [CHALICE, "local", "--stage", "dev", "--port", str(server.port)]
        process = subprocess.Popen(command, cwd=account.folder, env=server.environment, start_new_session=True)
        try:
            wait_for(lambda: open_ports(server.port), process=process)
            api = deployments.deployed(account)
            token = api.sign_up("served@example.org")["IdToken"]
            created = server("POST", "/tasks", token, {"title": "T"}).json
            assert api("GET", f"/tasks/{created['task_id']}", token).json == created
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(TIMEOUT)
        wait_for(lambda: not open_ports(server.port))
