"""A process that starts like the function in Lambda: what it loads, and the one call that it makes."""

import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib import start as start_module
from tests.conftest import ROOT
from tests.support.sdk_faults import lost_before, network

START = """
import gc, json, sys
import app
from chalicelib.dynamodb import table
print(json.dumps({
    "modules": sorted(sys.modules),
    "collector": [gc.isenabled(), gc.get_freeze_count() > 10_000],
    "operations": sorted(table.client.meta.method_to_api_mapping),
    "validates": type(table.client._serializer).__name__,
}))
"""

NOT_LOADED = {
    "boto3": "has more than clients, and loads s3transfer",
    "chalice.local": "is for `chalice local`",
    "cryptography": "verifies tokens, which API Gateway has done",
    "jwt": "likewise",
    "phonenumbers": "is for SMS messages",
    "s3transfer": "is for S3",
    "tools": "is not shipped",
}


class DynamoDB:
    """Records the operations that it is asked for."""

    def __init__(self, body: bytes, status: int) -> None:
        self.asked = asked = list[str]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked.append(self.headers["X-Amz-Target"])
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(params=[(200, b'{"ConsumedCapacity": {}}'), (400, b'{"__type": "AccessDeniedException"}'), (200, b"<html>")])
def dynamodb(request: pytest.FixtureRequest) -> Iterator[DynamoDB]:
    status, body = request.param
    server = DynamoDB(body, status)
    yield server
    server.stop()


def start(**environment: str) -> dict[str, Any]:
    """Start the app in a process of its own, with the settings of the tests."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_ENDPOINT", "COV"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", START],
        cwd=ROOT,
        env=settings | environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    started: dict[str, Any] = json.loads(done.stdout)
    return started


def in_lambda(handler: str, url: str) -> dict[str, str]:
    return {"AWS_LAMBDA_FUNCTION_NAME": "task-api-prod", "_HANDLER": handler, "AWS_ENDPOINT_URL_DYNAMODB": url}


def test_in_lambda_the_api_makes_one_call_before_the_first_request_whatever_comes_of_it(dynamodb: DynamoDB) -> None:
    started = start(**in_lambda("app.app", dynamodb.url))
    assert dynamodb.asked == ["DynamoDB_20120810.GetItem"]
    assert started["collector"] == [True, True]
    assert started["validates"] == "JSONSerializer"


def test_a_dynamodb_that_is_not_there_does_not_stop_the_start() -> None:
    assert start(**in_lambda("app.app", "http://127.0.0.1:9"))["collector"] == [True, True]


@pytest.mark.parametrize("dynamodb", [(200, b"{}")], indirect=True)
def test_the_authorizer_and_a_process_elsewhere_make_no_call(dynamodb: DynamoDB) -> None:
    start(**in_lambda("app.user_authorizer", dynamodb.url))
    started = start(AWS_ENDPOINT_URL_DYNAMODB=dynamodb.url)
    assert dynamodb.asked == []
    assert started["collector"] == [True, False]
    assert started["validates"] == "ParamValidationDecorator"


@pytest.mark.parametrize("dynamodb", [(200, b'{"ConsumedCapacity": {}}')], indirect=True)
def test_a_function_loads_nothing_that_a_request_for_tasks_does_not_need(dynamodb: DynamoDB) -> None:
    modules = set(start(**in_lambda("app.app", dynamodb.url))["modules"])
    assert {"chalice", "botocore", "msgspec"} <= modules
    assert not modules & NOT_LOADED.keys()


@pytest.mark.parametrize(("handler", "calls"), [("app.app", ["GetItem"] * 3), ("app.user_authorizer", []), ("", [])])
def test_only_the_api_connects_and_a_lost_request_is_no_error(
    monkeypatch: pytest.MonkeyPatch, handler: str, calls: list[str]
) -> None:
    monkeypatch.setenv("_HANDLER", handler)
    monkeypatch.setattr(start_module, "_CONNECT_SECONDS", 60.0)
    try:
        with network(*[lost_before] * 3) as attempts:
            start_module.finish()
    finally:
        gc.unfreeze()
    assert attempts == calls
