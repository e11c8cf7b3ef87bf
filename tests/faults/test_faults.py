"""Each operation under each fault, over sockets: the response matches what is stored, and the next request succeeds.

fault_table.py has the expected outcomes.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from chalicelib.auth import tokens
from tests.support import faults, pool
from tests.support.fault_runner import UNKNOWN, Run, run
from tests.support.fault_table import CASES, MILLISECONDS, OPERATIONS, Case, render
from tests.support.local_server import TIMEOUT
from tests.support.people import Person
from tests.support.testbed import Testbed

THREADS = 96  # most of them wait


def of(*starts: str) -> pytest.MarkDecorator:
    """Parametrize a test with the cases of the operations that start with one of these."""
    return pytest.mark.parametrize("case", [case for case in CASES if case.operation.startswith(starts)], ids="/".join)


@pytest.fixture(scope="module")
def runs(own_testbed: Testbed) -> Iterator[dict[Case, Future[Run]]]:
    """Run all cases at the same time, and print the table."""
    with ThreadPoolExecutor(THREADS) as threads:
        with own_testbed.instance() as instance:
            for title in ("first", "second"):
                status = instance(pool.id_claims(), "POST", "/tasks", {"title": title, "status": "in_progress"}).status
                assert status == 201
        runs = {case: threads.submit(run, own_testbed, case) for case in CASES}
        yield runs
    done = {case: future.result() for case, future in runs.items() if not future.exception()}
    print("", render({case: run.cell for case, run in done.items()}), sep="\n")


@of("")
def test_each_operation_under_each_fault_has_the_outcome_of_the_table(runs: dict[Case, Future[Run]], case: Case) -> None:
    run = runs[case].result()
    outcome, attempts = case.expected
    assert run.outcome == outcome, run.response
    if outcome == "done":
        assert run.response.status == OPERATIONS[case.operation].status
    assert b"secret" not in run.response.body
    if outcome == "503":
        assert run.response.problem == (503, "unavailable")
        assert run.response.headers["Retry-After"] == "1"
    calls_at_deadline = case.operation.startswith("board") and case.fault in MILLISECONDS  # all of them run at the same time
    if OPERATIONS[case.operation].calls == 1 or outcome == "done" or calls_at_deadline:
        assert run.attempts - OPERATIONS[case.operation].calls + 1 in attempts


@of("create")
def test_a_create_under_a_fault_stores_one_task_if_it_succeeds_and_never_two(
    runs: dict[Case, Future[Run]], case: Case
) -> None:
    run = runs[case].result()
    new = [task for task in run.after.tasks if task["title"] == "new"]
    if run.outcome == "done":
        assert [(task["SK"], task["version"]) for task in new] == [(f"TASK#{run.response.json['task_id']}", 1)]
    assert len(new) <= min(1, run.executed)
    assert run.retry.status == 201
    if case.operation == "create with a key":
        assert ("Idempotency-Replayed" in run.retry.headers) == (new != [])
        assert len(run.after_retry.tasks) == 2
    else:
        assert len(run.after_retry.tasks) == len(run.after.tasks) + 1


@of("read", "list", "board")
def test_a_read_under_a_fault_is_complete_or_fails(runs: dict[Case, Future[Run]], case: Case) -> None:
    run = runs[case].result()
    assert run.retry.status == 200
    (task,) = run.before.tasks
    if case.operation.startswith("board"):
        assert [task["title"] for task in run.retry.json["tasks"]] == ["first", "second"]
    else:
        (shown,) = run.retry.json.get("tasks", [run.retry.json])
        assert (f"TASK#{shown['task_id']}", shown["title"]) == (task["SK"], "old")
    if run.outcome == "done":
        assert run.response.body == run.retry.body
    assert run.before == run.after == run.after_retry


@of("change")
def test_a_change_under_a_fault_is_made_once_if_it_succeeds_and_never_twice(
    runs: dict[Case, Future[Run]], case: Case
) -> None:
    run = runs[case].result()
    (task,) = run.after.tasks
    if run.outcome == "done":
        assert (run.response.json["version"], run.response.json["title"]) == (2, "new")
        assert task["version"] == 2
    assert (task["version"], task["title"]) == ((2, "new") if task != run.before.tasks[0] else (1, "old"))
    assert task == run.before.tasks[0] or run.executed > 0
    (last,) = run.after_retry.tasks
    if case.operation == "change this version" and task["version"] == 2:
        assert run.retry.problem == (412, "precondition-failed")
        assert run.retry.etag == '"2"'
        assert last == task
    else:
        assert run.retry.status == 200
        assert int(last["version"]) == int(task["version"]) + 1


@of("delete")
def test_a_delete_under_a_fault_removes_the_task_or_leaves_it_unchanged(runs: dict[Case, Future[Run]], case: Case) -> None:
    run = runs[case].result()
    if run.outcome == "done":
        assert run.after.tasks == []
    assert run.after.tasks == run.before.tasks or run.executed > 0
    assert run.retry.status == (204 if run.after.tasks else 404)
    assert run.after_retry.tasks == []


@of("replay")
def test_a_replay_under_a_fault_repeats_the_first_response_and_writes_nothing(
    runs: dict[Case, Future[Run]], case: Case
) -> None:
    run = runs[case].result()
    assert run.first
    assert run.before == run.after == run.after_retry
    assert len(run.before.tasks) + run.before.sms_messages == (2 if case.operation == "replay of a create" else 1)
    for response in [run.retry, run.response] if run.outcome == "done" else [run.retry]:
        assert (response.body, response.headers["Idempotency-Replayed"]) == (run.first.body, "true")


@of("SMS")
def test_an_sms_message_under_a_fault_is_sent_once_if_the_request_succeeds_and_never_twice(
    runs: dict[Case, Future[Run]], case: Case
) -> None:
    run = runs[case].result()
    record = run.after.record
    assert (
        run.after.sms_messages
        == run.forwarded["Publish"]
        == {"done": 1, "unknown": run.forwarded["Publish"]}.get(run.outcome, 0)
    )
    assert run.after.counted == (record is not None)
    if run.outcome in {"done", "unknown"}:
        assert record is not None
    if case.operation == "SMS: cancel":
        assert (record is None) == (run.executed > 0)
    if record is None:  # key and limits are free, so the retry sends the message
        assert (run.retry.status, run.retry.json["status"]) == (202, "sent")
        assert "Idempotency-Replayed" not in run.retry.headers
        assert run.after_retry.sms_messages == run.after.sms_messages + 1 == 1
        return
    assert run.after_retry == run.after
    if "message_id" not in record:  # 409 until the function's time is over, as it may be on a busy machine
        assert run.retry.status == 409 or run.retry.json == UNKNOWN
    elif run.outcome == "done":
        assert run.retry.body == run.response.body
    else:
        assert run.retry.json["message_id"] == (record["message_id"] or None)


KEY_SERVER = {
    "throttled": faults.service_error("TooManyRequestsException", "", status=429),
    "500": faults.internal_error,
    "reset before": faults.reset_before,
    "reset after": faults.reset_after,
    "truncated": faults.truncated,
    "garbled": faults.garbled,
    "HTML page": faults.html_page,
}
"""Faults that fail at once; test_hanging_peers.py and test_hello.py cover timeouts."""


@pytest.mark.parametrize("path", ["/tasks", "/hello"])
@pytest.mark.parametrize("fault", KEY_SERVER)
def test_a_failing_key_server_gives_503_and_the_next_request_succeeds(
    testbed: Testbed, keys: pool.KeyServer, monkeypatch: pytest.MonkeyPatch, alice: Person, fault: str, path: str
) -> None:
    route = testbed.proxy.route(keys.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", route.url)
    tokens.jwks_client().timeout = TIMEOUT  # none of these faults is a timeout
    route.plan("GET", [KEY_SERVER[fault]])
    response = alice("GET", path)
    assert response.problem == (503, "unavailable")
    assert response.headers["Retry-After"] == "1"
    assert alice("GET", path).status == 200
    assert route.seen["GET"] == 2
