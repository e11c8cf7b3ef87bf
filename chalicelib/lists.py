"""How tasks are listed: what may be asked for, and the pages that come of it."""

import re
from collections.abc import Callable
from typing import Annotated, Generic, Self, TypeVar

from msgspec import Meta, Struct

from chalicelib.task import Instant, Status, Task

Kind = TypeVar("Kind", bound="Task")


class Bound(Instant):
    """An instant in a query string, where a `+` that was not escaped has become a blank."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read an instant, in which a `+` stands before its offset alone, and a blank nowhere. Raises ValueError."""
        return super().parse(str(text).replace(" ", "+"))


class Limit(int):
    """How many items a page has."""

    __slots__ = ()
    rule = "a whole number from 1 to 100"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read decimal digits as a query string has them. Raises ValueError for anything else."""
        if not (isinstance(text, str) and re.fullmatch(r"[1-9][0-9]?|100", text)):
            raise ValueError(cls.rule)
        return cls(text)


def _told(text: str) -> Meta:
    """Describe a member for the readers of the API; a description of Meta is what an error says that it must be."""
    return Meta(extra_json_schema={"description": text})


Cursor = Annotated[
    str,
    Meta(
        extra_json_schema={
            "x-pattern": "^[A-Za-z0-9_-]+$",
            "description": "The `next_cursor` of the page before, for the same list and filter.",
        }
    ),
]


class TaskQuery(Struct, frozen=True):
    """Which tasks to list: all, newest first, or those of one status, soonest due first."""

    status: Status | None = None
    due_after: Annotated[
        Bound | None, _told("Those due then or later; a fraction of a second is cut off. Needs a status.")
    ] = None
    due_before: Annotated[Bound | None, _told("Those due earlier; a fraction of a second is cut off. Needs a status.")] = (
        None
    )
    limit: Limit = Limit(25)
    cursor: Cursor | None = None


class BoardQuery(Struct, frozen=True):
    """Which tasks of all owners to list: those of one status, oldest first."""

    status: Status
    limit: Limit = Limit(25)
    cursor: Cursor | None = None


class Part(Struct, Generic[Kind], frozen=True):
    """Part of a list, and the position from which the rest follows: None exactly when nothing does."""

    tasks: list[Kind]
    following: str | None

    @classmethod
    def of(cls, found: list[Kind], limit: int, position: Callable[[Task], str]) -> "Part[Kind]":
        """Return the first ones of what was found, which is one more than the limit where something follows."""
        return cls(found[:limit], position(found[limit - 1]) if len(found) > limit else None)


class Page(Struct, Generic[Kind], frozen=True):
    """Part of a list; `next_cursor` leads to the rest and is null exactly when nothing follows."""

    tasks: list[Kind]
    count: Annotated[int, _told("How many tasks this page has.")]
    next_cursor: Annotated[str | None, _told("Send it as `cursor` for the page that follows; null exactly when none does.")]
