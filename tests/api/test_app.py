"""The contract, rule by rule, over HTTP."""

import base64
import json
import re
from typing import Any

import pytest
from chalice.config import Config

from app import app
from chalicelib import __version__
from chalicelib.http import api
from tests.support.events import Context, event
from tests.support.people import Person, client, path_of
from tests.support.sdk_faults import network
from tools.local.gateway import Gateway

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
MEMBERS = ["task_id", "title", "description", "status", "due_at", "created_at", "updated_at", "version"]
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


class TestCreate:
    def test_a_new_task_has_the_defaults_and_a_location(self, alice: Person) -> None:
        response = alice("POST", "/tasks", {"title": "Buy milk"})
        task = response.json
        assert response.status == 201
        assert list(task) == MEMBERS
        assert re.fullmatch(UUID7, task["task_id"])
        assert re.fullmatch(INSTANT, task["created_at"])
        assert task | {"title": "Buy milk", "description": "", "status": "pending", "due_at": None, "version": 1} == task
        assert task["updated_at"] == task["created_at"]
        assert response.headers["Location"] == path_of(task)
        assert response.etag == '"1"'
        assert "Idempotency-Replayed" not in response.headers
        assert alice("GET", response.headers["Location"]).json == task

    def test_every_member_that_a_client_may_set_is_stored(self, alice: Person) -> None:
        members = {"title": "T", "description": "a\n\tb", "status": "done", "due_at": "2030-01-31T09:00:00Z"}
        assert alice("GET", path_of(alice.creates(**members))).json.items() >= members.items()

    @pytest.mark.parametrize("title", ["x", "ü" * 200, "😀" * 200, " padded ", "=1+1", "<b>", "e\u0301"])
    def test_a_valid_title_is_stored(self, alice: Person, title: str) -> None:
        assert alice("GET", path_of(alice.creates(title))).json["title"] == title

    @pytest.mark.parametrize(
        "title",
        ["", " \u3000\u00a0", "x" * 201, "a\nb", "a\n", "a\tb", "\x00", "\x7f", "\x85", "\ud800", 5, None, ["x"], True],
    )
    def test_an_invalid_title_is_refused(self, alice: Person, title: object) -> None:
        response = alice("POST", "/tasks", {"title": title})
        assert response.problem == (422, "validation")
        assert [error["pointer"] for error in response.json["errors"]] == ["/title"]
        assert alice.titles() == []

    @pytest.mark.parametrize("description", ["", "x" * 4000, "line\nline\ttab\n"])
    def test_a_valid_description_is_stored(self, alice: Person, description: str) -> None:
        assert alice("GET", path_of(alice.creates(description=description))).json["description"] == description

    @pytest.mark.parametrize("member", [
        {"description": "x" * 4001}, {"description": "\x00"}, {"description": "\udfff"},
        {"status": "\ud800"}, {"status": "Done"}, {"status": ""}, {"due_at": "tomorrow"}, {"due_at": 0},
        {"due_at": ""}, {"task_id": "x"}, {"owner": "x"}, {"version": 2}, {"PK": "x"}, {"Title": "x"}, {"": 1}, {"a/b~c": 1},
    ])  # fmt: skip
    def test_an_invalid_or_unknown_member_is_refused(self, alice: Person, member: dict[str, object]) -> None:
        response = alice("POST", "/tasks", {"title": "T"} | member)
        (name,) = member
        assert response.problem == (422, "validation")
        assert [error["pointer"] for error in response.json["errors"]] == [f"/{name.replace('~', '~0').replace('/', '~1')}"]

    def test_all_validation_errors_are_returned_together(self, alice: Person) -> None:
        response = alice("POST", "/tasks", {"titel": "x", "status": "later", "due_at": "soon"})
        assert response.json["errors"] == [
            {"pointer": "/titel", "detail": "is not allowed; allowed: title, description, status, due_at"},
            {"pointer": "/status", "detail": "must be one of: pending, in_progress, done"},
            {
                "pointer": "/due_at",
                "detail": "must be an RFC 3339 instant with a zone, such as 2030-01-31T09:00:00Z, in the years 0001 to 9999 of UTC",
            },
            {"pointer": "/title", "detail": "is required"},
        ]

    def test_many_validation_errors_get_a_short_response(self, alice: Person) -> None:
        response = alice("POST", "/tasks", {f"{number}{'x' * 100}\ud800": 1 for number in range(100)})
        assert len(response.json["errors"]) == 20
        assert len(response.body) < 5000

    @pytest.mark.parametrize(("sent", "shown"), [
        ("2030-01-31T09:00:00Z", "2030-01-31T09:00:00Z"), ("2030-01-31t09:00:00z", "2030-01-31T09:00:00Z"),
        ("2030-01-31T09:00:00.999999999999Z", "2030-01-31T09:00:00Z"), ("2030-01-01T00:30:00+01:00", "2029-12-31T23:30:00Z"),
        ("2030-12-31T23:30:00.5-00:45", "2031-01-01T00:15:00Z"), ("2028-02-29T12:00:00-00:00", "2028-02-29T12:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"), ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"), (None, None),
    ])  # fmt: skip
    def test_a_due_date_is_shown_in_utc(self, alice: Person, sent: str | None, shown: str | None) -> None:
        task = alice.creates(due_at=sent)
        assert task["due_at"] == alice("GET", path_of(task)).json["due_at"] == shown

    @pytest.mark.parametrize("due_at", [
        "2030-W05-4T09:00:00Z", "2030-01-31T09:00:00", "2030-01-31", "2030-01-31T24:00:00Z", "2030-06-30T23:59:60Z",
        "2030-02-29T09:00:00Z", "2030-13-01T00:00:00Z", "20300131T090000Z", "2030-01-31 09:00:00Z", "2030-01-31T09:00Z",
        "2030-01-31T09:00:00,5Z", "2030-01-31T09:00:00.Z", "2030-01-31T09:00:00+100", "2030-01-31T09:00:00+24:00",
        "2030-01-31T09:00:00+01:60", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00Z",
        "2030-01-31T09:00:00Z\n", " 2030-01-31T09:00:00Z", "\u0662030-01-31T09:00:00Z", "12030-01-31T09:00:00Z",
        "2030-01-31T09:00:00+01:00:30",
    ])  # fmt: skip
    def test_an_invalid_due_date_is_refused(self, alice: Person, due_at: str) -> None:
        response = alice("POST", "/tasks", {"title": "T", "due_at": due_at})
        assert response.problem == (422, "validation")
        assert [error["pointer"] for error in response.json["errors"]] == ["/due_at"]


