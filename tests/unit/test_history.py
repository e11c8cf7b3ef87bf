"""The checker tells histories that fit one order from those that do not; if it did not, it would prove nothing."""

import math
import random

import pytest

from tests.conftest import ROOT
from tests.support.linearizability import NEVER, Call, State, linearizable
from tests.support.mutations import MUTATIONS

ONE, TWO, THREE = (State(version, title, "pending", "~") for version, title in [(1, "a"), (2, "b"), (3, "c")])
DONE, DUE = TWO._replace(status="done"), TWO._replace(place="2030")
CREATED = Call(0, 1, "create", 201, title="a", status="pending", place="~")


def change(began: float, ended: float, shown: State, *tags: int) -> Call:
    return Call(began, ended, "change", 200, shown, shown.title, tags=frozenset(tags) or None)


def read(began: float, ended: float, shown: State | None) -> Call:
    return Call(began, ended, "read", 200 if shown else 404, shown)


def lost(began: float, title: str, *tags: int) -> Call:
    return Call(began, NEVER, "change", None, title=title, tags=frozenset(tags) or None)


def refused(began: float, ended: float, version: int, *tags: int) -> Call:
    return Call(began, ended, "change", 412, State(version, "", "", ""), "x", tags=frozenset(tags))


def moved(began: float, ended: float, shown: State) -> Call:
    return change(began, ended, shown)._replace(status=shown.status, place=shown.place)


def unlisted(began: float, ended: float, status: str, low: str, high: str) -> Call:
    return Call(began, ended, "read", 404, gap=((status, low), (status, high)))


def deleted(began: float, ended: float, response: int | None = 204, *, disturbed: bool = False) -> Call:
    return Call(began, ended, "delete", response, disturbed=disturbed)


GOOD = {
    "nothing": [],
    "one after the other": [CREATED, change(2, 3, TWO), read(4, 5, TWO)],
    "a read beside a change sees it": [CREATED, change(2, 9, TWO), read(3, 4, TWO)],
    "a read beside a change does not see it": [CREATED, change(2, 9, TWO), read(3, 4, ONE)],
    "the later of two that meet was first": [CREATED, change(2, 9, THREE), change(3, 8, TWO)],
    "a lost change was made": [CREATED, lost(2, "b"), read(4, 5, TWO)],
    "a lost change was not made": [CREATED, lost(2, "b"), read(4, 5, ONE)],
    "a lost change was made late": [CREATED, lost(2, "b"), read(4, 5, ONE), read(6, 7, TWO)],
    "a lost change was made unseen": [CREATED, lost(2, "b"), change(4, 5, THREE)],
    "a lost creation": [CREATED._replace(ended=NEVER, response=None), read(2, 3, None), read(4, 5, ONE)],
    "a tag that did not fit": [CREATED, change(2, 3, TWO), refused(4, 5, 2, 1)],
    "one of two tags fits": [CREATED, change(2, 3, TWO, 1, 7)],
    "gone": [CREATED, deleted(2, 3), read(4, 5, None), deleted(6, 7, 404)],
    "gone, by an attempt that lost its response": [CREATED, deleted(2, 3), deleted(4, 5, disturbed=True)],
    "a lost delete": [CREATED, deleted(2, NEVER, None), read(4, 5, ONE), read(6, 7, None)],
    "not in a list of another status": [CREATED, unlisted(2, 3, "done", "", "~~")],
    "not on a page of others": [CREATED, unlisted(2, 3, "pending", "", "2030")],
    "not in a list any more": [CREATED, moved(2, 3, DONE), unlisted(4, 5, "pending", "", "~~")],
    "not on a page any more": [CREATED, moved(2, 3, DUE), unlisted(4, 5, "pending", "2031", "~~")],
    "not in a list, for it is gone": [CREATED, deleted(2, 3), unlisted(4, 5, "pending", "", "~~")],
}
BAD = {
    "a change is lost": [CREATED, change(2, 3, TWO), read(4, 5, ONE)],
    "a change overwrites one that it did not see": [CREATED, change(2, 9, TWO), change(3, 8, TWO._replace(title="c"))],
    "a read goes back": [CREATED, change(2, 9, TWO), read(3, 4, TWO), read(5, 6, ONE)],
    "a change is made twice": [CREATED, change(2, 3, TWO), read(4, 5, THREE._replace(title="b"))],
    "a lost change is made twice": [CREATED, lost(2, "b"), read(4, 5, TWO), read(6, 7, THREE._replace(title="b"))],
    "a lost change was seen before it was asked for": [CREATED, read(2, 3, TWO), lost(4, "b")],
    "two have the same tag": [CREATED, change(2, 9, TWO, 1), change(2, 9, THREE, 1)],
    "a lost change had a tag that did not fit": [CREATED, change(2, 3, TWO), lost(4, "c", 1), read(6, 7, THREE)],
    "the tag fits and is refused": [CREATED, refused(2, 3, 1, 1)],
    "a refusal shows a version that is past": [CREATED, change(2, 3, TWO), refused(4, 5, 1, 7)],
    "a member changes that nobody touched": [CREATED, change(2, 3, DONE)],
    "gone and back": [CREATED, deleted(2, 3), read(4, 5, ONE)],
    "gone twice": [CREATED, deleted(2, 9), deleted(3, 8)],
    "gone by nobody": [CREATED, read(2, 3, None)],
    "gone from a list by nobody": [CREATED, unlisted(2, 3, "pending", "", "~~")],
    "not in the list that it is now in": [CREATED, moved(2, 3, DONE), unlisted(4, 5, "done", "", "~~")],
    "not on the page that it is now on": [CREATED, moved(2, 3, DUE), unlisted(4, 5, "pending", "", "2031")],
    "seen before it was there": [CREATED._replace(began=5, ended=6), read(2, 3, ONE)],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_history_that_fits_one_order_is_accepted(name: str) -> None:
    assert linearizable(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_a_history_that_fits_no_order_is_rejected(name: str) -> None:
    assert not linearizable(BAD[name])


@pytest.mark.parametrize("seed", range(20))
def test_a_long_history_is_accepted_until_one_response_is_altered(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    state, calls = ONE, [CREATED]
    for number in range(2, 120):
        began, ended = number - 3 * dice.random(), number + 3 * dice.random()
        if dice.random() < 0.5:
            calls.append(read(max(1, began), ended, state))
            continue
        state = State(state.version + 1, str(number), "pending", "~")
        answered = change(max(1, began), ended, state)
        calls.append(lost(answered.began, state.title) if dice.random() < 0.1 else answered)
    calls.append(read(200, 201, state))
    assert linearizable(calls)
    which = dice.choice([index for index, call in enumerate(calls) if call.shown and call.ended < math.inf])
    shown = calls[which].shown
    assert shown
    calls[which] = calls[which]._replace(shown=shown._replace(title="never"), title="")
    assert not linearizable(calls)


@pytest.mark.parametrize("bug", MUTATIONS)
def test_the_code_that_a_seeded_bug_replaces_is_there(bug: str) -> None:
    mutation = MUTATIONS[bug]
    assert (ROOT / "chalicelib" / mutation.file).read_text().count(mutation.right) == 1
