"""Serves the API on this machine until Ctrl-C: `make run`, and `chalice local`, which this replaces."""

import fcntl
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tools import stages
from tools.deploy import stack
from tools.errors import CommandError
from tools.local import child_process, emulator, users, web
from tools.local.settings import HOME, HOST, python_command

_JSON = '-H "Content-Type: application/json"'
_SMS = '{"to": "+12025550100", "message": "Hello"}'
_SERVERS = HOME / "servers"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_KEPT = "Users, tokens and tasks are kept for the next start."


def run(host: str, port: str, stage: str, *, reload: bool, parent: int) -> None:
    """Serve the API until a signal, or until the process with the id `parent` is no longer the parent (0: do not check).

    The local stage uses the local AWS. Another stage uses its own table and users, in the AWS account of this shell. All
    processes end with this one. Raises CommandError.
    """
    stages.require_stage(stage, on_aws=False)
    number = _parse_port("PORT", port)
    emulator.require_free_port(host, number, "make run PORT={0}, or chalice local --port {0}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started this process with SIGINT ignored
    for signal_ in _STOP_SIGNALS:
        if signal.getsignal(signal_) is not signal.SIG_IGN:  # `nohup` ignores SIGHUP
            signal.signal(signal_, signal.default_int_handler)
    try:
        with _register(), _use_local_aws(number) if stage == stages.LOCAL else _use_stage(stage):
            _serve(host, number, stage, reload=reload, parent=parent)
    except KeyboardInterrupt:
        return


def stop() -> None:
    """Stop all servers of this checkout and wait for them; raises CommandError if none is running."""
    stopped = 0
    for entry in sorted(_SERVERS.glob("*")):
        with suppress(BlockingIOError), emulator.hold_lock(entry, fcntl.LOCK_EX | fcntl.LOCK_NB):
            entry.unlink()  # its process was killed
            continue
        with suppress(ProcessLookupError):  # it may have just ended
            os.kill(int(entry.name), signal.SIGINT)
        with emulator.hold_lock(entry, fcntl.LOCK_EX):  # the process holds it until it ends
            stopped += 1
    if not stopped:
        message = "Nothing is running here. Start it with `make run` or `chalice local`."
        raise CommandError(message)
    _print(f"Stopped {stopped}. {_KEPT}")


def _parse_port(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 2**16):
        message = f"{name}={value} is not a port. Use a number from 1 to 65535."
        raise CommandError(message)
    return int(value)


@contextmanager
def _register() -> Iterator[None]:
    """List this process for `stop`, in a file that is named after its process id and locked while it lives."""
    _SERVERS.mkdir(mode=0o700, parents=True, exist_ok=True)
    entry = _SERVERS / str(os.getpid())
    with emulator.hold_lock(entry, fcntl.LOCK_EX):
        try:
            yield
        finally:
            entry.unlink(missing_ok=True)  # the folder may have been deleted


@contextmanager
def _use_local_aws(port: int) -> Iterator[None]:
    origin = web.read_origin()
    aws_port = _parse_port("AWS_PORT", os.environ.get("AWS_PORT") or "4566")
    if port == aws_port:
        message = f"PORT and AWS_PORT are both {port}. Choose another one: make run AWS_PORT={port + 1}"
        raise CommandError(message)
    with emulator.start_or_join(aws_port, _prepare):
        api = [f"http://{name}:{port}/docs/signed-in" for name in (HOST, "localhost")]
        users.allow_redirects(*(f"{one}/callback" for one in origin.split(",")), *api)
        try:
            yield
        except KeyboardInterrupt:
            _print(f"\nStopping. {_KEPT}")
            for signal_ in _STOP_SIGNALS:  # a second Ctrl-C would lose unsaved data
                signal.signal(signal_, signal.SIG_IGN)


def _prepare() -> dict[str, str]:
    _print("Deploying the table, the user pool and its clients (.chalice/resources.json) ...")
    try:
        settings = stack.deploy(stages.LOCAL, pause=1) | {"SIGN_IN_URL": os.environ["AWS_ENDPOINT_URL"]}
    except CommandError as error:
        message = f"{error} Fix it, or delete {HOME} to start empty; then start again."
        raise CommandError(message) from error
    os.environ.update(settings)
    _print("Signing up the demo users ...")
    users.ensure_demo_users()
    return settings


@contextmanager
def _use_stage(stage: str) -> Iterator[None]:
    stages.require_region()
    os.environ.update(stack.require_settings(stage))
    yield


def _serve(host: str, port: int, stage: str, *, reload: bool, parent: int) -> None:
    _print("Starting the API ...")
    server = child_process.start("tools.local.server", host, str(port), stage, "reload" if reload else "")
    url = f"http://{HOST if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - compared, not bound to
    try:
        failure = "The API did not start; the lines above say why. Fix it, then start again."
        # With reload there is no time limit: a failed start is repeated when a file changes.
        emulator.await_response(server, f"{url}/health", failure, math.inf if reload else emulator.TIMEOUT)
        if stage == stages.LOCAL:
            with web.serve(url) as web_app:
                _print(_welcome(web_app, url, reload=reload))
                _watch(server, stage, parent)
        else:
            _print(f"The API of stage {stage} is running at {url}. Ctrl-C stops it.")
            _watch(server, stage, parent)
    finally:
        child_process.stop(server)
    if parent in {0, os.getppid()}:
        message = "The API stopped unexpectedly; the lines above say why. Fix it, then start again."
        raise CommandError(message)


def _watch(server: "subprocess.Popen[bytes]", stage: str, parent: int) -> None:
    """Return when the server or the parent ends; raises CommandError if the local AWS does."""
    while server.poll() is None and parent in {0, os.getppid()}:
        if stage == stages.LOCAL and not emulator.is_alive():
            message = (
                f"The local AWS stopped unexpectedly; {emulator.LOG} may say why. It saves its data when it is stopped, "
                "so changes since its start are lost. Start again."
            )
            raise CommandError(message)
        time.sleep(0.5)


def _print(text: str) -> None:
    print(text, flush=True)


def _welcome(web_app: str, url: str, *, reload: bool) -> str:
    python, passwords = python_command(), users.read_passwords()
    width = max(map(len, passwords))
    lines = "\n".join(f"  {email:{width}}  {password}" for email, password in passwords.items())
    return f"""
{web_app}
The API is running at {url}{" and reloads when a file changes" if reload else ""}. Ctrl-C stops it and keeps all data.

Users and their passwords:
{lines}

Sign in, create a task, list your tasks (in another terminal, in this folder):
  TOKEN=$({python} -m tools token alice)
  curl -s {url}/tasks -H "Authorization: Bearer $TOKEN" {_JSON} -d '{{"title": "Buy milk"}}'
  curl -s {url}/tasks -H "Authorization: Bearer $TOKEN"

As a machine client, send an SMS message and list the sent messages:
  MACHINE=$({python} -m tools machine-token)
  curl -s {url}/sms -H "Authorization: Bearer $MACHINE" -H "Idempotency-Key: $(date +%s)" {_JSON} -d '{_SMS}'
  {python} -m tools inbox

More: README.md. Add a user: {python} -m tools signup you@example.com
"""
