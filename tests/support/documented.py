"""Whether an answer is one that the OpenAPI document tells of."""

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
"""Each route with each answer that it has given: a problem by its type, another by its status."""
TAGS = next(
    parameter["schema"]["pattern"]
    for parameter in DOCUMENT["paths"]["/tasks/{task_id}"]["patch"]["parameters"]
    if parameter["name"] == "If-Match"
)
_HEADERS = {name.lower() for name in DOCUMENT["components"]["headers"]}


def fits(method: str, path: str, status: int, headers: Mapping[str, str], body: str) -> None:
    """Fail unless the document tells of such an answer: its status, its headers, its type and each member of its body."""
    if method == "OPTIONS":
        return  # a preflight, which the gateway answers
    template = next((name for name, pattern in _TEMPLATES.items() if pattern.fullmatch(path)), "")
    methods: dict[str, Any] = DOCUMENT["paths"].get(template, {})
    here = f"{method} {path} answered {status}"
    if method.lower() not in methods:
        name = {404: "NotFound", 405: "MethodNotAllowed"}[status]
        has_the_shape({"$ref": f"#/components/schemas/{name}"}, body, here)
        return
    assert str(status) in methods[method.lower()]["responses"], f"{here}, which the document does not tell of"
    told = resolved(methods[method.lower()]["responses"][str(status)])
    given = {name.lower(): value for name, value in headers.items()}
    known = {name.lower(): resolved(header) for name, header in told["headers"].items()}
    required = {name for name, header in known.items() if header["required"]}
    assert required <= given.keys(), f"{here} without {required - given.keys()}"
    for name in known.keys() & given.keys():
        has_the_shape(known[name]["schema"], json.dumps(given[name]), f"{here}, {name}")
    unknown = given.keys() & _HEADERS - known.keys()
    assert not unknown, f"{here} with {unknown}, which the document does not tell of"
    if "content" not in told:
        assert body == "", f"{here} with a body"
        return
    SEEN.add((method, template, json.loads(body)["type"] if status >= 400 else str(status)))
    ((media_type, content),) = told["content"].items()
    assert given["content-type"].partition(";")[0] == media_type, here
    if media_type != "text/html":
        has_the_shape(content["schema"], body, here)


def resolved(entry: Any) -> Any:
    if "$ref" not in entry:
        return entry
    return functools.reduce(lambda place, name: place[name], entry["$ref"].split("/")[1:], DOCUMENT)


def has_the_shape(schema: Any, body: str, here: str) -> None:
    errors = [error.message for error in _validator(json.dumps(schema)).iter_errors(json.loads(body))]
    assert not errors, f"{here}: {errors}"


@functools.cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema.replace('"#/', '"document#/')), registry=_REGISTRY)
