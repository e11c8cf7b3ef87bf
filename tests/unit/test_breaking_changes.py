"""The breaking changes of the API since its last release are in CHANGELOG, and each rule finds what it is for."""

import copy
import json
from typing import Any

import pytest

from tests.conftest import ROOT
from tools import breaking_changes
from tools.generate import openapi

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
RELEASES = ROOT / "docs" / "releases"
REMOVED = object()


def text(**more: Any) -> dict[str, Any]:
    return {"type": "string"} | more


def problem(slug: str) -> dict[str, Any]:
    properties = {"type": {"const": f"urn:problem:{slug}"}, "detail": text()}
    return {"type": "object", "properties": properties, "required": ["type", "detail"]}


BASE: dict[str, Any] = {
    "paths": {
        "/a": {
            "get": {
                "operationId": "read",
                "parameters": [
                    {
                        "name": "limit",
                        "in": "query",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 25},
                    }
                ],
                "responses": {
                    "200": {
                        "headers": {"ETag": {"required": True, "schema": text(pattern="x")}},
                        "content": {
                            "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Out"}}}
                        },
                    },
                    "404": {"content": {"application/problem+json": {"schema": {"oneOf": [problem("a"), problem("b")]}}}},
                },
                "security": [{"users": []}, {"machines": ["x", "y"]}],
            },
            "post": {
                "operationId": "create",
                "parameters": [{"name": "Key", "in": "header", "required": True, "schema": text()}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/In"}},
                        "text/plain": {"schema": {}},
                    },
                },
                "responses": {"201": {"description": "Created."}, "409": {"description": "Conflict."}},
            },
        },
        "/b": {"get": {"operationId": "open", "responses": {"200": {}}}},
    },
    "components": {
        "schemas": {
            "In": {
                "type": "object",
                "properties": {
                    "title": text(minLength=1, maxLength=200),
                    "status": {"anyOf": [text(enum=["new", "old"]), {"type": "null"}], "x-default": "new"},
                    "size": {"type": ["integer", "null"]},
                    "weight": {"type": "number"},
                    "tags": {"type": "array", "maxItems": 9, "items": text()},
                    "free": {},
                },
                "required": ["title"],
                "additionalProperties": False,
            },
            "Out": {
                "type": "object",
                "properties": {
                    "id": text(pattern="^[a-z]$"),
                    "status": text(enum=["new", "old"]),
                    "due_at": {"anyOf": [text(maxLength=20), {"type": "null"}]},
                    "count": {"type": "integer", "minimum": 1},
                    "kind": {"const": "a"},
                },
                "required": ["id"],
            },
        },
        "securitySchemes": {"users": {"type": "http", "scheme": "bearer"}, "machines": {"type": "http", "scheme": "bearer"}},
    },
}
GET, POST, IN, OUT = "/paths/~1a/get", "/paths/~1a/post", "/components/schemas/In", "/components/schemas/Out"
OK = f"{GET}/responses/200"
LIMIT, STATUS, DUE = f"{GET}/parameters/0", f"{IN}/properties/status", f"{OUT}/properties/due_at"
BODY, ITEM = "GET /a responds with 200, perhaps with", "in an item of the body"

