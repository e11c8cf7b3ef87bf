"""Writes chalicelib/static/openapi.json from the routes, the types that they declare, and operations.py."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from chalice.app import RouteEntry
from msgspec import Struct, structs

import app
from chalicelib import __version__, problems, values
from chalicelib.http.api import Declared
from chalicelib.problems import Problem
from chalicelib.values import Limit
from tools.errors import CommandError
from tools.generate import schemas
from tools.generate.openapi_text import (
    HEADERS,
    INTRODUCTION,
    OPTIONAL_HEADERS,
    PROBLEMS,
    REQUEST_HEADERS,
    SCHEMES,
    SECURITY,
    SHARED_PROBLEMS,
)
from tools.generate.operations import EXAMPLES, ID, INSTANT, OPERATIONS, TAGS, Operation
from tools.generate.schemas import Schema
from tools.stages import ROOT

DOCUMENT = ROOT / "chalicelib" / "static" / "openapi.json"

_TABLES = "tools/generate/operations.py"
_PROBLEMS_OF_ANY_ROUTE = {problems.Internal, problems.TooManyRequests, problems.Unavailable, problems.ValidationFailed}
_PROBLEMS_OF_HEADERS: dict[str, set[type[Problem]]] = {
    "Idempotency-Key": {problems.MalformedRequest, problems.IdempotencyKeyReused, problems.Conflict},
    "If-Match": {problems.MalformedRequest, problems.VersionMismatch},
    "If-None-Match": {problems.MalformedRequest},
}


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the app."""
    paths = {
        path: {method.lower(): _operation(method, path, entry) for method, entry in entries.items()}
        for path, entries in app.app.routes.items()
    }
    responses = _extract_problems(operation["responses"] for methods in paths.values() for operation in methods.values())
    types = [kind for _, entry in _routes() for kind in (declared(entry).body, declared(entry).returns) if kind]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Task API",
            "version": __version__,
            "description": INTRODUCTION,
            "contact": {"name": "the operators of this API"},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": ".", "description": "where this document is"}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _used_schemas(schemas.components(types), paths, responses),
            "responses": responses,
            "headers": {
                name: {
                    "description": description,
                    "required": name not in OPTIONAL_HEADERS,
                    "schema": {"type": "string"} | schema,
                }
                for name, (description, schema) in HEADERS.items()
            },
            "securitySchemes": SCHEMES,
        },
    }


def write() -> None:
    """Write the document; raises CommandError with a sentence for each thing that it lacks."""
    if lines := list_mistakes():
        raise CommandError("\n".join(lines))
    DOCUMENT.write_text(json.dumps(document(), indent=1) + "\n")


def list_mistakes() -> list[str]:
    """Return a sentence for each thing that the document needs and that is missing, wrong or not used."""
    routes = list(_routes())
    views = {entry.view_function.__name__ for _, entry in routes}
    tags = {_tag(path, entry) for path, entry in routes}
    gone = OPERATIONS.keys() - views
    lines = [f"No route has the view {name}: remove {name!r} from OPERATIONS in {_TABLES}." for name in gone]
    lines += [f"No operation has the tag {tag}: remove {tag!r} from TAGS in {_TABLES}." for tag in TAGS.keys() - tags]
    lines += [
        f"The tag {tag} has no description: add {tag!r} to TAGS in {_TABLES}, or give its operations another `tag` there."
        for tag in tags - TAGS.keys()
    ]
    lines += [
        f"The type {kind.__name__} has no example: add it to EXAMPLES in {_TABLES}."
        for kind in {kind for _, entry in routes for kind in (declared(entry).body, declared(entry).returns)}
        if kind and not _schema_error(kind) and kind not in EXAMPLES
    ]
    for path, entry in routes:
        lines += [f"{entry.method} {path} {mistake}" for mistake in _mistakes(entry)]
    return sorted(lines)


