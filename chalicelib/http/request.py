"""The current request as typed values; reading an invalid one raises a problem."""

import base64
import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Any, TypeVar, cast, get_args, get_origin

import chalice.app
import msgspec
from msgspec import Meta, Struct, structs

from chalicelib.principals import Machine, User
from chalicelib.problems import (
    BodyTooLarge,
    IdempotencyKeyRequired,
    MalformedRequest,
    UnsupportedMediaType,
    ValidationFailed,
)
from chalicelib.values import IdempotencyKey

S = TypeVar("S", bound=Struct)
_fields = cache(lambda wanted: {field.name: field for field in structs.fields(wanted)})  # msgspec evaluates the types anew

_MAX_BODY_BYTES = 64 * 1024
_MAX_DEPTH = 20
_MAX_ERRORS = 20
_MAX_NAME_LENGTH = 64
_MAX_INTEGER_LENGTH = len(str(-(2**63)))
_MAX_TAGS = 100  # the operands that one IN of DynamoDB takes

_MEMBER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # only what looks like a name is repeated to the client
_PARAMETER = re.compile(r""";[ \t]*([^=;" \t]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;"]*)""")
_UTF_8 = re.compile(r'[ \t]*"?utf-?8"?[ \t]*', re.IGNORECASE)
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = r'(?:W/)?"([!#-~\x80-\xff]*)"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_VERSION = re.compile(r"([1-9][0-9]{0,14})(?:(?:--?|[;:])(?:gzip|br|zstd|deflate))?")
_NO_VERSION = frozenset({0})  # no item has it
_PLAIN_RULES = {bool: "true or false", int: "a whole number", str: "text", list: "a list"}
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")
_LINE_END = re.compile(r"\r\n?")
_BARE_KEY = re.compile(r"[!#-~][!-~]*")
_QUOTED_KEY = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])*)"')  # a String of RFC 9651, section 3.3.3, without blanks


