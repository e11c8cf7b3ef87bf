"""What a caller can do with tasks: create, read, page, change, remove."""

import time

from chalicelib import board, cursor, ledger, table, update
from chalicelib.caller import Caller
from chalicelib.idempotency import Key
from chalicelib.lists import BoardQuery, Kind, Page, Part, TaskQuery
from chalicelib.problems import Invalid, KeyReused, NotFound, VersionMismatch
from chalicelib.task import NewTask, OwnedTask, Task, TaskChanges, is_task_id, new_task_id, timestamp


def create(caller: Caller, new: NewTask, key: Key | None) -> tuple[Task, bool]:
    """Create a task and tell whether an earlier call with the same key did it already; raises KeyReused, Conflict."""
    now_ns = time.time_ns()
    task = _first_version(new, new_task_id(now_ns), timestamp(now_ns))
    if key is None:
        table.create(caller, task)
        return task, False
    earlier = ledger.create_task(caller, task, key, now_ns)
    if earlier is None:
        return task, False
    if earlier["fingerprint"] != key.fingerprint:
        raise KeyReused
    return _first_version(new, earlier["task_id"], earlier["created_at"]), True


def read(caller: Caller, task_id: str) -> Task:
    """Return a task of the caller; raises NotFound."""
    return table.get(caller, _known(task_id))


def change(caller: Caller, task_id: str, changes: TaskChanges, versions: frozenset[int] | None) -> Task:
    """Apply the members that are set and return the task; raises NotFound, VersionMismatch, Conflict.

    `versions` are those that the caller has in mind, None for whichever it is.
    """
    task_id = _known(task_id)
    if changes != TaskChanges():
        return update.change(caller, task_id, changes, versions, time.time_ns())
    task = table.get(caller, task_id)
    if versions is not None and task.version not in versions:
        raise VersionMismatch(task.version)
    return task


def remove(caller: Caller, task_id: str, versions: frozenset[int] | None) -> None:
    """Delete a task of the caller; raises NotFound, VersionMismatch."""
    table.remove(caller, _known(task_id), versions)


def page(caller: Caller, query: TaskQuery) -> Page[Task]:
    """Return one page: newest first or, of one status, soonest due first; raises Invalid, InvalidCursor."""
    scope = (caller.sub, "tasks", query.status, query.due_after, query.due_before)
    position = None if query.cursor is None else cursor.unseal(query.cursor, *scope)
    if query.status is None:
        _refuse_bounds(query)
        part = table.newest(caller, position, query.limit)
    else:
        part = table.soonest_due(caller, query.status, (query.due_after, query.due_before), position, query.limit)
    return _page(part, scope)


def of_all(admin: Caller, query: BoardQuery) -> Page[OwnedTask]:
    """Return one page of the tasks of all owners that have a status, oldest first; raises InvalidCursor."""
    scope = (admin.sub, "board", query.status)
    position = None if query.cursor is None else cursor.unseal(query.cursor, *scope)
    return _page(board.oldest(query.status, position, query.limit), scope)


def _page(part: Part[Kind], scope: tuple[str | None, ...]) -> Page[Kind]:
    following = None if part.following is None else cursor.seal(part.following, *scope)
    return Page(part.tasks, len(part.tasks), following)


def _refuse_bounds(query: TaskQuery) -> None:
    given = [name for name in ("due_after", "due_before") if getattr(query, name) is not None]
    if given:
        raise Invalid([{"parameter": name, "detail": "needs a status beside it"} for name in given])


def _known(task_id: str) -> str:
    if not is_task_id(task_id):
        raise NotFound
    return task_id


def _first_version(new: NewTask, task_id: str, created_at: str) -> Task:
    due_at = None if new.due_at is None else str(new.due_at)
    description, status = new.description or "", new.status or "pending"
    return Task(task_id, new.title, description, status, due_at, created_at, created_at, version=1)
