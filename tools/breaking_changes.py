"""Compares two OpenAPI documents, and finds the changes that break a client of the older one.

docs/versioning.md has the rules in words. A change whose effect is not decided here, such as another pattern, is breaking.
"""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

Part = dict[str, Any]

_METHODS = {"delete", "get", "head", "options", "patch", "post", "put", "trace"}
_UPPER = {"exclusiveMaximum", "maxItems", "maxLength", "maxProperties", "maximum"}
_LOWER = {"exclusiveMinimum", "minItems", "minLength", "minProperties", "minimum"}
_NO_RULE = {"$comment", "default", "deprecated", "description", "example", "examples", "title", "x-default"}
_COMPARED = _UPPER | _LOWER | {"additionalProperties", "const", "enum", "items", "properties", "required", "type"}


def find(old: Part, new: Part) -> list[str]:
    """Return each breaking change as a sentence."""
    return list(dict.fromkeys(_changes(_inline(old, old), _inline(new, new))))


def unlisted(old: Part, new: Part, changelog: str) -> list[str]:
    """Return the breaking changes that the unreleased part of a changelog does not list under `### Breaking`."""
    unreleased = re.search(r"^## \S+ \(unreleased\)\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    listed = re.search(r"^### Breaking\n(.*?)(?=^### |\Z)", unreleased[1] if unreleased else "", re.MULTILINE | re.DOTALL)
    text = " ".join(listed[1].split()) if listed else ""
    return [change for change in find(old, new) if change not in text]


def last_release(changelog: str) -> str | None:
    """Return the version of the newest release in a changelog, None before the first one."""
    headings = re.findall(r"^## (\S+)(.*)$", changelog, re.MULTILINE)
    return next((version for version, rest in headings if "unreleased" not in rest), None)


def _inline(part: Any, document: Part) -> Any:
    """Return a part of a document with what it refers to in place of each reference."""
    if isinstance(part, list):
        return [_inline(inner, document) for inner in part]
    if not isinstance(part, dict):
        return part
    if isinstance(part.get("$ref"), str):
        names = part["$ref"].split("/")[1:]
        return _inline(functools.reduce(lambda place, name: place[name], names, document), document)
    return {name: _inline(inner, document) for name, inner in part.items()}


def _changes(old: Part, new: Part) -> Iterator[str]:
    for path, methods in old["paths"].items():
        for method in sorted(_METHODS & methods.keys()):
            here, after = f"{method.upper()} {path}", new["paths"].get(path, {}).get(method)
            if after is None:
                yield f"{here} is gone."
                continue
            before = {"security": old.get("security", [])} | methods[method]
            yield from (f"{here} {change}." for change in _operation(before, {"security": new.get("security", [])} | after))
    schemes = [document.get("components", {}).get("securitySchemes", {}) for document in (old, new)]
    for name in [name for name in schemes[0] if name in schemes[1]]:
        for member in ("type", "scheme", "in", "name"):
            if schemes[0][name].get(member) != schemes[1][name].get(member):
                yield f"The security scheme {name} has another {member}."


def _operation(old: Part, new: Part) -> Iterator[str]:
    if old.get("operationId") != new.get("operationId"):
        yield f"has another operationId than {old.get('operationId')}"
    yield from _security(old["security"] or [{}], new["security"] or [{}])
    yield from _parameters(old.get("parameters", []), new.get("parameters", []))
    yield from _body(old.get("requestBody", {}), new.get("requestBody", {}))
    for status, response in old["responses"].items():
        if status not in new["responses"]:
            yield f"no longer responds with {status}"
        else:
            yield from (f"responds with {status}, {change}" for change in _response(response, new["responses"][status]))
    for status in new["responses"]:
        if status not in old["responses"] and status.startswith(("2", "3")):
            yield f"may respond with {status}"


def _security(old: list[Part], new: list[Part]) -> Iterator[str]:
    """Compare the credentials that an operation accepts: one of several sets, each of schemes with scopes."""
    for given in old:
        if not any(
            all(set(scopes) <= set(given.get(name, [None])) for name, scopes in one.items()) and one.keys() <= given.keys()
            for one in new
        ):
            sets = [" with ".join([name, *scopes]) for name, scopes in given.items()]
            yield f"no longer accepts {' and '.join(sets) or 'requests without a token'}"


def _parameters(old: list[Part], new: list[Part]) -> Iterator[str]:
    before, after = ({f"the {one['in']} parameter {one['name']}": one for one in parameters} for parameters in (old, new))
    yield from (f"no longer takes {name}" for name in before if name not in after)
    for name, parameter in after.items():
        if parameter.get("required") and not before.get(name, {}).get("required"):
            yield f"requires {name}"
        if name in before:
            yield from _request(before[name].get("schema", {}), parameter.get("schema", {}), name)


def _body(old: Part, new: Part) -> Iterator[str]:
    if new.get("required") and not old.get("required"):
        yield "requires a body"
    for media_type, content in old.get("content", {}).items():
        if media_type not in new.get("content", {}):
            yield f"no longer takes a body of type {media_type}"
        else:
            yield from _request(content.get("schema", {}), new["content"][media_type].get("schema", {}), "the body")


def _response(old: Part, new: Part) -> Iterator[str]:
    for name, header in old.get("headers", {}).items():
        if name not in new.get("headers", {}):
            yield f"without the header {name}"
            continue
        if header.get("required") and not new["headers"][name].get("required"):
            yield f"perhaps without the header {name}"
        yield from _returned(header.get("schema", {}), new["headers"][name].get("schema", {}), f"the header {name}")
    for media_type, content in old.get("content", {}).items():
        if media_type not in new.get("content", {}):
            yield f"without a body of type {media_type}"
            continue
        compare = _problems if media_type == "application/problem+json" else _returned
        yield from compare(content.get("schema", {}), new["content"][media_type].get("schema", {}), "the body")


def _problems(old: Part, new: Part, where: str) -> Iterator[str]:
    """Compare each problem with itself; a response may have others later."""
    before, after = ({json.dumps(one["properties"]["type"]): one for one in _alternatives(part)} for part in (old, new))
    for name in before:
        yield from _returned_one(before[name], after.get(name, before[name]), where)


def _request(old: Part, new: Part, where: str) -> Iterator[str]:
    """Find what a client could send and no longer can, or what means something else now."""
    earlier, current = (json.dumps(part.get("default", part.get("x-default"))) for part in (old, new))
    if earlier != current:
        yield f"has the default {current} for {where}, not {earlier}"
    for before in _alternatives(old):
        found = [list(_request_one(before, after, where)) for after in _alternatives(new) if _is_same_kind(before, after)]
        yield from min(found, key=len, default=[f"no longer accepts {_kind(before)} for {where}"])


def _request_one(old: Part, new: Part, where: str) -> Iterator[str]:
    yield from (f"no longer accepts {values} for {where}" for values in _excess(old, new))
    yield from (f"requires {name} in {where}" for name in new.get("required", []) if name not in old.get("required", []))
    known, is_open = new.get("properties", {}), new.get("additionalProperties") is not False
    if old.get("additionalProperties") is not False and not is_open:
        yield f"no longer accepts members that it does not know in {where}"
    for name, member in old.get("properties", {}).items():
        if name in known:
            yield from _request(member, known[name], f"{name} in {where}")
        elif not is_open:
            yield f"no longer accepts {name} in {where}"
    if "items" in old and "items" in new:
        yield from _request(old["items"], new["items"], f"an item of {where}")


def _returned(old: Part, new: Part, where: str) -> Iterator[str]:
    """Find what a client could not receive and now can, or what it misses now."""
    for after in _alternatives(new):
        found = [list(_returned_one(before, after, where)) for before in _alternatives(old) if _is_same_kind(after, before)]
        yield from min(found, key=len, default=[f"perhaps with {_kind(after)} for {where}"])


def _returned_one(old: Part, new: Part, where: str) -> Iterator[str]:
    yield from (f"perhaps with {values} for {where}" for values in _excess(new, old))
    members = new.get("properties", {})
    for name, member in old.get("properties", {}).items():
        if name not in members:
            yield f"without {name} in {where}"
            continue
        if name in old.get("required", []) and name not in new.get("required", []):
            yield f"perhaps without {name} in {where}"
        yield from _returned(member, members[name], f"{name} in {where}")
    if "items" in old:
        yield from _returned(old["items"], new.get("items", {}), f"an item of {where}")


def _alternatives(schema: Part) -> list[Part]:
    """Return the schemas of which a value must match one, each with at most one type."""
    several = schema.get("anyOf") or schema.get("oneOf")
    if several:
        return [one for inner in several for one in _alternatives(inner)]
    kinds = schema.get("type")
    return [schema | {"type": kind} for kind in kinds] if isinstance(kinds, list) else [schema]


def _is_same_kind(part: Part, whole: Part) -> bool:
    """Return whether the values of one schema have a type that the other admits."""
    return "type" not in whole or part.get("type") in {
        whole["type"],
        "integer" if whole["type"] == "number" else whole["type"],
    }


def _kind(schema: Part) -> str:
    return f"a value of type {schema['type']}" if "type" in schema else "a value of any type"


def _excess(wide: Part, narrow: Part) -> Iterator[str]:
    """Name the values that one schema admits and the other does not; members and items are not compared."""
    allowed, given = _values(narrow), _values(wide)
    if given is not None:
        yield from (f"the value {json.dumps(value)}" for value in given if allowed is not None and value not in allowed)
        return
    if allowed is not None:
        yield f"other values than {', '.join(map(json.dumps, allowed))}"
    for keyword in sorted(_UPPER & narrow.keys()):
        if wide.get(keyword, float("inf")) > narrow[keyword]:
            yield f"more than a {keyword} of {narrow[keyword]}"
    for keyword in sorted(_LOWER & narrow.keys()):
        if wide.get(keyword, float("-inf")) < narrow[keyword]:
            yield f"less than a {keyword} of {narrow[keyword]}"
    for keyword in sorted(narrow.keys() - _COMPARED - _NO_RULE):
        if wide.get(keyword) != narrow[keyword]:
            yield f"another {keyword}"


def _values(schema: Part) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")