class TestBodies:
    @pytest.mark.parametrize("body", [
        b"", b" \n", b"{", b"title", b'{"title": "a"} x', b'{"title": "a"}{}', b'{"title": "\xff"}', b'{"title": "a", "title": "a"}',
        b'{"title": "a", "x": {"y": 1, "y": 2}}', b'{"title": NaN}', b'{"title": Infinity}', b'{"title": -Infinity}',
        b'{"title": 1e400}', b'{"title": -1e400}', b'{"title": 18446744073709551616}', b'{"title": -9223372036854775809}',
        b'{"title": ' + b"9" * 5000 + b"}", b'{"title": ' + b"[" * 20 + b"]" * 20 + b"}", b"[" * 30000, b'{"a":' * 9000,
        b'{"title": ' + b"[" * 900 + b"]" * 900 + b"}", '{"title": "a"}'.encode("utf-16"),
        b'{"title": "a\nb"}', b"{'title': 'a'}", b'{"title": "a",}', b'{"title": 01}', b'{"title": "a"} // why',
    ])  # fmt: skip
    def test_an_unreadable_body_is_malformed(self, alice: Person, body: bytes) -> None:
        assert alice("POST", "/tasks", body).problem == (400, "malformed")

    @pytest.mark.parametrize(
        "body", [b"[]", b"null", b'"x"', b"5", b"1.5", b"true", b"18446744073709551615", b"-9223372036854775808"]
    )
    def test_a_body_that_is_not_an_object_is_422(self, alice: Person, body: bytes) -> None:
        response = alice("POST", "/tasks", body)
        assert response.problem == (422, "validation")
        assert response.json["errors"] == [{"pointer": "", "detail": "must be a JSON object"}]

    def test_twenty_levels_of_nesting_are_accepted(self, alice: Person) -> None:
        body = b'{"title": ' + b"[" * 19 + b"]" * 19 + b"}"
        assert alice("POST", "/tasks", body).problem == (422, "validation")

    def test_64_kib_are_read_and_no_more(self, alice: Person) -> None:
        body = b'{"title": "a"}'
        assert alice("POST", "/tasks", body.ljust(64 * 1024)).status == 201
        assert alice("POST", "/tasks", body.ljust(64 * 1024 + 1)).problem == (413, "payload-too-large")

    @pytest.mark.parametrize("type_", [
        "application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;x=y", "",
    ])  # fmt: skip
    def test_json_is_read_under_its_media_type(self, alice: Person, type_: str) -> None:
        assert alice("POST", "/tasks", {"title": "T"}, Content_Type=type_).status == 201

    @pytest.mark.parametrize("type_", [
        "text/plain", "text/plain; application/json", "application/jsonp", "*/*", "application/*", "application/json, text/plain",
        "application/xml", "application/octet-stream", "image/png", "application/x-www-form-urlencoded", MERGE_PATCH,
    ])  # fmt: skip
    def test_another_media_type_is_415(self, alice: Person, type_: str) -> None:
        assert alice("POST", "/tasks", {"title": "T"}, Content_Type=type_).problem == (415, "unsupported-media-type")

    def test_a_patch_may_have_both_media_types(self, alice: Person) -> None:
        path = path_of(alice.creates())
        assert alice("PATCH", path, {"title": "a"}, Content_Type=MERGE_PATCH.upper()).json["title"] == "a"
        assert alice("PATCH", path, {"title": "b"}, Content_Type=JSON).json["title"] == "b"
        assert alice("PATCH", path, {"title": "c"}, Content_Type="application/json-patch+json").problem == (
            415,
            "unsupported-media-type",
        )

    @pytest.mark.parametrize("type_", ["text/plain", "image/png", "x"])
    def test_a_request_without_a_body_may_carry_any_type(self, alice: Person, type_: str) -> None:
        path = path_of(alice.creates())
        assert alice("GET", "/tasks", Content_Type=type_).status == 200
        assert alice("GET", path, Content_Type=type_).status == 200
        assert alice("POST", "/tasks", Content_Type=type_).problem == (400, "malformed")
        assert alice("DELETE", path, Content_Type=type_).status == 204


