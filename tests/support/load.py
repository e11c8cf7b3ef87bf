"""Load test of a deployed API: 64 clients of 8 users for three minutes; prints figures and checks the history (`make load`).

The stage has a rate limit that this machine can serve, and rejects the rest with 429. In the second minute the proxy injects
faults in front of DynamoDB: then, and for requests whose items were disturbed, 503 is allowed. In the first and the third minute,
the third on functions that have met the faults, no response may be a 5xx.
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
from tests.support import deployments, leaks
from tests.support.checker import calls_by_task, violations
from tests.support.concurrent_clients import NO_RESPONSE, Client, History, Owner, Request
from tests.support.emulator import Deployed, run_emulator
from tests.support.faults import inject_random_faults
from tests.support.people import Response
from tests.support.proxy import Proxy, Route

_OWNERS, _CLIENTS, _SECONDS = 8, 64, 60
_WARM_UP = 40  # seconds, in which the functions start
_RATE = 10  # requests per second and method, far fewer than the clients send
_NO_LIMIT = 1000
_MAX_SHOWN = 10


class HttpInstance:
    """Sends the requests of a client over HTTP, in place of an instance of the function."""

    def __init__(self, api: Deployed, token: str, route: Route) -> None:
        self._api, self._token, self.route = api, token, route
        self.retry_after = 0.0
        """Seconds, from the last response."""

    def __call__(self, _claims: object, method: str, path: str, body: Any = None, **headers: str) -> Response:
        try:
            response = self._api(method, path, self._token, body, **headers)
        except OSError:  # a timeout: the outcome is unknown
            return Response(NO_RESPONSE, {}, b"")
        self.retry_after = float(response.headers["Retry-After"]) if response.status in {429, 503} else 0
        return response._replace(headers=dict(response.headers))


def create_clients(api: Deployed, route: Route, history: History) -> dict[Client, Any]:
    """Sign up owners, and return their clients, each with its HttpInstance."""
    owners = [Owner(f"U{uuid.uuid4().hex}") for _ in range(_OWNERS)]
    clients: dict[Client, Any] = {}
    for owner, other in zip(owners, owners[1:] + owners[:1], strict=True):
        owner.other = other
        token = api.sign_up(f"{owner.name}@example.com")["IdToken"]
        owner.claims = jwt.decode(token, options={"verify_signature": False})
        for number in range(_CLIENTS // _OWNERS):
            instance: Any = HttpInstance(api, f"Bearer {token}", route)
            clients[Client(f"{owner.name}.{number}", owner, instance, "load", history)] = instance
    return clients


def run(clients: dict[Client, Any], seconds: float) -> None:
    end = time.monotonic() + seconds

    def steps(client: Client) -> None:
        while time.monotonic() < end:
            client.step()
            time.sleep(clients[client].retry_after)

    with ThreadPoolExecutor(len(clients)) as threads:
        list(threads.map(steps, clients))


def redirect_function(api: Deployed, route: Route) -> None:
    """Make the function send its DynamoDB requests through the proxy."""
    functions = api.emulator.client("lambda")
    name = {"FunctionName": f"task-api-{api.stage}"}
    variables = functions.get_function_configuration(**name)["Environment"]["Variables"]
    changed = {"Variables": variables | {"AWS_ENDPOINT_URL_DYNAMODB": route.url}}
    functions.update_function_configuration(**name, Environment=changed)


def figures(name: str, requests: list[Request], seconds: float) -> str:
    statuses = Counter(request.status for request in requests)
    served = [request.took for request in requests if request.status != 429]
    percentiles = quantiles(served, n=100)
    return (
        f"{name}: {len(requests)} requests, {len(served) / seconds:.0f} per second below the limit, "
        f"p50 {percentiles[49]:.2f} s, p99 {percentiles[98]:.2f} s; "
        + ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    )


def main() -> int:
    """Deploy, run the clients, check the history and print figures and violations."""
    os.environ["MINISTACK_WORKER_THREADS"] = "256"  # a function that waits for DynamoDB takes two
    seconds = float(sys.argv[1]) if sys.argv[1:] else _SECONDS
    history, found = History(throttled=True), leaks.FOUND
    with tempfile.TemporaryDirectory() as folder, run_emulator(Path(folder)) as emulator, Proxy() as proxy:
        print("Deploying ...")
        _, api = deployments.package(Path(folder), emulator)
        route = proxy.route(emulator.url, "")
        redirect_function(api, route)
        api.limit_rate(_RATE, _RATE)
        print(f"Starting functions for {_WARM_UP} s ...")
        warm_up = History()
        run(create_clients(api, route, warm_up), _WARM_UP)
        print(figures("Warm-up", warm_up.requests, _WARM_UP))
        clients = create_clients(api, route, history)
        for phase in ("Without faults", "With faults", "After faults"):
            print(f"{_CLIENTS} clients for {seconds:.0f} s ...")
            if phase == "With faults":
                inject_random_faults(route, "load")
            before = len(history.requests)
            run(clients, seconds)
            route.plans.clear()
            print(figures(phase, history.requests[before:], seconds))
            missing = {200, 201, 204, 404, 412, 429} - {request.status for request in history.requests[before:]}
            found += [f"{phase}: no response was {status}" for status in missing]
        api.limit_rate(_NO_LIMIT, _NO_LIMIT)
        for client in list(clients)[:: _CLIENTS // _OWNERS]:
            client.read_all(client.owner.paths)
    found += violations(history) + ([] if route.faulted.total() else ["no fault was injected"])
    print("\n".join(found[:_MAX_SHOWN]))
    print(f"{route.faulted.total()} faults, {len(route.disturbed)} disturbed requests, ", end="")
    print(f"{len(calls_by_task(history))} histories of tasks, {len(history.traversals)} traversals; {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
