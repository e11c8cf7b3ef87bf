"""What the words of a view mean to a reader of the API: headers, answers, examples."""

from typing import Any

from msgspec import structs

from chalicelib import RELEASE, auth, lists, problems, sms, task, tasks, text, web
from chalicelib.call import Call
from chalicelib.problems import Problem
from chalicelib.task import Task

INTRODUCTION = """\
A **user** signs in to Amazon Cognito and sends the ID token of the web client. A **machine** gets an access token by OAuth
client credentials, and keeps it until it expires. Somebody else's task is 404, like one that never was.

An **error** is a problem of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457); its `instance` is the id of the request.
After a 503 or a lost answer, the same request with the same `Idempotency-Key` is safe. A query parameter or a member of a
body that is not known here is refused, never ignored. A body has at most 64 KiB and 20 levels.

A path that is not listed here is 404 `not-found`, and so is a
method; where no gateway stands in front, a method is 405 `method-not-allowed`.
"""
TAGS = {
    "tasks": "The tasks of a user.",
    "admin": "The tasks of all users, for admins.",
    "sms": "Text messages, for machines.",
    "service": "The API itself.",
}
SECURITY = {
    "users": f"Takes {auth.USERS}.",
    "machines": f"Takes {auth.MACHINES}.",
    "any_user": f"Takes {auth.ANY_USER}.",
}
KEY = "1 to 255 visible ASCII characters, bare or quoted. For 24 hours the same key with the same body is the same call: it gives the first answer again, and nothing is done twice."  # noqa: E501 - one text
_TAGS = r'(W/)?"[!#-~]*"'
_ONE_OF_THESE = {"pattern": rf"^(\*|{_TAGS}([ \t]*,[ \t]*{_TAGS})*)$"}
_KEY = {"pattern": r'^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$'}
_ETAG = {"pattern": '^"[1-9][0-9]*"$', "examples": ['"1"']}
HEADERS_SENT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "call.key": ("Idempotency-Key", KEY, _KEY),
    "call.required_key": ("Idempotency-Key", KEY, _KEY),
    "call.if_match": (
        "If-Match",
        'Write only if the task still has one of these ETags, such as `"1"`; `*` for whichever it has. A tag that a proxy has made weak, or given a suffix for its compression, counts as the version that it names.',  # noqa: E501 - one text
        _ONE_OF_THESE,
    ),
    "call.knows": ("If-None-Match", 'Answer 304 if the task still has one of these ETags, such as `"1"`.', _ONE_OF_THESE),
}
HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Access-Control-Allow-Origin": ("The one web origin that a browser may call from.", {}),
    "Cache-Control": ("No answer may be kept.", {"const": "no-store"}),
    "Content-Security-Policy": ("What the page may load: itself.", {}),
    "ETag": ("The version of the task, in quotes.", _ETAG),
    "Idempotency-Replayed": ("An earlier call with the same key did it already.", {"const": "true"}),
    "Location": ("The path of the new task.", {"pattern": "/tasks/[0-9a-f-]{36}$"}),
    "Retry-After": ("After how many seconds to try again.", {"pattern": "^[1-9][0-9]*$"}),
    "WWW-Authenticate": (
        "The scheme that would do. A gateway may call this header x-amzn-Remapped-WWW-Authenticate.",
        {"const": "Bearer"},
    ),
    "X-Content-Type-Options": ("The type is what it says.", {"const": "nosniff"}),
    "X-Request-Id": ("The id of this request; quote it when you report a problem.", {"pattern": "^[0-9a-f-]{36}$"}),
}
ALWAYS = ("Access-Control-Allow-Origin", "Cache-Control", "X-Content-Type-Options", "X-Request-Id")
SOMETIMES = ("Idempotency-Replayed", "WWW-Authenticate")
REPLAYED = ("Idempotency-Replayed",)
ANSWERS: dict[str, tuple[int, str, Any, tuple[str, ...]]] = {
    "call.knows": (304, "You have it already.", None, ("ETag",)),
    "tasks.of_all": (200, "A page.", lists.Page[task.OwnedTask], ()),
    "tasks.page": (200, "A page.", lists.Page[Task], ()),
    "web.accepted": (202, "What became of the text: accepted is not delivered.", text.Receipt, ()),
    "web.created": (201, "The task.", Task, ("ETag", "Location")),
    "web.document": (200, "This document.", dict[str, Any], ()),
    "web.done": (204, "It is gone.", None, ()),
    "web.greeting": (200, "A greeting.", web.Greeting, ()),
    "web.healthy": (200, "It answers.", web.Health, ()),
    "web.reference": (200, "A page.", str, ("Content-Security-Policy",)),
    "web.shown": (200, "The task.", Task, ("ETag",)),
}
TASK = Task(
    "01a1f8ac-b459-7dd5-a160-0ddd8d7fcf8f", "Buy milk", "", "pending", "2030-01-31T09:00:00Z",
    "2026-11-20T11:17:10.361Z", "2026-11-20T11:17:10.361Z", 1,
)  # fmt: skip
OWNED = task.OwnedTask(**structs.asdict(TASK), owner="0d6f4b1c-6d0c-4b8e-9a53-0f5b2b0f3c11")
EXAMPLES: dict[Any, object] = {
    Task: TASK,
    task.NewTask: {"title": "Buy milk", "due_at": "2030-01-31T10:00:00+01:00"},
    task.TaskChanges: {"status": "done"},
    lists.Page[Task]: lists.Page([TASK], 1, None),
    lists.Page[task.OwnedTask]: lists.Page([OWNED], 1, None),
    text.Text: {"to": "+12025550100", "message": "Your order is on its way"},
    text.Receipt: text.Receipt("a8e065ab-2f5b-4a11-91f3-734047dbd447", "sent"),
    web.Greeting: web.Greeting("Hello, authenticated user!", "0d6f4b1c-6d0c-4b8e-9a53-0f5b2b0f3c11"),
    web.Health: web.Health("ok", RELEASE),
}
REQUEST_ID = "a38a6283-0783-4097-bbf4-1e02912c0ca5"
WITH: dict[type[Problem], tuple[Any, ...]] = {
    problems.Invalid: ([{"pointer": "/title", "detail": "is required"}],),
    problems.MethodNotAllowed: ("GET, POST",),
    problems.TooManyRequests: (42,),
    problems.Unauthorized: (auth.USERS,),
    problems.VersionMismatch: (2,),
}
PROBLEMS = {kind.__name__: kind(*WITH.get(kind, ())) for kind in Problem.__subclasses__()}
SPOKEN_OF = {"call": Call, "sms": sms, "tasks": tasks, "web": web}