BREAKING = [
    ("/paths/~1b", REMOVED, "GET /b is gone."),
    (GET, REMOVED, "GET /a is gone."),
    (f"{GET}/operationId", "list", "GET /a has another operationId than read."),
    (f"{GET}/security", [{"users": []}], "GET /a no longer accepts machines with x with y."),
    (f"{GET}/security/0", {"users": ["x"]}, "GET /a no longer accepts users."),
    (f"{GET}/security/0", {"users": [], "machines": []}, "GET /a no longer accepts users."),
    ("/paths/~1b/get/security", [{"users": []}], "GET /b no longer accepts requests without a token."),
    ("/security", [{"users": []}], "POST /a no longer accepts requests without a token.", "GET /b no longer accepts requests without a token."),
    ("/components/securitySchemes/users/type", "apiKey", "The security scheme users has another type."),
    ("/components/securitySchemes/users/scheme", "basic", "The security scheme users has another scheme."),
    ("/components/securitySchemes/users/in", "header", "The security scheme users has another in."),
    ("/components/securitySchemes/users/name", "X-Key", "The security scheme users has another name."),
    (f"{GET}/parameters", [], "GET /a no longer takes the query parameter limit."),
    (f"{LIMIT}/in", "header", "GET /a no longer takes the query parameter limit."),
    (f"{LIMIT}/required", True, "GET /a requires the query parameter limit."),
    (f"{POST}/parameters/-", {"name": "q", "in": "query", "required": True}, "POST /a requires the query parameter q."),
    (f"{LIMIT}/schema/default", 10, "GET /a has the default 10 for the query parameter limit, not 25."),
    (f"{LIMIT}/schema/maximum", 50, "GET /a no longer accepts more than a maximum of 50 for the query parameter limit."),
    (f"{LIMIT}/schema/minimum", 2, "GET /a no longer accepts less than a minimum of 2 for the query parameter limit."),
    (f"{LIMIT}/schema/multipleOf", 5, "GET /a no longer accepts another multipleOf for the query parameter limit."),
    ("/paths/~1b/get/requestBody", {"required": True, "content": {}}, "GET /b requires a body."),
    (f"{POST}/requestBody/content/text~1plain", REMOVED, "POST /a no longer takes a body of type text/plain."),
    (f"{IN}/required", ["title", "size"], "POST /a requires size in the body."),
    (f"{IN}/properties/size", REMOVED, "POST /a no longer accepts size in the body."),
    (f"{IN}/properties/size/type", "integer", "POST /a no longer accepts a value of type null for size in the body."),
    (f"{IN}/properties/weight/type", "integer", "POST /a no longer accepts a value of type number for weight in the body."),
    (f"{IN}/properties/free", text(), "POST /a no longer accepts a value of any type for free in the body."),
    (f"{IN}/properties/title/maxLength", 100, "POST /a no longer accepts more than a maxLength of 100 for title in the body."),
    (f"{IN}/properties/title/minLength", 2, "POST /a no longer accepts less than a minLength of 2 for title in the body."),
    (f"{IN}/properties/title/pattern", "a", "POST /a no longer accepts another pattern for title in the body."),
    (f"{IN}/properties/title/enum", ["a", "b"], 'POST /a no longer accepts other values than "a", "b" for title in the body.'),
    (f"{IN}/properties/tags/maxItems", 8, "POST /a no longer accepts more than a maxItems of 8 for tags in the body."),
    (f"{IN}/properties/tags/items/format", "date", "POST /a no longer accepts another format for an item of tags in the body."),
    (f"{STATUS}/anyOf/0/enum", ["new"], 'POST /a no longer accepts the value "old" for status in the body.'),
    (f"{STATUS}/anyOf", [text(enum=["new", "old"])], "POST /a no longer accepts a value of type null for status in the body."),
    (f"{STATUS}/x-default", REMOVED, 'POST /a has the default null for status in the body, not "new".'),
    (f"{POST}/requestBody/content/text~1plain/schema", {"additionalProperties": False}, "POST /a no longer accepts members that it does not know in the body."),
    (OK, REMOVED, "GET /a no longer responds with 200."),
    (f"{POST}/responses/409", REMOVED, "POST /a no longer responds with 409."),
    (f"{POST}/responses/202", {}, "POST /a may respond with 202."),
    (f"{POST}/responses/303", {}, "POST /a may respond with 303."),
    (f"{OK}/headers/ETag", REMOVED, "GET /a responds with 200, without the header ETag."),
    (f"{OK}/headers/ETag/required", False, "GET /a responds with 200, perhaps without the header ETag."),
    (f"{OK}/headers/ETag/schema/pattern", REMOVED, "GET /a responds with 200, perhaps with another pattern for the header ETag."),
    (f"{OK}/content", {"text/csv": {}}, "GET /a responds with 200, without a body of type application/json."),
    (f"{OUT}/properties/count", REMOVED, f"GET /a responds with 200, without count {ITEM}."),
    (f"{OUT}/required", [], f"GET /a responds with 200, perhaps without id {ITEM}."),
    (f"{OUT}/properties/id/pattern", "^[a-z]+$", f"{BODY} another pattern for id {ITEM}."),
    (f"{OUT}/properties/id", {}, f"{BODY} a value of any type for id {ITEM}."),
    (f"{OUT}/properties/status/enum/-", "odd", f'{BODY} the value "odd" for status {ITEM}.'),
    (f"{OUT}/properties/status/enum", REMOVED, f'{BODY} other values than "new", "old" for status {ITEM}.'),
    (f"{OUT}/properties/kind/const", "b", f'{BODY} the value "b" for kind {ITEM}.'),
    (f"{OUT}/properties/count/type", "number", f"{BODY} a value of type number for count {ITEM}."),
    (f"{OUT}/properties/count/type", ["integer", "null"], f"{BODY} a value of type null for count {ITEM}."),
    (f"{OUT}/properties/count/minimum", 0, f"{BODY} less than a minimum of 1 for count {ITEM}."),
    (f"{DUE}/anyOf/0/maxLength", REMOVED, f"{BODY} more than a maxLength of 20 for due_at {ITEM}."),
    (f"{DUE}/anyOf/-", {"type": "integer"}, f"{BODY} a value of type integer for due_at {ITEM}."),
    (f"{OK}/content/application~1json/schema/items", REMOVED, f"{BODY} a value of any type for an item of the body."),
    (f"{GET}/responses/404/content/application~1problem+json/schema/oneOf/1/properties/detail", REMOVED, "GET /a responds with 404, without detail in the body."),
]  # fmt: skip
HARMLESS = [
    ("/paths/~1c", {"get": {"responses": {}}}),
    ("/paths/~1b/post", {"responses": {}}),
    (f"{GET}/summary", "Another text."),
    (f"{GET}/security/-", {"others": []}),
    (f"{GET}/security/1", {"machines": ["x"]}),
    (f"{GET}/security", REMOVED),
    (f"{GET}/security", [{}]),
    ("/components/securitySchemes/others", {"type": "http"}),
    ("/components/securitySchemes/users/description", "Another text."),
    (f"{POST}/parameters/-", {"name": "q", "in": "query", "schema": text(minLength=9)}),
    (f"{POST}/parameters/0/required", False),
    (f"{LIMIT}/schema/maximum", 200),
    (f"{LIMIT}/schema/minimum", REMOVED),
    (f"{POST}/requestBody/required", False),
    (f"{POST}/requestBody/content/text~1csv", {}),
    (f"{IN}/required", []),
    (f"{IN}/properties/new", text()),
    (f"{IN}/additionalProperties", True),
    (f"{IN}/properties/title/description", "Another text."),
    (f"{IN}/properties/title/maxLength", 300),
    (f"{IN}/properties/size/type", ["number", "null", "string"]),
    (f"{IN}/properties/size", {}),
    (f"{STATUS}/anyOf/0/enum/-", "odd"),
    (f"{STATUS}/anyOf/0/enum", REMOVED),
    (f"{POST}/responses/500", {}),
    (f"{OK}/headers/Age", {"required": True}),
    (f"{OK}/content/text~1csv", {}),
    (f"{OUT}/properties/new", text()),
    (f"{OUT}/required", ["id", "status"]),
    (f"{OUT}/properties/status/enum", ["new"]),
    (f"{OUT}/properties/status", {"const": "new", "type": "string"}),
    (f"{DUE}/anyOf", [text(maxLength=10)]),
    (f"{OUT}/properties/count/minimum", 2),
    (f"{OUT}/properties/count/maximum", 2),
    (f"{GET}/responses/404/content/application~1problem+json/schema/oneOf/-", problem("c")),
    (f"{GET}/responses/404/content/application~1problem+json/schema", problem("a")),
]  # fmt: skip


