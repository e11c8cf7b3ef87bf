"""A network between the app and a stand-in for AWS that refuses, loses, cuts, garbles, hangs and drips, to order.

Each wire through it has faults and counts of its own, so that tests side by side do not meet.
"""

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

_PATIENCE = 300  # seconds; whoever is to give up does so far earlier


class Exchange:
    """One request on its way, and what may become of it."""

    def __init__(self, handler: BaseHTTPRequestHandler, wire: "Wire", path: str) -> None:
        self._handler, self._wire, self._path = handler, wire, path
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        target: str | None = handler.headers.get("X-Amz-Target")
        form = parse_qs(self.body.decode()).get("Action", ["?"]) if self.body and not target else ["GET"]
        self.operation: str = target.rpartition(".")[2] if target else form[0]

    def forward(self) -> bytes:
        """Let the request through and return the whole answer; counted before it goes, since from then on it may be done."""
        self._wire.count("forwarded", self.operation)
        upstream = http.client.HTTPConnection(self._wire.upstream, timeout=_PATIENCE)
        try:
            upstream.request(self._handler.command, self._path, self.body, dict(self._handler.headers.items()))
            response = upstream.getresponse()
            body = response.read()
        finally:
            upstream.close()
        kept = [(name, value) for name, value in response.getheaders() if name.lower().startswith(("content-type", "x-"))]
        return whole(response.status, dict(kept), body)

    def send(self, answer: bytes) -> None:
        self._handler.wfile.write(answer)

    def reset(self) -> None:
        """Break the connection as a peer does that is gone, not one that has ended."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.rfile.close()
        self._handler.connection.close()
        self.end()

    def end(self) -> None:
        """Take no other request on this connection."""
        self._handler.close_connection = True

    @property
    def given_up(self) -> bool:
        """Whether the client has hung up, as botocore does when the time for an answer is over."""
        try:
            return not self._handler.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError as error:
            return not isinstance(error, BlockingIOError)  # which tells that it still waits

    def until_given_up(self, seconds: float = _PATIENCE) -> bool:
        """Wait until the client has closed the connection; tell whether it has within that time."""
        self._handler.connection.settimeout(seconds)
        try:
            self._handler.connection.recv(1)
        except TimeoutError:
            return False
        return True


Fault = Callable[[Exchange], None]


class Wire:
    """A way to one peer: `url` is where the app sends to; what it saw, faulted and let through, by operation."""

    def __init__(self, url: str, upstream: str) -> None:
        self.url, self.upstream = url, urlsplit(upstream).netloc
        self.seen: Counter[str] = Counter()
        self.faulted: Counter[str] = Counter()
        self.forwarded: Counter[str] = Counter()
        self.spoiled: list[tuple[float, bytes]] = []
        """When the exchanges began that met a fault, or whose client hung up before its answer was there; and what was asked."""
        self.plans: dict[str, Iterator[Fault | None]] = {}
        self._lock = threading.Lock()

    def plan(self, operation: str, faults: Iterable[Fault | None]) -> None:
        """Do this to the next calls of an operation, one each, None being nothing; the rest passes."""
        self.plans[operation] = iter(faults)

    def clear(self) -> None:
        """Let everything pass, and count anew."""
        with self._lock:
            for counter in (self.seen, self.faulted, self.forwarded):
                counter.clear()
            self.plans.clear()

    def count(self, kind: str, operation: str) -> None:
        with self._lock:
            getattr(self, kind)[operation] += 1

    def carry(self, exchange: Exchange) -> None:
        began = time.monotonic()
        with self._lock:
            fault = next(self.plans.get(exchange.operation, iter(())), None)
            self.seen[exchange.operation] += 1
            self.faulted[exchange.operation] += fault is not None
        if fault:
            self.spoiled.append((began, exchange.body))
            fault(exchange)
            return
        answer = exchange.forward()
        if exchange.given_up:
            self.spoiled.append((began, exchange.body))
        exchange.send(answer)


class Proxy(ThreadingHTTPServer):
    """Serves any number of wires on one port, until the block ends."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wires: dict[str, Wire] = {}

    def wire(self, upstream: str, name: str | None = None) -> Wire:
        """Return a new way to the peer at that address; the one with no name keeps the paths, and so signatures over them."""
        name = str(len(self.wires)) if name is None else name
        self.wires[name] = Wire(f"http://127.0.0.1:{self.server_address[1]}/{name}", upstream)
        return self.wires[name]

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy

    def _carry(self) -> None:
        name, _, path = self.path.removeprefix("/").partition("/")
        wire = self.server.wires[name]
        with suppress(OSError):  # a client that has given up
            wire.carry(Exchange(self, wire, f"/{path}"))
            return
        self.close_connection = True

    do_GET = do_POST = _carry  # noqa: N815 - their names there

    def log_message(self, *_: object) -> None:
        pass


def whole(status: int, headers: dict[str, str], body: bytes) -> bytes:
    """Return an answer as it stands on the wire."""
    lines = [f"{name}: {value}" for name, value in (headers | {"Content-Length": str(len(body))}).items()]
    return "\r\n".join([f"HTTP/1.1 {status} -", *lines, "", ""]).encode() + body
