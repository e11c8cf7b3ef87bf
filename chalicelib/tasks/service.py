"""What a user can do with tasks: create, read, list, update and delete them."""

import time

from chalicelib.config import settings
from chalicelib.dynamodb import pages, records, shards, table, updates
from chalicelib.dynamodb.records import Counter
from chalicelib.principals import User
from chalicelib.problems import ValidationFailed
from chalicelib.tasks import items
from chalicelib.tasks.model import AllTasksPage, AllTasksQuery, NewTask, Task, TaskChanges, TaskPage, TaskQuery
from chalicelib.values import IdempotencyKey, RateLimit, creation_time, new_id, timestamp


def limits() -> list[RateLimit]:
    """Return the limit of the tasks that a user may create, if the stage has one."""
    quota = settings.tasks_per_user_and_minute
    return [RateLimit("tasks", quota, 60)] if quota else []


def create(user: User, new: NewTask, key: IdempotencyKey | None) -> tuple[Task, bool]:
    """Create a task; return it, and whether an earlier request with the same key has created it.

    Raises IdempotencyKeyReused, TooManyRequests, Conflict, Unavailable.
    """
    counters = [Counter(limit, f"TASKS#{user.sub}") for limit in limits()]
    task_id = new_id(time.time_ns())
    task = items.new_task(new, task_id, creation_time(task_id))
    earlier_id = records.create(items.to_item(user, task), "tasks", key, counters)
    if earlier_id is None:
        return task, False
    return items.new_task(new, earlier_id, creation_time(earlier_id)), True


def read(user: User, task_id: str) -> Task:
    """Return a task of the user; raises NotFound, Unavailable."""
    return items.to_task(table.require(items.key(user, task_id)))


def update(user: User, task_id: str, changes: TaskChanges, versions: frozenset[int] | None) -> Task:
    """Apply the members that are set and return the task; `versions` are those to update, None for any.

    Raises NotFound, VersionMismatch, Conflict, Unavailable.
    """
    new, index_keys = items.to_changes(changes), items.index_keys(task_id)
    key = items.key(user, task_id)
    return items.to_task(updates.update(key, new, versions, timestamp(time.time_ns()), index_keys))


def delete(user: User, task_id: str, versions: frozenset[int] | None) -> None:
    """Delete a task; `versions` are those to delete, None for any. Raises NotFound, VersionMismatch, Unavailable."""
    table.delete(items.key(user, task_id), versions)


def list_tasks(user: User, query: TaskQuery) -> TaskPage:
    """Return one page of a user's tasks: newest first or, of one status, soonest due first.

    Raises ValidationFailed, InvalidCursor, Unavailable.
    """
    if query.status is None:
        given = [name for name in ("due_after", "due_before") if getattr(query, name) is not None]
        if given:
            raise ValidationFailed([{"parameter": name, "detail": "requires `status`"} for name in given])
        range_ = items.newest_first(user)
    else:
        range_ = items.soonest_due_first(user, query.status, query.due_after, query.due_before)
    found, next_cursor = pages.page(range_, query.limit, query.cursor)
    return TaskPage([items.to_task(item) for item in found], len(found), next_cursor)


def list_all_tasks(admin: User, query: AllTasksQuery) -> AllTasksPage:
    """Return one page of the tasks of all users that have a status, oldest first; raises InvalidCursor, Unavailable."""
    partitions = items.status_partitions(query.status)
    scope = [admin.sub, "all tasks", query.status]
    found, next_cursor = shards.page(
        partitions, query.limit, query.cursor, scope, lambda item: bool(item["status"] == query.status)
    )
    return AllTasksPage([items.to_owned_task(item) for item in found], len(found), next_cursor)
