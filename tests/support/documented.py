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


def assert_documented(method: str, path: str, status: int, headers: Mapping[str, str], body: str) -> None:
    """Fail unless the document describes the status, headers, content type and body of a response."""
    if method == "OPTIONS":
        return  # a preflight: API Gateway responds, not the app
    template = next((name for name, pattern in _TEMPLATES.items() if pattern.fullmatch(path)), "")
    methods: dict[str, Any] = DOCUMENT["paths"].get(template, {})
    here = f"{method} {path} returned {status}"
    if method.lower() not in methods:
        name = {404: "NotFound", 405: "MethodNotAllowed"}[status]
        assert_schema({"$ref": f"#/components/schemas/{name}"}, body, here)
        return
    assert str(status) in methods[method.lower()]["responses"], f"{here}, which is not documented"
    response = resolve(methods[method.lower()]["responses"][str(status)])
    given = {name.lower(): value for name, value in headers.items()}
    known = {name.lower(): resolve(header) for name, header in response["headers"].items()}
    required = {name for name, header in known.items() if header["required"]}
    assert required <= given.keys(), f"{here} without {required - given.keys()}"
    for name in known.keys() & given.keys():
        assert_schema(known[name]["schema"], json.dumps(given[name]), f"{here}, {name}")
    unknown = given.keys() & _HEADERS - known.keys()
    assert not unknown, f"{here} with {unknown}, which are not documented"
    if "content" not in response:
        assert body == "", f"{here} with a body"
        return
    SEEN.add((method, template, json.loads(body)["type"] if status >= 400 else str(status)))
    ((media_type, content),) = response["content"].items()
    assert given["content-type"].partition(";")[0] == media_type, here
    if media_type != "text/html":
        assert_schema(content["schema"], body, here)


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
