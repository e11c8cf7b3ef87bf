"""The OpenAPI document is what the code says, is valid, and is shown by a page that loads nothing else.

That every response of these tests fits it is seen to in conftest.py and local_server.py, by documented.py.
"""

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from openapi_spec_validator import validate

import app as app_module
from app import app
from chalicelib import __version__
from chalicelib.config import settings
from chalicelib.problems import Forbidden, MethodNotAllowed, Problem, TooManyRequests, Unavailable
from tests.support import documented
from tests.support.people import Person
from tools.generate import openapi, reference

DOCUMENT: Any = json.loads(openapi.DOCUMENT.read_text())
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]


def test_the_document_is_up_to_date() -> None:
    assert openapi.document() == DOCUMENT, "run: make generate"


def test_the_docs_pages_contain_the_pinned_viewer() -> None:
    assert reference.pages() == {path: path.read_text() for path in reference.pages()}, "run: make generate"


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


def test_every_pattern_is_valid_in_every_language() -> None:
    patterns = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', openapi.DOCUMENT.read_text())
    assert len(patterns) > 20
    for pattern in map(json.loads, patterns):
        assert re.compile(pattern)
        assert not re.search(r"\(\?|\\u", pattern), pattern  # which not all of ECMA-262, RE2 and Rust know
        assert max(pattern) <= "\uffff", pattern  # beyond it, JavaScript without the flag `u` reads two characters


def test_the_document_is_served_as_it_is_generated(nobody: Person) -> None:
    response = nobody("GET", "/openapi.json")
    assert response.headers["Content-Type"] == "application/json"
    text = openapi.DOCUMENT.read_text().replace("https://PREFIX.auth.REGION.amazoncognito.com", settings.sign_in_url)
    assert response.json == json.loads(text.replace("WEB_CLIENT_ID", settings.web_client_id))
    assert response.json["info"]["version"] == __version__


def test_the_served_document_says_how_to_get_a_token_of_this_stage(nobody: Person) -> None:
    schemes = nobody("GET", "/openapi.json").json["components"]["securitySchemes"]
    assert schemes["users"]["x-client-id"] == settings.web_client_id
    flows = [schemes["users"]["flows"]["authorizationCode"], schemes["machines"]["flows"]["clientCredentials"]]
    assert {flow["tokenUrl"] for flow in flows} == {f"{settings.sign_in_url}/oauth2/token"}
    assert flows[0]["authorizationUrl"] == f"{settings.sign_in_url}/oauth2/authorize"
    assert list(flows[1]["scopes"]) == app_module.machines.scopes


