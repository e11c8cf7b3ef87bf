"""A program with the client that openapi-python-client generates; run by tests/e2e/test_generated_clients.py."""

import os
from typing import Any

from task_api_client import AuthenticatedClient
from task_api_client.api.tasks import create_task, list_tasks, update_task
from task_api_client.models import NewTask, Task, TaskChanges, TaskChangesStatus, TaskPage, ValidationFailed, VersionMismatch
from task_api_client.types import UNSET


def _create(client: Any, title: str, key: str) -> Any:
    response = create_task.sync_detailed(client=client, body=NewTask(title=title), idempotency_key=key)
    assert isinstance(response.parsed, Task), response
    return response


def _list(client: Any) -> tuple[list[str], int]:
    titles, pages, cursor = [], 0, UNSET
    while cursor is not None:
        page = list_tasks.sync(client=client, limit=2, cursor=cursor)
        assert isinstance(page, TaskPage), page
        titles += [task.title for task in page.tasks]
        pages, cursor = pages + 1, page.next_cursor
    return titles, pages


def main() -> None:
    """Print one line for each thing that a client does."""
    with AuthenticatedClient(os.environ["API"], token=os.environ["TOKEN"]) as client:
        first, again = (_create(client, "Task 0", "key-0") for _ in range(2))
        task, tag = first.parsed, first.headers["ETag"]
        print("created", task.title, task.status, "null" if "Idempotency-Replayed" not in first.headers else "replayed")
        print("again", str(again.parsed.task_id == task.task_id).lower(), again.headers["Idempotency-Replayed"])
        for number in range(1, 5):
            _create(client, f"Task {number}", f"key-{number}")
        titles, pages = _list(client)
        print("listed", ",".join(titles), pages)
        done = update_task.sync(task.task_id, client=client, body=TaskChanges(status=TaskChangesStatus.DONE), if_match=tag)
        assert isinstance(done, Task), done
        print("changed", done.status, done.version)
        stale = update_task.sync_detailed(task.task_id, client=client, body=TaskChanges(title="Other"), if_match=tag)
        assert isinstance(stale.parsed, VersionMismatch), stale
        print("stale", stale.parsed.status, stale.headers["ETag"])
        refused = create_task.sync(client=client, body=NewTask(title=""))
        assert isinstance(refused, ValidationFailed), refused
        print("refused", ",".join(str(error.pointer) for error in refused.errors))


main()
