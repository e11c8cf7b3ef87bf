"""Writes chalicelib/openapi.json: the API as its own code tells of it.

What an operation takes and answers is read off its view: `call.body(NewTask)` is a body, `call.key` a header,
`web.created` an answer, and the docstring of each function that a view calls tells which problems it raises.
What each of these words means to a reader stands in vocabulary.py.
"""

import ast
import inspect
import itertools
import json
import re
import sys
from collections.abc import Iterable
from typing import Any

from chalice.app import RouteEntry
from msgspec import structs

import app
from chalicelib import RELEASE, task
from chalicelib.lists import Limit
from chalicelib.problems import Problem
from tools.environment import ROOT
from tools.generate import schemas
from tools.generate.openapi_text import (
    ALWAYS,
    ANSWERS,
    HEADERS,
    HEADERS_SENT,
    INTRODUCTION,
    PROBLEMS,
    REPLAYED,
    SECURITY,
    SOMETIMES,
    SPOKEN_OF,
    TAGS,
    TASK,
)
from tools.generate.schemas import Schema

_UNDESCRIBED = "What is returned is not described."
DOCUMENT = ROOT / "chalicelib" / "openapi.json"


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the app."""
    paths: dict[str, dict[str, Any]] = {}
    for path, methods in app.app.routes.items():
        paths[path] = {method.lower(): _operation(method, path, entry) for method, entry in methods.items()}
    refusals = _taken_out(
        answers for methods in paths.values() for answers in (one["responses"] for one in methods.values())
    )
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Task API",
            "version": RELEASE,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": ".", "description": "where this document is"}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "responses": refusals,
            "headers": {
                name: {"description": told, "required": name not in SOMETIMES, "schema": {"type": "string"} | schema}
                for name, (told, schema) in HEADERS.items()
            },
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": told}
                for name, told in SECURITY.items()
            },
        },
    }
    named = json.dumps(whole).replace("Page_Task_", "TaskPage").replace("Page_OwnedTask_", "BoardPage")
    renamed: Schema = json.loads(named.replace("Page[Task]", "TaskPage").replace("Page[OwnedTask]", "BoardPage"))
    return renamed


def write() -> None:
    """Write the document, and say which responses are not described in it."""
    written = document()
    DOCUMENT.write_text(json.dumps(written, indent=1) + "\n")
    for path, methods in written["paths"].items():
        for method, operation in methods.items():
            if operation["responses"].get("200", {}).get("description") == _UNDESCRIBED:
                told = "its view calls no function of web; describe it under ANSWERS in tools/generate/openapi_text.py."
                print(f"{method.upper()} {path}: the document does not say what is returned, since {told}", file=sys.stderr)


def _operation(method: str, path: str, entry: RouteEntry) -> dict[str, Any]:
    names = _names(entry.view_function, method)
    operation_id = entry.view_function.__name__
    tag = path.split("/")[1]
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "summary": inspect.getdoc(entry.view_function),
        "tags": [tag if tag in TAGS else "service"],
        "parameters": _parameters(path, names),
        "responses": _responses(names, guarded=entry.authorizer is not None),
    }
    if "web.created" in names:
        operation["responses"]["201"]["links"] = _links("task_id", "task_id", _operations_on("{task_id}"))
    if "web.listed" in names:
        operation["responses"]["200"]["links"] = _links("cursor", "next_cursor", [operation_id])
    if "call.body" in names:
        types = ["application/json"] + ["application/merge-patch+json"] * (method == "PATCH")
        operation["requestBody"] = {
            "required": True,
            "content": {name: schemas.content(names["call.body"]) for name in types},
        }
    if entry.authorizer:
        operation["security"] = [{entry.authorizer.name: getattr(entry.authorizer, "scopes", [])}]
    return {name: value for name, value in operation.items() if value}


def _operations_on(parameter: str) -> list[str]:
    routes = [entry for path, entries in app.app.routes.items() if parameter in path for entry in entries.values()]
    return [entry.view_function.__name__ for entry in routes]


def _links(parameter: str, member: str, operations: list[str]) -> Schema:
    """Return where a member of the answer leads to."""
    return {name: {"operationId": name, "parameters": {parameter: f"$response.body#/{member}"}} for name in operations}


def _names(view: Any, method: str) -> dict[str, Any]:
    """Return what a view speaks of, such as `call.body`, each with the type that it asks for, if it does."""
    names: dict[str, Any] = {}
    for node in ast.walk(ast.parse(inspect.getsource(view))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in SPOKEN_OF:
            names.setdefault(ast.unparse(node))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"call.body", "call.query"}:
            names[ast.unparse(node.func)] = vars(app)[ast.unparse(node.args[0])]
    if method == "GET" and "web.shown" in names:
        names["call.knows"] = None
    return names


def _parameters(path: str, names: dict[str, Any]) -> list[Schema]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of(task.TaskId), "example": TASK.task_id}
        for name in re.findall("{(.*?)}", path)
    ]
    for field in structs.fields(names["call.query"]) if "call.query" in names else ():
        schema = schemas.of(field.type)
        schema |= next((kind for kind in schema.pop("anyOf", []) if kind.get("type") != "null"), {}) | schema
        described = {"description": schema.pop("description")} if "description" in schema else {}
        schema |= {"default": field.default} if isinstance(field.default, Limit) else {}
        parameters.append({"name": field.name, "in": "query", "required": field.required, **described, "schema": schema})
    for name, (header, told, schema) in HEADERS_SENT.items():
        if name in names:
            required = name.startswith("call.required_")
            # An example of what is optional would be sent by whoever tries the call out.
            example = {"example": "order-17"} if required else {}
            described = {"description": told, "schema": {"type": "string"} | schema, **example}
            parameters.append({"name": header, "in": "header", "required": required, **described})
    return parameters


def _responses(names: dict[str, Any], *, guarded: bool) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for name in names.keys() & ANSWERS.keys():
        status, told, shape, headers = ANSWERS[name]
        replayed = REPLAYED if names.keys() & {"call.key", "call.required_key"} else ()
        responses[str(status)] = {"description": told, "headers": _headers(*headers, *replayed)}
        if shape is not None:
            responses[str(status)]["content"] = {"text/html" if shape is str else "application/json": schemas.content(shape)}
    if not responses:
        anything: Schema = {"application/json": {"schema": {}}}
        responses["200"] = {"description": _UNDESCRIBED, "headers": _headers(), "content": anything}
    by_status = itertools.groupby(sorted(_raised(names, guarded=guarded), key=_status), _status)
    for status, group in by_status:
        possible = list(group)
        kinds = [{"$ref": f"#/components/schemas/{type(problem).__name__}"} for problem in possible]
        examples = {problem.slug: {"value": schemas.body(problem)} for problem in possible}
        content = {"schema": kinds[0] if len(kinds) == 1 else {"oneOf": kinds}, "examples": examples}
        responses[str(status)] = {
            "description": " Or: ".join(f"{problem.title}." for problem in possible),
            "headers": _headers(*(name for problem in possible for name in problem.headers)),
            "content": {"application/problem+json": content},
        }
    return dict(sorted(responses.items()))


def _taken_out(all_responses: Iterable[Schema]) -> Schema:
    """Replace each answer with a problem by a reference, and return what is referred to."""
    refusals = {}
    for responses in all_responses:
        for status, response in responses.items():
            if "application/problem+json" in response.get("content", {}):
                examples = response["content"]["application/problem+json"]["examples"]
                name = "-or-".join(examples)
                refusals[name] = response
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(refusals.items()))


def _raised(names: dict[str, Any], *, guarded: bool) -> list[Problem]:
    """Return what the functions that a view calls raise, by their docstrings, and what may happen to every request."""
    raised = {"Internal", "TooManyRequests", "Unavailable"} | ({"Unauthorized", "Forbidden"} if guarded else set())
    for name in names:
        place, _, function = name.partition(".")
        told = inspect.getdoc(getattr(SPOKEN_OF[place], function)) or ""
        raised |= set(re.findall(r"\w+", re.split("[Rr]aises ", told, maxsplit=1)[-1])) if "aises " in told else set()
    return [problem for name, problem in PROBLEMS.items() if name in raised]


def _status(problem: Problem) -> int:
    return problem.status


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted({*ALWAYS, *names})}