class Request:
    """One request; http/api.py sets `principal`, `body` and `query` by what the route declares."""

    principal: Any = None
    body: Any = None
    query: Any = None

    def __init__(self, request: chalice.app.Request) -> None:
        self._request = request
        self.method: str = request.method
        self.context: Mapping[str, Any] = request.context
        gateway_id = request.context.get("requestId") or ""
        self.id = gateway_id if _UUID.fullmatch(gateway_id) else str(uuid.uuid4())
        """API Gateway's id of the request where it is a UUID. A client can choose it, so it identifies nothing."""

    @property
    def user(self) -> User:
        """The signed-in user, on a route for users."""
        return cast("User", self.principal)

    @property
    def machine(self) -> Machine:
        """The calling machine, on a route for machines."""
        return cast("Machine", self.principal)

    @property
    def ends_at(self) -> int:
        """The second since the epoch when Lambda has ended this request at the latest."""
        context = cast("Any", self._request.lambda_context)
        return int(time.time() + context.get_remaining_time_in_millis() / 1000) + 1

    @property
    def if_match(self) -> frozenset[int] | None:
        """The versions in If-Match, None for any; raises MalformedRequest."""
        header = self.header("if-match")
        return None if header is None else parse_tags(header)

    @property
    def idempotency_key(self) -> IdempotencyKey | None:
        """The Idempotency-Key with the path and body it was sent with, if there is one; raises MalformedRequest."""
        header = self.header("idempotency-key")
        return None if header is None else parse_idempotency_key(header, [self._request.uri_params, self._json])

    @property
    def required_idempotency_key(self) -> IdempotencyKey:
        """The same; raises IdempotencyKeyRequired, MalformedRequest."""
        key = self.idempotency_key
        if key is None:
            raise IdempotencyKeyRequired
        return key

    def has_version(self, version: int) -> bool:
        """Return whether If-None-Match names this version; raises MalformedRequest."""
        header = self.header("if-none-match")
        versions = _NO_VERSION if header is None else parse_tags(header)
        return versions is None or version in versions

    @property
    def _path(self) -> str:
        """The path of this request as the client spells it: stage or base path included, without a final slash."""
        return str(self.context["path"]).rstrip("/")

    def path_of(self, item_id: str) -> str:
        """Return the path of an item below this request's path."""
        return f"{self._path}/{item_id}"

    @property
    def api_url(self) -> str:
        """The address of the API as the client spells it, such as https://api.example.com/v1; empty without a host."""
        host = str(self.context.get("domainName") or self.header("host") or "")
        scheme = "https" if "domainName" in self.context else "http"
        base = self._path.removesuffix(str(self.context["resourcePath"]).rstrip("/"))
        return f"{scheme}://{host}{base}" if _HOST.fullmatch(host) else base

    def header(self, name: str) -> str | None:
        """Return a header without the white space around it (RFC 9110, section 5.6.3); `name` is in lower case.

        Several lines of one name are one list (section 5.3).
        """
        several = self._request.to_original_event().get("multiValueHeaders") or {}
        lines = [line for key, lines in several.items() if key.lower() == name for line in lines]
        if not lines and name in self._request.headers:
            lines = [self._request.headers[name]]
        return ", ".join(line.strip(" \t") for line in lines) if lines else None

    def read_body(self, wanted: type[S]) -> S:
        """Return the body as a struct; raises MalformedRequest, BodyTooLarge, UnsupportedMediaType, ValidationFailed."""
        if not isinstance(self._json, dict):
            raise ValidationFailed([{"pointer": "", "detail": "must be a JSON object"}])
        return validate(self._json, wanted, "pointer")

    def read_query(self, wanted: type[S]) -> S:
        """Return the query string as a struct; raises ValidationFailed."""
        parameters = self._request.to_original_event()["multiValueQueryStringParameters"] or {}
        repeated = [
            _error("parameter", name, "is given more than once") for name, all_ in parameters.items() if len(all_) > 1
        ]
        if repeated:
            raise ValidationFailed(repeated[:_MAX_ERRORS])
        return validate({name: value for name, (value,) in parameters.items()}, wanted, "parameter")

    @cached_property
    def _json(self) -> object:
        body = self._request.to_original_event().get("body") or ""
        encoded = self._request.to_original_event().get("isBase64Encoded")
        try:
            raw = base64.b64decode(body, validate=True) if encoded else body.encode() if isinstance(body, str) else body
        except ValueError as error:
            message = "The body is not Base64, though the event says so."
            raise MalformedRequest(message) from error
        if len(raw) > _MAX_BODY_BYTES:
            message = f"A body has at most {_MAX_BODY_BYTES} bytes."
            raise BodyTooLarge(message)
        content_type = self.header("content-type") or "application/json"
        media_type = content_type.partition(";")[0].strip().lower()
        known = ["application/json"] + ["application/merge-patch+json"] * (self.method == "PATCH")
        if raw and media_type not in known:
            message = f"Send the body as {' or '.join(known)}."
            raise UnsupportedMediaType(message)
        charsets = [value for name, value in _PARAMETER.findall(content_type) if name.lower() == "charset"]
        if raw and not all(_UTF_8.fullmatch(charset) for charset in charsets):
            message = "Send the body in UTF-8, and with no other charset in its Content-Type."
            raise UnsupportedMediaType(message)
        return parse_json(raw)


def parse_tags(header: str) -> frozenset[int] | None:
    """Return the versions in If-Match or If-None-Match, None for any (`*`); raises MalformedRequest.

    A tag names a version and not bytes, so a tag that a compressing proxy made weak, or gave a suffix, is accepted; else
    clients behind such a proxy could never send a matching tag. This departs from RFC 9110, section 13.1.1, on purpose.
    """
    if header.strip() == "*":
        return None
    tags = re.findall(_TAG, header)
    if not _TAGS.fullmatch(header) or len(tags) > _MAX_TAGS:
        message = f'If-Match and If-None-Match take * or up to {_MAX_TAGS} entity tags, such as "1".'
        raise MalformedRequest(message)
    return frozenset(int(match[1]) for tag in tags if (match := _VERSION.fullmatch(tag))) or _NO_VERSION


def parse_idempotency_key(header: str, body: object) -> IdempotencyKey:
    """Return the key in a header, bare or quoted, bound to a JSON value; raises MalformedRequest.

    The value decides, not its spelling: the order of members and white space do not count.
    """
    quoted = _QUOTED_KEY.fullmatch(header)
    text = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header
    if not (quoted or _BARE_KEY.fullmatch(header)) or not 1 <= len(text) <= 255:  # noqa: PLR2004 - the message has the limit
        message = "Idempotency-Key must be 1 to 255 visible ASCII characters, bare or as a quoted string."
        raise MalformedRequest(message)
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return IdempotencyKey(text, hashlib.sha256(canonical.encode()).hexdigest())


