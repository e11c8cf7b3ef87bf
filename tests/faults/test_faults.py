"""Each operation under each fault, through real sockets: what is answered is what is written, and the next call works.

The table of faulttable.py says what is to come of each; what is written is read past the faults.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from chalicelib.auth import tokens
from tests.support import faults, pool
from tests.support.fault_runner import UNKNOWN, Run, run
from tests.support.fault_table import CASES, OPERATIONS, Case, printed
from tests.support.local_server import PATIENCE
from tests.support.people import Person
from tests.support.testbed import Ground

AT_ONCE = 96  # of which most wait


def of(*starts: str) -> pytest.MarkDecorator:
    """Choose the cases of the operations whose names start so."""
    return pytest.mark.parametrize("case", [case for case in CASES if case.operation.startswith(starts)], ids="/".join)


@pytest.fixture(scope="module")
def runs(ground_alone: Ground) -> Iterator[dict[Case, Future[Run]]]:
    """Run all the cases, many at once since most of them wait; print what came of them, for whoever looks."""
    with ThreadPoolExecutor(AT_ONCE) as many:
        with ground_alone.instance() as instance:
            for title in ("first", "second"):
                status = instance(pool.id_claims(), "POST", "/tasks", {"title": title, "status": "in_progress"}).status
                assert status == 201
        runs = {case: many.submit(run, ground_alone, case) for case in CASES}
        yield runs
    done = {case: future.result() for case, future in runs.items() if not future.exception()}
    print("", printed({case: run.cell for case, run in done.items()}), sep="\n")


@of("")
def test_each_operation_under_each_fault_is_answered_as_the_table_says(runs: dict[Case, Future[Run]], case: Case) -> None:
    run = runs[case].result()
    outcome, asked = case.expected
    assert run.outcome == outcome, run.answer
    if outcome == "done":
        assert run.answer.status == OPERATIONS[case.operation].status
    assert b"secret" not in run.answer.body
    if outcome == "503":
        assert run.answer.problem == (503, "unavailable")
        assert run.answer.headers["Retry-After"] == "1"
    if OPERATIONS[case.operation].calls == 1 or outcome == "done":
        assert run.asked - OPERATIONS[case.operation].calls + 1 in asked


@of("create")
def test_a_create_under_a_fault_makes_one_task_if_it_was_answered_and_never_two(
    runs: dict[Case, Future[Run]], case: Case
) -> None:
    run = runs[case].result()
    new = [row for row in run.after.tasks if row["title"] == "new"]
    if run.outcome == "done":
        assert [(row["task_id"], row["version"]) for row in new] == [(run.answer.json["task_id"], 1)]
    assert len(new) <= min(1, run.committed)
    assert run.again.status == 201
    if case.operation == "create with a key":
        assert ("Idempotency-Replayed" in run.again.headers) == (new != [])
        assert len(run.in_the_end.tasks) == 2
    else:
        assert len(run.in_the_end.tasks) == len(run.after.tasks) + 1


@of("read", "list", "board")
def test_a_read_under_a_fault_shows_everything_or_fails(runs: dict[Case, Future[Run]], case: Case) -> None:
    run = runs[case].result()
    assert run.again.status == 200
    (task,) = run.before.tasks
    if case.operation.startswith("board"):
        assert [task["title"] for task in run.again.json["tasks"]] == ["first", "second"]
    else:
        (shown,) = run.again.json.get("tasks", [run.again.json])
        assert (shown["task_id"], shown["title"]) == (task["task_id"], "old")
    if run.outcome == "done":
        assert run.answer.body == run.again.body
    assert run.before == run.after == run.in_the_end


@of("change")
def test_a_change_under_a_fault_is_made_once_if_it_was_answered_and_never_twice(
    runs: dict[Case, Future[Run]], case: Case
) -> None:
    run = runs[case].result()
    (row,) = run.after.tasks
    if run.outcome == "done":
        assert (run.answer.json["version"], run.answer.json["title"]) == (2, "new")
        assert row["version"] == 2
    assert (row["version"], row["title"]) == ((2, "new") if row != run.before.tasks[0] else (1, "old"))
    assert row == run.before.tasks[0] or run.committed > 0
    (last,) = run.in_the_end.tasks
    if case.operation == "change this version" and row["version"] == 2:
        assert run.again.problem == (412, "precondition-failed")
        assert run.again.etag == '"2"'
        assert last == row
    else:
        assert run.again.status == 200
        assert int(last["version"]) == int(row["version"]) + 1


@of("delete")
def test_a_delete_under_a_fault_removes_the_task_or_leaves_it_unchanged(runs: dict[Case, Future[Run]], case: Case) -> None:
    run = runs[case].result()
    if run.outcome == "done":
        assert run.after.tasks == []
    assert run.after.tasks == run.before.tasks or run.committed > 0
    assert run.again.status == (204 if run.after.tasks else 404)
    assert run.in_the_end.tasks == []


@of("replay")
def test_a_replay_under_a_fault_repeats_the_first_answer_and_writes_nothing(
    runs: dict[Case, Future[Run]], case: Case
) -> None:
    run = runs[case].result()
    assert run.first
    assert run.before == run.after == run.in_the_end
    assert len(run.before.tasks) + run.before.texts == (2 if case.operation == "replay of a create" else 1)
    for answer in [run.again, run.answer] if run.outcome == "done" else [run.again]:
        assert (answer.body, answer.headers["Idempotency-Replayed"]) == (run.first.body, "true")


@of("text")
def test_a_text_under_a_fault_goes_out_once_if_it_was_answered_and_never_twice(
    runs: dict[Case, Future[Run]], case: Case
) -> None:
    run = runs[case].result()
    record = run.after.record
    assert (
        run.after.texts == run.forwarded["Publish"] == {"done": 1, "unknown": run.forwarded["Publish"]}.get(run.outcome, 0)
    )
    assert run.after.counted == (record is not None)
    if run.outcome in {"done", "unknown"}:
        assert record is not None
    if case.operation == "text, giving back":
        assert (record is None) == (run.committed > 0)
    if record is None:  # key and limits are free, and so it is sent now
        assert (run.again.status, run.again.json["status"]) == (202, "sent")
        assert "Idempotency-Replayed" not in run.again.headers
        assert run.in_the_end.texts == run.after.texts + 1 == 1
        return
    assert run.in_the_end == run.after
    if "message_id" not in record:  # 409 until the time of the function is over, which on a busy machine it may be by now
        assert run.again.status == 409 or run.again.json == UNKNOWN
    elif run.outcome == "done":
        assert run.again.body == run.answer.body
    else:
        assert run.again.json["message_id"] == (record["message_id"] or None)


KEY_SERVER = {
    "throttled": faults.refused("TooManyRequestsException", "", status=429),
    "500": faults.failed,
    "reset before": faults.reset_before,
    "reset after": faults.reset_after,
    "cut": faults.cut,
    "garbled": faults.garbled,
    "a page": faults.page,
}
"""What a key server may do at once; test_hanging_peers.py and test_hello.py have those that take their time."""


@pytest.mark.parametrize("path", ["/tasks", "/hello"])
@pytest.mark.parametrize("fault", KEY_SERVER)
def test_a_failing_key_server_gives_503_and_the_next_request_succeeds(
    ground: Ground, keys: pool.KeyServer, monkeypatch: pytest.MonkeyPatch, alice: Person, fault: str, path: str
) -> None:
    wire = ground.proxy.wire(keys.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", wire.url)
    tokens.jwks_client().timeout = PATIENCE  # no fault here is one of time
    wire.plan("GET", [KEY_SERVER[fault]])
    answer = alice("GET", path)
    assert answer.problem == (503, "unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert alice("GET", path).status == 200
    assert wire.seen["GET"] == 2
