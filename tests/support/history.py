"""Whether what happened to one task can be told in one order that every answer fits: linearizability (Herlihy, Wing 1990).

The search is that of Wing and Gong (1993), which forgets no place where it has been (Lowe 2017): take any call that began
before every other one ended, see that its answer is what the task as it is then would give, and go on from there.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

NEVER = math.inf
_ENOUGH = 1_000_000  # places; a history that fits is mostly told within about as many as it has calls


class State(NamedTuple):
    """What a task is at one moment: those of its members that calls change."""

    version: int
    title: str
    status: str
    place: str
    """Among those of its status: due date and id."""


class Call(NamedTuple):
    """A request to one task, when it began, when its answer was there, and which: None if nobody knows what came of it."""

    began: float
    ended: float
    kind: str
    """create, read, change or delete"""
    answer: int | None
    shown: State | None = None
    """What the answer shows; of a 412, the version alone matters."""
    title: str | None = None
    status: str | None = None
    place: str | None = None
    tags: frozenset[int] | None = None
    disturbed: bool = False
    """Whether the network lost something on the way, so that a DELETE may have met its own earlier success."""
    gap: tuple[tuple[str, str], tuple[str, str]] | None = None
    """Of a list that does not show the task: between which statuses and places it then is not."""

    @property
    def certain(self) -> bool:
        return self.answer is not None

    def outcomes(self, before: State | None) -> Iterator[State | None]:
        """Give what the task would be behind this call, if its answer fits what the task is before."""
        if self.kind == "create":
            if before is None:
                yield State(1, self.title or "", self.status or "", self.place or "")
        elif before is None:
            if self.answer == 404 or (self.answer == 204 and self.disturbed):
                yield None
        elif self.answer == 412 or self.kind == "read":
            if self._shows(before):
                yield before
        elif self.answer != 404 and (self.tags is None or before.version in self.tags):
            title, status, place = self.title or before.title, self.status or before.status, self.place or before.place
            after = State(before.version + 1, title, status, place)
            if self.kind == "delete":
                yield None
            elif self.answer is None or self.shown == after:
                yield after

    def _shows(self, now: State) -> bool:
        if self.gap:
            low, high = self.gap
            return not low < (now.status, now.place) < high
        if self.answer == 412 and self.shown and self.tags is not None:
            return now.version == self.shown.version and now.version not in self.tags
        return self.shown == now


def linearizable(calls: list[Call]) -> bool:
    """Tell whether the calls to one task fit one order; those without an answer have happened at any time since, or never."""
    calls = sorted(
        (call for call in calls if call.certain or call.kind != "read"), key=lambda call: (call.ended, call.began)
    )
    certain = sum(1 << index for index, call in enumerate(calls) if call.certain)
    # Created and deleted are told apart from not created yet by the call that creates, which happens once.
    waiting: list[tuple[int, State | None]] = [(0, None)]
    seen: set[tuple[int, State | None]] = set()
    while waiting:
        place = waiting.pop()
        done, state = place
        if done & certain == certain:
            return True
        if place in seen:
            continue
        seen.add(place)
        if len(seen) > _ENOUGH:
            message = f"{len(calls)} calls to one task are too many to tell"
            raise OverflowError(message)
        waiting += _steps(calls, done, state)
    return False


def _steps(calls: list[Call], done: int, state: State | None) -> list[tuple[int, State | None]]:
    """Return where one more call leads, the likeliest last."""
    left = [(index, call) for index, call in enumerate(calls) if not done >> index & 1]
    first_end = left[0][1].ended  # they are sorted by it, and the uncertain end never
    steps = []
    for index, call in reversed(left):
        if call.began <= first_end:
            for after in call.outcomes(state):
                step = (done | 1 << index, after)
                if after == state and call.certain:
                    return [step]  # it changes nothing, so that nothing speaks against having it now
                steps.append(step)
    return steps
