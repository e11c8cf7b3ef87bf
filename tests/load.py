"""64 clients of 16 users at a deployed API for a minute; `make load` tells figures, and whether what they were answered fits."""

import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests import conftest  # noqa: F401 - which sets the stage
from tests.crowd import UNANSWERED, Client, Owner, Story
from tests.e2e import aws, ways
from tests.e2e.aws import Deployed
from tests.judge import faults, histories
from tests.people import Answer
from tests.proxy import Wire

_OWNERS, _CLIENTS, _SECONDS = 16, 64, 60
_LONGEST = 1.0  # seconds that a caller waits before it tries again; the answer asks for more
_SHOWN = 10


class Gate:
    """Where a user calls the API from, over HTTP, without faults of its own."""

    def __init__(self, api: Deployed, token: str) -> None:
        self._api, self._token = api, token
        self.wire = Wire("", "")

    def __call__(self, _claims: object, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        try:
            answer = self._api(method, path, self._token, body, **headers)
        except OSError:  # whoever waits for 30 seconds gives up, and does not know
            return Answer(UNANSWERED, {}, b"")
        if answer.status in {429, 503}:
            assert "Retry-After" in answer.headers
            time.sleep(min(_LONGEST, float(answer.headers["Retry-After"])))
        return Answer(answer.status, dict(answer.headers), answer.body)


def load(api: Deployed, seconds: float) -> Story:
    """Let them act for so long."""
    story = Story(throttled=True)
    owners = [Owner(f"U{number:02d}") for number in range(_OWNERS)]
    tokens = [api.signs_up(f"{owner.name}@example.com")["IdToken"] for owner in owners]
    for owner, other in zip(owners, owners[1:] + owners[:1], strict=True):
        owner.other = other
    crowd: list[Client] = []
    for number in range(_CLIENTS):
        which = number % _OWNERS
        gate: Any = Gate(api, f"Bearer {tokens[which]}")
        crowd.append(Client(f"c{number}", owners[which], gate, "load", story))
    end = time.monotonic() + seconds

    def live(client: Client) -> None:
        while time.monotonic() < end:
            client.act()

    with ThreadPoolExecutor(_CLIENTS) as many:
        list(many.map(live, crowd))
    for client in crowd[:_OWNERS]:
        client.walk()
    return story


def main() -> int:
    """Deploy, act, judge and tell."""
    os.environ["MINISTACK_WORKER_THREADS"] = "256"  # a function that waits for DynamoDB takes two
    seconds = float(sys.argv[1]) if sys.argv[1:] else _SECONDS
    with tempfile.TemporaryDirectory() as folder, aws.running(Path(folder)) as stand_in:
        _tell("Deploying ...")
        _, api = ways.package(Path(folder), stand_in)
        _tell(f"{_CLIENTS} clients for {seconds:.0f} s ...")
        story = load(api, seconds)
    wrong = faults(story)
    statuses = Counter(request.status for request in story.requests)
    _tell("\n".join(wrong[:_SHOWN]))
    _tell("Statuses: " + ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
    took = quantiles((request.took for request in story.requests), n=100)
    figures = f"{len(story.requests)} operations, {len(story.requests) / seconds:.0f} a second"
    times = f"half within {took[49]:.2f} s, 99 of 100 within {took[98]:.2f} s"
    _tell(f"{figures}, {times}; {len(histories(story))} histories of tasks, {len(story.walks)} lists; {len(wrong)} wrong")
    return 1 if wrong else 0


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
