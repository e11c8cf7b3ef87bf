"""Servers that hang or respond slowly behind `chalice local`: the deadline ends the request, and the next succeeds.

test_faults.py has the same for Lambda. No test measures time: without the deadline a slow response would be a success, and a
hanging server would get another attempt.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, repeat
from pathlib import Path
from typing import Any

from tests.support import leaks, pool
from tests.support.fault_runner import UNKNOWN
from tests.support.faults import hang_after, hang_before, slow_response
from tests.support.local_server import TIMEOUT_FACTOR, LocalServer, open_ports, wait_for
from tests.support.people import Response
from tests.support.proxy import Exchange, Route
from tests.support.testbed import Testbed
from tools.local import child_process

_numbers = count(5000)


def is_unavailable(response: Response) -> bool:
    assert response.status == 503, response
    return (response.json["type"], response.headers["Retry-After"]) == ("urn:problem:unavailable", "1")


def number() -> str:
    return f"+1202555{next(_numbers):04d}"


@contextmanager
def run_chalice_local(testbed: Testbed, folder: Path, aws: Route, keys: Route, timeout: int) -> Iterator[LocalServer]:
    """Serve like `chalice local` behind these routes; the request timeout in seconds is multiplied by TIMEOUT_FACTOR."""
    server = LocalServer(folder, testbed.checkout)
    variables = {f"AWS_ENDPOINT_URL_{service}": aws.url for service in ("DYNAMODB", "SNS")}
    variables |= {"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": keys.url, "NO_PROXY": "127.0.0.1"}
    variables |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "MACHINE_CLIENT_IDS": "machine"}
    variables |= {"TABLE_NAME": testbed.table, "LOG": "json"}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.local.child_process", "tests.support.serve_with_timeout", str(server.port), str(TIMEOUT_FACTOR * timeout)],
            cwd=server.checkout, env=os.environ | variables,
            stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: open_ports(server.port), log, process)
        yield server
    finally:
        child_process.stop(process)
    leaks.check_log(log.read_text(), *server.sent)


def test_in_chalice_local_the_deadline_ends_requests_to_hanging_servers_and_the_next_requests_succeed(
    testbed: Testbed, keys: pool.KeyServer, tmp_path: Path
) -> None:
    def fault_in_message(exchange: Exchange) -> None:
        (slow_response if b"slow" in exchange.body else hang_before)(exchange)

    plans = {
        "GetItem": hang_before,
        "PutItem": hang_after,
        "UpdateItem": slow_response,
        "Query": slow_response,
        "DeleteItem": hang_before,
        "Publish": fault_in_message,
    }
    route = testbed.proxy.route(testbed.emulator.url)
    token = pool.token(pool.id_claims() | {"cognito:groups": ["admin"]})
    machine = pool.token(pool.machine_claims("machine"), "for-access")
    timeout = 5  # longer than the 3 seconds of SNS, shorter than the 6 seconds of all attempts at DynamoDB
    keys_route = testbed.proxy.route(keys.url)
    with run_chalice_local(testbed, tmp_path, route, keys_route, timeout) as server, ThreadPoolExecutor(8) as threads:
        path = server("POST", "/tasks", token, {"title": "T"}).headers["Location"]
        hanging, slow = ({"to": number(), "message": f"SNS {what}"} for what in ("hangs", "is slow"))
        requests: list[tuple[str, str, str, Any]] = [
            ("POST", "/sms", machine, slow),  # first, since its key is locked only until the end of the function's time
            ("GET", path, token, None),
            ("POST", "/tasks", token, {"title": "T"}),
            ("PATCH", path, token, {"title": "U"}),
            ("GET", "/admin/tasks?status=pending", token, None),
            ("DELETE", path, token, None),
            ("POST", "/sms", machine, hanging),
        ]

        def send(request: tuple[str, str, str, Any]) -> Response:
            return server(*request, **{"Idempotency_Key": request[3]["to"]} if request[1] == "/sms" else {})

        for operation, fault in plans.items():
            route.plan(operation, repeat(fault))
        *others, sms = threads.map(send, requests)
        route.clear()
        assert [is_unavailable(response) for response in others] == [True] * 6
        assert (sms.status, sms.json) == (202, UNKNOWN)
        assert [send(request).status for request in requests] == [409, 200, 201, 200, 200, 204, 202]
        assert testbed.sms_messages(hanging["to"]) == []
        assert len(testbed.sms_messages(slow["to"])) == 1


def test_in_chalice_local_a_hanging_key_server_gives_503_and_the_next_request_succeeds(
    testbed: Testbed, keys: pool.KeyServer, tmp_path: Path
) -> None:
    route = testbed.proxy.route(keys.url)
    token = pool.token(pool.id_claims())
    timeout = 1  # shorter than the 2 seconds of the key server
    with run_chalice_local(testbed, tmp_path, testbed.proxy.route(testbed.emulator.url), route, timeout) as server:
        route.plan("GET", [hang_before, slow_response])
        assert is_unavailable(server("GET", "/hello", token))
        assert is_unavailable(server("GET", "/tasks", token))
        assert server("GET", "/hello", token).status == 200
        assert server("GET", "/tasks", token).status == 200
        assert route.seen["GET"] == 3
