"""Instants, ids and JSON, on generated values."""

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.http.request import parse_json
from chalicelib.problems import MalformedRequest
from chalicelib.values import Instant, creation_time, is_id, new_id, timestamp

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=OFFSETS)  # noqa: DTZ001 - the strategy adds the zones
NANOSECONDS = st.integers(0, 2**48 * 1_000_000 - 1)


@given(MOMENTS, MOMENTS)
def test_instants_sort_as_text(first: datetime, second: datetime) -> None:
    early, late = sorted([first, second])
    assert Instant.parse(early.isoformat()) <= Instant.parse(late.isoformat())
    assert len(Instant.parse(early.isoformat())) == 20


@given(NANOSECONDS)
def test_an_id_is_a_uuid_of_version_7_that_holds_its_time(nanoseconds: int) -> None:
    task_id = new_id(nanoseconds)
    assert is_id(task_id)
    assert int(task_id.replace("-", "")[:12], 16) == nanoseconds // 1_000_000
    if nanoseconds < 253_402_300_800 * 10**9:  # the year 10000, which RFC 3339 does not have
        assert creation_time(task_id) == timestamp(nanoseconds)


@given(NANOSECONDS, st.integers(245, 10**12))
def test_ids_sort_by_their_time(nanoseconds: int, later: int) -> None:
    assert (
        new_id(nanoseconds) < new_id(min(nanoseconds + later, 2**48 * 1_000_000 - 1)) or nanoseconds + later >= 2**48 * 10**6
    )


def test_a_timestamp_has_milliseconds_cut_and_not_rounded() -> None:
    assert timestamp(1_795_173_245_999_999_999) == "2026-11-20T11:14:05.999Z"
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"


@given(st.binary())
def test_any_bytes_are_json_or_malformed(raw: bytes) -> None:
    try:
        parse_json(raw)
    except MalformedRequest:
        return
    raw.decode()