class TestRead:
    def test_a_task_that_the_caller_has_is_304(self, alice: Person) -> None:
        path = path_of(alice.creates())
        for known in ('"1"', 'W/"1"', '"7", "1"', "*", ' "1" ', '"a",,"1"'):
            response = alice("GET", path, If_None_Match=known)
            assert (response.status, response.body, response.etag) == (304, b"", '"1"'), known
            assert "Content-Type" not in response.headers

    @pytest.mark.parametrize("known", ['"2"', '"01"', '""', 'W/"2"', '"1 "', '"999999999999999999999"'])
    def test_a_newer_version_is_returned(self, alice: Person, known: str) -> None:
        path = path_of(alice.creates())
        expected = 400 if " " in known else 200  # RFC 9110: no blank in a tag
        assert alice("GET", path, If_None_Match=known).status == expected

    @pytest.mark.parametrize("spelling", [
        str.upper, lambda text: "{" + text + "}", lambda text: text.replace("-", ""), lambda text: "urn:uuid:" + text,
        lambda text: text + "%20", lambda text: "%30" + text[1:], lambda text: text[:14] + "4" + text[15:], lambda _: "x",
        lambda text: text[:19] + "c" + text[20:], lambda _: "00000000-0000-0000-0000-000000000000",
    ])  # fmt: skip
    def test_another_spelling_of_an_id_is_404(self, alice: Person, spelling: Any) -> None:
        path = f"/tasks/{spelling(alice.creates()['task_id'])}"
        for method, body in (("GET", None), ("PATCH", {"title": "x"}), ("PATCH", {}), ("DELETE", None)):
            with network() as attempts:
                assert alice(method, path, body).problem == (404, "not-found")
            assert attempts == []


class TestChange:
    def test_members_not_sent_stay(self, alice: Person) -> None:
        task = alice.creates("a", description="b", status="done", due_at="2030-01-01T00:00:00Z")
        for version, change in enumerate([
            {"title": "A"}, {"description": "B"}, {"status": "pending"}, {"due_at": "2031-01-01T00:00:00Z"},
            {"status": "in_progress", "due_at": None}, {"description": None}, {"due_at": None}, {"status": "in_progress"},
        ], start=2):  # fmt: skip
            response = alice("PATCH", path_of(task), change)
            expected = task | change | {"version": version, "updated_at": response.json["updated_at"]}
            expected["description"] = expected["description"] or ""
            assert (response.status, response.json, response.etag) == (200, expected, f'"{version}"')
            assert response.json["updated_at"] >= task["updated_at"]
            assert alice("GET", path_of(task)).json == response.json
            task = response.json

    def test_an_empty_patch_changes_nothing(self, alice: Person) -> None:
        task = alice.creates()
        response = alice("PATCH", path_of(task), {})
        assert (response.status, response.json, response.etag) == (200, task, '"1"')
        assert alice("PATCH", path_of(task), {}, If_Match='"1"').json == task
        assert alice("PATCH", path_of(task), {}, If_Match='"2"').problem == (412, "precondition-failed")

    @pytest.mark.parametrize("change", [
        {"title": None}, {"status": None}, {"title": ""}, {"status": "x"}, {"status": "\udfff"}, {"due_at": "x"}, {"task_id": "x"}, {"version": 5},
        {"created_at": "x"}, {"owner": None}, {"description": 1},
    ])  # fmt: skip
    def test_a_change_that_breaks_a_rule_changes_nothing(self, alice: Person, change: dict[str, object]) -> None:
        task = alice.creates()
        response = alice("PATCH", path_of(task), change | {"description": change.get("description", "new")})
        assert response.problem == (422, "validation")
        assert [error["pointer"] for error in response.json["errors"]] == [f"/{name}" for name in change]
        assert alice("GET", path_of(task)).json == task

    def test_a_change_does_not_create_a_task(self, alice: Person) -> None:
        task = alice.creates()
        assert alice("DELETE", path_of(task)).status == 204
        for change in ({"title": "x"}, {"status": "done"}, {}):
            assert alice("PATCH", path_of(task), change).problem == (404, "not-found")
            assert alice("PATCH", path_of(task), change, If_Match='"1"').problem == (404, "not-found")
        assert alice.titles() == []


