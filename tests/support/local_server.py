"""Runs `make run` for a test on free ports; free ports, clean environments and copies of the checkout for all servers."""

import fcntl
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import boto3

from chalicelib.config import Settings
from tests.conftest import ROOT
from tests.support import commands, documented, leaks
from tests.support.people import Response

TIMEOUT = 300  # seconds; only a failing test waits that long
TIMEOUT_FACTOR = 4
"""How much longer the timeouts of a copy are, so that a busy machine does not look like a server that hangs."""
READY = "More: README.md"  # the last line that `make run` prints at its start

_PORTS = range(20_000, 30_000)  # below the ephemeral ports
_taken: set[int] = set()


def free_port() -> int:
    """Return a free port, and reserve it among the test processes of this user for as long as this process runs."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port not in _taken and _reserve(port) and _can_bind(port):
            _taken.add(port)
            return port
    raise AssertionError(_PORTS)


@cache
def _lock_file() -> IO[bytes]:
    """Open the lock file: a process reserves a port by locking the byte at its number; the lock ends with the process."""
    return (Path(tempfile.gettempdir()) / f"task-api-test-ports-{os.getuid()}").open("ab")


def _reserve(port: int) -> bool:
    try:
        fcntl.lockf(_lock_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def clean_environment(**more: str) -> dict[str, str]:
    """Return this environment without AWS variables and without the settings of the tests."""
    ours = {name.upper() for name in Settings.__struct_fields__}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("AWS_", "COV_", "MAKE"))
    } | more


def send_request(
    port: int, base: str, method: str, path: str, body: Any, headers: dict[str, str], log: list[leaks.Sent]
) -> Response:
    """Send a request; check the response against the OpenAPI document and for leaks; append the sent values to the log."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
    try:
        connection.request(method, base + path, raw, sent_headers)
        received = connection.getresponse()
        response = Response(received.status, received.headers, received.read())
    finally:
        connection.close()
    sent = leaks.Sent(sent_headers, raw, leaks.path_values(path))
    log.append(sent)
    if method != "HEAD":
        parts = path.partition("?")[0], response.status, dict(response.headers), response.body.decode()
        documented.assert_documented(method, *parts)
        leaks.check_response(method, *parts, sent)
    return response


def aws_client(service: str, url: str, region: str = "us-east-1") -> Any:
    """Return a client of an emulator with the key of the root user."""
    credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region, endpoint_url=url, **credentials)  # type: ignore[call-overload]


def wait_for(
    condition: Callable[[], object], output: Path | None = None, process: "subprocess.Popen[Any] | None" = None
) -> None:
    """Wait until a condition holds, an OSError meaning not yet; fail with the output at a timeout or if the process ends."""
    end = time.monotonic() + TIMEOUT
    while True:
        with suppress(OSError):
            if condition():
                return
        assert process is None or process.poll() is None, output and output.read_text()
        assert time.monotonic() < end, output and output.read_text()
        time.sleep(0.1)


class LocalServer:
    """`make run` of a checkout, with its own ports and data folder; call it to send a request."""

    def __init__(self, home: Path, checkout: Path = ROOT) -> None:
        self.home, self.checkout = home, checkout
        self.port, self.aws_port, self.web_port = free_port(), free_port(), free_port()
        ports = {"PORT": str(self.port), "AWS_PORT": str(self.aws_port), "WEB_PORT": str(self.web_port)}
        self.environment = clean_environment(**ports, LOCAL_HOME=str(home))
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = home.parent / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.sent: list[leaks.Sent] = []

    def start(self) -> str:
        """Start the server, wait until it is ready, and return its output."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools", "run"], cwd=self.checkout, env=self.environment, stdout=output, stderr=output
            )
        return self.wait_for_output(READY)

    def wait_for_output(self, text: str, trigger: Callable[[], object] = lambda: None) -> str:
        """Wait until the text is printed, and return all output; the trigger is called before each look, and may fail."""

        def printed() -> bool:
            with suppress(OSError):
                trigger()
            return text in self.output.read_text()

        wait_for(printed, self.output, self.process)
        return self.output.read_text()

    def wait_for_release(self, release: str) -> None:
        """Wait until /health reports this release."""
        wait_for(lambda: self("GET", "/health").json["release"] == release, self.output)

    def wait_until_closed(self) -> None:
        """Wait until the ports of the API and the emulator are closed."""
        wait_for(lambda: not open_ports(self.port, self.aws_port, self.web_port))

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        assert self.process
        self.process.send_signal(signal_number)
        self.process.wait(TIMEOUT)
        leaks.check_log(self.output.read_text().partition(READY)[2].partition("\n")[2], *self.sent)

    def tools(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `python -m tools` against this server."""
        return commands.run(arguments, self.checkout, self.environment)

    def settings(self) -> dict[str, str]:
        """Return the variables that `python -m tools env` prints."""
        return dict(re.findall(r"export (\w+)=(\S+)", self.tools("env").stdout))

    def client(self, service: str) -> Any:
        """Return a client of the emulator of this server."""
        return aws_client(service, f"http://127.0.0.1:{self.aws_port}")

    def token(self, user: str) -> str:
        done = self.tools("token", user)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def send_raw(self, data: bytes) -> str:
        """Send these bytes, then end the stream, and return all received bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def __call__(self, method: str, path: str, token: str = "", body: Any = None, **headers: str) -> Response:
        return send_request(self.port, "", method, path, body, headers | {"Authorization": f"Bearer {token}"}, self.sent)


def copy_checkout(folder: Path) -> Path:
    """Copy the files of this checkout that git does not ignore, committed or not, and return the folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def lengthen_timeouts(checkout: Path) -> Path:
    """Multiply all timeouts in a copy of this checkout by TIMEOUT_FACTOR, so that their order stays; return the copy."""
    changed = 0
    for path in [*(checkout / "chalicelib").rglob("*.py"), checkout / ".chalice" / "config.json"]:
        text, count = re.subn(
            r"(\b\w*timeout=|^REQUEST_TIMEOUT = |\"lambda_timeout\": )([0-9]+)\b",
            lambda found: f"{found[1]}{TIMEOUT_FACTOR * int(found[2])}",
            path.read_text(),
            flags=re.MULTILINE,
        )
        path.write_text(text)
        changed += count
    assert changed == 7, changed  # two of DynamoDB, two of SNS, of the key server, of a request, of the function
    return checkout


@contextmanager
def run_server(home: Path, checkout: Path = ROOT) -> Iterator[LocalServer]:
    """Run a local server, and check that its ports are closed at the end."""
    server = LocalServer(home, checkout)
    try:
        server.start()
        yield server
    finally:
        server.stop()
    assert open_ports(server.port, server.aws_port, server.web_port) == []


def open_ports(*ports: int) -> list[int]:
    """Return the ports that accept a connection."""
    found = []
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found
