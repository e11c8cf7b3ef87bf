"""Checks every response and log line of the tests for leaks.

A leak is a token, an e-mail address, a phone number, a table key, a stack trace or a value that the request has sent.
"""

import base64
import functools
import json
import re
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest

from chalicelib.http.api import CORS
from chalicelib.values import Instant, Limit
from tests.support import documented

FOUND: list[str] = []
"""Each leak that was found in this process, and where."""
STATUSES: set[int] = set()
LINES: set[str] = set()
"""The statuses of the checked responses, and the routes of the checked log lines."""

_FORBIDDEN = {
    "a token": r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}",
    "an e-mail address": r"[\w.+-]@[\w-]+\.\w+",
    "a phone number": r"\+[1-9][0-9]{6,14}",
    "a table key": r"\b(?:USER|TASK|CLIENT|LIMIT|IDEMPOTENCY|TO)#|(?<![\w-])(?:PK|SK|LSI1SK|GSI1PK|fingerprint)(?![\w-])",  # not within a cursor
}
_FORBIDDEN_IN_RESPONSES = {
    "a stack trace": r"Traceback|\bFile \\?\"|\.py\b|\bline [0-9]+, in\b",
    "a word of AWS": r"arn:aws|[a-z]Exception\b|botocore|ConditionalCheck",
}
_CHANCE = re.compile(r".{,4}|[0-9a-f.:-]{,7}", re.DOTALL)  # may occur by chance, as digits in an id or a time do
_FILES = {"/openapi.json", "/docs"}  # static; contain examples of tokens and numbers
# Values that the client may receive, and names of members.
_CLIENT_MEMBERS = {"title", "description", "user", "pointer", "parameter"}


def _members(part: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(part, dict):
        yield from part.items()
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _members(inner)


def _strings_at(part: Any, keyword: str) -> set[str]:
    return {text for name, text in _members(part) if name == keyword and isinstance(text, str)}


_DESCRIPTIONS = _strings_at(documented.DOCUMENT["components"]["schemas"], "description")
_RULES = sorted({Instant.rule, Limit.rule, *_DESCRIPTIONS}, key=len, reverse=True)
_LINE = "request_id method route status ms outcome sent unknown errors type code frames GET HEAD POST PUT PATCH DELETE OPTIONS TRACE UNKNOWN"
_NAMES = {name for name, _ in _members(documented.DOCUMENT)}
_HEADERS = CORS.get_access_control_headers().values()
_FIXED = " ".join([_LINE, *_NAMES, *_strings_at(documented.DOCUMENT, "const"), *_HEADERS])
"""Names and fixed texts of responses and log lines."""


def _is_identifying(text: str) -> bool:
    """Return whether a text can only come from the client; a fuzzer also sends words that it finds in the document."""
    return not _CHANCE.fullmatch(text) and text not in _FIXED


class Sent:
    """The values that a request sends: identity, idempotency key, body and parameters; not the names of members."""

    def __init__(self, headers: Mapping[str, str], body: str | bytes | None, values: Collection[str | None] = ()) -> None:
        given = {name.lower(): value for name, value in headers.items()}
        token = re.sub("^bearer[ \t]+", "", given.get("authorization", "").strip(" \t"), flags=re.IGNORECASE)
        key = given.get("idempotency-key", "").strip(" \t")
        tags = given.get("if-match"), given.get("if-none-match")
        texts = [*caller_ids(_claims(token)), *_texts(body or ""), *values, *tags]
        self.secrets = {text for text in [*token.split("."), key] if _is_identifying(text)}
        self.all = self.secrets | {text for text in texts if text and _is_identifying(text)}


def caller_ids(claims: Mapping[str, Any]) -> list[str]:
    """Return the values in claims that identify the caller."""
    names = ("sub", "email", "username", "cognito:username", "client_id")
    return [str(claims[name]) for name in names if name in claims]


def path_values(path: str) -> list[str]:
    """Return the variable parts of a path: the task id and the values of the query."""
    path, _, query = path.partition("?")
    task = [urllib.parse.unquote(path.removeprefix("/tasks/"))] if path.startswith("/tasks/") else []
    return task + [value for _, value in urllib.parse.parse_qsl(query)]


def in_response(path: str, status: int, headers: Mapping[str, str], body: str, sent: Sent) -> list[str]:
    """Return the leaks in a response; an error response must contain no value of the request."""
    if path in _FILES and status == 200:
        return []
    try:
        shown = json.dumps(_without(json.loads(body), _CLIENT_MEMBERS), ensure_ascii=False) if body else ""
    except ValueError:
        shown = body
    for rule in _RULES:
        shown = shown.replace(rule, "")
    ours = [value for name, value in headers.items() if not name.lower().startswith("x-amzn-")]  # added by API Gateway
    return _in(f"{shown}\n{ours}", _FORBIDDEN | _FORBIDDEN_IN_RESPONSES, sent.all if status >= 400 else sent.secrets)


def in_log(text: str, *sent: Sent) -> list[str]:
    """Return the leaks in a log text; no value of these requests may be in it."""
    return _in(text, _FORBIDDEN, set().union(*(one.all for one in sent)))


def check_response(method: str, path: str, status: int, headers: Mapping[str, str], body: str, sent: Sent) -> None:
    """Fail if a response has a leak."""
    STATUSES.add(status)
    _fail(f"{method} {path}, {status}", in_response(path, status, headers, body, sent))


def check_log(text: str, *sent: Sent) -> None:
    """Fail if the log of these requests has a leak."""
    LINES.update(re.findall(r'"route":"([^"]*)"', text))
    _fail("The log", in_log(text, *sent))


def _fail(where: str, leaks: list[str]) -> None:
    messages = [f"{where} shows {leak}" for leak in leaks]
    FOUND.extend(messages)
    assert not messages, "\n".join(messages)


def _in(text: str, patterns: Mapping[str, str], sent: Collection[str]) -> list[str]:
    found = [f"{what}, {match[0]}" for what, pattern in patterns.items() if (match := re.search(pattern, text))]
    return found + [f"what was sent, {one}" for one in sent if any(form in text for form in _forms(one))]


def _forms(text: str) -> set[str]:
    """Return a text as it is and as JSON writes it."""
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _without(value: Any, names: Collection[str]) -> Any:
    if isinstance(value, dict):
        is_problem = "type" in value  # the title of a problem is a fixed text
        kept = {name: inner for name, inner in value.items() if is_problem or name not in names}
        return {name: _without(inner, names) for name, inner in kept.items()}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value


@functools.lru_cache(256)  # callers send many requests with one token
def _claims(token: str) -> dict[str, Any]:
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    except (IndexError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _texts(body: str | bytes) -> Iterator[str]:
    """Return the strings in a JSON body, or the whole body if it is not JSON."""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    try:
        yield from _strings(json.loads(text))
    except (ValueError, RecursionError):
        yield text.strip()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _strings(inner)


@pytest.fixture(scope="session", autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail the last test of a process if any test in it found a leak; active in every conftest.py that imports it."""
    yield
    assert FOUND == []
