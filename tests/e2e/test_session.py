"""Runs the session of docs/deploy.md, "A first request", against a stage that `make deploy` has deployed, and `tools token` of it."""

import base64
import hmac
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import jwt
import pytest

from tests.conftest import ROOT
from tests.e2e.test_docs import normalize
from tests.support import deployments
from tests.support.emulator import Checkout, Deployed, run_emulator
from tests.support.local_server import TIMEOUT

SECTION = (ROOT / "docs" / "deploy.md").read_text().partition("## A first request\n")[2].partition("\n## ")[0]
API = "https://abc123.execute-api.eu-central-1.amazonaws.com/dev"
PAGES = "https://${DomainPrefix}.auth.${AWS::Region}.amazoncognito.com"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, Deployed]]:
    """Return a deployed stage whose sign-in pages are those of the emulator."""
    folder = tmp_path_factory.mktemp("session")
    with run_emulator(folder) as emulator:
        checkout = Checkout(folder, emulator, "dev")
        template = checkout.folder / ".chalice" / "resources.json"
        assert PAGES in template.read_text()
        template.write_text(template.read_text().replace(PAGES, emulator.url))
        checkout.tools("deploy")
        yield checkout, deployments.deployed(checkout)


def run(checkout: Checkout, script: str) -> str:
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=checkout.folder, env=checkout.emulator.environment, capture_output=True, check=False, text=True
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def lines(output: str) -> list[Any]:
    """Return the lines of a session, those of JSON parsed, without ids, times and tokens."""
    return [parse(re.sub(r"eyJ[\w.-]+", "<token>", normalize(line))) for line in output.splitlines() if line]


def parse(line: str) -> Any:
    return json.loads(line) if line.startswith("{") else line


def test_the_session_of_a_deployed_stage_prints_the_documented_output(stage: tuple[Checkout, Deployed]) -> None:
    checkout, api = stage
    emulator, python = checkout.emulator, shlex.quote(sys.executable)
    session = "".join(re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL))
    replaced = {API: f"{emulator.url}{api.base}", ".venv/bin/python": python, "CODE-FROM-MAIL": "$(mailed_code)"}
    script = (
        f'aws() {{ PYTHONPATH={shlex.quote(str(ROOT))} {python} -m tests.support.aws_cli "$@"; }}\n'
        f"mailed_code() {{ curl -s {emulator.url}/_ministack/ses/messages | grep -oE 'code is [0-9]{{6}}' | cut -d' ' -f3; }}\n"
    )
    for line in session.splitlines():
        if line.startswith("$ "):
            command = line[2:]
            for documented, here in replaced.items():
                command = command.replace(documented, here)
            script += f"echo {shlex.quote(line)}\n{command}\necho\n"
    assert lines(run(checkout, script)) == lines(session)


def tools(stage: tuple[Checkout, Deployed], *command: str, typed: str = "", **environment: str) -> tuple[str, str]:
    """Run a command without a terminal; return its output, and one line of an error."""
    checkout = stage[0]
    done = subprocess.run(
        [sys.executable, "-m", "tools", *command], cwd=checkout.folder, env=checkout.emulator.environment | environment,
        input=typed, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert (done.returncode == 0) == (done.stderr == ""), done.stderr
    assert done.stderr.count("\n") == (done.returncode != 0), done.stderr
    assert not (done.returncode and done.stdout), done.stdout
    return done.stdout, done.stderr


@pytest.fixture
def bob(stage: tuple[Checkout, Deployed]) -> tuple[str, dict[str, str]]:
    """Return the address and the tokens of a new user."""
    email = f"bob{uuid.uuid4()}@example.com"
    return email, stage[1].sign_up(email)


def names(stage: tuple[Checkout, Deployed]) -> list[str]:
    settings = stage[1].settings
    return ["--pool-arn", settings["USER_POOL_ARN"], "--client-id", settings["WEB_CLIENT_ID"]]


HALF_A_KEY = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "", "AWS_DEFAULT_REGION": ""}  # which no call can use


def test_a_user_signs_in_by_ids_without_credentials_and_with_the_password_in_a_pipe(
    stage: tuple[Checkout, Deployed], bob: tuple[str, dict[str, str]]
) -> None:
    token, _ = tools(stage, "token", bob[0], *names(stage), typed="Correct-Horse-9\n", **HALF_A_KEY)
    assert stage[1]("GET", "/hello", f"Bearer {token.strip()}").status == 200
    assert jwt.decode(token.strip(), options={"verify_signature": False})["token_use"] == "id"


def test_a_sign_in_that_fails_says_why_and_what_to_do(
    stage: tuple[Checkout, Deployed], bob: tuple[str, dict[str, str]]
) -> None:
    _, api = stage
    cognito, pool = api.emulator.client("cognito-idp"), {"UserPoolId": api.pool}
    new, invited = f"new{bob[0]}", f"invited{bob[0]}"
    cognito.sign_up(ClientId=api.settings["WEB_CLIENT_ID"], Username=new, Password="Correct-Horse-9")
    cognito.admin_create_user(**pool, Username=invited, TemporaryPassword="Correct-Horse-9", MessageAction="SUPPRESS")

    def fail(email: str, typed: str = "Correct-Horse-9\n", *options: str) -> str:
        return tools(stage, "token", email, *(options or names(stage)), typed=typed)[1]

    assert fail(bob[0], "wrong\n").startswith(f"Cognito rejects the sign-in of {bob[0]}: Incorrect username or password. ")
    assert fail("nobody@example.com").startswith("Cognito rejects the sign-in of nobody@example.com: ")
    assert "aws cognito-idp confirm-sign-up " in fail(new)
    assert "aws cognito-idp admin-set-user-password " in fail(invited)
    assert fail(bob[0], "").startswith("Nothing was given for: Password of ")
    pool_arn = names(stage)[1]
    assert "Check the stage, or --pool-arn and --client-id." in fail(
        bob[0], "x\n", "--pool-arn", pool_arn, "--client-id", "a" * 26
    )
    assert "is not the ARN of a user pool" in fail(bob[0], "x\n", "--pool-arn", api.pool, "--client-id", "x")
    cognito.admin_reset_user_password(**pool, Username=bob[0])
    assert "aws cognito-idp confirm-forgot-password " in fail(bob[0])


