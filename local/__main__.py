"""What a developer asks the local AWS for: `python -m local --help` lists it."""

import argparse
import os
import sys
from pathlib import Path

_VENV = Path(__file__).resolve().parent.parent / ".venv"


def main() -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description="AWS on this machine, for the stage local.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start everything; `make run` prepares what it needs and calls it")
    commands.add_parser("env", help='print the settings of what is running, for: eval "$(python -m local env)"')
    commands.add_parser("signup", help="sign up a user and print the password").add_argument("email")
    commands.add_parser("inbox", help="print the texts that were sent")
    commands.add_parser("machine-token", help="print an access token of the machine client, by client credentials")
    commands.add_parser("openapi", help="write chalicelib/openapi.json and docs.html anew, from the code")
    commands.add_parser("token", help="sign a user in and print the ID token").add_argument("user")
    arguments = parser.parse_args()

    try:
        import boto3  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        print("Nothing is installed here yet. Start with `make run`.", file=sys.stderr)
        return 1
    from local import environment, machines, people, run  # noqa: PLC0415 - only now is it sure that they can be imported

    try:
        if arguments.command == "run":
            run.run()
            return 0
        if arguments.command == "openapi":
            environment.describe()
            from local import openapi, reference  # noqa: PLC0415 - they import the app, which needs its settings

            openapi.write()
            reference.write()
            return 0
        variables = environment.join()
        if arguments.command == "env":
            print(environment.shell(variables))
        elif arguments.command == "inbox":
            print(machines.inbox())
        elif arguments.command == "machine-token":
            print(machines.token())
        elif arguments.command == "signup":
            print(people.signup(arguments.email))
        else:
            print(people.token(arguments.user))
    except environment.LocalError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    python = _VENV / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != _VENV:
        os.execv(python, [str(python), "-m", "local", *sys.argv[1:]])  # noqa: S606 - any Python may be asked; that one has what it takes
    sys.exit(main())
