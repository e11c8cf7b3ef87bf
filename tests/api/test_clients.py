"""Unusual requests of real clients, proxies and editors: accepted if their meaning is certain, else refused with the reason."""

import json
import sys
import unicodedata
from typing import Any

import pytest

from app import app
from chalicelib import values
from tests.support import pool
from tests.support.events import Context, event
from tests.support.people import Person, path_of
from tests.support.pool import id_claims, token

BLANKS = ["", " ", "\t", "  ", " \t "]
SUFFIXES = [f"{mark}{coding}" for mark in ("-", "--", ";", ":") for coding in ("gzip", "br", "zstd", "deflate")]
INVISIBLE = [
    "\u200b", "\u2060", "\ufeff", "\u00ad", "\u3164", "\u2800", "\u200d", "\u115f", "\u1160", "\uffa0", "\u034f", "\u180e", "\ufe0f",
    "\u2066", "\u2028", "\u061c", "\U000e0001", "\U000e0100", "\U0001d173", "\U0001d159", "\u3000\u00a0", "\u200b \u200b", "\u17b4",
]  # fmt: skip


class TestTagsChangedByAProxy:
    @pytest.mark.parametrize("weak", ["", "W/"])
    @pytest.mark.parametrize("suffix", ["", *SUFFIXES])
    def test_a_tag_that_a_compressing_proxy_has_changed_names_its_version(
        self, alice: Person, weak: str, suffix: str
    ) -> None:
        path, stale = path_of(alice.creates()), f'{weak}"7{suffix}"'
        assert alice("PATCH", path, {"title": "x"}, If_Match=stale).problem == (412, "precondition-failed")
        assert alice("DELETE", path, If_Match=stale).problem == (412, "precondition-failed")
        assert alice("PATCH", path, {"title": "x"}, If_Match=f'{weak}"1{suffix}"').etag == '"2"'
        assert alice("GET", path, If_None_Match=f'{weak}"2{suffix}"').status == 304
        assert alice("DELETE", path, If_Match=f'"9", {weak}"2{suffix}"').status == 204

    @pytest.mark.parametrize("tag", ['"1-lzma"', '"1gzip"', '"1-"', '"1-gzip-gzip"', '"-gzip"', '"1---gzip"', '"1-GZIP"'])
    def test_no_other_suffix_of_a_tag_is_removed(self, alice: Person, tag: str) -> None:
        path = path_of(alice.creates())
        assert alice("PATCH", path, {"title": "x"}, If_Match=tag).problem == (412, "precondition-failed")


class TestInstants:
    @pytest.mark.parametrize(("sent", "due_at"), [
        ("2030-01-01T00:00:00.000000+0000", "2030-01-01T00:00:00Z"), ("2030-01-01T01:30:00+0130", "2030-01-01T00:00:00Z"),
        ("2029-12-31T19:00:00-0500", "2030-01-01T00:00:00Z"),
    ])  # fmt: skip
    def test_an_offset_may_lack_its_colon(self, alice: Person, sent: str, due_at: str) -> None:
        path = path_of(alice.creates(due_at=sent))
        assert alice("GET", path).json["due_at"] == due_at
        assert alice("PATCH", path, {"due_at": sent}).json["due_at"] == due_at
        assert alice.titles(status="pending", due_after=sent.replace("+", "%2B")) == ["Buy milk"]
        assert alice.titles(status="pending", due_before=sent.replace("+", "%2B")) == []

    @pytest.mark.parametrize("offset", ["+00:00", "%2000:00", "+0000", "%200000", "%2B00:00"])
    @pytest.mark.parametrize("fraction", ["", ".5"])
    def test_an_unescaped_plus_of_an_offset_is_accepted(self, alice: Person, offset: str, fraction: str) -> None:
        alice.creates(due_at="2030-01-01T00:00:00Z")
        assert alice.titles(status="pending", due_after=f"2030-01-01T00:00:00{fraction}{offset}") == ["Buy milk"]
        assert alice.titles(status="pending", due_before=f"2030-01-01T00:00:00{fraction}{offset}") == []

    @pytest.mark.parametrize("value", [
        "2030-01-01+00:00:00Z", "+2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z+", "2030-01-01T00:00:00++00:00", "2030-01-01T00:00:00+",
        "2030-01-01T00:00:00+-00:00", "2030-01-01T00:00:00+00:0", "2030-01-01T00:00:00+000", "2030-01-01T00:00:00+2400",
    ])  # fmt: skip
    def test_a_blank_elsewhere_is_not_read_as_plus(self, alice: Person, value: str) -> None:
        response = alice("GET", f"/tasks?status=pending&due_after={value}")
        assert response.problem == (422, "validation")
        assert [error["parameter"] for error in response.json["errors"]] == ["due_after"]

    def test_a_blank_in_a_body_is_not_read_as_plus(self, alice: Person) -> None:
        assert alice("POST", "/tasks", {"title": "T", "due_at": "2030-01-01T00:00:00 00:00"}).status == 422


