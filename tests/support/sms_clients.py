"""Workload of concurrent machines that send SMS messages with few keys to few numbers under low limits, and its checker."""

import hashlib
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tests.support import pool
from tests.support.faults import inject_random_faults
from tests.support.people import Response
from tests.support.testbed import Instance, Testbed

SEEDS = 500  # each with its own machines and numbers
_LIMITS = {"CLIENT": 7, "TO": 3, "PARTS": 24}  # so low that each of them rejects some messages
STAGE = {
    "SMS_PER_CLIENT_AND_MINUTE": str(_LIMITS["CLIENT"]),
    "SMS_PER_NUMBER_AND_HOUR": str(_LIMITS["TO"]),
    "SMS_PARTS_PER_DAY": str(_LIMITS["PARTS"]),
    "MACHINE_CLIENT_IDS": ",".join(f"m{number}{letter}" for number in range(2 * SEEDS) for letter in "ab"),
}
_EXPECTED = {202, 409, 429}


class Sms(NamedTuple):
    """The message of one client and one key; the key determines number, text and size."""

    client: str
    key: str
    """The number and one digit."""

    @property
    def to(self) -> str:
        return f"+{self.key[:-2]}"

    @property
    def message(self) -> str:
        return f"{self.client} {self.key}".ljust(150 * self.parts, ".")

    @property
    def parts(self) -> int:
        return 1 + int(self.key[-1]) % 3

    @property
    def amounts(self) -> dict[str, int]:
        """What the message adds to each counter."""
        destination = hashlib.sha256(self.to.encode()).hexdigest()
        return {f"CLIENT#{self.client}": 1, f"TO#{destination}": 1, "PARTS": self.parts}


class Request(NamedTuple):
    sms: Sms
    began: float
    ended: float
    response: Response


class SmsWorkload:
    """Requests of several concurrent instances, with or without faults; runs when it is created."""

    def __init__(self, testbed: Testbed, seed: int, *, faults: bool, instances: int = 6, operations: int = 40) -> None:
        self._testbed, self._seed, self._faults, self._operations = testbed, seed, faults, operations
        base = 2 * (seed % SEEDS) + faults
        self._clients = [f"m{base}a", f"m{base}b"]
        self._numbers = [f"1202555{6 * base + number:04d}" for number in range(6)]
        for item in self._counters("PARTS"):  # left by other workloads
            testbed.dynamodb.delete_item(TableName=testbed.table, Key={name: item[name] for name in ("PK", "SK")})
        with ThreadPoolExecutor(instances) as threads:
            self.requests = [request for several in threads.map(self._run, range(instances)) for request in several]

    def _run(self, number: int) -> list[Request]:
        rng = random.Random(f"{self._seed} {number}")  # noqa: S311 - no secret
        with self._testbed.instance() as instance:
            if self._faults:
                inject_random_faults(instance.route, (self._seed, number))
            return [self._send(instance, rng) for _ in range(self._operations)]

    def _send(self, instance: Instance, rng: random.Random) -> Request:
        sms = Sms(rng.choice(self._clients), f"{rng.choice(self._numbers)}.{rng.randrange(4)}")
        claims, body = pool.machine_claims(sms.client), {"to": sms.to, "message": sms.message}
        began = time.monotonic()
        response = instance(claims, "POST", "/sms", body, Idempotency_Key=sms.key)
        return Request(sms, began, time.monotonic(), response)

    def _counters(self, name: str) -> list[dict[str, Any]]:
        return self._testbed.items(f"LIMIT#{name}", "2")

    def violations(self) -> Iterator[str]:
        reserved = {
            Sms(client, item["SK"]["S"].rpartition("#")[2])
            for client in self._clients
            for item in self._testbed.items(f"CLIENT#{client}", "IDEMPOTENCY#sms#")
        }
        yield from self._check_responses(reserved)
        yield from self._check_messages(reserved)
        yield from self._check_rejections(reserved)
        counted = _count(reserved)
        for name in sorted(_count(request.sms for request in self.requests)):
            counters = [int(item["count"]["N"]) for item in self._counters(name)]
            if sum(counters) != counted[name] or max(counters, default=0) > _limit(name):
                yield f"miscounted: {counters} for {counted[name]} reserved of {name}, at most {_limit(name)}"

    def _check_responses(self, reserved: set[Sms]) -> Iterator[str]:
        """Each accepted message is reserved, and all responses to one key have the same message id."""
        ids: dict[Sms, set[Any]] = {}
        for request in self.requests:
            if request.response.status not in _EXPECTED | ({503} if self._faults else set()):
                yield f"unexpected: {request.response.status}"
            if request.response.status == 202:
                ids.setdefault(request.sms, set()).add(request.response.json["message_id"])
        yield from (f"two message ids: {sms}" for sms, several in ids.items() if len(several - {None}) > 1)
        yield from (f"accepted, but not reserved: {sms}" for sms in ids.keys() - reserved)

    def _check_messages(self, reserved: set[Sms]) -> Iterator[str]:
        """No message was sent twice or without a reservation; without faults, each reserved one was sent."""
        sent = Counter(message for number in self._numbers for message in self._testbed.sms_messages(f"+{number}"))
        yield from (f"sent twice: {message.rstrip('.')}" for message, count in sent.items() if count > 1)
        expected = {sms.message for sms in reserved}
        yield from (f"sent, but not reserved: {message.rstrip('.')}" for message in sent.keys() - expected)
        if not self._faults:
            yield from (f"reserved, but not sent: {message.rstrip('.')}" for message in expected - sent.keys())

    def _check_rejections(self, reserved: set[Sms]) -> Iterator[str]:
        """No accepted message is rejected later; without faults, where no reservation is cancelled, none below the limits."""
        for rejected in [request for request in self.requests if request.response.status == 429]:
            before = [other for other in self.requests if other.began < rejected.ended and other.response.status != 429]
            if any(
                other.sms == rejected.sms and other.ended < rejected.began and other.response.status == 202
                for other in before
            ):
                yield f"rejected, though accepted before: {rejected.sms}"
            counted = _count(reserved & {other.sms for other in before})
            full = [name for name, amount in rejected.sms.amounts.items() if counted[name] + amount > _limit(name)]
            if not self._faults and not full:
                yield f"rejected, though below the limits: {rejected.sms}"


def _count(messages: Iterable[Sms]) -> Counter[str]:
    return sum((Counter(sms.amounts) for sms in messages), Counter())


def _limit(name: str) -> int:
    return _LIMITS[name.partition("#")[0]]
