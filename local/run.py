"""`make run`: AWS on this machine, its table and its users, and the API in front of them, until Ctrl-C."""

import os
import shlex
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from local import aws, child, environment, people, stack
from local.environment import HOME, HOST, ROOT, STAGE, LocalError

_JSON = '-H "Content-Type: application/json"'
_TEXT = '{"to": "+12025550100", "message": "Hello"}'
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run() -> None:
    """Start everything, tell how to use it, and wait; raises LocalError. Whatever happens, nothing is left running."""
    _refuse_second_run()
    port, aws_port = environment.port("PORT", 8000), environment.port("AWS_PORT", 4566)
    for name, number in (("PORT", port), ("AWS_PORT", aws_port)):
        _refuse_port_in_use(name, number)
    if port == aws_port:
        message = f"PORT and AWS_PORT are both {port}. Choose another one: make run AWS_PORT={port + 1}"
        raise LocalError(message)
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    for signal_ in _ENDINGS:  # Ctrl-C among them: a shell may have started us deaf to it
        signal.signal(signal_, signal.default_int_handler)
    with ExitStack() as ending:
        try:
            variables = environment.choose(aws_port)
            _say("Starting AWS on this machine (ministack) ...")
            stand_in = ending.enter_context(aws.running(aws_port))
            _say("Deploying the table, the user pool and its clients (.chalice/resources.json) ...")
            ending.callback(environment.leave)
            environment.announce(variables | _settings())
            _say("Signing up the demo users ...")
            passwords = people.ensure_demo()
            _say("Starting the API (chalice local) ...")
            server = child.start("local.server", str(port))
            ending.callback(child.stop, server)
            aws.await_answer(
                server,
                f"http://{HOST}:{port}/health",
                "The API does not start; the lines above tell why. Mend it, then: make run",
            )
            _say(_welcome(port, passwords))
            while server.poll() is None and stand_in.poll() is None:
                time.sleep(0.5)
        except KeyboardInterrupt:
            _say("\nStopping. Users, tokens and tasks are kept for the next `make run`.")
            for signal_ in _ENDINGS:  # a second Ctrl-C would lose what is being written
                signal.signal(signal_, signal.SIG_IGN)
            return
        message = "The API has ended by itself; the lines above tell why. Mend it, then: make run"
        if stand_in.poll() is not None:
            message = (
                f"The local AWS has ended by itself; {HOME / 'aws.log'} may tell why. It writes what it holds when it is "
                "stopped, so what was new in this run is lost. Go on with: make run"
            )
        raise LocalError(message)


def _refuse_second_run() -> None:
    try:
        running = environment.join()["AWS_ENDPOINT_URL"]
    except LocalError:
        return
    message = f"It is running already, in another terminal, with its AWS at {running}. Stop it there with Ctrl-C first."
    raise LocalError(message)


def _refuse_port_in_use(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            message = f"Port {port} is in use. Choose another one: make run {name}={port + 1}"
            raise LocalError(message) from error


def _say(text: str) -> None:
    print(text, flush=True)


def _welcome(port: int, passwords: dict[str, str]) -> str:
    url = f"http://{HOST}:{port}"
    widest = max(map(len, passwords))
    users = "\n".join(f"  {email:{widest}}  {password}" for email, password in passwords.items())
    return f"""
The API answers at {url} and reloads when a file changes. Ctrl-C stops it and keeps everything.

Users and their passwords:
{users}

Sign in, create a task, list your tasks (in another terminal, in this folder):
  TOKEN=$({_python()} -m local token alice)
  curl -s {url}/tasks -H "Authorization: Bearer $TOKEN" {_JSON} -d '{{"title": "Buy milk"}}'
  curl -s {url}/tasks -H "Authorization: Bearer $TOKEN"

As a machine, send a text, and see it arrive:
  MACHINE=$({_python()} -m local machine-token)
  curl -s {url}/sms -H "Authorization: Bearer $MACHINE" -H "Idempotency-Key: $(date +%s)" {_JSON} -d '{_TEXT}'
  {_python()} -m local inbox

More: README.md. A user of your own: {_python()} -m local signup you@example.com
"""


def _python() -> str:
    path = Path(sys.executable)
    home = os.environ.get("LOCAL_HOME")  # which another terminal does not know
    before = f"LOCAL_HOME={shlex.quote(home)} " if home else ""
    return before + shlex.quote(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path))


def _settings() -> dict[str, str]:
    try:
        return stack.deploy(STAGE, pause=1)
    except LocalError as error:
        message = f"{error} Mend it, or delete {HOME} to start with nothing; then: make run"
        raise LocalError(message) from error