class TestText:
    @pytest.mark.parametrize(("sent", "kept"), [
        ("a\r\nb", "a\nb"), ("a\rb", "a\nb"), ("\r\r\n\n\r", "\n\n\n\n"), ("a\n\rb", "a\n\nb"), ("\r\n" * 4000, "\n" * 4000),
    ])  # fmt: skip
    def test_line_ends_are_stored_as_line_feeds(self, alice: Person, sent: str, kept: str) -> None:
        made = alice("POST", "/tasks", {"title": "T", "description": sent}, Idempotency_Key="k")
        assert made.json["description"] == kept
        assert alice("POST", "/tasks", {"title": "T", "description": sent}, Idempotency_Key="k").body == made.body
        path = made.headers["Location"]
        assert alice("GET", path).json["description"] == kept
        assert alice("PATCH", path, {"description": sent}).json["description"] == kept

    @pytest.mark.parametrize("title", ["a\r\nb", "a\rb", "a\r\n"])
    def test_a_title_has_one_line(self, alice: Person, title: str) -> None:
        assert alice("POST", "/tasks", {"title": title}).problem == (422, "validation")

    @pytest.mark.parametrize("text", INVISIBLE)
    def test_a_title_without_a_visible_character_is_refused(self, alice: Person, text: str) -> None:
        path = path_of(alice.creates())
        for response in (alice("POST", "/tasks", {"title": text}), alice("PATCH", path, {"title": text})):
            assert response.problem == (422, "validation")
            assert "visible" in response.json["errors"][0]["detail"]

    @pytest.mark.parametrize("text", INVISIBLE)
    def test_a_title_needs_one_visible_character(self, alice: Person, text: str) -> None:
        if "\u2028" not in text:  # a line end, which a title does not have
            assert alice.creates(f"{text}.{text}")["title"] == f"{text}.{text}"

    def test_invisible_categories_do_not_count_as_visible(self) -> None:
        """Of the version of Unicode that this Python knows, and of none that is older."""
        categories = {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"}
        missing = [
            f"{code:x}" for code in range(sys.maxunicode + 1)
            if unicodedata.category(chr(code)) in categories and not values.INVISIBLE.fullmatch(chr(code))
        ]  # fmt: skip
        assert missing == []
        shown = {"L", "N", "P", "S", "M"}
        known = {
            code
            for code in range(0xE0000)
            if values.INVISIBLE.fullmatch(chr(code)) and unicodedata.category(chr(code))[0] in shown
        }
        assert known == {
            0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, *range(0xFE00, 0xFE10), 0xFFA0, 0x1D159,
        }  # fmt: skip


class TestNull:
    @pytest.mark.parametrize("member", ["description", "status", "due_at"])
    def test_null_for_an_optional_member_of_a_new_task_means_its_default(self, alice: Person, member: str) -> None:
        made = alice("POST", "/tasks", {"title": "T", member: None}, Idempotency_Key="k")
        expected = {"description": "", "status": "pending", "due_at": None}[member]
        assert (made.status, made.json[member]) == (201, expected)
        assert alice("GET", made.headers["Location"]).json == made.json
        assert alice("POST", "/tasks", {"title": "T", member: None}, Idempotency_Key="k").body == made.body

    def test_a_title_has_no_default(self, alice: Person) -> None:
        assert alice("POST", "/tasks", {"title": None, "status": None}).problem == (422, "validation")


class TestOptionalWhiteSpace:
    """RFC 9110, section 5.6.3; of credentials RFC 9110, section 11.4, and RFC 6750, section 2.1."""

    @pytest.mark.parametrize("before", BLANKS)
    @pytest.mark.parametrize("after", BLANKS)
    def test_white_space_around_a_header_is_ignored(self, alice: Person, before: str, after: str) -> None:
        def padded(value: str) -> str:
            return f"{before}{value}{after}"

        made = alice("POST", "/tasks", {"title": "T"}, Idempotency_Key=padded("k"), Content_Type=padded("application/json"))
        assert made.status == 201
        again = alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        assert again.headers["Idempotency-Replayed"] == "true"
        path = made.headers["Location"]
        assert alice("GET", path, If_None_Match=padded('"1"')).status == 304
        assert alice("PATCH", path, {"title": "x"}, If_Match=padded('"1"')).status == 200
        assert alice("GET", path, Authorization=padded(str(alice.authorization))).status == 200

    @pytest.mark.parametrize("blanks", [" ", "  ", "\t", " \t", "   \t "])
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    def test_any_blanks_may_follow_bearer(self, blanks: str, scheme: str) -> None:
        for path in ("/tasks", "/hello"):
            assert Person(f"{scheme}{blanks}{token(id_claims())}")("GET", path).status == 200

    @pytest.mark.parametrize("blank", ["\n", "\r\n", "\u00a0", "\u2003", "\x0b", "\x0c"])
    def test_no_other_white_space_is_removed(self, alice: Person, blank: str) -> None:
        assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key=f"k{blank}").problem == (400, "malformed")
        assert Person(f"Bearer{blank}{token(id_claims())}")("GET", "/tasks").problem == (401, "unauthorized")

    @pytest.mark.usefixtures("in_lambda")
    def test_white_space_around_each_line_of_a_header_is_ignored(self) -> None:
        claims = id_claims()
        made = json.loads(app(event("POST", claims=claims, body='{"title": "T"}'), Context())["body"])
        where: Any = {"resource": "/tasks/{task_id}", "pathParameters": {"task_id": made["task_id"]}}
        change = event("PATCH", "/tasks/{task_id}", claims, '{"title": "x"}', **where)
        change["multiValueHeaders"] = {"If-Match": [' "7"\t', '\t "1" ']}
        assert app(change, Context())["statusCode"] == 200


