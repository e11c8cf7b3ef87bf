"""What a task is: its members, their limits and the rules between them."""

import re
import secrets
from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from chalicelib.values import BLANK, VISIBLE

# Neither control characters nor lone surrogates; `$` would let a last line feed pass. What the API's document shows says the
# same in the words that regular expressions of all languages share (JSON Schema, "Regular Expressions").
_LINE = rf"^{VISIBLE}[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]*(?![\s\S])"
_LINES = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\ud800-\udfff]*(?![\s\S])"
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]((?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-5][0-9])"
)
_CANONICAL_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Instant(str):
    """A moment in UTC, to the second, of fixed width, so that text order is time order: 2030-01-31T09:00:00Z."""

    __slots__ = ()
    rule = "an RFC 3339 instant with a zone, such as 2030-01-31T09:00:00Z, in the years 0001 to 9999 of UTC"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read RFC 3339, section 5.6; a fraction of a second is cut off. Raises ValueError for anything else.

        An offset may lack its colon, as the Python client of openapi-generator writes it.
        """
        match = isinstance(text, str) and _RFC_3339.fullmatch(text)
        if not match:
            raise ValueError(cls.rule)
        date, clock, zone = match.groups()
        try:
            moment = datetime.fromisoformat(f"{date}T{clock}{zone.upper()}").astimezone(UTC)
        except OverflowError as error:
            raise ValueError(cls.rule) from error
        return cls(f"{moment.replace(tzinfo=None).isoformat()}Z")


Title = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=_LINE,
        extra_json_schema={"x-pattern": rf"^[^\x00-\x1f\x7f-\x9f]*[^{BLANK}][^\x00-\x1f\x7f-\x9f]*$"},
        description="text of 1 to 200 characters, one of them visible, without control characters",
    ),
]
Description = Annotated[
    str,
    Meta(
        max_length=4000,
        pattern=_LINES,
        extra_json_schema={"x-pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"},
        description="text of at most 4000 characters, without control characters other than tab and line ends, which are"
        " kept as line feeds",
    ),
]
Status = Annotated[Literal["pending", "in_progress", "done"], Meta(description="one of pending, in_progress and done")]


_SECOND = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
TaskId = Annotated[str, Meta(pattern=f"^{_CANONICAL_UUID7.pattern}$", description="a UUIDv7, which sorts by creation")]
Due = Annotated[str, Meta(pattern=f"^{_SECOND}Z$", description="UTC, to the second")]
Timestamp = Annotated[str, Meta(pattern=rf"^{_SECOND}\.[0-9]{{3}}Z$", description="UTC, to the millisecond")]
Version = Annotated[int, Meta(ge=1, description="1 at creation, one more with each change")]


class Task(Struct, frozen=True):
    """A task as its owner sees it; the order of the members is their order in every answer."""

    task_id: TaskId
    title: Title
    description: Description
    status: Status
    due_at: Due | None
    created_at: Timestamp
    updated_at: Timestamp
    version: Version


class NewTask(Struct, frozen=True):
    """What a caller may say of a new task; null for what need not be there means its default."""

    title: Title
    description: Description | None = ""
    status: Status | None = "pending"
    due_at: Instant | None = None


class TaskChanges(Struct, frozen=True):
    """A merge patch (RFC 7396): a member not sent stays as it is, null clears `due_at` and empties `description`."""

    title: Title | UnsetType = UNSET
    description: Description | None | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    due_at: Instant | None | UnsetType = UNSET


class OwnedTask(Task, frozen=True):
    """A task as an admin sees it: with the `sub` of its owner."""

    owner: Annotated[str, Meta(description="the `sub` of the user")]


def is_task_id(text: str) -> bool:
    """Tell whether the text is a UUIDv7 in its canonical spelling, the only one that names a task."""
    return _CANONICAL_UUID7.fullmatch(text) is not None


def new_task_id(nanoseconds: int) -> str:
    """Return a UUIDv7 of that time since the epoch; ids of one clock sort by it to a quarter of a microsecond.

    RFC 9562, section 5.7, with the fraction of the millisecond in rand_a (section 6.2, method 3).
    """
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return str(UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)))


def timestamp(nanoseconds: int) -> str:
    """Return that time since the epoch as RFC 3339 in UTC with milliseconds: 2030-01-31T09:00:00.000Z."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()}.{rest // 1_000_000:03d}Z"
