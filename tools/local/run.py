"""The API on this machine until Ctrl-C: `make run`, and what `chalice local` becomes."""

import fcntl
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tools import environment
from tools.deploy import stack
from tools.environment import HOME, HOST, STAGE, LocalError
from tools.local import child_process, emulator, users

_JSON = '-H "Content-Type: application/json"'
_TEXT = '{"to": "+12025550100", "message": "Hello"}'
_SERVERS = HOME / "servers"
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(host: str, port: int, stage: str, *, reload: bool, parent: int) -> None:
    """Serve the API until a signal comes, or until another process is our parent than that one, unless it is 0.

    The stage local uses the AWS of this machine. Any other stage uses its own table and users, in the account to which the
    variables of this shell lead. Whatever happens, nothing is left running. Raises LocalError.
    """
    environment.require_stage(stage, on_aws=False)
    emulator.require_free_port(host, port, "make run PORT={0}, or chalice local --port {0}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started this process with it ignored
    for signal_ in _ENDINGS:
        if signal.getsignal(signal_) is not signal.SIG_IGN:  # as `nohup` wants it
            signal.signal(signal_, signal.default_int_handler)
    try:
        with _listed(), _local_aws(port) if stage == STAGE else _deployed(stage):
            _serve(host, port, stage, reload=reload, parent=parent)
    except KeyboardInterrupt:
        return


def stop() -> None:
    """End all that serves from this folder, and wait for it; raises LocalError where nothing does."""
    stopped = 0
    for entry in sorted(_SERVERS.glob("*")):
        with suppress(BlockingIOError), emulator.locked(entry, fcntl.LOCK_EX | fcntl.LOCK_NB):
            entry.unlink()  # its process is gone, without having had the time
            continue
        with suppress(ProcessLookupError):  # it may have ended just now
            os.kill(int(entry.name), signal.SIGINT)
        with emulator.locked(entry, fcntl.LOCK_EX):  # which that process holds to its end
            stopped += 1
    if not stopped:
        message = "Nothing is running here."
        raise LocalError(message)
    _say(f"Stopped {stopped}. Users, tokens and tasks are kept for the next start.")


@contextmanager
def _listed() -> Iterator[None]:
    """List this process for `stop`, by a file with its id, locked for as long as it lives."""
    _SERVERS.mkdir(mode=0o700, parents=True, exist_ok=True)
    entry = _SERVERS / str(os.getpid())
    with emulator.locked(entry, fcntl.LOCK_EX):
        try:
            yield
        finally:
            entry.unlink(missing_ok=True)  # whoever has removed the folder has removed it too


@contextmanager
def _local_aws(port: int) -> Iterator[None]:
    aws_port = environment.port("AWS_PORT", os.environ.get("AWS_PORT") or "4566")
    if port == aws_port:
        message = f"PORT and AWS_PORT are both {port}. Choose another one: make run AWS_PORT={port + 1}"
        raise LocalError(message)
    with emulator.running(aws_port, _prepare):
        try:
            yield
        except KeyboardInterrupt:
            _say("\nStopping. Users, tokens and tasks are kept for the next start.")
            for signal_ in _ENDINGS:  # a second Ctrl-C would lose what is being written
                signal.signal(signal_, signal.SIG_IGN)


def _prepare() -> dict[str, str]:
    _say("Deploying the table, the user pool and its clients (.chalice/resources.json) ...")
    try:
        settings = stack.deploy(STAGE, pause=1)
    except LocalError as error:
        message = f"{error} Repair it, or delete {HOME} to start with nothing; then start again."
        raise LocalError(message) from error
    os.environ.update(settings)
    _say("Signing up the demo users ...")
    users.ensure_demo()
    return settings


@contextmanager
def _deployed(stage: str) -> Iterator[None]:
    environment.require_region()
    os.environ.update(stack.require(stage))
    yield


def _serve(host: str, port: int, stage: str, *, reload: bool, parent: int) -> None:
    _say("Starting the API ...")
    server = child_process.start("tools.local.server", host, str(port), stage, "reload" if reload else "")
    try:
        reachable = HOST if host == "0.0.0.0" else host  # noqa: S104 - compared, not bound to
        failed = "The API does not start; the lines above say why. Repair it, then start again."
        # Code that cannot be imported is tried again when it has changed.
        patience = math.inf if reload else emulator.PATIENCE
        emulator.await_answer(server, f"http://{reachable}:{port}/health", failed, patience)
        url = f"http://{reachable}:{port}"
        _say(_welcome(url, reload=reload) if stage == STAGE else f"Stage {stage} is served at {url}. Ctrl-C stops it.")
        while server.poll() is None and parent in {0, os.getppid()}:
            if stage == STAGE and not emulator.is_alive():
                message = (
                    f"The local AWS has ended by itself; {HOME / 'aws.log'} may say why. It writes what it holds when it is "
                    "stopped, so what was new since it started is lost. Start again."
                )
                raise LocalError(message)
            time.sleep(0.5)
    finally:
        child_process.stop(server)
    if parent in {0, os.getppid()}:
        message = "The API has ended by itself; the lines above say why. Repair it, then start again."
        raise LocalError(message)


def _say(text: str) -> None:
    print(text, flush=True)


def _welcome(url: str, *, reload: bool) -> str:
    reloads, python = " and reloads when a file changes" * reload, environment.python()
    passwords = users.passwords()
    widest = max(map(len, passwords))
    lines = "\n".join(f"  {email:{widest}}  {password}" for email, password in passwords.items())
    return f"""
The API answers at {url}{reloads}. Ctrl-C stops it and keeps everything.

Users and their passwords:
{lines}

Sign in, create a task, list your tasks (in another terminal, in this folder):
  TOKEN=$({python} -m tools token alice)
  curl -s {url}/tasks -H "Authorization: Bearer $TOKEN" {_JSON} -d '{{"title": "Buy milk"}}'
  curl -s {url}/tasks -H "Authorization: Bearer $TOKEN"

As a machine, send a text, and see it arrive:
  MACHINE=$({python} -m tools machine-token)
  curl -s {url}/sms -H "Authorization: Bearer $MACHINE" -H "Idempotency-Key: $(date +%s)" {_JSON} -d '{_TEXT}'
  {python} -m tools inbox

More: README.md. A user of your own: {python} -m tools signup you@example.com
"""