class TestCharsets:
    @pytest.mark.parametrize("parameters", [
        "; charset=utf-8", ";charset=UTF-8", '; charset="utf-8"', "; Charset=Utf-8", "; charset=utf8", '; x="; charset=latin1"', ";charset=utf-8;x=y", ";",
    ])  # fmt: skip
    def test_utf_8_is_accepted(self, alice: Person, parameters: str) -> None:
        assert alice("POST", "/tasks", {"title": "T"}, Content_Type=f"application/json{parameters}").status == 201

    @pytest.mark.parametrize("parameters", [
        "; charset=iso-8859-1", ";charset=ISO-8859-1", '; charset="windows-1252"', "; charset=utf-16", "; charset=us-ascii", "; charset=",
        "; x=y; charset=latin1", '; x="\\""; charset=latin1', "; charset=utf-8; charset=latin1",
    ])  # fmt: skip
    def test_another_charset_is_415_with_the_reason(self, alice: Person, parameters: str) -> None:
        path = path_of(alice.creates())
        for method, where in (("POST", "/tasks"), ("PATCH", path)):
            response = alice(method, where, b'{"title": "\xe9"}', Content_Type=f"application/json{parameters}")
            assert response.problem == (415, "unsupported-media-type")
            assert "UTF-8" in response.json["detail"]
        assert alice("DELETE", path, Content_Type=f"application/json{parameters}").status == 204