def _mistakes(entry: RouteEntry) -> Iterator[str]:
    view, types = entry.view_function, declared(entry)
    name = view.__name__
    if not summary(entry):
        yield f"has no summary: give its view {name} a docstring of one sentence."
    taken, given = inspect.signature(view).parameters.keys() - {"request"}, set(entry.view_args)
    if taken != given:
        yield (
            f"gives its view {name} the parameters {', '.join(sorted(given)) or 'none'}, but it takes "
            f"{', '.join(sorted(taken)) or 'none'}: name them alike in the path and in the view."
        )
    if name not in OPERATIONS:
        yield f"is not described: add {name!r} to OPERATIONS in {_TABLES}."
    if entry.authorizer and entry.authorizer.name not in SECURITY:
        where = f"add {entry.authorizer.name!r} to SECURITY in tools/generate/openapi_text.py."
        yield f"does not say which token it takes: {where}"
    for kind in filter(None, (types.body, types.query, types.returns)):
        if error := _schema_error(kind):
            yield f"cannot be described: {error}. Correct the type in the route or in its module."


def _schema_error(kind: Any) -> str:
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        return f"{kind!r} is not a subclass of msgspec.Struct"
    for field in structs.fields(kind):
        try:
            schemas.of(field.type)
        except (TypeError, ValueError) as error:
            return f"the type of {kind.__name__}.{field.name} has no JSON schema ({str(error).splitlines()[0]})"
    return ""


def summary(entry: RouteEntry) -> str:
    """Return the first sentence of the docstring of a view, which is a paragraph of its own."""
    return _docstring(entry)[0]


def _docstring(entry: RouteEntry) -> list[str]:
    return (inspect.getdoc(entry.view_function) or "").split("\n\n", 1)


def declared(entry: RouteEntry) -> Declared:
    """Return what a route declares that it takes and returns."""
    nothing = Declared(None, None, None, None)
    found: Declared = getattr(entry.view_function, "declared", nothing)
    return found


def _routes() -> Iterator[tuple[str, RouteEntry]]:
    for path, entries in app.app.routes.items():
        for entry in entries.values():
            yield path, entry


def _operation(method: str, path: str, entry: RouteEntry) -> dict[str, Any]:
    name = entry.view_function.__name__
    described, types = OPERATIONS[name], declared(entry)
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary(entry),
        "description": "\n\n".join(filter(None, [*_docstring(entry)[1:], described.description])),
        "tags": [_tag(path, entry)],
        "parameters": _parameters(path, types, described),
        "responses": _responses(path, entry, types, described),
    }
    if types.body:
        media_types = ["application/json"] + ["application/merge-patch+json"] * (method == "PATCH")
        content = {media_type: schemas.content(types.body) for media_type in media_types}
        operation["requestBody"] = {"required": True, "content": content}
    if entry.authorizer:
        _, scheme = SECURITY[entry.authorizer.name]
        operation["security"] = [{scheme: getattr(entry.authorizer, "scopes", [])}]
    return {name: value for name, value in operation.items() if value} | {"security": operation.get("security", [])}


def _tag(path: str, entry: RouteEntry) -> str:
    described = OPERATIONS.get(entry.view_function.__name__)
    return (described.tag if described else "") or path.split("/")[1]


def _parameters(path: str, types: Declared, described: Operation) -> list[Schema]:
    parameters: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of(values.Id), "example": ID}
        for name in re.findall("{(.*?)}", path)
    ]
    for field in structs.fields(types.query) if types.query else ():
        schema = schemas.of(field.type)
        schema |= next((kind for kind in schema.pop("anyOf", []) if kind.get("type") != "null"), {}) | schema
        about = {"description": schema.pop("description")} if "description" in schema else {}
        schema |= {"default": field.default} if isinstance(field.default, Limit) else {}
        schema |= {"examples": examples} if (examples := _examples(schema)) else {}
        parameters.append({"name": field.name, "in": "query", "required": field.required, **about, "schema": schema})
    for name in described.request_headers:
        description, schema = REQUEST_HEADERS[name]
        about = {"description": description, "schema": {"type": "string"} | schema}
        # Swagger UI would send the example of an optional header; it does not send those of a schema.
        example = {"example": schema["examples"][0]} if described.requires_key else {}
        parameters.append({"name": name, "in": "header", "required": described.requires_key, **about, **example})
    return parameters


def _examples(schema: Schema) -> list[Any]:
    """Return a valid value of an optional query parameter, for clients such as Postman that fill in every parameter."""
    return schema.get("enum", [])[:1] or [INSTANT] * (schema.get("format") == "date-time")


