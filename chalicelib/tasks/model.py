"""What a task is: its members and their limits."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chalicelib.values import (
    Cursor,
    Id,
    Instant,
    Limit,
    NextCursor,
    QueryInstant,
    Second,
    Timestamp,
    Version,
    described,
    text,
)

Title = Annotated[str, text("text of 1 to 200 characters, one of them visible, without control characters", 200)]
Description = Annotated[
    str,
    text(
        "text of at most 4000 characters, without control characters other than tab and line ends, which are kept as"
        " line feeds",
        4000,
        allowed="\t\n",
        visible=False,
    ),
]
Status = Annotated[Literal["pending", "in_progress", "done"], Meta(description="one of: pending, in_progress, done")]


class Task(Struct, frozen=True):
    """A task as its owner sees it; the order of the members is their order in every response."""

    task_id: Id
    title: Title
    description: Description
    status: Status
    due_at: Second | None
    created_at: Timestamp
    updated_at: Timestamp
    version: Version


class OwnedTask(Task, frozen=True):
    """A task as an admin sees it: with the `sub` of its owner."""

    owner: Annotated[str, Meta(description="the `sub` of the user")]


class NewTask(Struct, frozen=True):
    """The members of a new task; null for an optional one means its default."""

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


class TaskQuery(Struct, frozen=True):
    """Which tasks to list: all, newest first, or those of one status, soonest due first."""

    status: Status | None = None
    due_after: Annotated[
        QueryInstant | None, described("Those due then or later; a fraction of a second is cut off. Requires `status`.")
    ] = None
    due_before: Annotated[
        QueryInstant | None, described("Those due earlier; a fraction of a second is cut off. Requires `status`.")
    ] = None
    limit: Limit = Limit(25)
    cursor: Cursor | None = None


class AllTasksQuery(Struct, frozen=True):
    """Which tasks of all owners to list: those of one status, oldest first."""

    status: Status
    limit: Limit = Limit(25)
    cursor: Cursor | None = None


class TaskPage(Struct, frozen=True):
    """Part of a list; `next_cursor` leads to the rest and is null exactly when nothing follows."""

    tasks: list[Task]
    count: Annotated[int, described("How many tasks this page has.")]
    next_cursor: NextCursor


class AllTasksPage(Struct, frozen=True):
    """Part of a list; `next_cursor` leads to the rest and is null exactly when nothing follows."""

    tasks: list[OwnedTask]
    count: Annotated[int, described("How many tasks this page has.")]
    next_cursor: NextCursor
