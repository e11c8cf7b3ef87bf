"""Testbed for faults: a table in the emulator, a proxy in front of it, and warm instances of the function behind the proxy."""

import json
import shutil
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from chalicelib.config import Settings, settings
from tests.conftest import ROOT, table_properties
from tests.support import documented, leaks
from tests.support.emulator import Emulator
from tests.support.events import context, event
from tests.support.local_server import TIMEOUT, TIMEOUT_FACTOR, lengthen_timeouts
from tests.support.people import Response
from tests.support.proxy import Proxy, Route

_COPIED = (".chalice", "app.py", "chalicelib", "tests", "tools")


class Instance:
    """One warm instance of the function, with its own proxy route to DynamoDB and SNS."""

    def __init__(self, port: int, route: Route) -> None:
        self.route = route
        self._connection = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._lines: IO[str] = self._connection.makefile("rw", encoding="utf-8")
        self._lines.write(route.url + "\n")

    def __call__(
        self, claims: dict[str, Any], method: str, path: str, body: Any = None, milliseconds: int = 10_000, **headers: str
    ) -> Response:
        """Invoke the function as API Gateway does; check the response against the OpenAPI document, and for leaks.

        `milliseconds` is the remaining time; like all timeouts of the instance, it is multiplied by TIMEOUT_FACTOR.
        """
        values = [*leaks.path_values(path), *leaks.caller_ids(claims)]
        path, _, query = path.partition("?")
        task = {"task_id": path.removeprefix("/tasks/")} if path.startswith("/tasks/") else None
        template = "/tasks/{task_id}" if task else path
        sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        changes: Any = {
            "path": path,
            "headers": sent_headers,
            "multiValueHeaders": {name: [value] for name, value in sent_headers.items()},
            "multiValueQueryStringParameters": urllib.parse.parse_qs(query) or None,
            "pathParameters": task,
            "requestContext": context(method, template, {"claims": claims}) | {"path": f"/prod{path}"},
        }
        text = None if body is None else json.dumps(body)
        sent = leaks.Sent(sent_headers, text, values)
        invocation = {"event": event(method, template, body=text) | changes, "milliseconds": TIMEOUT_FACTOR * milliseconds}
        self._lines.write(json.dumps(invocation) + "\n")
        self._lines.flush()
        response, log = json.loads(self._lines.readline())
        parts = path, response["statusCode"], response["headers"], response["body"]
        documented.assert_documented(method, *parts)
        leaks.check_response(method, *parts, sent)
        leaks.check_log(log, sent)
        assert f'"route":"{template}","status":{response["statusCode"]},' in log  # the capture works
        return Response(response["statusCode"], response["headers"], response["body"].encode())

    def close(self) -> None:
        self._lines.close()
        self._connection.close()


class Testbed:
    """Starts instances; tests can use it at the same time, because each has its own instance and callers."""

    __test__ = False  # pytest collects classes whose names start with Test

    def __init__(self, emulator: Emulator, proxy: Proxy, table: str, checkout: Path, port: int) -> None:
        self.emulator, self.proxy, self.table, self._port = emulator, proxy, table, port
        self.checkout = checkout
        """The copy whose code the instances run."""
        self.dynamodb = emulator.client("dynamodb", settings.region)  # past the proxy

    @contextmanager
    def instance(self) -> Iterator[Instance]:
        instance = Instance(self._port, self.proxy.route(self.emulator.url))
        try:
            yield instance
        finally:
            instance.close()

    def items(self, partition: str, prefix: str) -> list[dict[str, Any]]:
        """Return the items of a partition whose sort keys start with the prefix."""
        query = {
            "KeyConditionExpression": "PK = :pk AND begins_with(SK, :start)",
            "ExpressionAttributeValues": {":pk": {"S": partition}, ":start": {"S": prefix}},
        }
        items: list[dict[str, Any]] = self.dynamodb.query(TableName=self.table, ConsistentRead=True, **query)["Items"]
        return items

    def sms_messages(self, number: str) -> list[str]:
        """Return the SMS messages that were sent to a number."""
        sent = self.emulator.get(f"/_ministack/sns/sms-messages?phoneNumber={urllib.parse.quote(number)}")
        return [message["Message"] for message in sent["sms_messages"].get(number, [])]


@contextmanager
def run_testbed(emulator: Emulator, folder: Path, table: str, **stage: str) -> Iterator[Testbed]:
    """Run a testbed with its own table; keyword arguments replace settings of the stage, whose SMS limits are out of reach."""
    checkout = lengthen_timeouts(_copy_function(folder / "function"))
    with Proxy() as proxy, _run_function(emulator, checkout, {"TABLE_NAME": table} | stage) as port:
        testbed = Testbed(emulator, proxy, table, checkout, port)
        testbed.dynamodb.create_table(TableName=table, **table_properties())
        yield testbed


def _copy_function(folder: Path) -> Path:
    """Copy the function and its test support without git: this checkout may be a copy that is no repository."""
    folder.mkdir(parents=True)
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@contextmanager
def _run_function(emulator: Emulator, checkout: Path, changes: dict[str, str]) -> Iterator[int]:
    """Run instance.py and yield its port."""
    limits = {f"SMS_{name}": "1000000" for name in ("PER_CLIENT_AND_MINUTE", "PER_NUMBER_AND_HOUR", "PARTS_PER_DAY")}
    stage = {name.upper(): str(getattr(settings, name)) for name in Settings.__struct_fields__} | limits
    environment = emulator.environment | stage | changes | {"AWS_LAMBDA_FUNCTION_NAME": "task-api-prod"}
    command = [sys.executable, "-m", "tests.support.instance"]
    with subprocess.Popen(
        command, cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