class TestIfMatch:
    @pytest.mark.parametrize(
        "tags", ['"1"', "*", '"7", "1"', ' "1"', 'W/"1", "1"', '"1", "nonsense"', ",".join(['"1"'] * 100)]
    )
    def test_a_change_with_the_current_tag_is_applied(self, alice: Person, tags: str) -> None:
        path = path_of(alice.creates())
        assert alice("PATCH", path, {"title": "x"}, If_Match=tags).etag == '"2"'
        assert alice("DELETE", path, If_Match=tags.replace('"1"', '"2"')).status == 204

    @pytest.mark.parametrize("tags", ['"2"', 'W/"2"', '"01"', '"1.0"', '""', '"x"', '"2", "3"', '"' + "9" * 400 + '"'])
    def test_a_change_with_an_old_tag_gets_412_and_the_current_tag(self, alice: Person, tags: str) -> None:
        task = alice.creates(due_at="2030-01-01T00:00:00Z")
        for method, body in (("PATCH", {"title": "x"}), ("PATCH", {"status": "done"}), ("PATCH", {}), ("DELETE", None)):
            response = alice(method, path_of(task), body, If_Match=tags)
            assert response.problem == (412, "precondition-failed")
            assert response.etag == '"1"'
        assert alice("GET", path_of(task)).json == task

    @pytest.mark.parametrize(
        "tags", ["1", '"1', '"1" "2"', "", "W/1", "**", '*, "1"', 'w/"1"', ",".join(f'"{n}"' for n in range(101))]
    )
    def test_a_malformed_tag_is_refused(self, alice: Person, tags: str) -> None:
        task = alice.creates()
        for method, body in (("PATCH", {"title": "x"}), ("DELETE", None)):
            assert alice(method, path_of(task), body, If_Match=tags).problem == (400, "malformed")
        assert alice("GET", path_of(task), If_None_Match=tags).problem == (400, "malformed")
        assert alice("GET", path_of(task)).json == task

    def test_the_second_of_two_writers_loses(self, alice: Person) -> None:
        task = alice.creates("first")
        assert alice("PATCH", path_of(task), {"title": "second"}, If_Match='"1"').status == 200
        assert alice("PATCH", path_of(task), {"title": "third"}, If_Match='"1"').etag == '"2"'
        assert alice("GET", path_of(task)).json["title"] == "second"


class TestIdempotency:
    def test_a_replayed_request_gets_the_first_response(self, alice: Person) -> None:
        body = {"title": "T", "due_at": "2030-01-01T00:00:00+01:00"}
        first = alice("POST", "/tasks", body, Idempotency_Key="k")
        again = alice("POST", "/tasks", b' {"due_at":"2030-01-01T00:00:00+01:00" ,"\\u0074itle":"T"}', Idempotency_Key='"k"')
        assert first.status == again.status == 201
        assert first.body == again.body
        assert (again.headers["Location"], again.etag) == (first.headers["Location"], first.etag)
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "true"
        assert alice.titles() == ["T"]

    def test_a_replay_returns_the_first_response_after_later_changes(self, alice: Person) -> None:
        first = alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        alice("PATCH", first.headers["Location"], {"title": "x"})
        assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").body == first.body
        alice("DELETE", first.headers["Location"])
        assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").body == first.body
        assert alice.titles() == []

    @pytest.mark.parametrize("body", [{"title": "U"}, {"title": "T", "description": ""}, {"title": "T", "due_at": None}])
    def test_another_value_under_the_same_key_is_refused(self, alice: Person, body: dict[str, object]) -> None:
        alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        assert alice("POST", "/tasks", body, Idempotency_Key="k").problem == (422, "idempotency-key-reused")
        assert alice.titles() == ["T"]

    def test_a_refused_request_does_not_use_up_its_key(self, alice: Person) -> None:
        assert alice("POST", "/tasks", {"title": ""}, Idempotency_Key="k").status == 422
        assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").status == 201

    def test_idempotency_keys_of_two_users_are_independent(self, alice: Person, bob: Person) -> None:
        first = alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        other = bob("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        assert other.status == 201
        assert other.json["task_id"] != first.json["task_id"]

    @pytest.mark.parametrize(
        "key", ["x", "!" * 255, "a#b/c%20", '"quoted"', r'"a\"b\\c"', "'", 'a"b', '"' + "x" * 255 + '"']
    )
    def test_a_valid_key_is_accepted_bare_or_quoted(self, alice: Person, key: str) -> None:
        assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key=key).status == 201
        assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key=key).headers["Idempotency-Replayed"] == "true"

    @pytest.mark.parametrize(
        "key",
        ["", '""', "a b", "ü", "x" * 256, '"' + "x" * 256 + '"', '"a', '"', '"a"b"', r'"a\b"', '"a b"', "a\tb", "k, k"],
    )
    def test_a_malformed_key_is_refused(self, alice: Person, key: str) -> None:
        assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key=key).problem == (400, "malformed")
        assert alice.titles() == []


