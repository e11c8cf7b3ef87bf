"""AWS on this machine: ministack, and in it the stack of .chalice/resources.json."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from local import child
from local.environment import HOME, HOST, ROOT, STAGE, LocalError, answers

_STACK = f"task-api-{STAGE}"
_TEMPLATE = ROOT / ".chalice" / "resources.json"
_CONFIG = ROOT / ".chalice" / "config.json"
_PATIENCE = 30  # seconds


@contextmanager
def running(port: int) -> Iterator[Popen[bytes]]:
    """Run AWS behind a port of this machine alone, with what it was told before; raises LocalError.

    IAM and Cognito check as on AWS; state is written when it ends, and there first.
    """
    log = HOME / "aws.log"
    process = child.start(
        "ministack",
        log=log,
        env={
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",  # else a second port, open to the network
            "SFTP_ENABLED": "0",
            "AUTH": "true",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(HOME / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(HOME / "s3"),
            "LOG_LEVEL": "WARNING",
        },
    )
    try:
        await_answer(process, f"http://{HOST}:{port}/_ministack/ready", f"The local AWS does not start; {log} tells why.")
        yield process
    finally:
        child.stop(process)


def await_answer(process: Popen[bytes], url: str, otherwise: str) -> None:
    """Wait until a server answers; raises LocalError when it ends or takes too long."""
    for _ in range(_PATIENCE * 10):
        if process.poll() is not None:
            break
        try:
            answers(url)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise LocalError(otherwise)


def deploy() -> dict[str, str]:
    """Create or update the stack and return the settings of the stage that come out of it; raises LocalError."""
    cloudformation: Any = boto3.client("cloudformation")
    origin = json.loads(_CONFIG.read_text())["stages"][STAGE]["environment_variables"]["WEB_ORIGIN"]
    parameters = {"Stage": STAGE, "DomainPrefix": _STACK, "CallbackUrls": f"{origin}/callback"}
    wanted: dict[str, Any] = {
        "StackName": _STACK,
        "TemplateBody": _TEMPLATE.read_text(),
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    }
    try:
        done = _create_or_update(cloudformation, wanted)
        if done:
            cloudformation.get_waiter(done).wait(StackName=_STACK, WaiterConfig={"Delay": 1, "MaxAttempts": _PATIENCE})
    except (ClientError, WaiterError) as error:
        message = (
            f"{_TEMPLATE.name} cannot be deployed: {error} Mend it, or delete {HOME} to start with nothing; then: make run"
        )
        raise LocalError(message) from error
    outputs = cloudformation.describe_stacks(StackName=_STACK)["Stacks"][0]["Outputs"]
    return {output["Description"].split()[0]: output["OutputValue"] for output in outputs}  # it starts with the setting


def _create_or_update(cloudformation: Any, wanted: dict[str, Any]) -> str:
    """Return the name of the waiter for what was begun, none if nothing was to do."""
    try:
        cloudformation.create_stack(**wanted)
    except cloudformation.exceptions.AlreadyExistsException:
        try:
            cloudformation.update_stack(**wanted)
        except ClientError as error:
            if "No updates" not in error.response["Error"]["Message"]:
                raise
            return ""
        return "stack_update_complete"
    return "stack_create_complete"
