"""The schemas of the API's document: the types of bodies and answers, and the problems."""

import inspect
import json
from typing import Any

import msgspec

from chalicelib import problems
from chalicelib.lists import Limit
from chalicelib.problems import Problem
from chalicelib.task import Instant
from tools.generate.openapi_text import EXAMPLES, PROBLEMS, REQUEST_ID

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"


def components() -> Schema:
    """Return every schema by its name; none of them admits a member that it does not name."""
    _, types = msgspec.json.schema_components(EXAMPLES, schema_hook=_custom, ref_template=_REFERENCE)
    strict = {name: _typed(schema) | {"additionalProperties": False} for name, schema in types.items()}
    return strict | {name: _problem(problem) for name, problem in PROBLEMS.items()}


def of(kind: Any) -> Schema:
    """Return the schema of a type, a reference where it has a name."""
    (schema,), _ = msgspec.json.schema_components([kind], schema_hook=_custom, ref_template=_REFERENCE)
    typed: Schema = _typed(schema)
    return typed


def content(kind: Any) -> Schema:
    """Return what stands under a media type: the schema of a type, with an example if there is one."""
    example = {"example": msgspec.to_builtins(EXAMPLES[kind])} if kind in EXAMPLES else {}
    return {"schema": of(kind), **example}


def body(problem: Problem) -> dict[str, Any]:
    """Return the body of the answer that a problem becomes."""
    shown: dict[str, Any] = json.loads(problem.response(REQUEST_ID).body)
    return shown


def _custom(kind: type) -> Schema:
    if issubclass(kind, Instant):
        return {"type": "string", "format": "date-time", "description": Instant.rule}
    return {"type": "integer", "minimum": 1, "maximum": 100, "description": Limit.rule}


def _typed(schema: Any) -> Any:
    """Return a schema in words that all tools know: with the type beside the values, and patterns of every language."""
    if isinstance(schema, list):
        return [_typed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    typed = {name: _typed(part) for name, part in schema.items()}
    if "x-pattern" in typed:
        typed["pattern"] = typed.pop("x-pattern")  # what says the same in every language
    texts = [schema["const"]] if "const" in schema else schema.get("enum", [0])
    return {"type": "string", **typed} if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else typed


def _problem(problem: Problem) -> Schema:
    fixed = {name: {"const": value} for name, value in body(problem).items() if name in {"type", "title", "status"}}
    properties: Schema = fixed | {
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "the request's id"},
    }
    if isinstance(problem, problems.Invalid):
        place = {"pointer": {"type": "string"}, "parameter": {"type": "string"}}
        properties["errors"] = {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": place | {"detail": {"type": "string"}},
                "required": ["detail"],
                "oneOf": [{"required": [name]} for name in place],
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