@pytest.mark.parametrize(("command", "message"), [
    (("token", "a@example.com", "--client-id", "x"), "Give --pool-arn and --client-id together, or --stage alone.\n"),
    (("token", "a@example.com", "--client-id", "x", "--pool-arn", "y", "--stage", "dev"), "Give --pool-arn and --client-id together, or --stage alone.\n"),
    (("machine-token", "--client-id", "x"), "Give --token-url and --client-id together, or --stage alone.\n"),
    (("machine-token", "--client-id", "x", "--token-url", "http://127.0.0.1:9/"), "CLIENT_SECRET is not set. "),
    (("token", "a@example.com", "--stage", "local"), "local is not a stage on AWS. "),
    (("token", "a@example.com", "--stage", "prod"), "Stage prod has no table and no users: "),
])  # fmt: skip
def test_options_that_lead_nowhere_are_named(
    stage: tuple[Checkout, Deployed], command: tuple[str, ...], message: str
) -> None:
    assert tools(stage, *command, typed="x\n")[1].startswith(message)


def test_the_terminal_asks_for_password_and_code_without_echo(
    stage: tuple[Checkout, Deployed], bob: tuple[str, dict[str, str]]
) -> None:
    _, api = stage
    cognito, access = api.emulator.client("cognito-idp"), {"AccessToken": bob[1]["AccessToken"]}
    secret = cognito.associate_software_token(**access)["SecretCode"]
    cognito.verify_software_token(**access, UserCode=totp(secret))
    cognito.set_user_mfa_preference(**access, SoftwareTokenMfaSettings={"Enabled": True, "PreferredMfa": True})
    with at_a_terminal(stage, bob[0]) as (process, terminal):
        prompts = ""
        for prompt, answer in (("Password", "Correct-Horse-9"), ("Authenticator code", "")):
            prompts += read_until(process, f"{prompt} of {bob[0]}: ")
            os.write(terminal, f"{answer or totp(secret)}\n".encode())
        output, errors = process.communicate(timeout=TIMEOUT)
        with suppress(OSError):  # the process has closed its end
            prompts += os.read(terminal, 1000).decode()
    assert api("GET", "/hello", f"Bearer {output.decode().strip()}").status == 200, errors
    assert "Correct" not in prompts + errors.decode()
    _, error = tools(stage, "token", bob[0], *names(stage), typed="Correct-Horse-9\nx\n")
    assert error.startswith(f"Cognito rejects the authenticator code of {bob[0]}: ")


def test_a_prompt_that_is_interrupted_ends_the_command(stage: tuple[Checkout, Deployed]) -> None:
    with at_a_terminal(stage, "bob@example.com") as (process, _):
        read_until(process, "Password of bob@example.com: ")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, output) == (1, b"")
    assert errors.decode().strip().startswith("Nothing was given for: Password of bob@example.com: ")
    assert "Traceback" not in errors.decode()


@contextmanager
def at_a_terminal(stage: tuple[Checkout, Deployed], email: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run `tools token` with a terminal as its standard input, of which this returns the other end."""
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "tools", "token", email, *names(stage)]
    streams: Any = {"stdin": end, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        command, cwd=stage[0].folder, env=stage[0].emulator.environment, start_new_session=True, **streams
    ) as process:
        os.close(end)
        yield process, terminal
    os.close(terminal)


def read_until(process: "subprocess.Popen[bytes]", text: str) -> str:
    """Return what a process writes to its standard error up to a text; stop it and fail if it ends or waits before."""
    assert process.stderr
    read = ""
    while not read.endswith(text):
        ready, _, _ = select.select([process.stderr], [], [], TIMEOUT)
        more = os.read(process.stderr.fileno(), 1000).decode() if ready else ""
        if not more:
            process.kill()
        assert more, read
        read += more
    return read


def totp(secret: str) -> str:
    """Return the present code of an authenticator app (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(secret + "=" * (-len(secret) % 8)), int(time.time() // 30).to_bytes(8), "sha1")
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF) % 1_000_000:06}"


def test_a_machine_gets_its_token_by_its_secret_without_credentials(stage: tuple[Checkout, Deployed]) -> None:
    _, api = stage
    client_id = api.settings["MACHINE_CLIENT_IDS"]
    described = api.emulator.client("cognito-idp").describe_user_pool_client(UserPoolId=api.pool, ClientId=client_id)
    secret = described["UserPoolClient"]["ClientSecret"]
    url = f"{api.emulator.url}/oauth2/token"
    command = ["machine-token", "--token-url", url, "--client-id", client_id]
    token, _ = tools(stage, *command, CLIENT_SECRET=secret, **HALF_A_KEY)
    assert jwt.decode(token.strip(), options={"verify_signature": False})["scope"] == "task-api/sms"
    _, error = tools(stage, *command, CLIENT_SECRET="wrong")
    assert error.startswith(f"{url} rejects the client {client_id} (400): ")
    command[2] = "http://127.0.0.1:9/oauth2/token"
    _, error = tools(stage, *command, CLIENT_SECRET=secret)
    assert error.startswith("There is no token from http://127.0.0.1:9/oauth2/token: ")
