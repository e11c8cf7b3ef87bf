"""What no answer and no log line may show: whoever in these tests gets an answer or a log looks at it with this.

Looked for are the forms of tokens, addresses, numbers, table keys and stack traces, and whatever the request itself has sent.
"""

import base64
import functools
import json
import re
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from chalicelib.http.api import CORS
from chalicelib.values import Instant, Limit
from tests.support import documented

FOUND: list[str] = []
"""Each leak that was seen in this process, and where; whoever has seen one has failed."""
STATUSES: set[int] = set()
LINES: set[str] = set()
"""The statuses of the answers that were looked at, and the routes of the log lines."""

_NOWHERE = {
    "a token": r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}",
    "an e-mail address": r"[\w.+-]@[\w-]+\.\w+",
    "a phone number": r"\+[1-9][0-9]{6,14}",
    "a table key": r"\b(?:USER|TASK|CLIENT|LIMIT|STATUS|IDEMPOTENCY|TO)#|\b(?:PK|SK|LSI1SK|GSI1PK|GSI1SK|fingerprint)\b",
}
_NOT_IN_ANSWERS = {
    "a stack trace": r"Traceback|\bFile \\?\"|\.py\b|\bline [0-9]+, in\b",
    "a word of AWS": r"arn:aws|[a-z]Exception\b|botocore|ConditionalCheck",
}
_CHANCE = re.compile(r".{,4}|[0-9a-f.:-]{,7}", re.DOTALL)  # may stand somewhere by chance; the digits in an id or a time
_FILES = {"/openapi.json", "/docs"}  # which hold nothing of a request, and examples of what is looked for
_OF_A_CLIENT = {"title", "description", "user", "pointer", "parameter"}  # shown to the one who sent it, or a name


def _members(part: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(part, dict):
        yield from part.items()
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _members(inner)


def _told(part: Any, keyword: str) -> set[str]:
    return {text for name, text in _members(part) if name == keyword and isinstance(text, str)}


_RULES = sorted(
    {Instant.rule, Limit.rule, *_told(documented.DOCUMENT["components"]["schemas"], "description")}, key=len, reverse=True
)
_LINE = "request_id method route status ms outcome sent unknown errors type code frames GET HEAD POST PUT PATCH DELETE OPTIONS TRACE UNKNOWN"
_NAMES = {name for name, _ in _members(documented.DOCUMENT)}
_OURS = " ".join([_LINE, *_NAMES, *_told(documented.DOCUMENT, "const"), *CORS.get_access_control_headers().values()])
"""What stands in answers and log lines by itself: names and fixed texts."""


def _tells(text: str) -> bool:
    """Tell whether this, where it stands, can only come from the client: a fuzzer sends any word that it finds in the code."""
    return not _CHANCE.fullmatch(text) and text not in _OURS


class Sent:
    """What a request says: who sends it, with which key, and all its values; the names of members are no secret."""

    def __init__(self, headers: Mapping[str, str], body: str | bytes | None, values: Collection[str | None] = ()) -> None:
        given = {name.lower(): value for name, value in headers.items()}
        token = re.sub("^bearer[ \t]+", "", given.get("authorization", "").strip(" \t"), flags=re.IGNORECASE)
        key = given.get("idempotency-key", "").strip(" \t")
        texts = [*who(_claims(token)), *_texts(body or ""), *values, given.get("if-match"), given.get("if-none-match")]
        self.secrets = {text for text in [*token.split("."), key] if _tells(text)}
        self.all = self.secrets | {text for text in texts if text and _tells(text)}


def who(claims: Mapping[str, Any]) -> list[str]:
    """Return what claims say of the caller."""
    names = ("sub", "email", "username", "cognito:username", "client_id")
    return [str(claims[name]) for name in names if name in claims]


def values(path: str) -> list[str]:
    """Return what a path says beyond its route: the id of a task, and the values of the query."""
    path, _, query = path.partition("?")
    task = [urllib.parse.unquote(path.removeprefix("/tasks/"))] if path.startswith("/tasks/") else []
    return task + [value for _, value in urllib.parse.parse_qsl(query)]


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


def in_log(text: str, *sent: Sent) -> list[str]:
    """Return what a text in the log shows that it may not, of these requests or of any."""
    return _in(text, _NOWHERE, set().union(*(one.all for one in sent)))


def answered(method: str, path: str, status: int, headers: Mapping[str, str], body: str, sent: Sent) -> None:
    """Look at an answer; fail if it shows what it may not."""
    STATUSES.add(status)
    _fail(f"{method} {path}, {status}", in_answer(path, status, headers, body, sent))


def logged(text: str, *sent: Sent) -> None:
    """Look at what was logged while these requests were answered; fail if it shows what it may not."""
    LINES.update(re.findall(r'"route":"([^"]*)"', text))
    _fail("The log", in_log(text, *sent))


def _fail(where: str, leaks: list[str]) -> None:
    told = [f"{where} shows {leak}" for leak in leaks]
    FOUND.extend(told)
    assert not told, "\n".join(told)


def _in(text: str, patterns: Mapping[str, str], sent: Collection[str]) -> list[str]:
    found = [f"{what}, {match[0]}" for what, pattern in patterns.items() if (match := re.search(pattern, text))]
    return found + [f"what was sent, {one}" for one in sent if any(form in text for form in _forms(one))]


def _forms(text: str) -> set[str]:
    """Return a text as it is, and as it stands in JSON."""
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _without(value: Any, names: Collection[str]) -> Any:
    if isinstance(value, dict):
        is_problem = "type" in value  # whose title is ours
        kept = {name: inner for name, inner in value.items() if is_problem or name not in names}
        return {name: _without(inner, names) for name, inner in kept.items()}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value


@functools.lru_cache(256)  # who calls once calls again
def _claims(token: str) -> dict[str, Any]:
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    except (IndexError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


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