def edited(pointer: str, value: Any) -> dict[str, Any]:
    """Return the base document with another value at a JSON pointer, whose last part may be `-` for the end of a list."""
    document: Any = copy.deepcopy(BASE)
    *names, last = [name.replace("~1", "/") for name in pointer.split("/")[1:]]
    place = document
    for name in names:
        place = place[int(name) if isinstance(place, list) else name]
    if isinstance(place, list):
        index = len(place) if last == "-" else int(last)
        place[index : index + 1] = [value]
    elif value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return dict(document)


@pytest.mark.parametrize(
    ("pointer", "value", "sentences"), [(pointer, value, sentences) for pointer, value, *sentences in BREAKING]
)
def test_a_breaking_change_is_found_and_said(pointer: str, value: Any, sentences: list[str]) -> None:
    assert breaking_changes.find(BASE, edited(pointer, value)) == sentences


@pytest.mark.parametrize(("pointer", "value"), HARMLESS)
def test_another_change_is_not_breaking(pointer: str, value: Any) -> None:
    new = edited(pointer, value)
    assert new != BASE
    assert breaking_changes.find(BASE, new) == []


def test_a_change_of_two_operations_is_said_of_both_and_once_of_each() -> None:
    old = json.loads(openapi.DOCUMENT.read_text())
    new = copy.deepcopy(old)
    del new["components"]["schemas"]["Task"]["properties"]["description"]
    assert breaking_changes.find(old, old) == []
    assert breaking_changes.find(old, new) == [
        "GET /tasks responds with 200, without description in an item of tasks in the body.",
        "POST /tasks responds with 201, without description in the body.",
        "GET /tasks/{task_id} responds with 200, without description in the body.",
        "PATCH /tasks/{task_id} responds with 200, without description in the body.",
    ]


