"""Dates, ids and cursors, on values that nobody thought of."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import cursor
from chalicelib.inputs import parse
from chalicelib.problems import InvalidCursor, Malformed
from chalicelib.task import Instant, is_task_id, new_task_id, timestamp

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=OFFSETS)  # noqa: DTZ001 - the strategy adds the zones
NANOSECONDS = st.integers(0, 2**48 * 1_000_000 - 1)


@given(MOMENTS)
def test_an_instant_is_the_same_moment_in_utc_to_the_second(moment: datetime) -> None:
    read = Instant.parse(moment.isoformat())
    assert len(read) == 20
    assert datetime.fromisoformat(read) == moment.astimezone(UTC).replace(microsecond=0)


@given(st.text())
def test_whatever_else_is_read_as_an_instant_is_one(text: str) -> None:
    try:
        read = Instant.parse(text)
    except ValueError:
        return
    assert datetime.fromisoformat(read).tzinfo == UTC


@given(MOMENTS, MOMENTS)
def test_the_text_of_instants_sorts_as_they_do(first: datetime, second: datetime) -> None:
    early, late = sorted([first, second])
    assert Instant.parse(early.isoformat()) <= Instant.parse(late.isoformat())


@given(NANOSECONDS)
def test_an_id_is_a_uuid_of_version_7_that_holds_its_time(nanoseconds: int) -> None:
    task_id = new_task_id(nanoseconds)
    assert is_task_id(task_id)
    assert int(task_id.replace("-", "")[:12], 16) == nanoseconds // 1_000_000


@given(NANOSECONDS, st.integers(245, 10**12))
def test_ids_sort_by_their_time(nanoseconds: int, later: int) -> None:
    assert (
        new_task_id(nanoseconds) < new_task_id(min(nanoseconds + later, 2**48 * 1_000_000 - 1))
        or nanoseconds + later >= 2**48 * 10**6
    )


def test_a_timestamp_has_milliseconds_cut_and_not_rounded() -> None:
    assert timestamp(1_795_173_245_999_999_999) == "2026-11-20T11:14:05.999Z"
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"


SCOPES = st.lists(st.none() | st.text(), max_size=4)


@given(st.text(st.characters(codec="utf-8")), SCOPES)
def test_a_cursor_gives_back_its_position(position: str, scope: list[str | None]) -> None:
    assert cursor.unseal(cursor.seal(position, *scope), *scope) == position


@given(st.text(st.characters(codec="utf-8")), SCOPES, SCOPES)
def test_a_cursor_belongs_to_one_scope(position: str, scope: list[str | None], other: list[str | None]) -> None:
    if scope != other:
        with pytest.raises(InvalidCursor):
            cursor.unseal(cursor.seal(position, *scope), *other)


@given(st.text())
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidCursor):
        cursor.unseal(text, "somebody", "tasks")


@given(st.binary())
def test_any_bytes_are_json_or_malformed(raw: bytes) -> None:
    try:
        parse(raw)
    except Malformed:
        return
    raw.decode()
