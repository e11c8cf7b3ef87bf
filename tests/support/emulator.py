"""AWS emulator (ministack) with IAM and Cognito checks on, a checkout to deploy there, and the deployed API."""

import base64
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from pycognito.aws_srp import AWSSRP

from tests.support import leaks
from tests.support.local_server import (
    TIMEOUT,
    aws_client,
    clean_environment,
    copy_checkout,
    free_port,
    lengthen_timeouts,
    send_request,
    wait_for,
)
from tests.support.people import Response
from tools.local import child_process, rehearse_aws

_REGION = "us-east-1"
SETTINGS = {
    "TableName": "TABLE_NAME",
    "UserPoolArn": "USER_POOL_ARN",
    "WebClientId": "WEB_CLIENT_ID",
    "MachineClientId": "MACHINE_CLIENT_IDS",
    "SignInUrl": "SIGN_IN_URL",
}
"""The settings of the functions, by the output of the stack that has their value."""


class Emulator:
    """A running ministack on its own port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "emulator.log"
        self.environment = clean_environment(
            AWS_ENDPOINT_URL=self.url,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_DEFAULT_REGION=_REGION,
            NO_PROXY="127.0.0.1",
            HOME=str(folder),
        )

    def client(self, service: str, region: str = _REGION) -> Any:
        return aws_client(service, self.url, region)

    def get(self, path: str | urllib.request.Request) -> Any:
        """Return the JSON at a path, or for a request; raises OSError."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path if isinstance(path, str) else path, timeout=TIMEOUT) as response:
            return json.loads(response.read())

    def wait(self, event: str, **stack: str) -> None:
        """Wait for an event of a stack, such as stack_create_complete."""
        self.client("cloudformation").get_waiter(event).wait(**stack, WaiterConfig={"Delay": 1, "MaxAttempts": TIMEOUT})

    def change_stack(self, stack: str, name: str, kind: str, **options: Any) -> dict[str, str]:
        """Create and execute a change set of a kind (create, update or import), and return the outputs of the stack."""
        return rehearse_aws.change_stack(self.client("cloudformation"), stack, name, kind, **options)

    def outputs(self, stack: str) -> dict[str, str]:
        (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


@contextmanager
def run_emulator(folder: Path) -> Iterator[Emulator]:
    """Run an emulator that logs to this folder."""
    emulator = Emulator(folder)
    process = rehearse_aws.start(emulator.port, emulator.log, clean_environment())
    try:
        wait_for(lambda: emulator.get("/_ministack/ready"), emulator.log, process)
        yield emulator
    finally:
        child_process.stop(process)


class Checkout:
    """A copy of this checkout, changed for the emulator: x86-64, because it runs functions here, and longer timeouts."""

    def __init__(self, folder: Path, emulator: Emulator, stage: str) -> None:
        self.folder, self.emulator, self.stage = lengthen_timeouts(copy_checkout(folder / "checkout")), emulator, stage
        self.config_file = self.folder / ".chalice" / "config.json"
        self.change_config(lambda config: config | {"lambda_architecture": "x86_64"})

    def change_config(self, change: Any) -> None:
        self.config_file.write_text(json.dumps(change(json.loads(self.config_file.read_text())), indent=2) + "\n")

    def tools(self, command: str, *, typed: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `python -m tools <command> <stage>`, as `make` does."""
        done = subprocess.run(
            [sys.executable, "-m", "tools", command, self.stage],
            cwd=self.folder, env=self.emulator.environment, input=typed, check=False, capture_output=True, text=True, timeout=1200,
        )  # fmt: skip
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done


class Deployed:
    """A deployed API; call it to send a request."""

    def __init__(self, emulator: Emulator, api_id: str, stage: str, settings: dict[str, str]) -> None:
        self.emulator, self.api_id, self.stage, self.settings = emulator, api_id, stage, settings
        self.base = f"/_aws/execute-api/{api_id}/{stage}"
        self.sent: list[leaks.Sent] = []

    def __call__(self, method: str, path: str, token: str | None = None, body: Any = None, **headers: str) -> Response:
        authorization = {} if token is None else {"Authorization": token}
        return send_request(self.emulator.port, self.base, method, path, body, headers | authorization, self.sent)

    def behind(self, domain: str, base_path: str = "") -> Callable[[str, str], Response]:
        """Return what sends a request with a method and a path to the API behind a domain."""
        base = f"/{base_path}" if base_path else ""

        def send(method: str, path: str) -> Response:
            return send_request(self.emulator.port, base, method, path, None, {"Host": domain}, self.sent)

        return send

    @cached_property
    def pool(self) -> str:
        return self.settings["USER_POOL_ARN"].rpartition("/")[2]

    def sign_up(self, email: str, *groups: str) -> dict[str, str]:
        """Sign up with the mailed code, sign in by SRP, and return the tokens."""
        cognito, client, password = self.emulator.client("cognito-idp"), self.settings["WEB_CLIENT_ID"], "Correct-Horse-9"
        attributes = [{"Name": "email", "Value": email}]
        cognito.sign_up(ClientId=client, Username=email, Password=password, UserAttributes=attributes)
        mails = [mail for account in self.emulator.get("/_ministack/ses/messages")["messages"].values() for mail in account]
        (code,) = [re.search("[0-9]{6}", mail["BodyText"])[0] for mail in mails if email in mail["To"]]  # type: ignore[index]
        cognito.confirm_sign_up(ClientId=client, Username=email, ConfirmationCode=code)
        for group in groups:
            cognito.admin_add_user_to_group(UserPoolId=self.pool, Username=email, GroupName=group)
        signed_in = AWSSRP(email, password, self.pool, client, client=cognito).authenticate_user()
        tokens: dict[str, str] = signed_in["AuthenticationResult"]
        return tokens

    def machine_token(self) -> str:
        """Get an access token by client credentials."""
        client_id = self.settings["MACHINE_CLIENT_IDS"]
        described = self.emulator.client("cognito-idp").describe_user_pool_client(UserPoolId=self.pool, ClientId=client_id)
        secret = described["UserPoolClient"]["ClientSecret"]
        credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        body = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": "task-api/sms"}).encode()
        headers = {"Authorization": f"Basic {credentials}"}
        request = urllib.request.Request(f"{self.emulator.url}/oauth2/token", body, headers)  # noqa: S310 - on this machine
        return str(self.emulator.get(request)["access_token"])

    def logs(self) -> str:
        """Return all log events of the functions."""
        logs = self.emulator.client("logs")
        groups = [
            group["logGroupName"] for group in logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
        ]
        pages = [page for group in groups for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)]
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def count_sms_messages(self) -> int:
        by_number = self.emulator.get("/_ministack/sns/sms-messages")["sms_messages"]
        return sum(map(len, by_number.values()))

    def limit_rate(self, rate: object, burst: object) -> None:
        """Set the requests per second, and the burst, of every method of the stage."""
        changes = {"/*/*/throttling/rateLimit": rate, "/*/*/throttling/burstLimit": burst}
        operations = [{"op": "replace", "path": path, "value": str(value)} for path, value in changes.items()]
        stage = {"restApiId": self.api_id, "stageName": self.stage}
        self.emulator.client("apigateway").update_stage(**stage, patchOperations=operations)
