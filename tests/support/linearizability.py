"""Linearizability checker for the calls to one task (Herlihy and Wing 1990).

The calls are linearizable if some order of them explains every response, without moving a call before one that had ended when
it began. The search is Wing and Gong's (1993) with a set of visited places (Lowe 2017): take any call that began before the
first of the others ended, check its response against the state of the task, and continue from the new state.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

NEVER = math.inf
_MAX_PLACES = 1_000_000  # the search of a linearizable history mostly visits about as many places as there are calls


class State(NamedTuple):
    """The members of a task that calls change."""

    version: int
    title: str
    status: str
    place: str
    """Sort key in the list of its status: due date and id."""


class Call(NamedTuple):
    """A request to one task, with its effect on the task."""

    began: float
    ended: float
    """When the response arrived; NEVER if the outcome is unknown."""
    kind: str
    """create, read, change or delete"""
    response: int | None
    """Status; None if the outcome is unknown."""
    shown: State | None = None
    """The task in the response; for a 412, only the version counts."""
    title: str | None = None
    status: str | None = None
    place: str | None = None
    tags: frozenset[int] | None = None
    """The versions in If-Match."""
    disturbed: bool = False
    """Whether a request to AWS was disturbed, so that a DELETE may have met its own earlier success."""
    gap: tuple[tuple[str, str], tuple[str, str]] | None = None
    """For a page without the task: the task is not between these two (status, place)."""

    @property
    def certain(self) -> bool:
        return self.response is not None

    def outcomes(self, before: State | None) -> Iterator[State | None]:
        """Yield the state after this call if its response fits the state before."""
        if self.kind == "create":
            if before is None:
                yield State(1, self.title or "", self.status or "", self.place or "")
        elif before is None:
            if self.response == 404 or (self.response == 204 and self.disturbed):
                yield None
        elif self.response == 412 or self.kind == "read":
            if self._shows(before):
                yield before
        elif self.response != 404 and (self.tags is None or before.version in self.tags):
            title, status, place = self.title or before.title, self.status or before.status, self.place or before.place
            after = State(before.version + 1, title, status, place)
            if self.kind == "delete":
                yield None
            elif self.response is None or self.shown == after:
                yield after

    def _shows(self, now: State) -> bool:
        if self.gap:
            low, high = self.gap
            return not low < (now.status, now.place) < high
        if self.response == 412 and self.shown and self.tags is not None:
            return now.version == self.shown.version and now.version not in self.tags
        return self.shown == now


def linearizable(calls: list[Call]) -> bool:
    """Return whether the calls are linearizable; one with unknown outcome took effect at any time after it began, or never."""
    calls = sorted(
        (call for call in calls if call.certain or call.kind != "read"), key=lambda call: (call.ended, call.began)
    )
    certain = sum(1 << index for index, call in enumerate(calls) if call.certain)
    # State None is both "not created yet" and "deleted": the task is created once, so the set of done calls tells which.
    stack: list[tuple[int, State | None]] = [(0, None)]
    seen: set[tuple[int, State | None]] = set()
    while stack:
        place = stack.pop()
        done, state = place
        if done & certain == certain:
            return True
        if place in seen:
            continue
        seen.add(place)
        if len(seen) > _MAX_PLACES:
            message = f"{len(calls)} calls to one task are too many to check"
            raise OverflowError(message)
        stack += _steps(calls, done, state)
    return False


def _steps(calls: list[Call], done: int, state: State | None) -> list[tuple[int, State | None]]:
    """Return the places that one more call leads to, the likeliest last."""
    left = [(index, call) for index, call in enumerate(calls) if not done >> index & 1]
    first_end = left[0][1].ended  # sorted by end; calls with unknown outcome are last
    steps = []
    for index, call in reversed(left):
        if call.began <= first_end:
            for after in call.outcomes(state):
                step = (done | 1 << index, after)
                if after == state and call.certain:
                    return [step]  # a call that changes nothing may as well come now
                steps.append(step)
    return steps
