"""Typed values out of what clients send: strict JSON, then every broken rule at once."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct, structs

from chalicelib.problems import Invalid, Malformed

_DEEPEST = 20
MOST_ERRORS = 20
_LONGEST_NAME = 64

Checked = TypeVar("Checked", bound=Struct)


def parse(raw: bytes) -> object:
    """Return the JSON value in a body (RFC 8259); raises Malformed.

    Refused beyond what json refuses: what parsers are known to read differently (RFC 8259, sections 4, 6 and 9).
    """
    if not raw.strip():
        message = "The request needs a JSON object as its body."
        raise Malformed(message)
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_members, parse_int=_integer, parse_float=_number, parse_constant=_number
        )
    except (ValueError, RecursionError) as error:
        message = "The body must be one JSON value in UTF-8: no duplicate members, NaN, infinities or integers past 64 bits."
        raise Malformed(message) from error
    if _depth_exceeds(_DEEPEST, [value]):
        message = f"The body must not be nested deeper than {_DEEPEST} levels."
        raise Malformed(message)
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
            good[name] = msgspec.convert(value, fields[name].type, dec_hook=_custom)
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
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError
    return members


def _integer(digits: str) -> int:
    number = int(digits)
    if not -(2**63) <= number < 2**64:
        raise ValueError
    return number


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


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