class TestList:
    def test_the_newest_come_first(self, alice: Person) -> None:
        for title in "abc":
            alice.creates(title)
        response = alice("GET", "/tasks")
        assert list(response.json) == ["tasks", "count", "next_cursor"]
        assert [task["title"] for task in response.json["tasks"]] == ["c", "b", "a"]
        assert (response.json["count"], response.json["next_cursor"]) == (3, None)
        assert list(response.json["tasks"][0]) == MEMBERS

    def test_a_list_by_status_starts_with_the_soonest_due_date(self, alice: Person) -> None:
        alice.creates("undated")
        alice.creates("late", due_at="2031-01-01T00:00:00Z")
        alice.creates("soon", due_at="2030-01-01T00:00:00Z")
        alice.creates("other", status="done", due_at="2029-01-01T00:00:00Z")
        assert alice.titles(status="pending") == ["soon", "late", "undated"]
        assert alice.titles(status="done") == ["other"]
        assert alice.titles(status="in_progress") == []

    def test_a_change_moves_a_task_between_the_lists(self, alice: Person) -> None:
        task = alice.creates("a", due_at="2030-01-02T00:00:00Z")
        alice.creates("b", due_at="2030-01-03T00:00:00Z", status="done")
        alice("PATCH", path_of(task), {"status": "done"})
        assert (alice.titles(status="pending"), alice.titles(status="done")) == ([], ["a", "b"])
        alice("PATCH", path_of(task), {"due_at": None})
        assert alice.titles(status="done") == ["b", "a"]
        alice("PATCH", path_of(task), {"due_at": "2030-01-01T00:00:00Z", "status": "in_progress"})
        alice("PATCH", path_of(task), {"title": "A"})
        assert (alice.titles(status="done"), alice.titles(status="in_progress")) == (["b"], ["A"])

    @pytest.mark.parametrize(("bounds", "titles"), [
        ({"due_after": "2030-01-02T00:00:00Z"}, ["2", "3"]), ({"due_before": "2030-01-02T00:00:00Z"}, ["1"]),
        ({"due_after": "2030-01-01T00:00:01Z", "due_before": "2030-01-03T00:00:00Z"}, ["2"]),
        ({"due_after": "2030-01-03T00:00:00Z", "due_before": "2030-01-03T00:00:00Z"}, []),
        ({"due_after": "2030-01-03T00:00:00Z", "due_before": "2030-01-01T00:00:00Z"}, []),
        ({"due_after": "2030-01-02T01:00:00%2B01:00"}, ["2", "3"]), ({"due_before": "9999-12-31T23:59:59Z"}, ["1", "2", "3"]),
        ({"due_after": "0001-01-01T00:00:00Z"}, ["1", "2", "3"]),
    ])  # fmt: skip
    def test_bounds_narrow_a_status_and_leave_out_tasks_without_due_date(
        self, alice: Person, bounds: dict[str, str], titles: list[str]
    ) -> None:
        for day in "321":
            alice.creates(day, due_at=f"2030-01-0{day}T00:00:00Z")
        alice.creates("undated")
        assert alice.titles(status="pending", **bounds) == titles
        assert alice.titles(status="pending", limit=1, **bounds) == titles

    @pytest.mark.parametrize("query", [{}, {"status": "pending"}])
    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
    def test_pages_are_full_until_the_last_and_add_up(self, alice: Person, query: dict[str, str], limit: int) -> None:
        for number in range(6):
            alice.creates(str(number), **({"due_at": "2030-01-01T00:00:00Z"} if number % 2 else {}))
        whole = alice.titles(**query)
        pages = alice.pages("/tasks", limit=limit, **query)
        assert [task["title"] for page in pages for task in page] == whole
        assert [len(page) for page in pages] == [limit] * (6 // limit) + [6 % limit] * (6 % limit > 0)

    def test_a_page_is_full_even_if_dynamodb_returns_it_in_parts(self, alice: Person) -> None:
        for number in range(70):
            alice.creates(str(number), description="\U0001f600" * 4000)  # 16 KB each, and DynamoDB stops at 1 MB
        assert [len(page) for page in alice.pages("/tasks", limit=69)] == [69, 1]
        assert [len(page) for page in alice.pages("/tasks", limit=69, status="pending")] == [69, 1]

    def test_pages_contain_each_lasting_task_once_during_writes(self, alice: Person) -> None:
        tasks = [alice.creates(str(number)) for number in range(6)]
        first = alice("GET", "/tasks?limit=3").json
        alice.creates("new")
        alice("DELETE", path_of(tasks[3]))  # the very task that the cursor points at
        alice("DELETE", path_of(tasks[1]))
        rest = alice("GET", f"/tasks?limit=3&cursor={first['next_cursor']}").json
        assert [task["title"] for task in first["tasks"] + rest["tasks"]] == ["5", "4", "3", "2", "0"]

    def test_a_page_has_25_tasks_by_default(self, alice: Person) -> None:
        for number in range(26):
            alice.creates(str(number))
        assert alice("GET", "/tasks").json["count"] == 25
        assert alice("GET", "/tasks?limit=100").json["count"] == 26

    @pytest.mark.parametrize("query", [
        "limit=0", "limit=101", "limit=-1", "limit=", "limit=x", "limit=1.0", "limit=1e1", "limit=01", "limit=%2B5", "limit=5%20",
        "limit=\u0665", "status=", "status=Done", "status=pending&status=done", "limit=5&limit=5", "cursor=a&cursor=b", "page=2",
        "Status=done", "due_after=2030-01-01T00:00:00Z", "status=done&due_before=soon", "status=done&due_after=", "owner=x", "=",
    ])  # fmt: skip
    def test_a_query_that_breaks_a_rule_is_refused_and_names_it(self, alice: Person, query: str) -> None:
        response = alice("GET", f"/tasks?{query}")
        assert response.problem == (422, "validation")
        assert response.json["errors"][0]["parameter"] in query

    @pytest.mark.parametrize(
        ("method", "body"), [("POST", {"title": "T"}), ("PATCH", {"title": "x"}), ("GET", None), ("DELETE", None)]
    )
    def test_other_routes_have_no_query_parameter(self, alice: Person, method: str, body: object) -> None:
        task = alice.creates()
        path = "/tasks" if method == "POST" else path_of(task)
        assert alice(method, f"{path}?limit=5", body).problem == (422, "validation")
        assert alice.pages("/tasks") == [[task]]

    def test_many_repeated_parameters_get_a_short_response(self, alice: Person) -> None:
        response = alice("GET", "/tasks?" + "&".join(f"{number}&{number}" for number in range(1000)))
        assert response.problem == (422, "validation")
        assert len(response.json["errors"]) == 20


class TestCursors:
    QUERIES = (
        "",
        "&status=pending",
        "&status=done",
        "&status=pending&due_after=2020-01-01T00:00:00Z",
        "&status=pending&due_before=2040-01-01T00:00:00Z",
    )

    @staticmethod
    def cursor(person: Person, query: str) -> str:
        for day in "123":
            person.creates(due_at=f"2030-01-0{day}T00:00:00Z")
            person.creates(due_at=f"2030-01-0{day}T00:00:00Z", status="done")
        return str(person("GET", f"/tasks?limit=1{query}").json["next_cursor"])

    @pytest.mark.parametrize("given_for", QUERIES)
    def test_a_cursor_works_only_with_its_filter(self, alice: Person, given_for: str) -> None:
        cursor = self.cursor(alice, given_for)
        for used_for in self.QUERIES:
            response = alice("GET", f"/tasks?cursor={cursor}{used_for}")
            expected = response.status == 200 if given_for == used_for else response.problem == (400, "invalid-cursor")
            assert expected, used_for

    @pytest.mark.parametrize("query", QUERIES)
    def test_a_cursor_works_only_for_its_caller(self, alice: Person, bob: Person, query: str) -> None:
        self.cursor(bob, query)
        assert bob("GET", f"/tasks?cursor={self.cursor(alice, query)}{query}").problem == (400, "invalid-cursor")

    @pytest.mark.parametrize("query", QUERIES)
    def test_a_damaged_cursor_is_refused(self, alice: Person, query: str) -> None:
        cursor = self.cursor(alice, query)
        swapped = [cursor[:n] + ("B" if cursor[n] == "A" else "A") + cursor[n + 1 :] for n in range(len(cursor))]
        for damaged in [
            *swapped,
            cursor[:-1],
            cursor[1:],
            cursor + "A",
            cursor + "=",
            cursor.swapcase(),
            "",
            "null",
            "%00",
            "a",
            "x" * 900,
        ]:
            assert alice("GET", f"/tasks?cursor={damaged}{query}").problem == (400, "invalid-cursor"), damaged

    def test_a_cursor_works_with_another_limit(self, alice: Person) -> None:
        assert alice("GET", f"/tasks?limit=2&cursor={self.cursor(alice, '')}").json["count"] == 2

    @pytest.mark.parametrize(
        ("query", "due_at"), [*((query, "2030-01-01T00:00:00Z") for query in QUERIES), ("&status=pending", None)]
    )
    def test_a_cursor_does_not_show_its_position(self, alice: Person, query: str, due_at: str | None) -> None:
        """The positions of these tasks have their bytes in common, up to the end of the ids; their cursors have none."""
        for _ in range(9):
            alice.creates(due_at=due_at, status="done" if "done" in query else "pending")
        pages = [alice("GET", f"/tasks?limit=1{query}").json]
        while position := pages[-1]["next_cursor"]:
            pages.append(alice("GET", f"/tasks?limit=1{query}&cursor={position}").json)
        cursors = [page["next_cursor"] for page in pages[:-1]]
        shown = [base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)) for cursor in cursors]
        assert len(shown) == 8
        assert all(len(set(bytes_there)) > 1 for bytes_there in zip(*shown, strict=True))
        for page, raw in zip(pages, shown, strict=False):
            assert page["tasks"][0]["task_id"][-8:].encode() not in raw


