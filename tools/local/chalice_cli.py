"""Gives Chalice's own commands what they need here. app.py imports it when the `chalice` command loads the app.

It is never shipped. What each command gets:

local     is replaced by `python -m tools run`, which starts or joins the AWS on this machine
deploy    the settings that come out of the stage's stack; after it, what Chalice cannot set on the API
package   placeholders for these settings: what is written depends on .chalice/config.json alone, never on the shell
both      a zip of what is shipped alone, with modes of ours (tools/deploy/shipping.py)
others    placeholders as well
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError
from chalice.cli import cli
from chalice.config import Config
from chalice.deploy.deployer import DeploymentReporter

from tools import environment
from tools.deploy import shipping
from tools.environment import LocalError

_DEPLOYING = {"deploy", "plan"}
_WRITING = {"package", "generate-models", "appgraph"}


def _prepare() -> None:
    command, options = _command_line()
    if command == "local":
        _run_instead(options)
    if not find_spec("boto3"):
        sys.exit(environment.missing("boto3"))
    stage = options.params.get("stage", environment.STAGE)
    try:
        environment.require_stage(stage)
        settings = _settings(command, stage, options.params)
    except LocalError as error:
        sys.exit(str(error))
    os.environ.update(environment.variables(stage) | settings)


def _settings(command: str, stage: str, given: dict[str, Any]) -> dict[str, str]:
    """Return the settings that the app needs beside those of .chalice/config.json; raises LocalError."""
    if command not in _WRITING:
        _use_profile(given.get("profile"))
        environment.require_region()
    settings = environment.placeholders()
    if command in _DEPLOYING:
        from tools.deploy import stack  # noqa: PLC0415 - it imports boto3, which may not be installed

        settings = stack.require(stage)
        _add_to_functions(settings)
        _finish_after(stage)
    if command in _WRITING:
        environment.use_none()
        _add_to_functions(dict.fromkeys(settings, ""))
    if command == "package":
        _require_own_merge_template(stage, given["merge_template"])
        _say_what_is_missing(stage, given)
    if command in {"deploy", "package"}:
        shipping.apply(Path.cwd(), stage)
    return settings


def _use_profile(profile: str | None) -> None:
    """Talk to AWS with the profile that Chalice was given, which beats keys in the environment there too."""
    if profile:
        os.environ["AWS_PROFILE"] = profile
        environment.require_region()  # which raises LocalError for a profile that is not there
        import boto3  # noqa: PLC0415 - whether it is installed was asked before

        boto3.setup_default_session(profile_name=profile)


def _require_own_merge_template(stage: str, template: str | None) -> None:
    if template and Path(template).name in {f"merge-{other}.json" for other in environment.stages() if other != stage}:
        message = f"{template} is the merge template of another stage; take .chalice/merge-{stage}.json."
        raise LocalError(message)


def _say_what_is_missing(stage: str, given: dict[str, Any]) -> None:
    """Say that what is written without the merge template is not all that the API needs."""
    if not given["merge_template"]:
        terraform = given["pkg_format"] == "terraform"
        whole = "make package-terraform" if terraform else f"--merge-template .chalice/merge-{stage}.json"
        told = f"{', '.join(environment.placeholders())} stay empty, and there is no table: {whole} adds it."
        print(told, file=sys.stderr)


def _command_line() -> tuple[str, click.Context]:
    """Return which command of Chalice this process runs, and its options.

    Read from the arguments: Click's own context is the main thread's, and `chalice local` loads the app in another.
    """
    command: Any = cli
    name, arguments = "", sys.argv[1:]
    while isinstance(command, click.Group):  # `chalice dev plan` is a command in a group
        (name, *arguments) = command.make_parser(click.Context(command)).parse_args(arguments)[1]
        command = command.commands[name]
    return name, command.make_context(name, arguments, resilient_parsing=True)


def _run_instead(options: click.Context) -> None:
    """Become `python -m tools run` with the same options; without --stage that is the stage local."""
    given = options.params
    chosen = options.get_parameter_source("stage") is not click.core.ParameterSource.DEFAULT
    arguments = [
        "--host",
        given["host"],
        "--port",
        str(given["port"]),
        "--stage",
        given["stage"] if chosen else environment.STAGE,
    ]
    if given["autoreload"]:
        arguments.append("--end-with-parent")  # Chalice's reloader, whose worker this is
    else:
        arguments.append("--no-reload")
    del os.environ["AWS_CHALICE_CLI_MODE"]
    sys.stdout.flush()
    os.chdir(environment.ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "tools", "run", *arguments])  # noqa: S606 - our own words


def _add_to_functions(variables: dict[str, str]) -> None:
    """Let the functions have these environment variables beside those of .chalice/config.json."""
    configured: Any = Config.environment_variables.fget  # type: ignore[attr-defined]
    Config.environment_variables = property(lambda config: configured(config) | variables)  # type: ignore[assignment, method-assign]


def _finish_after(stage: str) -> None:
    """Set what Chalice cannot set on the API, once it is deployed, before Chalice reports on it."""
    report = DeploymentReporter.display_report

    def finish(self: DeploymentReporter, deployed_values: dict[str, Any]) -> None:
        from tools.deploy import apigateway  # noqa: PLC0415 - it needs the app, which is being imported now

        (api,) = [resource for resource in deployed_values["resources"] if resource["resource_type"] == "rest_api"]
        print("Setting gateway responses, limits, logs and traces of the API, which Chalice cannot set.", flush=True)
        try:
            apigateway.finish(api["rest_api_id"], stage)
        except (LocalError, BotoCoreError, ClientError) as error:
            print(
                f"Functions and API are deployed, but this step failed: {error} Repair it, then deploy again.",
                file=sys.stderr,
            )
            sys.exit(1)
        report(self, deployed_values)

    DeploymentReporter.display_report = finish  # type: ignore[method-assign]


_prepare()
