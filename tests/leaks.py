"""What no answer and no log line may show: conftest.py, stand.py and e2e look at all of theirs with this.

Looked for are the forms of tokens, addresses, numbers, table keys and stack traces, and whatever the request itself has sent.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jwt

from chalicelib.lists import Limit
from chalicelib.task import Instant
from tests import documented

FOUND: list[str] = []
"""Each leak that these tests have seen, and where."""
STATUSES: set[int] = set()
LINES: set[str] = set()
"""The statuses of the answers that were looked at, and the routes of the log lines."""

_NOWHERE = {
    "a token": r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}",
    "an e-mail address": r"[\w.+-]+@[\w-]+\.\w+",
    "a phone number": r"\+[1-9][0-9]{6,14}",
    "a table key": r"\b(?:USER|TASK|CLIENT|LIMIT|STATUS|IDEMPOTENCY|TO)#|\b(?:PK|SK|LSI1SK|GSI1PK|GSI1SK|fingerprint)\b",
}
_NOT_IN_ANSWERS = {
    "a stack trace": r"Traceback|\bFile \\?\"|\.py\b|\bline [0-9]+, in\b",
    "a word of AWS": r"arn:aws|[a-z]+Exception\b|botocore|ConditionalCheck",
}
_SHORTEST = 6  # characters; what is shorter may stand somewhere by chance
_SHORTEST_KEY = 4
_FILES = {"/openapi.json", "/docs"}  # which hold nothing of a request, and examples of what is looked for
_OF_A_CLIENT = {"title", "description", "user", "pointer", "parameter"}  # shown to the one who sent it, or a name


def _rules(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (text for name, text in part.items() if name == "description" and isinstance(text, str))
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _rules(inner)


_RULES = sorted({Instant.rule, Limit.rule, *_rules(documented.DOCUMENT["components"]["schemas"])}, key=len, reverse=True)


class Sent:
    """What a request says: who sends it, with which key, and all its values; the names of members are no secret."""

    def __init__(self, headers: Mapping[str, str], body: str | bytes | None, values: Collection[str | None] = ()) -> None:
        given = {name.lower(): value for name, value in headers.items()}
        token = re.sub("^bearer ", "", given.get("authorization", ""), flags=re.IGNORECASE)
        key = given.get("idempotency-key", "")
        self.secrets = {part for part in token.split(".") if len(part) >= _SHORTEST}
        self.secrets |= {key} if len(key) >= _SHORTEST_KEY else set()
        texts = [*_claims(token), *_texts(body or ""), *values, given.get("if-match"), given.get("if-none-match")]
        self.all = self.secrets | {text for text in texts if text and len(text) >= _SHORTEST}


def in_answer(path: str, status: int, headers: Mapping[str, str], body: str, sent: Sent) -> list[str]:
    """Return what an answer shows that it may not; a refusal shows nothing of what was sent."""
    if path in _FILES and status == 200:
        return []
    try:
        shown = json.dumps(_without(json.loads(body), _OF_A_CLIENT), ensure_ascii=False) if body else ""
    except ValueError:
        shown = body
    for rule in _RULES:
        shown = shown.replace(rule, "")
    ours = [value for name, value in headers.items() if not name.lower().startswith("x-amzn-")]  # which the gateway adds
    return _in(f"{shown}\n{ours}", _NOWHERE | _NOT_IN_ANSWERS, sent.all if status >= 400 else sent.secrets)


def in_log(text: str, sent: Sent) -> list[str]:
    """Return what a text in the log shows that it may not."""
    return _in(text, _NOWHERE, sent.all)


def answered(method: str, path: str, status: int, headers: Mapping[str, str], body: str, sent: Sent) -> None:
    """Look at an answer, and remember what it shows."""
    STATUSES.add(status)
    FOUND.extend(f"{method} {path}, {status}: {what}" for what in in_answer(path, status, headers, body, sent))


def logged(text: str, sent: Sent) -> None:
    """Look at what was logged, and remember what it shows."""
    LINES.update(re.findall(r'"route":"([^"]*)"', text))
    FOUND.extend(f"The log shows {what}" for what in in_log(text, sent))


def _in(text: str, patterns: Mapping[str, str], sent: Collection[str]) -> list[str]:
    found = [f"{what}, {match[0]}" for what, pattern in patterns.items() if (match := re.search(pattern, text))]
    return found + [f"what was sent, {one}" for one in sent if one in text or json.dumps(one)[1:-1] in text]


def _without(value: Any, names: Collection[str]) -> Any:
    if isinstance(value, dict):
        is_problem = "type" in value  # whose title is ours
        kept = {name: inner for name, inner in value.items() if is_problem or name not in names}
        return {name: _without(inner, names) for name, inner in kept.items()}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value


def _claims(token: str) -> Iterator[str]:
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return
    yield from (str(claims[name]) for name in ("sub", "email", "username", "cognito:username") if name in claims)


def _texts(body: str | bytes) -> Iterator[str]:
    """Return the texts in a body, or the body where it is no JSON."""
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
