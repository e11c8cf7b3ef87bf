"""What a developer asks for: `python -m tools --help` lists it."""

import argparse
import os
import signal
import sys
from importlib.util import find_spec

_COMMANDS = {
    "run": "serve the API on this machine, and start or join an AWS there",
    "stop": "end all that `run` and `chalice local` serve from this folder",
    "env": 'print the settings of what is running, for: eval "$(python -m tools env)"',
    "signup": "sign up a user of the local pool and print the password",
    "token": "sign a user in and print the ID token",
    "machine-token": "print an access token of the machine client, by client credentials",
    "inbox": "print the texts that were sent",
    "generate": "write what is generated from the code: openapi.json, docs.html, the policies, merge templates and licences",
    "rename": "give the project another name, such as orders-api, in every tracked file",
    "package": "write the CloudFormation template and the zip of a stage to dist",
    "package-terraform": "write the Terraform module and the zip of a stage to dist",
    "deploy": "deploy a stage to the AWS that you are signed in to",
    "destroy": "take a stage away from there",
}
_ARGUMENTS = dict.fromkeys(("package", "package-terraform", "deploy", "destroy"), "stage") | {
    "rename": "name",
    "signup": "email",
    "token": "user",
}


def main() -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools", description="The task API on a laptop, and its way to AWS.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, told in _COMMANDS.items():
        command = commands.add_parser(name, help=told)
        if name in _ARGUMENTS:
            command.add_argument("argument", metavar=_ARGUMENTS[name])
    run = commands.choices["run"]
    run.add_argument("--host", default="127.0.0.1")
    run.add_argument("--port", default=os.environ.get("PORT") or "8000")
    run.add_argument("--stage", default="local")
    run.add_argument("--no-reload", dest="reload", action="store_false")
    run.add_argument("--end-with-parent", action="store_true", help="end when the process that has started this one ends")
    arguments = parser.parse_args()

    if sys.platform == "win32":
        print(
            "macOS, Linux or WSL is needed; on Windows, do the same in WSL (https://learn.microsoft.com/windows/wsl).",
            file=sys.stderr,
        )
        return 1
    from tools.environment import LocalError, missing  # noqa: PLC0415 - which Windows cannot import

    for package in ("boto3", "ministack") if arguments.command == "run" else ("boto3",):
        if not find_spec(package):
            return _fail(missing(package))
    try:
        _do(arguments)
    except (LocalError, OSError) as error:
        return _fail(error)
    return 0


def _fail(reason: object) -> int:
    print(reason, file=sys.stderr)
    if "CHALICE_WORKER" in os.environ:  # else Chalice's reloader, whose worker this is, would report success
        os.kill(os.getppid(), signal.SIGTERM)
    return 1


def _do(arguments: argparse.Namespace) -> None:
    command, argument = arguments.command, getattr(arguments, "argument", "")
    if command in {"generate", "package", "package-terraform", "deploy", "destroy"}:
        _on_the_way_to_aws(command, argument)
        return
    if command == "rename":
        from tools.rename import rename  # noqa: PLC0415

        rename(argument)
        return
    from tools import environment  # noqa: PLC0415
    from tools.local import emulator, run, sms_client, users  # noqa: PLC0415

    if command == "run":
        port, parent = environment.port("PORT", arguments.port), os.getppid() if arguments.end_with_parent else 0
        run.run(arguments.host, port, arguments.stage, reload=arguments.reload, parent=parent)
        return
    if command == "stop":
        run.stop()
        return
    variables = emulator.join()
    if command == "env":
        print(environment.shell(variables))
    elif command == "inbox":
        print(sms_client.inbox())
    elif command == "machine-token":
        print(sms_client.token())
    elif command == "signup":
        print(users.signup(argument))
    else:
        print(users.token(argument))


def _on_the_way_to_aws(command: str, stage: str) -> None:
    from tools import environment  # noqa: PLC0415

    if command != "generate":
        environment.require_stage(stage)
    if command in {"deploy", "destroy"}:
        environment.require_region()
    else:
        environment.use_none()
    environment.describe(stage or environment.STAGE)
    from tools.deploy import deploy, packaging, template, terraform  # noqa: PLC0415 - some import the app
    from tools.generate import licences, openapi, policies, reference  # noqa: PLC0415 - some import the app

    if command == "generate":
        openapi.write()
        reference.write()
        policies.write()
        template.write()
        licences.write()
    elif command == "package":
        packaging.package(stage, environment.ROOT / "dist" / stage)
        print(f"Written to dist/{stage}: MANIFEST.md tells what it is, docs/deploy.md how to deploy it.")
    elif command == "package-terraform":
        terraform.package(stage, environment.ROOT / "dist" / f"{stage}-terraform")
        print(f"Written to dist/{stage}-terraform: README.md there tells how to use it.")
    elif command == "deploy":
        deploy.deploy(stage)
    else:
        deploy.destroy(stage)


if __name__ == "__main__":
    sys.exit(main())
