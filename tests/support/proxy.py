"""Fault-injecting TCP proxy between the app and an emulator of AWS, or between a client and the app.

Each route through it has its own faults and counters, so that tests can run at the same time. The faults are in faults.py.
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

_KEPT = ("content-type", "etag", "retry-after", "x-")
_TIMEOUT = 300  # seconds; every client is expected to give up far earlier


class Exchange:
    """One request in the proxy, and what a fault can do with it."""

    def __init__(self, handler: BaseHTTPRequestHandler, route: "Route", path: str) -> None:
        self._handler, self._route, self._path = handler, route, path
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        target: str | None = handler.headers.get("X-Amz-Target")
        method = handler.command  # names the operation where it is no call of AWS
        form = parse_qs(self.body.decode()).get("Action", [method]) if self.body and not target else [method]
        self.operation: str = target.rpartition(".")[2] if target else form[0]

    def forward(self) -> bytes:
        """Forward the request and return the whole response; counted first, since the server may act on it from then on."""
        self._route.count("forwarded", self.operation)
        upstream = http.client.HTTPConnection(self._route.upstream, timeout=_TIMEOUT)
        began = time.monotonic()
        try:
            upstream.request(self._handler.command, self._path, self.body, dict(self._handler.headers.items()))
            response = upstream.getresponse()
            body = response.read()
        finally:
            upstream.close()
            self._route.slowest = max(self._route.slowest, time.monotonic() - began)
        kept = [(name, value) for name, value in response.getheaders() if name.lower().startswith(_KEPT)]
        return http_response(response.status, dict(kept), body)

    def send(self, response: bytes) -> None:
        self._handler.wfile.write(response)

    def reset(self) -> None:
        """Reset the connection (RST), as when the server has crashed."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.rfile.close()
        self._handler.connection.close()
        self.close()

    def close(self) -> None:
        """Accept no further request on this connection."""
        self._handler.close_connection = True

    @property
    def client_has_closed(self) -> bool:
        """Whether the client has closed the connection, as botocore does at a read timeout."""
        try:
            return not self._handler.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError as error:
            return not isinstance(error, BlockingIOError)  # the client is still waiting

    def wait_for_client_close(self, seconds: float = _TIMEOUT) -> bool:
        """Wait until the client closes the connection; return whether it did within that time."""
        self._handler.connection.settimeout(seconds)
        try:
            self._handler.connection.recv(1)
        except TimeoutError:
            return False
        return True


Fault = Callable[[Exchange], None]


class Route:
    """A path through the proxy to one server; counts requests by operation."""

    def __init__(self, url: str, upstream: str) -> None:
        self.url, self.upstream = url, urlsplit(upstream).netloc
        self.seen: Counter[str] = Counter()
        self.faulted: Counter[str] = Counter()
        self.forwarded: Counter[str] = Counter()
        self.disturbed: list[tuple[float, bytes]] = []
        """Start and body of each request that met a fault, or whose client closed the connection before the response."""
        self.plans: dict[str, Iterator[Fault | None]] = {}
        self.slowest = 0.0
        """The longest time, in seconds, that the server took for a response."""
        self._lock = threading.Lock()

    def plan(self, operation: str, faults: Iterable[Fault | None]) -> None:
        """Inject these faults into the next requests of an operation, one each; None is no fault."""
        self.plans[operation] = iter(faults)

    def clear(self) -> None:
        """Remove all plans and reset the counters."""
        with self._lock:
            for counter in (self.seen, self.faulted, self.forwarded):
                counter.clear()
            self.plans.clear()

    def count(self, kind: str, operation: str) -> None:
        with self._lock:
            getattr(self, kind)[operation] += 1

    def handle(self, exchange: Exchange) -> None:
        began = time.monotonic()
        with self._lock:
            fault = next(self.plans.get(exchange.operation, iter(())), None)
            self.seen[exchange.operation] += 1
            self.faulted[exchange.operation] += fault is not None
        if fault:
            self.disturbed.append((began, exchange.body))
            fault(exchange)
            return
        response = exchange.forward()
        if exchange.client_has_closed:
            self.disturbed.append((began, exchange.body))
        exchange.send(response)


class Proxy(ThreadingHTTPServer):
    """Serves any number of routes on one port, as a context manager."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes: dict[str, Route] = {}

    def route(self, upstream: str, name: str | None = None) -> Route:
        """Add a route to the server at this address; one with an empty name keeps the path, and so signatures over it."""
        name = str(len(self.routes)) if name is None else name
        self.routes[name] = Route(f"http://127.0.0.1:{self.server_address[1]}/{name}", upstream)
        return self.routes[name]

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

    def _handle(self) -> None:
        name, _, path = self.path.removeprefix("/").partition("/")
        route = self.server.routes[name]
        with suppress(OSError):  # the client has closed the connection
            route.handle(Exchange(self, route, f"/{path}"))
            return
        self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names of http.server

    def log_message(self, *_: object) -> None:
        pass


def http_response(status: int, headers: dict[str, str], body: bytes) -> bytes:
    """Return the bytes of an HTTP/1.1 response."""
    lines = [f"{name}: {value}" for name, value in (headers | {"Content-Length": str(len(body))}).items()]
    return "\r\n".join([f"HTTP/1.1 {status} -", *lines, "", ""]).encode() + body
