"""A DynamoDB with fixed responses, in a process of its own, so that the CPU time of a function is the function's alone.

It makes its responses from the first task that is created: that is the one of GetItem and UpdateItem, and a query returns
a hundred of it with different ids. It keeps the requests, and hands them out at `GET /`.
"""

import json
import re
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGE = 100


class DynamoDB(ThreadingHTTPServer):
    """Stores the responses, by operation, and the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responses: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []

    def respond(self, operation: str, request: str) -> bytes:
        """Return the response to a request."""
        self.calls.append((operation, request))
        if operation in {"PutItem", "TransactWriteItems"} and "GetItem" not in self.responses:
            self._prepare(json.loads(request))
        return self.responses.get(operation, b'{"ConsumedCapacity":{}}')

    def _prepare(self, request: Any) -> None:
        items = [request["Item"]] if "Item" in request else [write["Put"]["Item"] for write in request["TransactItems"]]
        for item in items:
            sort_key = item.get("SK", {}).get("S", "")
            if sort_key.startswith("TASK#"):
                text, task_id = json.dumps(item), sort_key.removeprefix("TASK#")
                ids = [task_id[:24] + uuid.uuid4().hex[:12] for _ in range(PAGE)]
                page = [json.loads(text.replace(task_id, other)) for other in ids]
                contents = {"GetItem": {"Item": item}, "UpdateItem": {"Attributes": item}, "Query": {"Items": page}}
                self.responses = {
                    name: json.dumps(content | {"ConsumedCapacity": {}}).encode() for name, content in contents.items()
                }


class _Handler(BaseHTTPRequestHandler):
    server: DynamoDB
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        operation = re.sub(r".*\.", "", self.headers["X-Amz-Target"])
        self._send(self.server.respond(operation, self.rfile.read(int(self.headers["Content-Length"])).decode()))

    def do_GET(self) -> None:
        calls, self.server.calls = self.server.calls, []
        self._send(json.dumps(calls).encode())

    def _send(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = DynamoDB()
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit()
