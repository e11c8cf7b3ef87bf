"""The schemas of the OpenAPI document: the types of bodies and responses, and the problems."""

import inspect
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from chalicelib import problems
from chalicelib.problems import Problem
from chalicelib.values import Instant, Limit
from tools.generate.openapi_text import PROBLEMS, REQUEST_ID
from tools.generate.operations import EXAMPLES

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"


def components(types: Iterable[type]) -> Schema:
    """Return the schemas of these types and of the problems by name; none admits a member that it does not name."""
    _, named = msgspec.json.schema_components(types, schema_hook=_custom, ref_template=_REFERENCE)
    strict = {name: _described(_typed(schema)) | {"additionalProperties": False} for name, schema in named.items()}
    return strict | {kind.__name__: _problem(problem) for kind, problem in PROBLEMS.items()}


def of(kind: Any) -> Schema:
    """Return the schema of a type, a reference where it has a name."""
    (schema,), _ = msgspec.json.schema_components([kind], schema_hook=_custom, ref_template=_REFERENCE)
    typed: Schema = _typed(schema)
    return typed


def content(kind: Any) -> Schema:
    """Return the content of a media type: the schema of a type, and an example if there is one."""
    example = {"example": msgspec.to_builtins(EXAMPLES[kind])} if kind in EXAMPLES else {}
    return {"schema": of(kind), **example}


def body(problem: Problem) -> dict[str, Any]:
    """Return the body of a problem's response."""
    decoded: dict[str, Any] = json.loads(problem.response(REQUEST_ID).body)
    return decoded


def _custom(kind: type) -> Schema:
    if issubclass(kind, Instant):
        return {"type": "string", "format": "date-time", "description": Instant.rule}
    return {"type": "integer", "minimum": 1, "maximum": 100, "description": Limit.rule}


def _typed(schema: Any) -> Any:
    """Return a schema that all tools read: with a type beside constants, and patterns that every language knows."""
    if isinstance(schema, list):
        return [_typed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    typed = {name: _typed(part) for name, part in schema.items()}
    if "x-pattern" in typed:
        typed["pattern"] = typed.pop("x-pattern")
    texts = [schema["const"]] if "const" in schema else schema.get("enum", [0])
    return {"type": "string", **typed} if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else typed


def _described(schema: Schema) -> Schema:
    """Return the schema of an object with the defaults of its members in their descriptions, and as `x-default`.

    Generators of types, such as openapi-typescript, make a member with a `default` one that a client must send.
    """
    for member in schema.get("properties", {}).values():
        if "default" in member:
            member["x-default"] = member.pop("default")
            rules = [part["description"] for part in [member, *member.get("anyOf", [])] if "description" in part]
            member["description"] = "; ".join([*rules[:1], f"default: `{json.dumps(member['x-default'])}`"])
    return schema


def _problem(problem: Problem) -> Schema:
    fixed = {name: {"const": value} for name, value in body(problem).items() if name in {"type", "title", "status"}}
    properties: Schema = fixed | {
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "the request's id"},
    }
    if isinstance(problem, problems.ValidationFailed):
        place = {"pointer": {"type": "string"}, "parameter": {"type": "string"}}
        properties["errors"] = {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": place | {"detail": {"type": "string"}},
                "required": ["detail"],
                # One of `place`: said by a number, because generators make a type of its own for each schema of a `oneOf`.
                "minProperties": 2,
                "maxProperties": 2,
                "additionalProperties": False,
            },
        }
    return {
        "description": inspect.getdoc(problem),
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name != "detail"],
        "additionalProperties": False,
    }
