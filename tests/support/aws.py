"""An AWS of its own for each way of deploying, with IAM and Cognito checks on, and what is deployed there."""

import base64
import http.client
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from pycognito.aws_srp import AWSSRP

from tests.conftest import ROOT
from tests.support import documented, leaks
from tests.support.local_server import PATIENCE, Response, clean_environment, copied, free_port, slowed_down
from tools.local import child_process

_REGION = "us-east-1"


class Aws:
    """ministack on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "aws.log"
        self.environment = clean_environment(
            AWS_ENDPOINT_URL=self.url,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_DEFAULT_REGION=_REGION,
            NO_PROXY="127.0.0.1",
            HOME=str(folder),
        )

    def client(self, service: str) -> Any:
        """Return a client with the key of the account's root."""
        return boto3.client(  # type: ignore[call-overload]
            service, _REGION, endpoint_url=self.url, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def asked(self, path: str) -> Any:
        return json.loads(_answer(f"{self.url}{path}"))


def _answer(request: str | urllib.request.Request) -> bytes:
    """Return what an AWS of this machine answers; raises OSError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=PATIENCE) as answer:
        body: bytes = answer.read()
    return body


@contextmanager
def running(folder: Path) -> Iterator[Aws]:
    aws = Aws(folder)
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(aws.port), "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0"}
    with aws.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.local.child_process", "tests.support.ministack"],
            cwd=ROOT, env=clean_environment(AUTH="true", LOG_LEVEL="WARNING", **settings),
            stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                aws.asked("/_ministack/ready")
                break
            except OSError:
                assert process.poll() is None, aws.log.read_text()
                assert time.monotonic() < end, aws.log.read_text()
                time.sleep(0.1)
        yield aws
    finally:
        child_process.stop(process)


class Checkout:
    """A copy of this checkout whose functions run on this machine's kind of processor, and with more time.

    The stand-in runs them here, and a busy machine may take longer than a function on AWS.
    """

    def __init__(self, folder: Path, aws: Aws, stage: str) -> None:
        self.folder, self.aws, self.stage = slowed_down(copied(folder / "checkout")), aws, stage
        self.config_file = self.folder / ".chalice" / "config.json"
        self.change(lambda config: config | {"lambda_architecture": "x86_64"})

    def change(self, changed: Any) -> None:
        self.config_file.write_text(json.dumps(changed(json.loads(self.config_file.read_text())), indent=2) + "\n")

    def local(self, command: str, *, typed: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as `make` does, for the stage."""
        done = subprocess.run(
            [sys.executable, "-m", "tools", command, self.stage],
            cwd=self.folder, env=self.aws.environment, input=typed, check=False, capture_output=True, text=True, timeout=1200,
        )  # fmt: skip
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done


class Deployed:
    """An API that has been deployed, and the people who call it."""

    def __init__(self, aws: Aws, api_id: str, stage: str, settings: dict[str, str]) -> None:
        self.aws, self.api_id, self.stage, self.settings = aws, api_id, stage, settings
        self.base = f"/_aws/execute-api/{api_id}/{stage}"
        self.sent: list[leaks.Sent] = []

    def __call__(self, method: str, path: str, token: str | None = None, body: Any = None, **headers: str) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.aws.port, timeout=PATIENCE)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = token
        raw = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        try:
            connection.request(method, self.base + path, raw, sent)
            response = connection.getresponse()
            answer = Response(response.status, response.headers, response.read())
        finally:
            connection.close()
        said = leaks.Sent(sent, raw, leaks.values(path))
        self.sent.append(said)
        if method != "HEAD":
            told = path.partition("?")[0], answer.status, dict(answer.headers), answer.body.decode()
            documented.fits(method, *told)
            leaks.answered(method, *told, said)
        return answer

    @cached_property
    def pool(self) -> str:
        return self.settings["USER_POOL_ARN"].rpartition("/")[2]

    def signs_up(self, email: str, *groups: str) -> dict[str, str]:
        """Sign up with the code that is mailed, sign in by SRP, and return the tokens."""
        cognito, client, password = self.aws.client("cognito-idp"), self.settings["WEB_CLIENT_ID"], "Correct-Horse-9"
        attributes = [{"Name": "email", "Value": email}]
        cognito.sign_up(ClientId=client, Username=email, Password=password, UserAttributes=attributes)
        mails = [mail for account in self.aws.asked("/_ministack/ses/messages")["messages"].values() for mail in account]
        (code,) = [re.search("[0-9]{6}", mail["BodyText"])[0] for mail in mails if email in mail["To"]]  # type: ignore[index]
        cognito.confirm_sign_up(ClientId=client, Username=email, ConfirmationCode=code)
        for group in groups:
            cognito.admin_add_user_to_group(UserPoolId=self.pool, Username=email, GroupName=group)
        signed_in = AWSSRP(email, password, self.pool, client, client=cognito).authenticate_user()
        tokens: dict[str, str] = signed_in["AuthenticationResult"]
        return tokens

    def machine_token(self) -> str:
        """Ask the token endpoint, by client credentials."""
        client_id = self.settings["MACHINE_CLIENT_IDS"]
        described = self.aws.client("cognito-idp").describe_user_pool_client(UserPoolId=self.pool, ClientId=client_id)
        secret = described["UserPoolClient"]["ClientSecret"]
        credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        body = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": "task-api/sms"}).encode()
        headers = {"Authorization": f"Basic {credentials}"}
        request = urllib.request.Request(f"{self.aws.url}/oauth2/token", body, headers)  # noqa: S310 - of this machine
        return str(json.loads(_answer(request))["access_token"])

    def logs(self) -> str:
        """Return all that the functions have written."""
        logs = self.aws.client("logs")
        groups = [
            group["logGroupName"] for group in logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
        ]
        pages = [page for group in groups for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)]
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def texts(self) -> int:
        phones = self.aws.asked("/_ministack/sns/sms-messages")["sms_messages"]
        return sum(len(texts) for texts in phones.values())
