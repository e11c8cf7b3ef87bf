"""Peers that hang and drip, in Lambda's one thread and in the threads of `chalice local`: an answer in time, and a next one.

No clock is read: what drips would end in success long after the deadline, what hangs in another attempt, and these are seen.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, repeat
from pathlib import Path
from typing import Any

import pytest

from tests.support import leaks, pool
from tests.support.fault_runner import UNKNOWN
from tests.support.faults import drip, hang_after, hang_before
from tests.support.local_server import PATIENCE, SLOWER, Response, Stand, listening
from tests.support.people import Answer
from tests.support.proxy import Exchange, Wire
from tests.support.testbed import Ground
from tools.local import child_process

_numbers = count(5000)
FAULTS = {"hangs before": hang_before, "hangs after": hang_after, "drips": drip}
REQUESTS: dict[str, tuple[str, int, str, str, Any]] = {
    "list": ("Query", 1, "GET", "/tasks", None),
    "board": ("Query", 8, "GET", "/admin/tasks?status=done", None),
    "create": ("PutItem", 1, "POST", "/tasks", {"title": "T"}),
    "create with a key": ("TransactWriteItems", 1, "POST", "/tasks", {"title": "T"}),
    "reserve a text": ("TransactWriteItems", 1, "POST", "/sms", {"message": "Hello"}),
    "publish a text": ("Publish", 1, "POST", "/sms", {"message": "Hello"}),
}
"""The call of AWS that meets the fault and how often it is made when all is well, and the request."""
CASES = [(request, fault) for request in REQUESTS for fault in FAULTS]
Pair = tuple[Answer, int, Answer, int]


def unavailable(answer: Answer | Response) -> bool:
    assert answer.status == 503, answer
    return (answer.json["type"], answer.headers["Retry-After"]) == ("urn:problem:unavailable", "1")


def number() -> str:
    return f"+1202555{next(_numbers):04d}"


def in_lambda(ground: Ground, request: str, fault: str) -> Pair:
    """Return the answer of an instance with a moment left, how often the peer had been asked by then, the next, and texts."""
    call, _, method, path, body = REQUESTS[request]
    claims, to = pool.id_claims(**{"cognito:groups": "admin"}), number()
    if path == "/sms":
        claims, body = pool.machine_claims(), body | {"to": to}
    headers: Any = {} if request == "create" else {"Idempotency_Key": f"k{to}"}
    with ground.instance() as instance:
        instance.wire.plan(call, repeat(FAULTS[fault]))
        answer = instance(claims, method, path, body, 2000, **headers)
        asked = instance.wire.seen[call]
        instance.wire.clear()
        return answer, asked, instance(claims, method, path, body, **headers), ground.texts(to)


@pytest.fixture(scope="module")
def pairs(ground: Ground) -> dict[tuple[str, str], Future[Pair]]:
    with ThreadPoolExecutor(len(CASES)) as many:
        return {case: many.submit(in_lambda, ground, *case) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids="/".join)
def test_in_lambda_the_deadline_ends_the_first_attempt_at_a_hanging_peer_and_the_instance_goes_on(
    pairs: dict[tuple[str, str], Future[Pair]], case: tuple[str, str]
) -> None:
    answer, asked, again, texts = pairs[case].result()
    call, calls, _, path, _ = REQUESTS[case[0]]
    assert asked == calls
    if call == "Publish":
        assert (answer.status, answer.json) == (202, UNKNOWN)
    else:
        assert unavailable(answer)
    assert again.status in ({202, 409} if path == "/sms" else {200, 201})
    assert texts <= 1


@contextmanager
def laptop(ground: Ground, folder: Path, aws: Wire, keys: Wire, longest: int) -> Iterator[Stand]:
    """Serve what `chalice local` serves, behind these wires and with that deadline, in seconds, made longer as all others."""
    stand = Stand(folder, ground.checkout)
    variables = {f"AWS_ENDPOINT_URL_{service}": aws.url for service in ("DYNAMODB", "SNS")}
    variables |= {"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": keys.url, "NO_PROXY": "127.0.0.1"}
    variables |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "MACHINE_CLIENT_IDS": "laptop"}
    variables |= {"TABLE_NAME": ground.table}
    log = folder / "laptop.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.local.child_process", "tests.support.serve_with_timeout", str(stand.port), str(SLOWER * longest)],
            cwd=stand.checkout, env=os.environ | variables,
            stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + PATIENCE
        while not listening(stand.port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield stand
    finally:
        child_process.stop(process)
    leaks.logged(log.read_text(), *stand.sent)


def test_on_a_laptop_requests_to_hanging_peers_are_answered_at_the_deadline_and_the_next_succeed(
    ground: Ground, keys: pool.KeyServer, tmp_path: Path
) -> None:
    def as_the_message_says(exchange: Exchange) -> None:
        (drip if b"drips" in exchange.body else hang_before)(exchange)

    plans = {
        "GetItem": hang_before,
        "PutItem": hang_after,
        "UpdateItem": drip,
        "Query": drip,
        "DeleteItem": hang_before,
        "Publish": as_the_message_says,
    }
    wire = ground.proxy.wire(ground.aws.url)
    token = pool.token(pool.id_claims() | {"cognito:groups": ["admin"]})
    machine = pool.token(pool.machine_claims("laptop"), "for-access")
    longest = 5  # past the 3 seconds after which a hanging SNS is given up, before the 6 that a hanging DynamoDB takes
    with laptop(ground, tmp_path, wire, ground.proxy.wire(keys.url), longest) as stand, ThreadPoolExecutor(8) as many:
        path = stand("POST", "/tasks", token, {"title": "T"}).headers["Location"]
        hanging, dripping = ({"to": number(), "message": f"SNS {what}"} for what in ("hangs", "drips"))
        requests: list[tuple[str, str, str, Any]] = [
            ("POST", "/sms", machine, dripping),  # first, since its key is busy only until the time of a function is over
            ("GET", path, token, None),
            ("POST", "/tasks", token, {"title": "T"}),
            ("PATCH", path, token, {"title": "U"}),
            ("GET", "/admin/tasks?status=pending", token, None),
            ("DELETE", path, token, None),
            ("POST", "/sms", machine, hanging),
        ]

        def asked(request: tuple[str, str, str, Any]) -> Response:
            return stand(*request, **{"Idempotency_Key": request[3]["to"]} if request[1] == "/sms" else {})

        for operation, fault in plans.items():
            wire.plan(operation, repeat(fault))
        *others, text = many.map(asked, requests)
        wire.clear()
        assert [unavailable(answer) for answer in others] == [True] * 6
        assert (text.status, text.json) == (202, UNKNOWN)
        assert [asked(request).status for request in requests] == [409, 200, 201, 200, 200, 204, 202]
        assert ground.texts(hanging["to"]) == 0
        assert ground.texts(dripping["to"]) == 1


def test_on_a_laptop_a_hanging_key_server_gives_503_and_the_next_request_succeeds(
    ground: Ground, keys: pool.KeyServer, tmp_path: Path
) -> None:
    wire = ground.proxy.wire(keys.url)
    token = pool.token(pool.id_claims())
    longest = 1  # before the 2 seconds after which a hanging key server is given up
    with laptop(ground, tmp_path, ground.proxy.wire(ground.aws.url), wire, longest) as stand:
        wire.plan("GET", [hang_before, drip])
        assert unavailable(stand("GET", "/hello", token))
        assert unavailable(stand("GET", "/tasks", token))
        assert stand("GET", "/hello", token).status == 200
        assert stand("GET", "/tasks", token).status == 200
        assert wire.seen["GET"] == 3