def parse_json(raw: bytes) -> object:
    """Return the JSON value in a body (RFC 8259); raises MalformedRequest.

    Also refuses what parsers are known to read differently (RFC 8259, sections 4, 6 and 9).
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: see byte {error.start + 1}."
        raise MalformedRequest(message) from error
    text = text.removeprefix("\ufeff")  # a byte order mark, which may be ignored (RFC 8259, section 8.1)
    if not text.strip():
        message = "The request needs a JSON object as its body."
        raise MalformedRequest(message)
    too_deep = f"The body is nested deeper than {_MAX_DEPTH} levels."
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_int=_integer, parse_float=_number, parse_constant=_number)
    except (json.JSONDecodeError, RecursionError) as error:  # how deep the parser goes depends on the Python
        raise MalformedRequest(too_deep if isinstance(error, RecursionError) else _describe(error)) from error
    if _is_deeper_than(_MAX_DEPTH, [value]):
        raise MalformedRequest(too_deep)
    return value


def _describe(error: json.JSONDecodeError) -> str:
    what = "goes on after its JSON value" if error.msg == "Extra data" else "is not JSON"
    return f"The body {what}: see line {error.lineno}, column {error.colno}."


def validate(values: Mapping[str, object], wanted: type[S], place: str) -> S:
    """Return the values as a struct; raises ValidationFailed with one error for each that is unknown, missing or invalid.

    `place` is how an error names its value: "pointer" (RFC 6901) for a member of a body, "parameter" for one of a query.
    """
    fields = _fields(wanted)
    valid: dict[str, Any] = {}
    errors: list[dict[str, str]] = []
    for name, value in values.items():
        if name not in fields:
            errors.append(_error(place, name, f"is not allowed; allowed: {', '.join(fields) or 'none'}"))
            continue
        try:
            plain = _LINE_END.sub("\n", value) if isinstance(value, str) else value
            valid[name] = msgspec.convert(plain, fields[name].type, dec_hook=lambda wanted, raw: wanted.parse(raw))
        except (msgspec.ValidationError, UnicodeError):  # UnicodeError: a lone surrogate, for a fixed set of values
            errors.append(_error(place, name, f"must be {_rule(fields[name].type)}"))
    errors += [_error(place, name, "is required") for name, field in fields.items() if field.required and name not in values]
    if errors:
        raise ValidationFailed(errors[:_MAX_ERRORS])
    return wanted(**valid)


def _error(place: str, name: str, detail: str) -> dict[str, str]:
    """Return an entry of `errors`; the name is cut, and what cannot be encoded is replaced."""
    name = name[:_MAX_NAME_LENGTH].encode(errors="replace").decode()
    return {place: f"/{name.replace('~', '~0').replace('/', '~1')}" if place == "pointer" else name, "detail": detail}


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            what = f"The member {name}" if _MEMBER_NAME.fullmatch(name) else "A member"
            message = f"{what} is there twice."
            raise MalformedRequest(message)
        members[name] = value
    return members


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_LENGTH or not -(2**63) <= int(digits) < 2**64:
        message = "An integer does not fit in 64 bits."
        raise MalformedRequest(message)
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        message = "NaN, infinities and numbers that do not fit in 64 bits are not accepted."
        raise MalformedRequest(message)
    return number


def _is_deeper_than(limit: int, level: Iterable[object]) -> bool:
    """Walk level by level, since recursion could fail on a value that is as deep as the parser goes."""
    for _ in range(limit):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
    return any(isinstance(value, dict | list) for value in level)


def _rule(wanted: Any) -> str:
    """Return the rule in a type's `rule` or in the description of its Meta, or of the last part that has one."""
    if isinstance(wanted, Meta):
        return wanted.description or ""
    own = getattr(wanted, "rule", "") or _PLAIN_RULES.get(get_origin(wanted) or wanted, "")
    return own or next(filter(None, map(_rule, reversed(get_args(wanted)))), "")
