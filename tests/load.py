"""64 clients of 8 users at a deployed API for two minutes; `make load` tells figures, and whether what they were answered fits.

The stage takes as many requests a second as this machine can serve, and refuses the rest, as a stage on AWS does with its own
limits. In the first minute nothing else goes wrong, so that no answer may be a 5xx; in the second, the network to DynamoDB
loses, cuts and refuses, and 503 is the one 5xx there is.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests import conftest  # noqa: F401 - which sets the stage
from tests.crowd import UNANSWERED, Client, Owner, Request, Story
from tests.e2e import aws, ways
from tests.e2e.aws import Deployed
from tests.judge import faults, histories
from tests.mishaps import weather
from tests.people import Answer
from tests.proxy import Proxy, Wire

_OWNERS, _CLIENTS, _SECONDS = 8, 64, 60
_WARM_UP = 40  # seconds, in which the functions start
_RATE = 10  # requests a second to each method and path, far below what is asked for
_SHOWN = 10


class Gate:
    """Where a user calls the API from, over HTTP; comes back when it is told to."""

    def __init__(self, api: Deployed, token: str, wire: Wire) -> None:
        self._api, self._token, self.wire = api, token, wire

    def __call__(self, _claims: object, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        try:
            answer = self._api(method, path, self._token, body, **headers)
        except OSError:  # whoever waits for 30 seconds gives up, and does not know
            return Answer(UNANSWERED, {}, b"")
        if answer.status in {429, 503}:
            time.sleep(float(answer.headers["Retry-After"]))
        return Answer(answer.status, dict(answer.headers), answer.body)


def crowd(api: Deployed, wire: Wire, story: Story) -> list[Client]:
    """Sign up the owners, and give each their clients."""
    owners = [Owner(f"U{number:02d}") for number in range(_OWNERS)]
    for owner, other in zip(owners, owners[1:] + owners[:1], strict=True):
        owner.other = other
    tokens = [api.signs_up(f"{owner.name}@example.com")["IdToken"] for owner in owners]
    gates: list[Any] = [Gate(api, f"Bearer {token}", wire) for token in tokens]
    places = [number % _OWNERS for number in range(_CLIENTS)]
    return [Client(f"c{number}", owners[at], gates[at], "load", story) for number, at in enumerate(places)]


def live(clients: list[Client], seconds: float) -> list[Request]:
    """Let them act for so long; return what they have asked."""
    story, end = clients[0].story, time.monotonic() + seconds
    before = len(story.requests)

    def act(client: Client) -> None:
        while time.monotonic() < end:
            client.act()

    with ThreadPoolExecutor(len(clients)) as many:
        list(many.map(act, clients))
    return story.requests[before:]


def led(api: Deployed, wire: Wire) -> None:
    """Let the function find DynamoDB at the other end of a wire."""
    functions = api.aws.client("lambda")
    name = {"FunctionName": f"task-api-{api.stage}"}
    variables = functions.get_function_configuration(**name)["Environment"]["Variables"]
    changed = {"Variables": variables | {"AWS_ENDPOINT_URL_DYNAMODB": wire.url}}
    functions.update_function_configuration(**name, Environment=changed)


def limited(api: Deployed, rate: float) -> None:
    """Take so many requests a second to each method and path."""
    changes = {"/*/*/throttling/rateLimit": rate, "/*/*/throttling/burstLimit": rate}
    operations = [{"op": "replace", "path": path, "value": str(value)} for path, value in changes.items()]
    stage = {"restApiId": api.api_id, "stageName": api.stage}
    api.aws.client("apigateway").update_stage(**stage, patchOperations=operations)


def refused(fair: list[Request], bad: list[Request]) -> Iterator[str]:
    """Give each 5xx, and each answer that did not come, that nobody has caused."""
    for minute, requests, allowed in (("fair", fair, set[int]()), ("bad", bad, {503})):
        for request in requests:
            if request.status == UNANSWERED or (request.status in range(500, 600) and request.status not in allowed):
                yield f"{request.method} was answered {request.status} after {request.took:.1f} s in the {minute} minute"


def figures(name: str, requests: list[Request], seconds: float) -> str:
    statuses = Counter(request.status for request in requests)
    served = [request.took for request in requests if request.status != 429]
    took = quantiles(served, n=100)
    return (
        f"{name}: {len(requests)} requests, {len(served) / seconds:.0f} a second not refused by the limit, "
        f"half of these within {took[49]:.2f} s and 99 of 100 within {took[98]:.2f} s; "
        + ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    )


def main() -> int:
    """Deploy, act, judge and tell."""
    os.environ["MINISTACK_WORKER_THREADS"] = "256"  # a function that waits for DynamoDB takes two
    seconds = float(sys.argv[1]) if sys.argv[1:] else _SECONDS
    story = Story(throttled=True)
    with tempfile.TemporaryDirectory() as folder, aws.running(Path(folder)) as stand_in, Proxy() as proxy:
        print("Deploying ...")
        _, api = ways.package(Path(folder), stand_in)
        wire = proxy.wire(stand_in.url, "")
        led(api, wire)
        clients = crowd(api, wire, story)
        print(f"Starting functions for {_WARM_UP} s ...")
        limited(api, _RATE)
        live(clients, _WARM_UP)
        print(f"{_CLIENTS} clients for {seconds:.0f} s in fair weather ...")
        fair = live(clients, seconds)
        print(figures("Fair", fair, seconds))
        print(f"{_CLIENTS} clients for {seconds:.0f} s in bad weather ...")
        weather(wire, "load")
        bad = live(clients, seconds)
        print(figures("Bad", bad, seconds) + f"; {wire.faulted.total()} faults")
        wire.clear()
        for client in clients[:_OWNERS]:
            client.walk()
    wrong = [*refused(fair, bad), *faults(story)]
    print("\n".join(wrong[:_SHOWN]))
    print(f"{len(histories(story))} histories of tasks, {len(story.walks)} lists; {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
