"""The OpenAPI document is what the code says, is valid, and is shown by a page that loads nothing else.

That every answer of these tests fits it is seen to in conftest.py and local_server.py, by documented.py.
"""

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from app import app
from chalicelib import __version__
from chalicelib.problems import Problem
from tests.support import documented
from tests.support.people import Person
from tools.generate import openapi, reference

DOCUMENT: Any = json.loads(openapi.DOCUMENT.read_text())
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]


def test_the_document_is_what_the_code_says() -> None:
    assert openapi.document() == DOCUMENT, "`make generate` writes it anew"


def test_the_page_is_made_of_the_pinned_viewer() -> None:
    assert reference.page() == reference.PAGE.read_text(), "`make generate` writes it anew"


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


def test_every_pattern_is_valid_in_every_language() -> None:
    patterns = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', openapi.DOCUMENT.read_text())
    assert len(patterns) > 20
    for pattern in map(json.loads, patterns):
        assert re.compile(pattern)
        assert not re.search(r"\(\?|\\u", pattern), pattern  # which not all of ECMA-262, RE2 and Rust know


def test_the_document_is_served_as_it_lies(nobody: Person) -> None:
    answer = nobody("GET", "/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body == openapi.DOCUMENT.read_bytes()
    assert answer.json["info"]["version"] == __version__


def test_the_document_has_every_route_and_every_problem() -> None:
    assert set(OPERATIONS) == {(path, method.lower()) for path, entries in app.routes.items() for method in entries}
    assert {kind.__name__ for kind in Problem.__subclasses__()} <= DOCUMENT["components"]["schemas"].keys()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_who_may_call_is_told_as_it_is_checked(path: str, method: str) -> None:
    authorizer = app.routes[path][method.upper()].authorizer
    told = DOCUMENT["paths"][path][method].get("security")
    assert told == ([{authorizer.name: getattr(authorizer, "scopes", [])}] if authorizer else None)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_example_fits_its_schema(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    answers = [documented.resolve(answer) for answer in operation["responses"].values()]
    shown = 0
    for part in [operation.get("requestBody", {}), *answers]:
        for content in part.get("content", {}).values():
            examples = [content["example"]] if "example" in content else []
            for example in examples + [named["value"] for named in content.get("examples", {}).values()]:
                documented.assert_schema(content["schema"], json.dumps(example), f"the example of {method} {path}")
                shown += 1
    assert shown > len(answers) - 3


@pytest.mark.parametrize(("status", "change"), [
    (202, {}), (201, {"PK": "USER#1"}), (201, {"version": 0}), (201, {"task_id": None}), (201, {"title": "a\nb"}),
])  # fmt: skip
def test_an_answer_that_the_document_does_not_have_is_found(alice: Person, status: int, change: dict[str, object]) -> None:
    answer = alice("POST", "/tasks", {"title": "T"})
    documented.assert_documented("POST", "/tasks", 201, answer.headers, answer.body.decode())
    with pytest.raises(AssertionError, match="POST /tasks returned"):
        documented.assert_documented("POST", "/tasks", status, answer.headers, json.dumps(answer.json | change))


@pytest.mark.parametrize("header", ["ETag", "Location", "X-Request-Id", "Content-Type"])
def test_a_header_that_is_missing_or_unheard_of_is_found(alice: Person, header: str) -> None:
    answer = alice("POST", "/tasks", {"title": "T"})
    less = {name: value for name, value in answer.headers.items() if name != header}
    with pytest.raises((AssertionError, KeyError)):
        documented.assert_documented("POST", "/tasks", 201, less, answer.body.decode())
    with pytest.raises(AssertionError, match="retry-after"):
        documented.assert_documented("POST", "/tasks", 201, answer.headers | {"Retry-After": "1"}, answer.body.decode())


@pytest.mark.aggregate
def test_every_documented_answer_was_given_by_a_test() -> None:
    of_the_gateway = {"forbidden", "too-many-requests", "internal", "unavailable"}  # which may stand in front of any route
    told = set()
    for path, method in OPERATIONS:
        for status, answer in DOCUMENT["paths"][path][method]["responses"].items():
            content = documented.resolve(answer).get("content", {})
            slugs = content.get("application/problem+json", {}).get("examples", {})
            names = (
                {f"urn:problem:{slug}" for slug in slugs.keys() - of_the_gateway}
                if slugs
                else {status}
                if content
                else set()
            )
            told |= {(method.upper(), path, name) for name in names}
    assert told - documented.SEEN == set()


@pytest.mark.parametrize(("body", "media_type", "problem"), [
    (b"{" + b" " * 70_000 + b"}", "application/json", (413, "payload-too-large")),
    (b"{}", "text/plain", (415, "unsupported-media-type")),
])  # fmt: skip
def test_every_route_with_a_body_reads_it_alike(
    alice: Person, machine: Person, body: bytes, media_type: str, problem: tuple[int, str]
) -> None:
    task = alice.creates()
    for who, method, path in (
        (alice, "POST", "/tasks"),
        (alice, "PATCH", f"/tasks/{task['task_id']}"),
        (machine, "POST", "/sms"),
    ):
        assert who(method, path, body, Content_Type=media_type, Idempotency_Key="k").problem == problem


class TestThePage:
    def test_the_page_may_load_its_own_parts_and_the_document_and_nothing_else(self, nobody: Person) -> None:
        answer = nobody("GET", "/docs")
        page = answer.body.decode()
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        parts = {
            name: [
                f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
                for part in re.findall(f"<{name}>(.*?)</{name}>", page, re.DOTALL)
            ]
            for name in ("script", "style")
        }
        assert [len(hashes) for hashes in parts.values()] == [2, 1]
        assert answer.headers["Content-Security-Policy"] == (
            f"default-src 'none'; script-src {' '.join(parts['script'])}; style-src {parts['style'][0]}; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def test_the_page_is_small_enough_to_be_an_answer_of_lambda(self, nobody: Person) -> None:
        answer = nobody("GET", "/docs")
        in_an_answer = json.dumps({"body": answer.body.decode(), "headers": answer.headers})
        assert len(in_an_answer.encode()) < 6 * 1024 * 1024 / 2  # AWS Lambda, "Quotas": 6 MB

    @pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
    def test_page_and_document_know_no_parameter(self, nobody: Person, path: str) -> None:
        assert nobody("GET", f"{path}?url=https://example.com/evil.json").problem == (422, "validation")
