"""What a developer asks for: `python -m local --help` lists it."""

import argparse
import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_VENV = _ROOT / ".venv"
_COMMANDS = {
    "run": ("start the API and AWS on this machine; `make run` prepares what it needs and calls it", ""),
    "env": ('print the settings of what is running, for: eval "$(python -m local env)"', ""),
    "signup": ("sign up a user of the local pool and print the password", "email"),
    "token": ("sign a user in and print the ID token", "user"),
    "machine-token": ("print an access token of the machine client, by client credentials", ""),
    "inbox": ("print the texts that were sent", ""),
    "generate": ("write anew what is read off the code: openapi.json, docs.html, the policies and docs/licences.md", ""),
    "package": ("write the CloudFormation template and the zip of a stage to dist", "stage"),
    "package-terraform": ("write the Terraform module and the zip of a stage to dist", "stage"),
    "deploy": ("deploy a stage to the AWS that you are signed in to", "stage"),
    "destroy": ("take a stage away from there", "stage"),
}


def main() -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description="The task API on a laptop, and its way to AWS.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (told, argument) in _COMMANDS.items():
        command = commands.add_parser(name, help=told)
        if argument:
            command.add_argument("argument", metavar=argument)
    arguments = parser.parse_args()

    try:
        import boto3  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        print("Nothing is installed here yet. Start with `make run`.", file=sys.stderr)
        return 1
    from local.environment import LocalError  # noqa: PLC0415 - only now is it sure that it can be imported

    try:
        _do(arguments.command, getattr(arguments, "argument", ""))
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _do(command: str, argument: str) -> None:
    if command in {"generate", "package", "package-terraform", "deploy", "destroy"}:
        _on_the_way_to_aws(command, argument)
        return
    from local import environment, machines, people, run  # noqa: PLC0415

    if command == "run":
        run.run()
        return
    variables = environment.join()
    if command == "env":
        print(environment.shell(variables))
    elif command == "inbox":
        print(machines.inbox())
    elif command == "machine-token":
        print(machines.token())
    elif command == "signup":
        print(people.signup(argument))
    else:
        print(people.token(argument))


def _on_the_way_to_aws(command: str, stage: str) -> None:
    from local import environment  # noqa: PLC0415

    if command != "generate":
        environment.require_stage(stage)
    if command in {"deploy", "destroy"}:
        environment.require_region()
    environment.describe(stage or environment.STAGE)
    from local import deploy, licences, openapi, packaging, policies, reference, terraform  # noqa: PLC0415 - some import the app

    if command == "generate":
        openapi.write()
        reference.write()
        policies.write()
        licences.write()
    elif command == "package":
        packaging.package(stage, _ROOT / "dist" / stage)
        print(f"Written to dist/{stage}: MANIFEST.md tells what it is, docs/deploy.md how to deploy it.")
    elif command == "package-terraform":
        terraform.package(stage, _ROOT / "dist" / f"{stage}-terraform")
        print(f"Written to dist/{stage}-terraform: README.md there tells how to use it.")
    elif command == "deploy":
        deploy.deploy(stage)
    else:
        deploy.destroy(stage)


if __name__ == "__main__":
    python = _VENV / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != _VENV.resolve():
        os.execv(python, [str(python), "-m", "local", *sys.argv[1:]])  # noqa: S606 - any Python may be asked; that one has what it takes
    sys.exit(main())
