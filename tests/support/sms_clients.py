"""Machines that send texts, many at once, with few keys, to few numbers, and under limits that they soon reach."""

import hashlib
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tests.support import pool
from tests.support.faults import weather
from tests.support.people import Answer
from tests.support.testbed import Ground, Instance

SEEDS = 500  # whose machines and numbers are all different
_LIMITS = {"CLIENT": 7, "TO": 3, "PARTS": 24}  # such that each of them is what refuses some text
STAGE = {
    "SMS_PER_CLIENT_AND_MINUTE": str(_LIMITS["CLIENT"]),
    "SMS_PER_NUMBER_AND_HOUR": str(_LIMITS["TO"]),
    "SMS_PARTS_PER_DAY": str(_LIMITS["PARTS"]),
    "MACHINE_CLIENT_IDS": ",".join(f"m{number}{letter}" for number in range(2 * SEEDS) for letter in "ab"),
}
_EXPECTED = {202, 409, 429}


class Text(NamedTuple):
    """What a machine asks for with one key, which tells the rest."""

    client: str
    key: str
    """The number, and one digit."""

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
        """What it counts for, by the counter."""
        destination = hashlib.sha256(self.to.encode()).hexdigest()
        return {f"CLIENT#{self.client}": 1, f"TO#{destination}": 1, "PARTS": self.parts}


class Sent(NamedTuple):
    text: Text
    began: float
    ended: float
    answer: Answer


class Texts:
    """What several instances have been asked to send in a day, and what became of it."""

    def __init__(self, ground: Ground, seed: int, *, fair: bool, instances: int = 6, asks: int = 40) -> None:
        self._ground, self._seed, self._fair, self._asks = ground, seed, fair, asks
        base = 2 * (seed % SEEDS) + fair
        self._clients = [f"m{base}a", f"m{base}b"]
        self._numbers = [f"1202555{6 * base + number:04d}" for number in range(6)]
        for row in self._windows("PARTS"):  # of the days before
            ground.dynamodb.delete_item(TableName=ground.table, Key={name: row[name] for name in ("PK", "SK")})
        with ThreadPoolExecutor(instances) as many:
            self.sent = [sent for several in many.map(self._live, range(instances)) for sent in several]

    def _live(self, number: int) -> list[Sent]:
        dice = random.Random(f"{self._seed} {number}")  # noqa: S311 - no secret
        with self._ground.instance() as instance:
            if not self._fair:
                weather(instance.wire, (self._seed, number))
            return [self._ask(instance, dice) for _ in range(self._asks)]

    def _ask(self, instance: Instance, dice: random.Random) -> Sent:
        text = Text(dice.choice(self._clients), f"{dice.choice(self._numbers)}.{dice.randrange(4)}")
        claims, body = pool.machine_claims(text.client), {"to": text.to, "message": text.message}
        began = time.monotonic()
        answer = instance(claims, "POST", "/sms", body, Idempotency_Key=text.key)
        return Sent(text, began, time.monotonic(), answer)

    def _windows(self, name: str) -> list[dict[str, Any]]:
        return self._ground.rows(f"LIMIT#{name}", "2")

    def violations(self) -> Iterator[str]:
        """Give what is wrong."""
        kept = {
            Text(client, row["SK"]["S"].rpartition("#")[2])
            for client in self._clients
            for row in self._ground.rows(f"CLIENT#{client}", "IDEMPOTENCY#sms#")
        }
        yield from self._answers(kept)
        yield from self._texts(kept)
        yield from self._refusals(kept)
        counted = _counted(kept)
        for name in sorted(_counted(sent.text for sent in self.sent)):
            windows = [int(row["count"]["N"]) for row in self._windows(name)]
            if sum(windows) != counted[name] or max(windows, default=0) > _limit(name):
                yield f"miscounted: {windows} for {counted[name]} that are kept of {name}, at most {_limit(name)}"

    def _answers(self, kept: set[Text]) -> Iterator[str]:
        """Each promise is kept, and each key tells of one text."""
        ids: dict[Text, set[Any]] = {}
        for sent in self.sent:
            if sent.answer.status not in _EXPECTED | (set() if self._fair else {503}):
                yield f"unexpected: {sent.answer.status}"
            if sent.answer.status == 202:
                ids.setdefault(sent.text, set()).add(sent.answer.json["message_id"])
        yield from (f"two texts are told of: {text}" for text, several in ids.items() if len(several - {None}) > 1)
        yield from (f"promised and not kept: {text}" for text in ids.keys() - kept)

    def _texts(self, kept: set[Text]) -> Iterator[str]:
        """No text went out twice, or without being counted; in fair weather all did that are."""
        out = Counter(message for number in self._numbers for message in self._ground.messages(f"+{number}"))
        yield from (f"sent twice: {message.rstrip('.')}" for message, count in out.items() if count > 1)
        counted = {text.message for text in kept}
        yield from (f"sent without being counted: {message.rstrip('.')}" for message in out.keys() - counted)
        if self._fair:
            yield from (f"counted and not sent: {message.rstrip('.')}" for message in counted - out.keys())

    def _refusals(self, kept: set[Text]) -> Iterator[str]:
        """None is refused that was promised before; in fair weather, where none is given back, none while there was room."""
        for refused in [sent for sent in self.sent if sent.answer.status == 429]:
            before = [sent for sent in self.sent if sent.began < refused.ended and sent.answer.status != 429]
            if any(
                sent.text == refused.text and sent.ended < refused.began and sent.answer.status == 202 for sent in before
            ):
                yield f"refused, though it was promised: {refused.text}"
            counted = _counted(kept & {sent.text for sent in before})
            full = [name for name, amount in refused.text.amounts.items() if counted[name] + amount > _limit(name)]
            if self._fair and not full:
                yield f"refused, though there was room: {refused.text}"


def _counted(texts: Iterable[Text]) -> Counter[str]:
    return sum((Counter(text.amounts) for text in texts), Counter())


def _limit(name: str) -> int:
    return _LIMITS[name.partition("#")[0]]
