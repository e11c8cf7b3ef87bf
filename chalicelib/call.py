"""The request that is being answered, as typed values; asking for one that is not as it must be raises its problem."""

import math
import re
import threading
import time
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar, cast

import msgspec
from chalice.app import Request

from chalicelib import auth, etags, idempotency, inputs
from chalicelib.caller import Caller, Machine
from chalicelib.idempotency import Key
from chalicelib.inputs import Checked
from chalicelib.problems import BodyTooLarge, IdempotencyKeyRequired, Invalid, Malformed, Unauthorized, UnsupportedMediaType
from chalicelib.task import Task

Who = TypeVar("Who", Caller, Machine, str)

_LISTS = {("GET", "/tasks"), ("GET", "/admin/tasks")}
_LARGEST_BODY = 64 * 1024
_PARAMETER = re.compile(r""";[ \t]*([^=;" \t]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;"]*)""")
_UTF_8 = re.compile(r'[ \t]*"?utf-?8"?[ \t]*', re.IGNORECASE)
_REQUEST_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Call(threading.local):
    """The request that this thread is answering; what it asks for that is not as it must be raises its problem."""

    request: Request
    id: str
    """What caller and operator call this request: the gateway's id of it, which a client can choose."""
    write: str
    """What signs its writes: an id of ours, and new, since a write that bears it is taken for this request's own."""
    failure: BaseException | None
    """What Chalice has caught and logged while answering."""
    outcome: str | None
    """What came of a text, which the status does not tell, for the log."""

    def begin(self, request: Request) -> None:
        """Take the place of the last request."""
        self.__dict__.clear()
        self.request, self.failure, self.outcome = request, None, None
        self.write = str(uuid.uuid4())
        gateways = request.context.get("requestId") or ""
        self.id = gateways if _REQUEST_ID.fullmatch(gateways) else self.write

    @property
    def user(self) -> Caller:
        """The signed-in user; raises Unauthorized, Unavailable, Invalid."""
        return self._without_parameters(auth.user(self._claims(auth.USERS), self.write))

    @property
    def admin(self) -> Caller:
        """The signed-in user, who is an admin; raises Unauthorized, Forbidden, Unavailable."""
        return self._without_parameters(auth.admin(self._claims(auth.USERS), self.write))

    @property
    def machine(self) -> Machine:
        """The machine with the scope for texts; raises Unauthorized, Unavailable, Invalid."""
        context = cast("Any", self.request.lambda_context)
        busy_until = math.ceil(time.time() + context.get_remaining_time_in_millis() / 1000)
        return self._without_parameters(auth.machine(self._claims(auth.MACHINES), self.write, busy_until))

    @property
    def username(self) -> str:
        """The name of the user, whichever kind of token came; raises Unauthorized, Unavailable, Invalid."""
        context = self.request.context
        if auth.behind_the_gateway(context):
            name = auth.authorizer(context).get("username")
        else:
            name = auth.username(auth.verified(self._header("authorization") or "", auth.ANY_USER))
        if name is None:
            raise Unauthorized(auth.ANY_USER)
        return self._without_parameters(str(name))

    def body(self, wanted: type[Checked]) -> Checked:
        """Return the body as this type; raises Malformed, BodyTooLarge, UnsupportedMediaType, Invalid."""
        if not isinstance(self._json, dict):
            raise Invalid([{"pointer": "", "detail": "must be a JSON object"}])
        return inputs.checked(self._json, wanted, "pointer")

    def query(self, wanted: type[Checked]) -> Checked:
        """Return the query string as this type; raises Invalid."""
        parameters = self.request.to_original_event()["multiValueQueryStringParameters"] or {}
        repeated = [
            inputs.error("parameter", name, "is given more than once") for name, all_ in parameters.items() if len(all_) > 1
        ]
        if repeated:
            raise Invalid(repeated[: inputs.MOST_ERRORS])
        return inputs.checked({name: value for name, (value,) in parameters.items()}, wanted, "parameter")

    @property
    def if_match(self) -> frozenset[int] | None:
        """The versions that the caller has in mind, None for any; raises Malformed."""
        header = self._header("if-match")
        return None if header is None else etags.versions(header)

    @property
    def key(self) -> Key | None:
        """The Idempotency-Key with the body that it came with, if any came; raises Malformed."""
        header = self._header("idempotency-key")
        return None if header is None else idempotency.key(header, self._json)

    def knows(self, task: Task) -> bool:
        """Tell whether the caller says to have this version already; raises Malformed."""
        header = self._header("if-none-match")
        if header is None:
            return False
        versions = etags.versions(header)
        return versions is None or task.version in versions

    @property
    def required_key(self) -> Key:
        """The Idempotency-Key with the body that it came with; raises IdempotencyKeyRequired, Malformed."""
        key = self.key
        if key is None:
            raise IdempotencyKeyRequired
        return key

    def _claims(self, wanted: str) -> Mapping[str, Any]:
        return auth.claims(self.request.context, self._header("authorization") or "", wanted)

    def _without_parameters(self, who: Who) -> Who:
        """Return who is calling, which is settled before a query string is refused; raises Invalid."""
        self.refuse_parameters()
        return who

    def refuse_parameters(self) -> None:
        """Raise Invalid for a query string, unless the route is a list."""
        if (self.request.method, self.request.path) not in _LISTS:
            self.query(msgspec.Struct)

    @cached_property
    def _json(self) -> object:
        try:
            raw = cast("bytes", self.request.raw_body)
        except ValueError as error:
            message = "The body is not Base64, though the event says so."
            raise Malformed(message) from error
        if len(raw) > _LARGEST_BODY:
            message = f"A body has at most {_LARGEST_BODY} bytes."
            raise BodyTooLarge(message)
        content_type = self._header("content-type") or "application/json"
        media_type = content_type.partition(";")[0].strip().lower()
        known = ["application/json"] + ["application/merge-patch+json"] * (self.request.method == "PATCH")
        if raw and media_type not in known:
            message = f"Send the body as {' or '.join(known)}."
            raise UnsupportedMediaType(message)
        if raw and any(
            name.lower() == "charset" and not _UTF_8.fullmatch(value) for name, value in _PARAMETER.findall(content_type)
        ):
            message = "Send the body in UTF-8, and with no other charset in its Content-Type."
            raise UnsupportedMediaType(message)
        return inputs.parse(raw)

    def _header(self, name: str) -> str | None:
        """Return a header without the white space around it (RFC 9110, section 5.6.3).

        One that was sent on several lines is the list of them (section 5.3).
        """
        several = self.request.to_original_event().get("multiValueHeaders") or {}
        lines = [line for key, lines in several.items() if key.lower() == name for line in lines]
        if not lines and name in self.request.headers:
            lines = [self.request.headers[name]]
        return ", ".join(line.strip(" \t") for line in lines) if lines else None


call = Call()
