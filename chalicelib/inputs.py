"""Typed values out of what clients send: strict JSON, then every broken rule at once."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct, structs

from chalicelib.problems import Invalid, Malformed
from chalicelib.values import with_line_feeds

_DEEPEST = 20
MOST_ERRORS = 20
_LONGEST_NAME = 64
_LONGEST_INTEGER = len(str(-(2**63)))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # what looks like the name of a member is told, and nothing else

Checked = TypeVar("Checked", bound=Struct)


def parse(raw: bytes) -> object:
    """Return the JSON value in a body (RFC 8259); raises Malformed.

    Refused beyond what json refuses: what parsers are known to read differently (RFC 8259, sections 4, 6 and 9).
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: see byte {error.start + 1}."
        raise Malformed(message) from error
    text = text.removeprefix("\ufeff")  # which editors put there, and which may be ignored (RFC 8259, section 8.1)
    if not text.strip():
        message = "The request needs a JSON object as its body."
        raise Malformed(message)
    too_deep = f"The body is nested deeper than {_DEEPEST} levels."
    try:
        value = json.loads(
            text, object_pairs_hook=_members, parse_int=_integer, parse_float=_number, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        what = "goes on after its JSON value" if error.msg == "Extra data" else "is not JSON"
        message = f"The body {what}: see line {error.lineno}, column {error.colno}."
        raise Malformed(message) from error
    except RecursionError as error:
        raise Malformed(too_deep) from error
    if _depth_exceeds(_DEEPEST, [value]):
        raise Malformed(too_deep)
    return value


def checked(values: Mapping[str, object], wanted: type[Checked], place: str) -> Checked:
    """Return the values as a struct; raises Invalid with one error for each that is unknown, missing or breaks its rule.

    `place` is how an error names its value: "pointer" (RFC 6901) for a member of a body, "parameter" for one of a query.
    """
    fields = {field.name: field for field in structs.fields(wanted)}
    good: dict[str, Any] = {}
    bad: list[dict[str, str]] = []
    for name, value in values.items():
        if name not in fields:
            bad.append(
                error(place, name, f"is not known here; known are {', '.join(fields)}" if fields else "is not known here")
            )
            continue
        try:
            plain = with_line_feeds(value) if isinstance(value, str) else value
            good[name] = msgspec.convert(plain, fields[name].type, dec_hook=_custom)
        except (msgspec.ValidationError, UnicodeError):  # a lone surrogate, where one of several words is looked for
            bad.append(error(place, name, f"must be {_rule(fields[name].type)}"))
    bad += [error(place, name, "is required") for name, field in fields.items() if field.required and name not in values]
    if bad:
        raise Invalid(bad[:MOST_ERRORS])
    return wanted(**good)


def error(place: str, name: str, detail: str) -> dict[str, str]:
    """Return an entry for `errors`; the name is cut, and cleaned of what cannot be sent."""
    name = name[:_LONGEST_NAME].encode(errors="replace").decode()
    return {place: f"/{name.replace('~', '~0').replace('/', '~1')}" if place == "pointer" else name, "detail": detail}


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            told = f"The member {name}" if _NAME.fullmatch(name) else "A member"
            message = f"{told} is there twice."
            raise Malformed(message)
        members[name] = value
    return members


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER or not -(2**63) <= int(digits) < 2**64:
        message = "An integer does not fit in 64 bits."
        raise Malformed(message)
    return int(digits)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        message = "A number is too large."
        raise Malformed(message)
    return number


def _constant(_text: str) -> float:
    message = "NaN and infinities are not JSON."
    raise Malformed(message)


def _depth_exceeds(limit: int, level: Iterable[object]) -> bool:
    """Walk level by level, since the value may be nested as deep as the parser goes."""
    for _ in range(limit):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
    return any(isinstance(value, dict | list) for value in level)


def _custom(wanted: Any, value: object) -> object:
    return wanted.parse(value)


def _rule(wanted: Any) -> str:
    """Return the rule that a type carries, be it its own or that of a part of it."""
    if isinstance(wanted, Meta):
        return wanted.description or ""
    own = getattr(wanted, "rule", "")
    return own or next(filter(None, map(_rule, get_args(wanted))), "")