def _responses(path: str, entry: RouteEntry, types: Declared, described: Operation) -> dict[str, Any]:
    limited = ["RateLimit-Policy"] * types.limits
    success: Schema = {"description": described.response, "headers": _headers(*described.headers, *limited)}
    if types.returns:
        success["content"] = {described.media_type: schemas.content(types.returns)}
    elif described.status == 200:  # noqa: PLR2004 - with a body that no type describes
        success["content"] = {described.media_type: {"schema": {}}}
    links = _links(path, entry, types)
    responses = {str(described.status): success | ({"links": links} if links else {})}
    if "If-None-Match" in described.request_headers:
        responses["304"] = {"description": "The client has this version already.", "headers": _headers(*described.headers)}
    possible = _problems(path, entry, types, described)
    of_its_own = {kind.status for kind in possible if kind not in SHARED_PROBLEMS}
    for status in sorted(of_its_own):
        group = [PROBLEMS[kind] for kind in possible if kind.status == status]
        responses[str(status)] = _problem_response(group, " Or: ".join(str(inspect.getdoc(one)) for one in group))
    shared = [PROBLEMS[kind] for kind in possible if kind.status not in of_its_own]
    listed = ", ".join(f"{problem.status} `{problem.slug}`" for problem in shared)
    responses["default"] = _problem_response(shared, f"An error that is not of this operation alone: {listed}.")
    return dict(sorted(responses.items()))


def _problems(path: str, entry: RouteEntry, types: Declared, described: Operation) -> list[type[Problem]]:
    """Return the problems of an operation, by status."""
    possible = _PROBLEMS_OF_ANY_ROUTE | set(described.problems)
    possible |= {problems.Unauthorized, problems.Forbidden} if entry.authorizer else set()
    possible |= {problems.NotFound} if "{" in path else set()
    possible |= {problems.MalformedRequest, problems.BodyTooLarge, problems.UnsupportedMediaType} if types.body else set()
    possible |= {problems.InvalidCursor} if types.query and "cursor" in types.query.__struct_fields__ else set()
    possible |= {problems.IdempotencyKeyRequired} if described.requires_key else set()
    possible = possible.union(*(_PROBLEMS_OF_HEADERS[name] for name in described.request_headers))
    return sorted((kind for kind in PROBLEMS if kind in possible), key=lambda kind: kind.status)


def _problem_response(possible: list[Problem], description: str) -> Schema:
    kinds = [{"$ref": f"#/components/schemas/{type(problem).__name__}"} for problem in possible]
    examples = {problem.slug: {"value": schemas.body(problem)} for problem in possible}
    content = {"schema": kinds[0] if len(kinds) == 1 else {"oneOf": kinds}, "examples": examples}
    return {
        "description": description,
        "headers": _headers(*(name for problem in possible for name in problem.headers)),
        "content": {"application/problem+json": content},
    }


def _links(path: str, entry: RouteEntry, types: Declared) -> Schema:
    """Return the operations that take a member of the response: its id, or the cursor of the next page."""
    name = entry.view_function.__name__
    if types.query and "cursor" in types.query.__struct_fields__:
        return {name: {"operationId": name, "parameters": {"cursor": "$response.body#/next_cursor"}}}
    below = [
        other for other in app.app.routes if entry.method == "POST" and re.fullmatch(re.escape(path) + "/{[^/]*}", other)
    ]
    return {
        item.view_function.__name__: {
            "operationId": item.view_function.__name__,
            "parameters": {parameter: f"$response.body#/{parameter}" for parameter in item.view_args},
        }
        for other in below
        for item in app.app.routes[other].values()
    }


def _extract_problems(all_responses: Iterable[Schema]) -> Schema:
    """Replace each response with a problem by a reference, and return the responses that are referred to."""
    extracted = {}
    for responses in all_responses:
        for status, response in responses.items():
            if "application/problem+json" in response.get("content", {}):
                examples = response["content"]["application/problem+json"]["examples"]
                statuses = (str(example["value"]["status"]) for example in examples.values())
                name = "-".join(["error", *statuses]) if status == "default" else "-or-".join(examples)
                extracted[name] = response
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(extracted.items()))


def _used_schemas(named: Schema, *parts: Any) -> Schema:
    """Return the schemas to which something in them or in these parts of the document refers."""
    text = json.dumps([named, *parts])
    return {name: schema for name, schema in named.items() if f'"#/components/schemas/{name}"' in text}


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(set(names))}
