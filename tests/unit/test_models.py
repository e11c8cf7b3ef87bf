"""Cursors, and rules of a standard against the shortest program that follows them, on generated values."""

import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.dynamodb import pages
from chalicelib.problems import InvalidCursor
from chalicelib.values import Instant
from tests.support.people import Person, path_of

TEXT = st.text(st.characters(codec="utf-8"))
SCOPES = st.lists(st.text(), max_size=4)


class TestCursors:
    ALPHABET = string.ascii_letters + string.digits + "-_=+/. "

    @given(TEXT, SCOPES)
    def test_a_cursor_contains_its_position(self, position: str, scope: list[str]) -> None:
        assert pages.decode(pages.encode(position, *scope), *scope) == position

    @given(TEXT, SCOPES, SCOPES)
    def test_a_cursor_belongs_to_one_scope(self, position: str, scope: list[str], other: list[str]) -> None:
        if scope != other:
            with pytest.raises(InvalidCursor):
                pages.decode(pages.encode(position, *scope), *other)

    @given(st.text())
    def test_any_other_text_is_an_invalid_cursor(self, text: str) -> None:
        with pytest.raises(InvalidCursor):
            pages.decode(text, "somebody", "tasks")

    @given(TEXT, SCOPES, st.data())
    def test_a_cursor_with_a_changed_character_is_refused(
        self, position: str, scope: list[str], data: st.DataObject
    ) -> None:
        good = pages.encode(position, *scope)
        place = data.draw(st.integers(0, len(good) - 1))
        rest = data.draw(st.sampled_from([good[place:], good[place + 1 :]]))  # put in or put in its place
        altered = good[:place] + data.draw(st.sampled_from(self.ALPHABET)) + rest
        if altered != good:
            with pytest.raises(InvalidCursor):
                pages.decode(altered, *scope)

    @given(TEXT, st.data())
    def test_a_part_of_a_cursor_is_refused(self, position: str, data: st.DataObject) -> None:
        good = pages.encode(position, "somebody")
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(good))] * 2)))
        if last - first < len(good):
            with pytest.raises(InvalidCursor):
                pages.decode(good[first:last], "somebody")


def patched(target: Any, patch: Any) -> Any:
    """Do what RFC 7396 says in section 2, word by word."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = patched(target.get(name), value)
    return target


DUE = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}Z")  # noqa: DTZ001 - the Z is put there
MEMBERS = {
    "title": st.sampled_from(["T", "Über", "日本"]),
    "description": st.none() | st.sampled_from(["", "D", "a\nb"]),
    "status": st.sampled_from(["pending", "in_progress", "done"]),
    "due_at": st.none() | DUE,
}


class TestMergePatch:
    @settings(max_examples=25)
    @given(st.fixed_dictionaries(MEMBERS), st.lists(st.fixed_dictionaries({}, optional=MEMBERS), max_size=4))
    def test_a_merge_patch_follows_the_rfc(self, first: dict[str, Any], patches: list[dict[str, Any]]) -> None:
        alice = Person()
        first = first | {"description": first["description"] or ""}
        task = alice.creates(**first)
        model, version = {name: value for name, value in first.items() if value is not None}, 1
        for patch in patches:
            response = alice("PATCH", path_of(task), patch, Content_Type="application/merge-patch+json")
            model, version = patched(model, patch), version + bool(patch)
            stored = alice("GET", path_of(task)).json
            assert stored == response.json
            # What a task does not have is shown by its default.
            assert {name: stored[name] for name in MEMBERS} == {"description": "", "due_at": None} | model
            assert stored["version"] == version

    @settings(max_examples=20)
    @given(st.fixed_dictionaries({}, optional=MEMBERS), st.sampled_from(["title", "status"]))
    def test_required_members_cannot_be_removed(self, patch: dict[str, Any], name: str) -> None:
        alice = Person()
        task = alice.creates()
        assert alice("PATCH", path_of(task), patch | {name: None}).problem == (422, "validation")
        assert alice("GET", path_of(task)).json == task


def number(low: int, high: int, width: int = 2) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(lambda value: f"{value:0{width}d}")


ZONE = st.sampled_from("zZ") | st.tuples(
    st.sampled_from("+-"), number(0, 25), st.sampled_from(["", ":"]), number(0, 61)
).map("".join)
FRACTION = st.just("") | st.integers(0, 10**12).map(lambda digits: f".{digits}")


def reference(parts: list[int], zone: str) -> datetime | None:
    """Return the moment in UTC of a date, a clock and a zone, None if there is no such moment."""
    hours, minutes = (0, 0) if zone in "zZ" else (int(zone[1:3]), int(zone[-2:]))
    year, month, day, hour, minute, second = parts
    try:
        east = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        moment = east + timedelta(hours=hours, minutes=minutes) * (1 if zone[0] == "-" else -1)
    except (ValueError, OverflowError):
        return None
    return moment if hours < 24 and minutes < 60 else None


DATE = st.tuples(number(0, 9999, 4), number(0, 13), number(0, 32))
CLOCK = st.tuples(number(0, 25), number(0, 61), number(0, 61))


class TestInstants:
    @given(DATE, CLOCK, FRACTION, ZONE)
    def test_an_instant_is_parsed_as_rfc_3339_says(
        self, date: tuple[str, ...], clock: tuple[str, ...], fraction: str, zone: str
    ) -> None:
        text = f"{'-'.join(date)}T{':'.join(clock)}{fraction}{zone}"
        expected = reference([int(part) for part in date + clock], zone)
        if expected is None:
            with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, a client is told the rule
                Instant.parse(text)
        else:
            assert datetime.fromisoformat(Instant.parse(text)) == expected
