"""Compares responses with the OpenAPI document."""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

import chalicelib
from chalicelib.problems import MethodNotAllowed, NotFound, Problem, TooManyRequests, Unavailable

DOCUMENT = json.loads(Path(chalicelib.__file__).with_name("static").joinpath("openapi.json").read_text())
_REGISTRY: Registry[Any] = Registry().with_resource("document", DRAFT202012.create_resource(DOCUMENT))
_TEMPLATES = {path: re.compile(re.sub("{.*?}", "[^/]+", path)) for path in DOCUMENT["paths"]}
SEEN: set[tuple[str, str, str]] = set()
"""Every response so far: method, path template, and the type of a problem or the status."""
TAG_PATTERN = next(
    parameter["schema"]["pattern"]
    for parameter in DOCUMENT["paths"]["/tasks/{task_id}"]["patch"]["parameters"]
    if parameter["name"] == "If-Match"
)
_HEADERS = {name.lower() for name in DOCUMENT["components"]["headers"]}
_OF_EVERY_RESPONSE = {
    "access-control-allow-origin": "[a-z]+://.+",
    "cache-control": "no-store",
    "vary": "Origin",
    "x-content-type-options": "nosniff",
    "x-request-id": "[0-9a-f-]{36}",
}
"""The headers at the end of the introduction of the document, and what they look like."""


def assert_documented(method: str, path: str, status: int, headers: Mapping[str, str], body: str) -> None:
    """Fail unless the document describes the status, headers, content type and body of a response."""
    if method == "OPTIONS":
        return  # a preflight: API Gateway responds, not the app
    template = next((name for name, pattern in _TEMPLATES.items() if pattern.fullmatch(path)), "")
    methods: dict[str, Any] = DOCUMENT["paths"].get(template, {})
    here = f"{method} {path} returned {status}"
    given = {name.lower(): value for name, value in headers.items()}
    for name, pattern in _OF_EVERY_RESPONSE.items():
        assert re.fullmatch(pattern, given[name]), f"{here}, {name}"
    if method.lower() not in methods:
        assert_schema(_UNKNOWN[status], body, here)
        return
    responses = methods[method.lower()]["responses"]
    response = resolve(responses.get(str(status)) or (responses["default"] if status >= 400 else {}))
    assert response, f"{here}, which is not documented"
    known = {name.lower(): resolve(header) for name, header in response.get("headers", {}).items()}
    required = {name for name, header in known.items() if header["required"]}
    required |= {"retry-after"} if status in {TooManyRequests.status, Unavailable.status} else set()
    assert required <= given.keys(), f"{here} without {required - given.keys()}"
    for name in known.keys() & given.keys():
        assert_schema(known[name]["schema"], json.dumps(given[name]), f"{here}, {name}")
    unknown = given.keys() & _HEADERS - known.keys()
    assert not unknown, f"{here} with {unknown}, which are not documented"
    if "content" not in response:
        assert body == "", f"{here} with a body"
        return
    problem = json.loads(body) if status >= 400 else {}
    assert problem.get("status", status) == status, f"{here} with the body of another error"
    SEEN.add((method, template, problem.get("type", str(status))))
    ((media_type, content),) = response["content"].items()
    assert given["content-type"].partition(";")[0] == media_type, here
    if media_type != "text/html":
        assert_schema(content["schema"], body, here)


def _unknown(kind: type[Problem]) -> Any:
    """Return the schema of the error for what is no operation; 405 has no schema in the document, because no operation has it."""
    schema = DOCUMENT["components"]["schemas"]["NotFound"]
    told = {"type": f"urn:problem:{kind.slug}", "title": kind.title, "status": kind.status}
    return schema | {"properties": schema["properties"] | {name: {"const": value} for name, value in told.items()}}


_UNKNOWN = {kind.status: _unknown(kind) for kind in (NotFound, MethodNotAllowed)}


def resolve(entry: Any) -> Any:
    if "$ref" not in entry:
        return entry
    return functools.reduce(lambda place, name: place[name], entry["$ref"].split("/")[1:], DOCUMENT)


def assert_schema(schema: Any, body: str, here: str) -> None:
    errors = [error.message for error in _validator(json.dumps(schema)).iter_errors(json.loads(body))]
    assert not errors, f"{here}: {errors}"


@functools.cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema.replace('"#/', '"document#/')), registry=_REGISTRY)