def test_the_document_contains_every_route_and_every_problem() -> None:
    assert set(OPERATIONS) == {(path, method.lower()) for path, entries in app.routes.items() for method in entries}
    documented_kinds = {kind.__name__ for kind in Problem.__subclasses__()} - {MethodNotAllowed.__name__}  # of no operation
    assert documented_kinds <= DOCUMENT["components"]["schemas"].keys()
    assert all(f"`{kind.slug}`" in DOCUMENT["info"]["description"] for kind in Problem.__subclasses__())


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_document_names_the_authorizers_of_the_routes(path: str, method: str) -> None:
    authorizer = app.routes[path][method.upper()].authorizer
    scheme = {"users": "users", "user_authorizer": "users", "machines": "machines"}
    security = DOCUMENT["paths"][path][method]["security"]
    assert security == ([{scheme[authorizer.name]: getattr(authorizer, "scopes", [])}] if authorizer else [])


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_example_matches_its_schema(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    responses = [documented.resolve(response) for response in operation["responses"].values()]
    shown = 0
    for part in [operation.get("requestBody", {}), *responses]:
        for content in part.get("content", {}).values():
            examples = [content["example"]] if "example" in content else []
            for example in examples + [named["value"] for named in content.get("examples", {}).values()]:
                documented.assert_schema(content["schema"], json.dumps(example), f"the example of {method} {path}")
                shown += 1
    assert shown > len(responses) - 3


@pytest.mark.parametrize(("status", "change"), [
    (202, {}), (201, {"PK": "USER#1"}), (201, {"version": 0}), (201, {"task_id": None}), (201, {"title": "a\nb"}),
])  # fmt: skip
def test_an_undocumented_response_is_detected(alice: Person, status: int, change: dict[str, object]) -> None:
    response = alice("POST", "/tasks", {"title": "T"})
    documented.assert_documented("POST", "/tasks", 201, response.headers, response.body.decode())
    with pytest.raises(AssertionError, match="POST /tasks returned"):
        documented.assert_documented("POST", "/tasks", status, response.headers, json.dumps(response.json | change))


@pytest.mark.parametrize("header", ["ETag", "Location", "X-Request-Id", "Content-Type"])
def test_a_missing_or_undocumented_header_is_detected(alice: Person, header: str) -> None:
    response = alice("POST", "/tasks", {"title": "T"})
    less = {name: value for name, value in response.headers.items() if name != header}
    with pytest.raises((AssertionError, KeyError)):
        documented.assert_documented("POST", "/tasks", 201, less, response.body.decode())
    with pytest.raises(AssertionError, match="retry-after"):
        documented.assert_documented("POST", "/tasks", 201, response.headers | {"Retry-After": "1"}, response.body.decode())


@pytest.mark.parametrize("change", [{"status": 403}, {"type": "urn:problem:forbidden"}, {"errors": []}])
def test_an_error_with_the_body_of_another_one_is_detected(nobody: Person, change: dict[str, object]) -> None:
    response = nobody("GET", "/tasks")
    documented.assert_documented("GET", "/tasks", 401, response.headers, response.body.decode())
    with pytest.raises(AssertionError, match="GET /tasks returned 401"):
        documented.assert_documented("GET", "/tasks", 401, response.headers, json.dumps(response.json | change))
    forbidden = Forbidden().response(response.headers["X-Request-Id"]).body
    with pytest.raises(AssertionError, match="with the body of another error"):
        documented.assert_documented("GET", "/tasks", 401, response.headers, forbidden)


def test_an_error_that_an_operation_cannot_return_is_detected(nobody: Person) -> None:
    response = nobody("GET", "/health?unknown=1")
    body = Forbidden().response(response.headers["X-Request-Id"]).body
    with pytest.raises(AssertionError, match="GET /health returned 403"):
        documented.assert_documented("GET", "/health", 403, response.headers, body)


@pytest.mark.parametrize("problem", [TooManyRequests(1), Unavailable()])
def test_a_missing_retry_after_is_detected(nobody: Person, problem: Problem) -> None:
    headers = nobody("GET", "/health").headers | {"Content-Type": "application/problem+json"}
    body = problem.response(headers["X-Request-Id"]).body
    documented.assert_documented("GET", "/health", problem.status, headers | {"Retry-After": "1"}, body)
    with pytest.raises(AssertionError, match=r"without .'retry-after'"):
        documented.assert_documented("GET", "/health", problem.status, headers, body)


def test_no_schema_has_a_default_which_generators_of_types_take_for_a_required_member() -> None:
    members = DOCUMENT["components"]["schemas"]["NewTask"]["properties"]
    assert '"default"' not in json.dumps(DOCUMENT["components"]["schemas"])
    assert members["status"]["description"].endswith('; default: `"pending"`')


@pytest.mark.aggregate
def test_every_documented_response_occurs_in_a_test() -> None:
    of_the_gateway = {"forbidden", "too-many-requests", "internal", "unavailable"}  # which may stand in front of any route
    expected = set()
    for path, method in OPERATIONS:
        for status, response in DOCUMENT["paths"][path][method]["responses"].items():
            content = documented.resolve(response).get("content", {})
            slugs = content.get("application/problem+json", {}).get("examples", {})
            names = (
                {f"urn:problem:{slug}" for slug in slugs.keys() - of_the_gateway}
                if slugs
                else {status}
                if content
                else set()
            )
            expected |= {(method.upper(), path, name) for name in names}
    assert expected - documented.SEEN == set()


@pytest.mark.parametrize(("body", "media_type", "problem"), [
    (b"{" + b" " * 70_000 + b"}", "application/json", (413, "payload-too-large")),
    (b"{}", "text/plain", (415, "unsupported-media-type")),
])  # fmt: skip
def test_every_route_reads_its_body_in_the_same_way(
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
    def test_the_docs_page_may_load_only_itself_and_the_document(self, nobody: Person) -> None:
        response = nobody("GET", "/docs")
        page = response.body.decode()
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        parts = {
            name: [
                f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
                for part in re.findall(f"<{name}>(.*?)</{name}>", page, re.DOTALL)
            ]
            for name in ("script", "style")
        }
        assert [len(hashes) for hashes in parts.values()] == [2, 1]
        assert response.headers["Content-Security-Policy"] == (
            f"default-src 'none'; script-src {' '.join(parts['script'])}; style-src {parts['style'][0]}; "
            f"connect-src 'self' {settings.sign_in_url}; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert response.headers["Content-Security-Policy"].removesuffix("; frame-ancestors 'none'") in page

    def test_the_page_at_the_end_of_a_sign_in_runs_its_own_script_only(self, nobody: Person) -> None:
        response = nobody("GET", "/docs/signed-in?code=abc&state=def")
        (script,) = re.findall("<script>(.*?)</script>", response.body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert response.headers["Content-Security-Policy"] == (
            f"default-src 'none'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def test_the_docs_page_fits_into_a_response_of_lambda(self, nobody: Person) -> None:
        response = nobody("GET", "/docs")
        in_an_answer = json.dumps({"body": response.body.decode(), "headers": response.headers})
        assert len(in_an_answer.encode()) < 6 * 1024 * 1024 / 2  # AWS Lambda, "Quotas": 6 MB

    @pytest.mark.parametrize("path", ["/docs", "/docs/signed-in", "/openapi.json"])
    def test_docs_and_openapi_have_no_query_parameter(self, nobody: Person, path: str) -> None:
        assert nobody("GET", f"{path}?url=https://example.com/evil.json").problem == (422, "validation")
