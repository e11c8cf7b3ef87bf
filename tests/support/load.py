"""64 clients of 8 users at a deployed API for three minutes; `make load` tells figures, and whether what they were answered fits.

The stage takes as many requests a second as this machine can serve, and refuses the rest, as a stage on AWS does with its own
limits. In the second minute the network to DynamoDB loses, cuts and refuses: then, and for those whose rows it was about, 503
may be the answer. In the first and the third, on functions that have seen all that, no answer may be a 5xx.
"""

import os
import sys
import tempfile
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles
from typing import Any

import jwt

from tests import conftest  # noqa: F401 - conftest sets the stage
from tests.support import aws, deployments, leaks
from tests.support.aws import Deployed
from tests.support.checker import histories, violations
from tests.support.concurrent_clients import UNANSWERED, Client, Owner, Request, Story
from tests.support.faults import weather
from tests.support.people import Answer
from tests.support.proxy import Proxy, Wire

_OWNERS, _CLIENTS, _SECONDS = 8, 64, 60
_WARM_UP = 40  # seconds, in which the functions start
_RATE = 10  # requests a second to each method and path, far below what is asked for
_ENOUGH = 1000
_SHOWN = 10


class Gate:
    """Where a client calls the API from, over HTTP."""

    def __init__(self, api: Deployed, token: str, wire: Wire) -> None:
        self._api, self._token, self.wire = api, token, wire
        self.retry_after = 0.0
        """Seconds, if the last answer has named any."""

    def __call__(self, _claims: object, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        try:
            answer = self._api(method, path, self._token, body, **headers)
        except OSError:  # whoever waits for 30 seconds gives up, and does not know
            return Answer(UNANSWERED, {}, b"")
        self.retry_after = float(answer.headers["Retry-After"]) if answer.status in {429, 503} else 0
        return Answer(answer.status, dict(answer.headers), answer.body)


def crowd(api: Deployed, wire: Wire, story: Story) -> dict[Client, Any]:
    """Sign up owners, and give each their clients, with a gate for each."""
    owners = [Owner(f"U{uuid.uuid4().hex}") for _ in range(_OWNERS)]
    found: dict[Client, Any] = {}
    for owner, other in zip(owners, owners[1:] + owners[:1], strict=True):
        owner.other = other
        token = api.signs_up(f"{owner.name}@example.com")["IdToken"]
        owner.claims = jwt.decode(token, options={"verify_signature": False})
        for number in range(_CLIENTS // _OWNERS):
            gate: Any = Gate(api, f"Bearer {token}", wire)
            found[Client(f"{owner.name}.{number}", owner, gate, "load", story)] = gate
    return found


def live(clients: dict[Client, Any], seconds: float) -> None:
    """Let them act for so long."""
    end = time.monotonic() + seconds

    def act(client: Client) -> None:
        while time.monotonic() < end:
            client.act()
            time.sleep(clients[client].retry_after)

    with ThreadPoolExecutor(len(clients)) as many:
        list(many.map(act, clients))


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
    story, wrong = Story(throttled=True), leaks.FOUND
    with tempfile.TemporaryDirectory() as folder, aws.running(Path(folder)) as stand_in, Proxy() as proxy:
        print("Deploying ...")
        _, api = deployments.package(Path(folder), stand_in)
        wire = proxy.wire(stand_in.url, "")
        led(api, wire)
        limited(api, _RATE)
        print(f"Starting functions for {_WARM_UP} s ...")
        start = Story()
        live(crowd(api, wire, start), _WARM_UP)
        print(figures("Start", start.requests, _WARM_UP))
        clients = crowd(api, wire, story)
        for phase in ("Fair", "Bad", "Fair again"):
            print(f"{_CLIENTS} clients for {seconds:.0f} s ...")
            if phase == "Bad":
                weather(wire, "load")
            before = len(story.requests)
            live(clients, seconds)
            wire.plans.clear()
            print(figures(phase, story.requests[before:], seconds))
            missing = {200, 201, 204, 404, 412, 429} - {request.status for request in story.requests[before:]}
            wrong += [f"{phase}: nothing was answered {status}" for status in missing]
        limited(api, _ENOUGH)
        for client in list(clients)[:: _CLIENTS // _OWNERS]:
            client.sweep(client.owner.paths)
    wrong += violations(story) + ([] if wire.faulted.total() else ["no fault was met"])
    print("\n".join(wrong[:_SHOWN]))
    told = f"{len(histories(story))} histories of tasks, {len(story.walks)} lists; {len(wrong)} wrong"
    print(f"{wire.faulted.total()} faults, {len(wire.spoiled)} calls spoiled, {told}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
