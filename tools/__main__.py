"""The command line of the tools: `python -m tools --help`."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import NamedTuple

from tools import stages
from tools.errors import CommandError, explain, missing_package


class _Command(NamedTuple):
    function: Callable[[argparse.Namespace], None]
    help: str
    argument: str = ""


def _run(arguments: argparse.Namespace) -> None:
    from tools.local import run

    parent = os.getppid() if arguments.end_with_parent else 0
    run.run(arguments.host, arguments.port, arguments.stage, reload=arguments.reload, parent=parent)


def _stop(_: argparse.Namespace) -> None:
    from tools.local import run

    run.stop()


def _use_local_aws(arguments: argparse.Namespace) -> None:
    from tools.local import emulator, settings, sms_client, users

    variables = emulator.connect()
    match arguments.command:
        case "env":
            print(settings.format_exports(variables))
        case "signup":
            print(users.sign_up(arguments.email))
        case "token":
            print(users.sign_in(arguments.user))
        case "machine-token":
            print(sms_client.fetch_token())
        case "inbox":
            print(sms_client.list_messages())


def _sign_in(arguments: argparse.Namespace) -> None:
    options = {"--pool-arn": arguments.pool_arn, "--client-id": arguments.client_id}
    if _is_local(arguments.stage, options):
        _use_local_aws(arguments)
        return
    from tools.deploy import sign_in

    pool, client = options.values()
    if arguments.stage:
        settings = _read_stack(arguments.stage)
        pool, client = settings["USER_POOL_ARN"], settings["WEB_CLIENT_ID"]
    print(sign_in.fetch_id_token(arguments.user, pool, client))


def _get_machine_token(arguments: argparse.Namespace) -> None:
    options = {"--token-url": arguments.token_url, "--client-id": arguments.client_id}
    if _is_local(arguments.stage, options):
        _use_local_aws(arguments)
        return
    from tools.deploy import machine_token

    if arguments.stage:
        settings = _read_stack(arguments.stage)
        url, client = f"{settings['SIGN_IN_URL']}/oauth2/token", settings["MACHINE_CLIENT_IDS"]
        secret = machine_token.read_secret(settings["USER_POOL_ARN"], client)
    else:
        (url, client), secret = options.values(), machine_token.require_secret()
    print(machine_token.fetch_access_token(url, client, secret))


def _is_local(stage: str | None, options: dict[str, str | None]) -> bool:
    """Return whether neither a stage nor options in its place are given; raises CommandError for some of them."""
    if any(options.values()) and (stage or not all(options.values())):
        message = f"Give {' and '.join(options)} together, or --stage alone."
        raise CommandError(message)
    return not stage and not any(options.values())


def _read_stack(stage: str) -> dict[str, str]:
    """Return the settings of a deployed stage; raises CommandError."""
    stages.require_region()
    stages.require_stage(stage)
    from tools.deploy import stack

    return stack.require_settings(stage, allow_api=True)


def _look_up(arguments: argparse.Namespace) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    from tools.deploy import callers, personal_data, restore, stack

    if arguments.command == "restore" and arguments.time:
        restore.parse(arguments.time)  # before AWS is asked
    stages.require_region()
    stages.require_stage(arguments.stage)
    settings = {"TABLE_NAME": arguments.table, "USER_POOL_ARN": arguments.pool_arn}
    if not any(settings.values()):
        settings = stack.require_settings(arguments.stage, allow_api=True)
    if not all(settings.values()):
        message = "Give --table and --pool-arn together, or neither for the stack of the stage."
        raise CommandError(message)
    place = personal_data.Place(settings["TABLE_NAME"], settings["USER_POOL_ARN"].rpartition("/")[2])
    try:
        match arguments.command:
            case "export":
                print(personal_data.export(arguments.name, place))
            case "erase":
                print(personal_data.erase(arguments.name, place, confirmed=arguments.yes))
            case "caller":
                print(callers.find(arguments.hash, arguments.stage, place, settings))
            case "restore":
                stages.apply_placeholder_settings(arguments.stage)  # index keys depend on them
                source = arguments.source or restore.recover(place.table, arguments.time)
                ids, past = tuple(arguments.task or ()), arguments.source is None
                choice = restore.Choice(arguments.user, ids, arguments.apply, arguments.changed, to_the_past=past)
                print(restore.copy(source, place, choice))
    except (BotoCoreError, ClientError) as error:
        message = f"AWS did not answer as expected: {error} Run the same command again."
        raise CommandError(message) from error
    except KeyboardInterrupt as error:
        message = "Interrupted. Run the same command again: it does what is left."
        raise CommandError(message) from error


def _generate(_: argparse.Namespace) -> None:
    stages.ignore_aws_account()
    stages.apply_placeholder_settings(stages.LOCAL)  # the app reads its settings when it is imported
    with explain():
        from tools.deploy import template
        from tools.generate import licences, openapi, policies, readme, reference, sdk

        for module in (openapi, reference, readme, policies, template, licences, sdk):
            module.write()


def _rename(arguments: argparse.Namespace) -> None:
    from tools.rename import rename

    rename(arguments.name)


def _package(arguments: argparse.Namespace) -> None:
    stage = arguments.stage
    stages.require_stage(stage)
    stages.ignore_aws_account()
    stages.apply_placeholder_settings(stage)
    with explain():
        from tools.deploy import packaging, terraform

    if arguments.command == "package":
        packaging.package(stage, stages.ROOT / "dist" / stage)
        print(f"Wrote dist/{stage}. Its MANIFEST.md lists the contents, docs/deploy.md says how to deploy it.")
    else:
        terraform.package(stage, stages.ROOT / "dist" / f"{stage}-terraform")
        print(f"Wrote dist/{stage}-terraform. Its README.md says how to use it.")


def _rehearse(arguments: argparse.Namespace) -> None:
    stages.require_stage(arguments.stage)
    with tempfile.TemporaryDirectory(prefix="rehearse-") as folder, suppress(KeyboardInterrupt):
        for signal_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signal_, signal.default_int_handler)
        os.environ |= {"LOCAL_HOME": folder, "TMPDIR": folder}  # also of the processes that are ended
        stages.ignore_aws_account()
        stages.apply_placeholder_settings(arguments.stage)
        with explain():
            from tools.local import rehearse

        rehearse.rehearse(arguments.stage, arguments.way)


def _deploy(arguments: argparse.Namespace) -> None:
    stages.require_stage(arguments.stage)
    stages.require_region()
    stages.apply_placeholder_settings(arguments.stage)
    with explain():
        from tools.deploy import deploy

    if arguments.command == "deploy":
        deploy.deploy(arguments.stage)
    else:
        deploy.destroy(arguments.stage)


_COMMANDS = {
    "run": _Command(_run, "serve the API on this machine; start or join the local AWS"),
    "stop": _Command(_stop, "stop everything that `run` and `chalice local` serve from this folder"),
    "env": _Command(_use_local_aws, 'print the settings of the local AWS, for: eval "$(python -m tools env)"'),
    "signup": _Command(_use_local_aws, "sign up a local user and print the password", "email"),
    "token": _Command(_sign_in, "sign in a local user, or one of a deployed stage, and print the ID token", "user"),
    "machine-token": _Command(_get_machine_token, "print an access token of the machine client, local or of a stage"),
    "inbox": _Command(_use_local_aws, "print the SMS messages that were sent"),
    "generate": _Command(
        _generate, "write the generated files: OpenAPI, docs page, README's routes, policies, merge template, licences"
    ),
    "rename": _Command(_rename, "give the project another name, such as orders-api, in every tracked file", "name"),
    "package": _Command(_package, "write the CloudFormation template and the zip of a stage to dist", "stage"),
    "package-terraform": _Command(_package, "write the Terraform module and the zip of a stage to dist", "stage"),
    "rehearse": _Command(_rehearse, "deploy a stage to an AWS emulator on this machine until Ctrl-C", "stage"),
    "deploy": _Command(_deploy, "deploy a stage to the current AWS account", "stage"),
    "destroy": _Command(_deploy, "delete a stage from the current AWS account", "stage"),
    "export": _Command(_look_up, "print what a stage stores of a person (an e-mail address or a sub), as JSON", "name"),
    "erase": _Command(_look_up, "delete a person's account and tasks from a stage", "name"),
    "restore": _Command(_look_up, "compare a stage with a backup or another table, and bring back what is missing"),
    "caller": _Command(_look_up, "find the user or machine behind a hash in the log lines", "hash"),
}


def main() -> int:
    """Run the command that the arguments name; return the exit status."""
    arguments = _parse_arguments()
    if sys.platform == "win32":
        return _fail(
            "This project needs macOS, Linux or WSL. On Windows, use WSL (https://learn.microsoft.com/windows/wsl)."
        )
    for package in ("boto3", "ministack") if arguments.command in {"run", "rehearse"} else ("boto3",):
        if not find_spec(package):
            return _fail(missing_package(package))
    try:
        _COMMANDS[arguments.command].function(arguments)
    except (CommandError, OSError) as error:
        return _fail(error)
    return 0


def _parse_arguments() -> argparse.Namespace:
    description = "Runs the task API on this machine, and packages and deploys it."
    parser = argparse.ArgumentParser(prog="python -m tools", description=description)
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, command in _COMMANDS.items():
        options = commands.add_parser(name, help=command.help, description=command.help)
        if command.argument:
            options.add_argument(command.argument)
    token, machine_token = commands.choices["token"], commands.choices["machine-token"]
    token.add_argument("--pool-arn", help="instead of --stage: the ARN of the user pool; give --client-id too")
    machine_token.add_argument(
        "--token-url", help="instead of --stage: the output TokenUrl; give --client-id and CLIENT_SECRET too"
    )
    for options in (token, machine_token):
        options.add_argument("--stage", help="a deployed stage, whose stack has the ids; without it, the local AWS")
        options.add_argument("--client-id")
    rehearse = commands.choices["rehearse"]
    rehearse.add_argument("--way", default="cloudformation", help="how it is deployed: chalice, cloudformation or terraform")
    run = commands.choices["run"]
    run.add_argument("--host", default="127.0.0.1")
    run.add_argument("--port", default=os.environ.get("PORT") or "8000")
    run.add_argument("--stage", default=stages.LOCAL)
    run.add_argument("--no-reload", dest="reload", action="store_false", help="do not restart when a file changes")
    run.add_argument("--end-with-parent", action="store_true", help="stop when the parent process ends")
    for name in ("export", "erase", "restore", "caller"):
        options = commands.choices[name]
        options.add_argument("--stage", required=True)
        for option in ("--table", "--pool-arn"):
            options.add_argument(option, help="instead of the stack of the stage: the output of Terraform; give both")
    commands.choices["erase"].add_argument("--yes", action="store_true", help="do not ask for the name again")
    restore = commands.choices["restore"]
    source = restore.add_mutually_exclusive_group(required=True)
    source.add_argument("--time", help="restore the table as it was then, such as 2026-11-27T08:00:00Z")
    source.add_argument("--from", dest="source", metavar="TABLE", help="copy from this table instead")
    restore.add_argument("--user", help="only the items of this user: an e-mail address or a sub")
    restore.add_argument("--task", action="append", metavar="ID", help="only this task; may be repeated")
    restore.add_argument("--apply", action="store_true", help="bring back what is missing; without, only compare")
    restore.add_argument("--changed", action="store_true", help="with --apply, set back what differs, as a new version")
    return parser.parse_args()


def _fail(reason: object) -> int:
    print(reason, file=sys.stderr)
    if "CHALICE_WORKER" in os.environ:  # Chalice's reloader, the parent, would report success
        os.kill(os.getppid(), signal.SIGTERM)
    return 1


if __name__ == "__main__":
    sys.exit(main())
