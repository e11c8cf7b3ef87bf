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

from tools.deploy import packaging, parameters, stack, terraform
from tools.errors import CommandError
from tools.local import child_process, emulator, rehearse_aws, settings, users
from tools.stages import ignore_aws_account, resource_name, stage_config, template_parameters

_PROCESSORS = {"x86_64": "x86_64", "aarch64": "arm64"}
"""The architecture of Lambda for each machine."""
_ON_AWS_ALONE = ("ApiBasePath", "ApiCertificateArn", "ApiDomain", "WebAclArn")
"""The parameters that name what the emulator has not: a rehearsal leaves them empty."""
_TERRAFORM_VARIABLES = {"TF_CLI_ARGS_init", "TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR"}
"""The variables of Terraform that a rehearsal takes from the shell: others would change what is deployed, and where to."""
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
    if way not in WAYS:
        message = f"{way} is no way to deploy. Use one of {', '.join(WAYS)}: make rehearse STAGE={stage} WAY=terraform"
        raise CommandError(message)
    if way == "terraform" and not shutil.which("terraform"):
        message = "terraform is missing. Install Terraform 1.5 or later, or rehearse without WAY=terraform."
        raise CommandError(message)
    repeat = f"make rehearse STAGE={stage} WAY={way}"
    wanted = stage_config(stage)["lambda_architecture"]
    with _run_aws() as aws:
        note = "" if wanted == processor else f"; on AWS for {wanted}, with other native parts"
        _print(f"Packaging stage {stage} for {processor}, this machine{note}, and deploying it ({way}) ...")
        if left_out := [name for name in _ON_AWS_ALONE if template_parameters(stage).get(name)]:
            _print(f"Left out, because only AWS has what they name: {', '.join(left_out)}.")
        try:
            outputs = WAYS[way](stage, processor)
        except (BotoCoreError, ClientError) as error:
            message = f"The stage cannot be deployed: {error} Fix what .chalice has for it, then run: {repeat}"
            raise CommandError(message) from error
        _publish(outputs)
        users.sign_up("alice@example.com")
        _print(_welcome(stage, f"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/{outputs['RestAPIId']}/{stage}"))
        while aws.poll() is None:
            time.sleep(0.5)
        message = f"The AWS emulator stopped unexpectedly. Run again: {repeat}"
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
            ignore_aws_account()  # a profile could forbid the endpoint of the emulator
            os.environ.update(settings.aws_variables(port))
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
    parameters.require_valid(stage)
    stack.deploy(stage)
    kept = {name: value for name, value in stage_config(stage)["parameters"].items() if name not in _ON_AWS_ALONE}
    changes = {"lambda_architecture": processor, "parameters": kept, "api_gateway_custom_domain": {}}
    with packaging.copy_shipped(stage, **changes) as folder:
        packaging.run_chalice(folder, "deploy", stage)
        resources = json.loads((folder / ".chalice" / "deployed" / f"{stage}.json").read_text())["resources"]
    (api,) = [resource["rest_api_id"] for resource in resources if resource["resource_type"] == "rest_api"]
    return stack.read_outputs(stage) | {"RestAPIId": api}


def _deploy_with_cloudformation(stage: str, processor: str) -> dict[str, str]:
    """Create the packaged stack and return its outputs."""
    built = settings.HOME / "built"
    packaging.package(stage, built, lambda_architecture=processor)
    template = rehearse_aws.upload(boto3.client("s3"), built)
    values = {"GatewayLogsRole": "true"} | dict.fromkeys(_ON_AWS_ALONE, "")  # no API here has logs yet
    return rehearse_aws.change_stack(
        boto3.client("cloudformation"),
        resource_name(stage),
        "rehearsal",
        "create",
        TemplateURL=f"{os.environ['AWS_ENDPOINT_URL']}/{template}",
        Capabilities=rehearse_aws.CAPABILITIES,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
    )


def _deploy_with_terraform(stage: str, processor: str) -> dict[str, str]:
    """Apply the packaged module and return its outputs, with the names of those of the stack; raises CommandError."""
    module = settings.HOME / "built"
    terraform.package(stage, module, lambda_architecture=processor)
    variables = {"gateway_logs_role": True} | dict.fromkeys(map(terraform.snake, _ON_AWS_ALONE), "")
    (module / "terraform.tfvars.json").write_text(json.dumps(variables))
    for words in (["init", "-input=false"], ["apply", "-input=false", "-auto-approve"]):
        _run_terraform(module, *words)
    outputs = json.loads(_run_terraform(module, "output", "-json", stdout=subprocess.PIPE))
    # Some have no equal in the stack, such as api_url.
    found = {name.title().replace("_", ""): str(output["value"]) for name, output in outputs.items()}
    return found | {"RestAPIId": found["RestApiId"]}


def _run_terraform(module: Path, *words: str, stdout: int | None = None) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_") or name in _TERRAFORM_VARIABLES}
    environment = kept | rehearse_aws.TERRAFORM
    # A module has no lock file, without which Terraform would download the provider in spite of a cache.
    environment["TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE"] = "1"
    command = ["terraform", f"-chdir={module}", *words]
    status, output = packaging.run(command, env=environment, stdout=stdout)
    if status:
        message = f"`terraform {words[0]}` failed; the lines above say why. Fix it, then repeat the command."
        raise CommandError(message)
    return output


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