class TestTheChangelog:
    GONE = edited("/paths/~1b", REMOVED)

    @pytest.mark.parametrize("listed", [
        "## 2.0.0 (unreleased)\n\n### Breaking\n\n- GET /b is gone. Use /a.\n\n## 1.0.0\n",
        "## 2.0.0 (unreleased)\n\n- New.\n\n### Breaking\n\n- GET /b\n  is gone.\n\n### Fixed\n",
    ])  # fmt: skip
    def test_a_listed_change_is_accepted(self, listed: str) -> None:
        assert breaking_changes.unlisted(BASE, self.GONE, listed) == []

    @pytest.mark.parametrize("listed", [
        "", "## 2.0.0 (unreleased)\n\n- GET /b is gone.\n", "## 2.0.0 (unreleased)\n\n## 1.0.0\n\n### Breaking\n\n- GET /b is gone.\n",
        "## 2.0.0\n\n### Breaking\n\n- GET /b is gone.\n", "## 2.0.0 (unreleased)\n\n### Breaking\n\n### Fixed\n\n- GET /b is gone.\n",
    ])  # fmt: skip
    def test_a_change_that_is_listed_elsewhere_is_not(self, listed: str) -> None:
        assert breaking_changes.unlisted(BASE, self.GONE, listed) == ["GET /b is gone."]

    def test_the_last_release_is_the_newest_that_is_released(self) -> None:
        assert breaking_changes.last_release("# Changelog\n\n## 0.1.0 (unreleased)\n") is None
        assert breaking_changes.last_release("## 2.1.0 (unreleased)\n\n## 2.0.0\n\n## 1.0.0\n") == "2.0.0"


def test_the_document_of_the_last_release_is_kept_and_no_other() -> None:
    version = breaking_changes.last_release(CHANGELOG)
    kept = {path.name: json.loads(path.read_text())["info"]["version"] for path in RELEASES.glob("*.json")}
    assert kept == ({f"openapi-{version}.json": version} if version else {}), "docs/versioning.md says what a release needs"


def test_breaking_changes_since_the_last_release_are_in_the_changelog() -> None:
    new = json.loads(openapi.DOCUMENT.read_text())
    for document in RELEASES.glob("*.json"):
        changes = breaking_changes.unlisted(json.loads(document.read_text()), new, CHANGELOG)
        assert not changes, "\n".join(["Not in CHANGELOG.md, below `### Breaking` of the unreleased version:", *changes])
