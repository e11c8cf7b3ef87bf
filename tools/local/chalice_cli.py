"""Gives Chalice's own commands the settings of a stage. app.py imports this when the `chalice` command loads the app.

It is never shipped. Its effect by command:

local            is replaced by `python -m tools run`, which starts or joins the local AWS
deploy           gets the settings from the stage's stack, and afterwards configures what Chalice cannot set on the API
package          gets placeholders for these settings: the result depends on .chalice/config.json, never on the shell;
                 its merge template gets the stage's parameters as defaults
deploy, package  build the zip from shipped files only, with fixed modes (tools/deploy/shipping.py)
others           get placeholders
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError
from chalice.app import CORSConfig
from chalice.cli import cli
from chalice.config import Config
from chalice.deploy.deployer import DeploymentReporter
from chalice.deploy.swagger import SwaggerGenerator
from chalice.package import TemplateMergePostProcessor

from tools import stages
from tools.deploy import shipping
from tools.errors import CommandError, missing_package

_DEPLOYING = {"deploy", "plan"}
_WRITING = {"package", "generate-models", "appgraph"}


def _prepare() -> None:
    command, options = _parse_command_line()
    if command == "local":
        _replace_with_run(options)
    if not find_spec("boto3"):
        sys.exit(missing_package("boto3"))
    stage = options.params.get("stage", stages.LOCAL)
    try:
        stages.require_stage(stage)
        settings = _prepare_command(command, stage, options.params)
    except CommandError as error:
        sys.exit(str(error))
    os.environ.update(stages.environment_variables(stage) | settings)


def _prepare_command(command: str, stage: str, options: dict[str, Any]) -> dict[str, str]:
    """Adapt Chalice to the command and return the settings that .chalice/config.json lacks; raises CommandError."""
    if command not in _WRITING:
        _use_profile(options.get("profile"))
        stages.require_region()
    settings = stages.placeholder_settings()
    if command in _DEPLOYING:
        from tools.deploy import stack, state  # noqa: PLC0415 - they import boto3, which may be missing

        stages.require_domain_as_key(stage, Path.cwd())
        settings = stack.require_settings(stage)
        if state.complete(stage, Path.cwd()):  # Chalice has read the file before it loads the app
            message = "Run the same command again."
            raise CommandError(message)
        _add_to_functions(settings)
        _add_to_preflights(stages.environment_variables(stage)["WEB_ORIGIN"])
        _configure_after_deployment(stage)
    if command in _WRITING:
        stages.ignore_aws_account()
        _add_to_functions(dict.fromkeys(settings, ""))
    if command == "package":
        _complete_package(stage, options)
    if command in {"deploy", "package"}:
        shipping.apply(Path.cwd(), stage)
    return settings


def _use_profile(profile: str | None) -> None:
    """Use the profile in Chalice's options, which has priority over keys in the environment, as in Chalice."""
    if profile:
        os.environ["AWS_PROFILE"] = profile
        stages.require_region()  # raises CommandError for an unknown profile
        import boto3  # noqa: PLC0415 - it may be missing

        boto3.setup_default_session(profile_name=profile)


def _complete_package(stage: str, options: dict[str, Any]) -> None:
    """Set the stage's defaults in the merge template when Chalice loads it.

    Without one, print what the result lacks, unless tools/deploy runs Chalice: it adds the rest itself.
    """
    if not options["merge_template"] and "RUN_BY_TOOLS" not in os.environ:
        terraform = options["pkg_format"] == "terraform"
        complete = "make package-terraform" if terraform else "--merge-template .chalice/merge.json"
        missing = ", ".join(stages.placeholder_settings())
        print(f"{missing} are empty, and there is no table. To add them: {complete}", file=sys.stderr)
    load = TemplateMergePostProcessor._load_template_to_merge  # noqa: SLF001 - the only place where Chalice reads it

    def load_with_defaults(self: TemplateMergePostProcessor) -> dict[str, Any]:
        from tools.deploy import template  # noqa: PLC0415 - it imports the app, which is being imported now

        return template.set_defaults(load(self), stage)

    TemplateMergePostProcessor._load_template_to_merge = load_with_defaults  # type: ignore[method-assign] # noqa: SLF001


def _parse_command_line() -> tuple[str, click.Context]:
    """Return Chalice's command and its options.

    Parses the arguments itself: Click's own context exists in the main thread, and `chalice local` loads the app in another.
    """
    command: Any = cli
    name, arguments = "", sys.argv[1:]
    while isinstance(command, click.Group):  # `chalice dev plan` is a command in a group
        (name, *arguments) = command.make_parser(click.Context(command)).parse_args(arguments)[1]
        command = command.commands[name]
    return name, command.make_context(name, arguments, resilient_parsing=True)


def _replace_with_run(context: click.Context) -> None:
    """Replace this process with `python -m tools run` and the same options; the default stage is the local one."""
    options = context.params
    is_default = context.get_parameter_source("stage") is click.core.ParameterSource.DEFAULT
    stage = stages.LOCAL if is_default else options["stage"]
    arguments = ["--host", options["host"], "--port", str(options["port"]), "--stage", stage]
    # With reload, the parent is Chalice's reloader, which restarts this process.
    arguments.append("--end-with-parent" if options["autoreload"] else "--no-reload")
    del os.environ["AWS_CHALICE_CLI_MODE"]
    sys.stdout.flush()
    os.chdir(stages.ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "tools", "run", *arguments])  # noqa: S606 - no shell


def _add_to_functions(variables: dict[str, str]) -> None:
    """Add environment variables to those that .chalice/config.json gives to the functions."""
    configured: Any = Config.environment_variables.fget  # type: ignore[attr-defined]
    Config.environment_variables = property(lambda config: configured(config) | variables)  # type: ignore[assignment, method-assign]


def _add_to_preflights(origins: str) -> None:
    """Let the preflights in the definition of the API allow each of these origins; Chalice knows one."""
    add = SwaggerGenerator._add_preflight_request  # noqa: SLF001 - the only place where Chalice writes them

    def add_with_template(
        self: SwaggerGenerator, cors: CORSConfig, methods: list[str], swagger_for_path: dict[str, Any]
    ) -> None:
        from tools.deploy import gateway_responses  # noqa: PLC0415 - it imports the app, which is being imported now

        add(self, cors, methods, swagger_for_path)
        response = swagger_for_path["options"]["x-amazon-apigateway-integration"]["responses"]["default"]
        response["responseTemplates"] = gateway_responses.preflight(origins)

    SwaggerGenerator._add_preflight_request = add_with_template  # type: ignore[method-assign] # noqa: SLF001


def _configure_after_deployment(stage: str) -> None:
    """Configure what Chalice cannot set on the API after it is deployed, and before Chalice reports on it."""
    report = DeploymentReporter.display_report

    def configure_and_report(self: DeploymentReporter, deployed_values: dict[str, Any]) -> None:
        from tools.deploy import apigateway  # noqa: PLC0415 - it imports the app, which is being imported now

        (api,) = [resource for resource in deployed_values["resources"] if resource["resource_type"] == "rest_api"]
        print("Setting gateway responses, limits, logs and traces of the API, which Chalice cannot set.", flush=True)
        try:
            apigateway.configure_stage(api["rest_api_id"], stage, Path.cwd())
        except (CommandError, BotoCoreError, ClientError) as error:
            message = f"The functions and the API are deployed, but this step failed: {error} Fix it, then deploy again."
            print(message, file=sys.stderr)
            sys.exit(1)
        report(self, deployed_values)

    DeploymentReporter.display_report = configure_and_report  # type: ignore[method-assign]


_prepare()
