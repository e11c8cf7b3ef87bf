"""Deploys a stage to an AWS emulator on this machine until Ctrl-C: `make rehearse`."""

import fcntl
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.deploy import packaging, stack, terraform
from tools.errors import CommandError
from tools.local import child_process, emulator, rehearse_aws, settings, users
from tools.stages import resource_name, set_aws_variables, stage_config

_PROCESSORS = {"x86_64": "x86_64", "aarch64": "arm64"}
"""The architecture of Lambda for each machine."""
_JSON = '-H "Content-Type: application/json"'


def rehearse(stage: str, way: str) -> None:
    """Package the stage, deploy it in one of WAYS, and print how to call it; take everything away at KeyboardInterrupt.

    All files are in the folder LOCAL_HOME, which the caller deletes. Raises CommandError.
    """
    processor = _PROCESSORS.get(platform.machine())
    if sys.platform != "linux" or processor is None:
        message = (
            "`make rehearse` runs the functions as processes of this machine, which must be Linux on x86-64 or arm64. "
            "Use a Linux machine or container."
        )
        raise CommandError(message)
    if way == "terraform" and not shutil.which("terraform"):
        message = "terraform is missing. Install Terraform 1.5 or later, or rehearse without WAY=terraform."
        raise CommandError(message)
    wanted = stage_config(stage)["lambda_architecture"]
    with _run_aws() as aws:
        note = "" if wanted == processor else f"; on AWS for {wanted}, with other native parts"
        _print(f"Packaging stage {stage} for {processor}, this machine{note}, and deploying it ({way}) ...")
        try:
            outputs = WAYS[way](stage, processor)
        except (BotoCoreError, ClientError) as error:
            message = f"The stage cannot be deployed: {error} Fix its template, then run: make rehearse STAGE={stage}"
            raise CommandError(message) from error
        _publish(outputs)
        users.sign_up("alice@example.com")
        _print(_welcome(stage, f"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/{outputs['RestAPIId']}/{stage}"))
        while aws.poll() is None:
            time.sleep(0.5)
        message = f"The AWS emulator stopped unexpectedly. Run again: make rehearse STAGE={stage}"
        raise CommandError(message)


@contextmanager
def _run_aws() -> Iterator[Popen[bytes]]:
    """Run the emulator on a free port, and set the environment variables that lead to it."""
    with socket.socket() as probe:
        probe.bind((settings.HOST, 0))
        port = probe.getsockname()[1]
    _print("Starting AWS on this machine (ministack) ...")
    log = settings.HOME / "aws.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = rehearse_aws.start(port, log, environment)
    try:
        # `python -m tools token` and the like look for this lock before they use what is published.
        with emulator.hold_lock(settings.HOME / "alive.lock", fcntl.LOCK_EX):
            url = f"http://{settings.HOST}:{port}/_ministack/ready"
            emulator.await_response(process, url, "The AWS emulator did not start. Run the same command again.")
            set_aws_variables(settings.aws_variables(port))
            yield process
    except CommandError as error:
        message = f"{error}\n{log.read_text()[-2000:]}".strip()
        raise CommandError(message) from error
    finally:
        for signal_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a second one would leave something
            signal.signal(signal_, signal.SIG_IGN)
        _print("Taking everything away ...")
        child_process.stop(process)


def _deploy_with_chalice(stage: str, processor: str) -> dict[str, str]:
    """Do what `make deploy` does, without touching the deployment state of the checkout; return the outputs."""
    stack.deploy(stage)
    with packaging.copy_shipped(stage, lambda_architecture=processor) as folder:
        packaging.run_chalice(folder, "deploy", stage)
        resources = json.loads((folder / ".chalice" / "deployed" / f"{stage}.json").read_text())["resources"]
    (api,) = [resource["rest_api_id"] for resource in resources if resource["resource_type"] == "rest_api"]
    return stack.read_outputs(stage) | {"RestAPIId": api}


def _deploy_with_cloudformation(stage: str, processor: str) -> dict[str, str]:
    """Create the packaged stack and return its outputs."""
    built = settings.HOME / "built"
    packaging.package(stage, built, lambda_architecture=processor)
    template = rehearse_aws.upload(boto3.client("s3"), built)
    return rehearse_aws.change_stack(
        boto3.client("cloudformation"),
        resource_name(stage),
        "rehearsal",
        "create",
        TemplateURL=f"{os.environ['AWS_ENDPOINT_URL']}/{template}",
        Capabilities=rehearse_aws.CAPABILITIES,
        Parameters=[{"ParameterKey": "GatewayLogsRole", "ParameterValue": "true"}],  # no API here has logs yet
    )


def _deploy_with_terraform(stage: str, processor: str) -> dict[str, str]:
    """Apply the packaged module and return its outputs, with the names of those of the stack; raises CommandError."""
    module = settings.HOME / "built"
    terraform.package(stage, module, lambda_architecture=processor)
    (module / "terraform.tfvars.json").write_text('{"gateway_logs_role": true}')  # no API here has logs yet
    for words in (["init", "-input=false"], ["apply", "-input=false", "-auto-approve"]):
        _run_terraform(module, *words)
    outputs = json.loads(_run_terraform(module, "output", "-json", stdout=subprocess.PIPE))
    # api_url and the like have no equal there.
    found = {name.title().replace("_", ""): str(output["value"]) for name, output in outputs.items()}
    return found | {"RestAPIId": found["RestApiId"]}


def _run_terraform(module: Path, *words: str, stdout: int | None = None) -> str:
    environment = os.environ | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    command = ["terraform", f"-chdir={module}", *words]
    done = subprocess.run(command, env=environment, stdout=stdout, check=False, text=True)  # noqa: S603 - no shell
    if done.returncode:
        message = f"`terraform {words[0]}` failed; the lines above say why. Fix it, then repeat the command."
        raise CommandError(message)
    return done.stdout or ""


WAYS = {
    "chalice": _deploy_with_chalice,
    "cloudformation": _deploy_with_cloudformation,
    "terraform": _deploy_with_terraform,
}
"""The ways to deploy; each takes the stage and the architecture of its functions, and returns the outputs of the stack."""


def _publish(outputs: dict[str, str]) -> None:
    """Publish the settings that these outputs give, for the commands that get tokens."""
    found = stack.to_settings(outputs)
    os.environ.update(found)
    settings.publish({name: os.environ[name] for name in settings.aws_variables(0)} | found)


def _print(text: str) -> None:
    print(text, flush=True)


def _welcome(stage: str, api: str) -> str:
    tools = f"{settings.python_command()} -m tools"
    user, machine = ('-H "Authorization: Bearer $' + name + '"' for name in ("TOKEN", "MACHINE"))
    return f"""
Stage {stage} is deployed to an AWS emulator on this machine. Ctrl-C takes it away, with all data.

In another terminal, in this folder:
  API={api}
  TOKEN=$({tools} token alice)
  MACHINE=$({tools} machine-token)
  curl -si $API/health
  curl -si $API/tasks {user} {_JSON} -d '{{"title": "Buy milk"}}'
  curl -si $API/tasks {user}
  curl -si $API/hello {user}
  curl -si $API/nowhere
  curl -si $API/sms {machine} -H "Idempotency-Key: 1" {_JSON} -d '{{"to": "+12025550100", "message": "Hello"}}'
  {tools} inbox

The gateway itself responds to /nowhere. All AWS services: eval "$({tools} env)"
The emulator has no throttling and no limits of AWS: docs/proof.md lists what only AWS can show.
"""