NUMBERS = "NaN, infinities and numbers that do not fit in 64 bits are not accepted."


class TestBodies:
    @pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"title": "T"}', b'\xef\xbb\xbf \n{"title": "T"}'])
    def test_one_byte_order_mark_is_ignored(self, alice: Person, body: bytes) -> None:
        assert alice("POST", "/tasks", body).status == 201

    @pytest.mark.parametrize(("body", "detail"), [
        (b"", "The request needs a JSON object as its body."), (b" \r\n\t", "The request needs a JSON object as its body."),
        (b"\xef\xbb\xbf", "The request needs a JSON object as its body."),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"title": "T"}', "The body is not JSON: see line 1, column 1."),
        (b"{", "The body is not JSON: see line 1, column 2."), (b'{"title":\n "carol" "x"}', "The body is not JSON: see line 2, column 10."),
        (b'{"title": "a\nb"}', "The body is not JSON: see line 1, column 13."),
        (b'{"title": "a"} x', "The body goes on after its JSON value: see line 1, column 16."),
        (b'{"title": "\xff"}', "The body is not UTF-8: see byte 12."), ('{"title": "T"}'.encode("utf-16"), "The body is not UTF-8: see byte 1."),
        (b'{"title": "a", "title": "b"}', "The member title is there twice."),
        (b'{"x": {"y": [{"due_at": 1, "due_at": 2}]}}', "The member due_at is there twice."),
        (b'{"carol@example.com": 1, "carol@example.com": 2}', "A member is there twice."),
        (b'{"": 1, "": 2}', "A member is there twice."), (b'{"' + b"x" * 65 + b'": 1, "' + b"x" * 65 + b'": 2}', "A member is there twice."),
        (b'{"title": NaN}', NUMBERS), (b'{"title": -Infinity}', NUMBERS),
        (b'{"title": 1e400}', NUMBERS), (b'{"title": -1e400}', NUMBERS),
        (b'{"title": 18446744073709551616}', "An integer does not fit in 64 bits."), (b'{"title": ' + b"9" * 5000 + b"}", "An integer does not fit in 64 bits."),
        (b"[" * 21 + b"]" * 21, "The body is nested deeper than 20 levels."), (b"[" * 30000 + b"]" * 30000, "The body is nested deeper than 20 levels."),
    ])  # fmt: skip
    def test_a_malformed_body_gets_the_reason(self, alice: Person, body: bytes, detail: str) -> None:
        response = alice("POST", "/tasks", body)
        assert response.problem == (400, "malformed")
        assert response.json["detail"] == detail

    @pytest.mark.usefixtures("in_lambda")
    @pytest.mark.parametrize("body", ["eyJ0aXRsZSI6ICJUIn0", "é", "e"])
    def test_base64_that_cannot_be_decoded_is_malformed(self, body: str) -> None:
        sent: Any = {"body": body, "isBase64Encoded": True}
        response = app(event("POST", claims=pool.id_claims(), **sent), Context())
        assert (response["statusCode"], json.loads(response["body"])["type"]) == (400, "urn:problem:malformed")
        assert json.loads(response["body"])["detail"] == "The body is not Base64, though the event says so."


@pytest.mark.usefixtures("in_lambda")
@pytest.mark.parametrize("path", ["/nowhere", "/tasks/{id}", "/{proxy+}"])
def test_an_event_with_a_route_that_the_app_does_not_know_is_not_found(path: str) -> None:
    response = app(event(path=path, claims=pool.id_claims()), Context())
    del app.routes[path]  # which Chalice has made by looking for it
    assert (response["statusCode"], json.loads(response["body"])["type"]) == (404, "urn:problem:not-found")
    assert "Allow" not in response["headers"]