class TestIsolation:
    @pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"title": "x"}), ("PATCH", {}), ("DELETE", None)])
    @pytest.mark.parametrize("tag", [{}, {"If_Match": '"1"'}, {"If_Match": '"9"'}, {"If_None_Match": "*"}])
    def test_a_task_of_another_user_looks_like_one_that_never_existed(
        self, alice: Person, bob: Person, method: str, body: object, tag: dict[str, str]
    ) -> None:
        task = alice.creates()
        gone = bob.creates()
        bob("DELETE", path_of(gone))
        foreign, missing = bob(method, path_of(task), body, **tag), bob(method, path_of(gone), body, **tag)
        assert foreign.problem == missing.problem == (404, "not-found")
        assert {**foreign.json, "instance": ""} == {**missing.json, "instance": ""}
        assert foreign.headers.keys() == missing.headers.keys()
        assert alice.pages("/tasks") == [[task]]

    def test_lists_contain_only_the_callers_tasks(self, alice: Person, bob: Person) -> None:
        alice.creates("hers")
        bob.creates("his")
        assert (alice.titles(), bob.titles()) == (["hers"], ["his"])
        assert (alice.titles(status="pending"), bob.titles(status="pending")) == (["hers"], ["his"])


class TestEveryResponse:
    def test_every_response_has_the_common_headers(self, alice: Person, nobody: Person) -> None:
        path = path_of(alice.creates())
        for response in (
            alice("GET", path), alice("GET", path, If_None_Match="*"), alice("DELETE", path), alice("DELETE", path), nobody("GET", path),
            alice("PUT", path), alice("GET", "/nowhere"), alice("POST", "/tasks", b"{"), nobody("GET", "/health"),
        ):  # fmt: skip
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-store"
            assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["X-Request-Id"])
            assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
            assert "Access-Control-Allow-Credentials" not in response.headers
            exposed = set(response.headers["Access-Control-Expose-Headers"].split(","))
            assert exposed == {"ETag", "Location", "Retry-After", "X-Request-Id", "Idempotency-Replayed"}
            assert ("Content-Type" in response.headers) is bool(response.body)
            if response.status >= 400:
                assert response.json["instance"] == response.headers["X-Request-Id"]
                assert response.json["title"]

    @pytest.mark.parametrize(
        ("path", "methods"), [("/tasks", "POST GET"), ("/tasks/x", "GET PATCH DELETE"), ("/health", "GET")]
    )
    def test_a_preflight_covers_every_method_and_header(self, path: str, methods: str) -> None:
        response = client.http._local_gateway.handle_request("OPTIONS", path, {}, None)
        assert (response["statusCode"], response["body"]) == (200, None)
        assert set(response["headers"]["Access-Control-Allow-Methods"].split(",")) == {*methods.split(), "OPTIONS"}
        allowed = set(response["headers"]["Access-Control-Allow-Headers"].split(","))
        assert allowed >= {"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"}
        assert allowed >= {"baggage", "sentry-trace", "traceparent", "tracestate", "X-Requested-With"}
        assert all(name.startswith("Access-Control-") for name in response["headers"])

    @pytest.mark.parametrize(("origin", "allowed"), [
        ("http://localhost:3000", "http://localhost:3000"), ("capacitor://localhost", "capacitor://localhost"),
        ("https://evil.example.com", "http://localhost:3000"), ("http://localhost:3000,capacitor://localhost", "http://localhost:3000"),
    ])  # fmt: skip
    def test_each_origin_of_the_stage_may_read_responses(
        self, nobody: Person, monkeypatch: pytest.MonkeyPatch, origin: str, allowed: str
    ) -> None:
        monkeypatch.setattr(api, "ORIGINS", ["http://localhost:3000", "capacitor://localhost"])
        for response in (nobody("GET", "/health", Origin=origin), nobody("GET", "/tasks", Origin=origin)):
            assert (response.headers["Access-Control-Allow-Origin"], response.headers["Vary"]) == (allowed, "Origin")
        assert nobody("GET", "/health").headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
        gateway = Gateway(app, Config.create(chalice_app=app))
        preflight = gateway.handle_request("OPTIONS", "/tasks", {"origin": origin}, None)
        assert preflight["headers"]["Access-Control-Allow-Origin"] == allowed

    @pytest.mark.parametrize(("method", "path", "allow"), [
        ("PUT", "/tasks", "GET POST"), ("DELETE", "/tasks", "GET POST"), ("POST", "/health", "GET"),
        ("POST", "/tasks/x", "GET PATCH DELETE"), ("PUT", "/tasks/x", "GET PATCH DELETE"),
    ])  # fmt: skip
    def test_an_unknown_method_is_405_with_the_allowed_methods(
        self, alice: Person, method: str, path: str, allow: str
    ) -> None:
        response = alice(method, path)
        assert response.problem == (405, "method-not-allowed")
        assert set(response.headers["Allow"].split(", ")) == set(allow.split())

    @pytest.mark.parametrize("path", ["/task", "/tasks/x/y", "/TASKS", "/admin", "//tasks", "/health/x"])
    def test_a_404_repeats_nothing_of_the_request(self, alice: Person, nobody: Person, path: str) -> None:
        assert alice("GET", path).problem == (404, "not-found")
        assert nobody("GET", path).problem == (404, "not-found")
        assert str(alice.authorization)[-40:].encode() not in alice("GET", path).body

    @pytest.mark.parametrize("path", ["http://evil.example/tasks", "/tasks#a", "/tasks;a"])
    def test_location_repeats_nothing_of_the_request(self, alice: Person, path: str) -> None:
        response = alice("POST", path, {"title": "T"})
        assert response.status == 404 or response.headers["Location"] == path_of(response.json)

    @pytest.mark.parametrize(
        "path", ["/tasks/", "//tasks", "/tasks//", "/Tasks", "/tasks;x=1", "/health#x", "/tasks/x/", "/%74asks"]
    )
    def test_a_path_in_another_spelling_is_not_found(self, alice: Person, path: str) -> None:
        assert alice("GET", path).problem == (404, "not-found")

    @pytest.mark.parametrize("path", ["/tasks", "/health", "/nowhere"])
    def test_head_is_not_found(self, alice: Person, path: str) -> None:
        assert alice("HEAD", path).problem == (404, "not-found")


