"""`make run`, started and stopped by a test, on ports and in a folder of its own."""

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
from typing import IO, Any, NamedTuple

import boto3

from chalicelib.config import Settings
from tests.conftest import ROOT
from tests.support import commands, documented, leaks

PATIENCE = 300  # seconds; a wait that is over earlier ends earlier, so this is for a machine that is very busy
SLOWER = 4
"""By how much the timeouts of a slowed-down copy are longer, so that a busy machine is not taken for a peer that hangs."""
READY = "More: README.md"  # what is printed last, behind users and their passwords


_PORTS = range(20_000, 30_000)  # below those that systems give to outgoing connections
_taken: set[int] = set()


def free_port() -> int:
    """Return a port that is free, and that no other process of these tests is given while this one lives."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port not in _taken and _reserved(port) and _bindable(port):
            _taken.add(port)
            return port
    raise AssertionError(_PORTS)


@cache
def _locks() -> IO[bytes]:
    """Open the file whose bytes stand for ports: whoever has locked one has the port; a lock ends with its process."""
    return (Path(tempfile.gettempdir()) / f"task-api-test-ports-{os.getuid()}").open("ab")


def _reserved(port: int) -> bool:
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment of a newcomer: nothing of AWS and no setting of the tests."""
    ours = {name.upper() for name in Settings.__struct_fields__}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("AWS_", "COV_", "MAKE"))
    } | more


class Response(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Stand:
    """`make run` of a checkout, on ports and in a folder of its own."""

    def __init__(self, home: Path, checkout: Path = ROOT) -> None:
        self.home, self.checkout = home, checkout
        self.port, self.aws_port = free_port(), free_port()
        self.environment = clean_environment(PORT=str(self.port), AWS_PORT=str(self.aws_port), LOCAL_HOME=str(home))
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = home.parent / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.sent: list[leaks.Sent] = []

    def start(self) -> str:
        """Start it and return what it printed when it was ready."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools", "run"], cwd=self.checkout, env=self.environment, stdout=output, stderr=output
            )
        return self.prints(READY)

    def prints(self, text: str, meanwhile: Callable[[], object] = lambda: None) -> str:
        """Wait until it has printed this, and return all that it has printed; what is to be done meanwhile may fail."""
        assert self.process
        end = time.monotonic() + PATIENCE
        while text not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < end, self.output.read_text()
            with suppress(OSError):
                meanwhile()
            time.sleep(0.1)
        return self.output.read_text()

    def serves(self, release: str) -> None:
        """Wait until it answers with this release."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                if self("GET", "/health").json["release"] == release:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError(self.output.read_text())

    def stop(self, how: int = signal.SIGINT) -> None:
        assert self.process
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        leaks.logged(self.output.read_text().partition(READY)[2].partition("\n")[2], *self.sent)

    def local(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `python -m tools`."""
        return commands.run(arguments, self.checkout, self.environment)

    def settings(self) -> dict[str, str]:
        """Return what other terminals are told."""
        return dict(re.findall(r"export (\w+)=(\S+)", self.local("env").stdout))

    def client(self, service: str) -> Any:
        """Return a client of the AWS behind it, whatever the environment of the tests says."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{self.aws_port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def token(self, user: str) -> str:
        done = self.local("token", user)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def answer_to(self, request: bytes) -> str:
        """Send these bytes and nothing more, and return all that comes back; nothing, if the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def __call__(self, method: str, path: str, token: str = "", body: Any = None, **headers: str) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Authorization": f"Bearer {token}"}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, sent)
            response = connection.getresponse()
            answer = Response(response.status, response.headers, response.read())
        finally:
            connection.close()
        told = path.partition("?")[0], answer.status, dict(answer.headers), answer.body.decode()
        said = leaks.Sent(sent, json.dumps(body), leaks.values(path))
        self.sent.append(said)
        documented.fits(method, *told)
        leaks.answered(method, *told, said)
        return answer


def copied(folder: Path) -> Path:
    """Copy this checkout as it is now, committed or not, and return the folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def slowed_down(checkout: Path) -> Path:
    """Lengthen all timeouts in a copy of this checkout alike, and return it.

    What they are relative to each other stays as it is, and so does what comes of a peer that hangs.
    """
    changed = 0
    for path in [*(checkout / "chalicelib").rglob("*.py"), checkout / ".chalice" / "config.json"]:
        text, count = re.subn(
            r"(\b\w*timeout=|^REQUEST_TIMEOUT = |\"lambda_timeout\": )([0-9]+)\b",
            lambda found: f"{found[1]}{SLOWER * int(found[2])}",
            path.read_text(),
            flags=re.MULTILINE,
        )
        path.write_text(text)
        changed += count
    assert changed == 7, changed  # two of DynamoDB, two of SNS, of the key server, of a request, of the function
    return checkout


@contextmanager
def running(home: Path, checkout: Path = ROOT) -> Iterator[Stand]:
    """Run one for the length of a block, and see that nothing is left of it."""
    stand = Stand(home, checkout)
    try:
        stand.start()
        yield stand
    finally:
        stand.stop()
    assert listening(stand.port, stand.aws_port) == []


def listening(*ports: int) -> list[int]:
    """Return those of the ports that somebody answers on."""
    found = []
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found
