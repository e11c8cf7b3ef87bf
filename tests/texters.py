"""Machines that send texts, many at once, with few keys, to few numbers, and under limits that they soon reach."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from chalicelib import rows
from tests import pool
from tests.ground import Ground, Instance
from tests.mishaps import weather
from tests.people import Answer

PER_NUMBER, PER_CLIENT = 3, 7
SEEDS = 500  # whose machines and numbers are all different
STAGE = {
    "SMS_PER_NUMBER_AND_HOUR": str(PER_NUMBER),
    "SMS_PER_CLIENT_AND_MINUTE": str(PER_CLIENT),
    "MACHINE_CLIENT_IDS": ",".join(f"m{number}{letter}" for number in range(2 * SEEDS) for letter in "ab"),
}
_EXPECTED = {202, 409, 429}


class Sent(NamedTuple):
    client: str
    key: str
    to: str
    answer: Answer


class Texts:
    """What several instances have been asked to send, and what became of it."""

    def __init__(self, ground: Ground, seed: int, *, fair: bool, instances: int = 6, asks: int = 40) -> None:
        self._ground, self._seed, self._fair, self._asks = ground, seed, fair, asks
        base = 2 * (seed % SEEDS) + fair
        self._clients = [f"m{base}a", f"m{base}b"]
        self._numbers = [f"+1202555{6 * base + number:04d}" for number in range(6)]
        parts = self._counted("PARTS")
        with ThreadPoolExecutor(instances) as many:
            self.sent = [sent for several in many.map(self._live, range(instances)) for sent in several]
        self._parts = self._counted("PARTS") - parts

    def _live(self, number: int) -> list[Sent]:
        dice = random.Random(f"{self._seed} {number}")  # noqa: S311 - no secret
        with self._ground.instance() as instance:
            if not self._fair:
                weather(instance.wire, (self._seed, number))
            return [self._ask(instance, dice) for _ in range(self._asks)]

    def _ask(self, instance: Instance, dice: random.Random) -> Sent:
        client, to = dice.choice(self._clients), dice.choice(self._numbers)
        key = f"{self._numbers.index(to)}.{dice.randrange(4)}"
        body = {"to": to, "message": f"{client} {key}"}
        return Sent(client, key, to, instance(pool.machine_claims(client), "POST", "/sms", body, Idempotency_Key=key))

    def _counted(self, name: str) -> int:
        return sum(self._windows(name))

    def _windows(self, name: str) -> list[int]:
        return [int(row["count"]["N"]) for row in self._ground.rows(rows.counter_key(name, "")["PK"]["S"], "2")]

    def faults(self) -> Iterator[str]:
        """Give what is wrong."""
        kept = {
            (client, row["SK"]["S"].rpartition("#")[2])
            for client in self._clients
            for row in self._ground.rows(f"CLIENT#{client}", "IDEMPOTENCY#sms#")
        }
        yield from self._answers(kept)
        yield from self._texts(kept)
        clients = Counter(client for client, _ in kept)
        numbers = Counter(self._numbers[int(key[0])] for _, key in kept)
        hashes = {to: hashlib.sha256(to.encode()).hexdigest() for to in self._numbers}
        full = set()
        for who, name, several, limit in [
            *((client, f"CLIENT#{client}", clients, PER_CLIENT) for client in self._clients),
            *((to, f"TO#{hashes[to]}", numbers, PER_NUMBER) for to in self._numbers),
        ]:
            windows = self._windows(name)
            full |= {who} if max(windows, default=0) == limit else set()
            if sum(windows) != several[who] or max(windows, default=0) > limit:
                yield f"miscounted: {windows} for {several[who]} that are kept of {who}, at most {limit}"
        if self._parts != len(kept):
            yield f"miscounted: {self._parts} parts for {len(kept)} texts"
        if self._fair:
            hasty = [sent for sent in self.sent if sent.answer.status == 429 and not {sent.client, sent.to} & full]
            yield from (f"refused, though there was room: {sent.key}" for sent in hasty)

    def _answers(self, kept: set[tuple[str, str]]) -> Iterator[str]:
        """Each promise is kept, and each key tells of one text."""
        ids: dict[tuple[str, str], set[Any]] = {}
        for sent in self.sent:
            if sent.answer.status not in _EXPECTED | (set() if self._fair else {503}):
                yield f"unexpected: {sent.answer.status}"
            if sent.answer.status == 202:
                ids.setdefault((sent.client, sent.key), set()).add(sent.answer.json["message_id"])
        yield from (f"two texts are told of: {key}" for key, several in ids.items() if len(several - {None}) > 1)
        yield from (f"promised and not kept: {key}" for key in ids.keys() - kept)

    def _texts(self, kept: set[tuple[str, str]]) -> Iterator[str]:
        """No text went out twice, or without being counted; in fair weather all did that are."""
        out = Counter(text for to in self._numbers for text in self._ground.messages(to))
        yield from (f"sent twice: {text}" for text, count in out.items() if count > 1)
        counted = {f"{client} {key}" for client, key in kept}
        yield from (f"sent without being counted: {text}" for text in out.keys() - counted)
        if self._fair:
            yield from (f"counted and not sent: {text}" for text in counted - out.keys())
