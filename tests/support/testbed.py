"""A stand-in for AWS with the table, a proxy before it, and warm instances of the function behind both."""

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

import boto3

from chalicelib.config import Settings, settings
from tests.conftest import ROOT, TABLE, table_properties
from tests.support import documented, leaks
from tests.support.aws import Aws, running
from tests.support.events import context, event
from tests.support.local_server import PATIENCE, SLOWER, slowed_down
from tests.support.people import Answer
from tests.support.proxy import Proxy, Wire

_NEEDED = (".chalice", "app.py", "chalicelib", "tests", "tools")


class Instance:
    """One warm instance of the function, and the wire that it has to DynamoDB and SNS."""

    def __init__(self, port: int, wire: Wire) -> None:
        self.wire = wire
        self._connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._lines: IO[str] = self._connection.makefile("rw", encoding="utf-8")
        self._lines.write(wire.url + "\n")

    def __call__(
        self, claims: dict[str, Any], method: str, path: str, body: Any = None, milliseconds: int = 10_000, **headers: str
    ) -> Answer:
        """Send what the gateway would, with so much time left; see that the document tells of the answer, and nothing leaks.

        Like all times of the instance, the time left is longer in truth: SLOWER times.
        """
        told = [*leaks.values(path), *leaks.who(claims)]
        path, _, query = path.partition("?")
        task = {"task_id": path.removeprefix("/tasks/")} if path.startswith("/tasks/") else None
        route = "/tasks/{task_id}" if task else path
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        changes: Any = {
            "path": path,
            "headers": sent,
            "multiValueHeaders": {name: [value] for name, value in sent.items()},
            "multiValueQueryStringParameters": urllib.parse.parse_qs(query) or None,
            "pathParameters": task,
            "requestContext": context(method, route, {"claims": claims}) | {"path": f"/prod{path}"},
        }
        text = None if body is None else json.dumps(body)
        said = leaks.Sent(sent, text, told)
        asked = {"event": event(method, route, body=text) | changes, "milliseconds": SLOWER * milliseconds}
        self._lines.write(json.dumps(asked) + "\n")
        self._lines.flush()
        answer, written = json.loads(self._lines.readline())
        shown = path, answer["statusCode"], answer["headers"], answer["body"]
        documented.fits(method, *shown)
        leaks.answered(method, *shown, said)
        leaks.logged(written, said)
        assert f'"route":"{route}","status":{answer["statusCode"]},' in written  # else nobody has listened
        return Answer(answer["statusCode"], answer["headers"], answer["body"].encode())

    def close(self) -> None:
        self._lines.close()
        self._connection.close()


class Ground:
    """Where cases stand side by side; each has an instance and people of its own."""

    def __init__(self, aws: Aws, proxy: Proxy, table: str, checkout: Path, port: int) -> None:
        self.aws, self.proxy, self.table, self._port = aws, proxy, table, port
        self.checkout = checkout
        """The copy whose code the instances run."""
        self.dynamodb: Any = boto3.client(  # that goes by no proxy
            "dynamodb", settings.region, endpoint_url=aws.url, aws_access_key_id="test", aws_secret_access_key="test"
        )

    @contextmanager
    def instance(self) -> Iterator[Instance]:
        instance = Instance(self._port, self.proxy.wire(self.aws.url))
        try:
            yield instance
        finally:
            instance.close()

    def rows(self, partition: str, start: str) -> list[dict[str, Any]]:
        """Return what stands in a partition under sort keys that start so."""
        query = {
            "KeyConditionExpression": "PK = :pk AND begins_with(SK, :start)",
            "ExpressionAttributeValues": {":pk": {"S": partition}, ":start": {"S": start}},
        }
        rows: list[dict[str, Any]] = self.dynamodb.query(TableName=self.table, ConsistentRead=True, **query)["Items"]
        return rows

    def texts(self, number: str) -> int:
        """Return how many texts have gone out to a number."""
        return len(self.messages(number))

    def messages(self, number: str) -> list[str]:
        """Return the texts that have gone out to a number."""
        told = self.aws.asked(f"/_ministack/sns/sms-messages?phoneNumber={urllib.parse.quote(number)}")
        return [text["Message"] for text in told["sms_messages"].get(number, [])]


@contextmanager
def prepared(folder: Path, **stage: str) -> Iterator[Ground]:
    """Give a ground with an AWS of its own for the length of a block, as `shared` does."""
    with running(folder) as aws, shared(aws, folder, TABLE, **stage) as ground:
        yield ground


@contextmanager
def shared(aws: Aws, folder: Path, table: str, **stage: str) -> Iterator[Ground]:
    """Give a ground with a table of its own for the length of a block.

    The limits of texts are out of reach unless the stage names others.
    """
    checkout = slowed_down(_copied(folder / "function"))
    with Proxy() as proxy, _function(aws, checkout, {"TABLE_NAME": table} | stage) as port:
        ground = Ground(aws, proxy, table, checkout, port)
        ground.dynamodb.create_table(TableName=table, **table_properties())
        yield ground


def _copied(folder: Path) -> Path:
    """Copy what a function consists of, and what runs it; this may be a copy itself, without a repository."""
    folder.mkdir()
    for name in _NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@contextmanager
def _function(aws: Aws, checkout: Path, changes: dict[str, str]) -> Iterator[int]:
    """Run tests/support/instance.py; gives its port."""
    limits = {f"SMS_{name}": "1000000" for name in ("PER_CLIENT_AND_MINUTE", "PER_NUMBER_AND_HOUR", "PARTS_PER_DAY")}
    stage = {name.upper(): str(getattr(settings, name)) for name in Settings.__struct_fields__} | limits
    environment = aws.environment | stage | changes | {"AWS_LAMBDA_FUNCTION_NAME": "task-api-prod"}
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