@pytest.mark.parametrize(("changes", "url"), [
    ({"domainName": "a1b2.execute-api.eu-central-1.amazonaws.com"}, "https://a1b2.execute-api.eu-central-1.amazonaws.com/prod"),
    ({"domainName": "api.example.com", "path": "/v1{path}"}, "https://api.example.com/v1"),
    ({"domainName": "api.example.com", "path": "{path}"}, "https://api.example.com"),
    ({}, "http://127.0.0.1:8000/prod"), ({"domainName": 'a"b'}, "/prod"),
])  # fmt: skip
def test_the_document_and_the_root_name_the_address_of_the_api(changes: dict[str, str], url: str) -> None:
    def get(path: str) -> Any:
        request = event("GET", path, headers={"Host": "127.0.0.1:8000"}, multiValueHeaders={})
        request["requestContext"] |= {name: value.format(path=path) for name, value in changes.items()}
        return json.loads(app(request, Context())["body"])

    assert get("/openapi.json")["servers"][0]["url"] == url
    assert get("/") == {"docs": f"{url}/docs", "openapi": f"{url}/openapi.json", "health": f"{url}/health"}


def test_without_a_host_the_document_names_a_relative_address(nobody: Person) -> None:
    assert nobody("GET", "/openapi.json").json["servers"][0]["url"] == "."
    assert nobody("GET", "/", Host="localhost:8000").json["docs"] == "http://localhost:8000/docs"
    assert nobody("GET", "/?x=1").problem == (422, "validation")


def test_health_calls_nothing_and_returns_the_release(nobody: Person) -> None:
    with network() as attempts:
        response = nobody("GET", "/health")
    assert attempts == []
    assert nobody("GET", "/health?x=1").problem == (422, "validation")
    assert (response.status, response.json) == (200, {"status": "ok", "release": __version__})


def test_no_response_shows_internal_attributes(alice: Person) -> None:
    task = alice.creates(due_at="2030-01-01T00:00:00Z")
    alice.creates()
    shown = json.dumps([
        alice("GET", "/tasks").json, alice("GET", path_of(task)).json, alice("PATCH", path_of(task), {"title": "x"}).json,
        alice("GET", "/tasks?status=pending&limit=1").json,
    ])  # fmt: skip
    assert not re.search(rf'"(PK|SK|LSI1SK|GSI1PK|GSI1SK|write|owner)"|USER#|TASK#|{alice.sub}', shown)
