"""What is written, and what the response is, when the network loses, repeats or delays requests."""

import itertools
import json
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ParamValidationError
from msgspec import structs

from chalicelib.dynamodb import pages, table
from chalicelib.dynamodb.pages import KeyRange
from chalicelib.principals import User
from chalicelib.problems import Unavailable
from chalicelib.tasks import items
from tests.conftest import TABLE
from tests.support.people import Person, Response, path_of
from tests.support.sdk_faults import (
    Deadline,
    Fault,
    delivered_twice,
    in_another_thread,
    lost_after,
    lost_before,
    network,
    refused,
    respond_with,
    use_fresh_client,
)

UNAVAILABLE = (503, "unavailable")
NOON = 1_893_499_200_000_000_000  # nanoseconds since the epoch, at noon of 2030-01-01
A_DAY = 86_401 * 1_000_000_000  # and the rest of the second in which it began


def canceled(*reasons: str) -> Fault:
    """Cancel a transaction for these reasons, one for each of its items."""
    listed = json.dumps([{"Code": reason} for reason in reasons])
    return refused("TransactionCanceledException", CancellationReasons=listed)


CONFLICT = canceled("None", "TransactionConflict")

OPERATIONS: dict[str, Callable[[Person, str], Response]] = {
    "create": lambda person, _: person("POST", "/tasks", {"title": "new"}),
    "create once": lambda person, _: person("POST", "/tasks", {"title": "new"}, Idempotency_Key="k"),
    "read": lambda person, path: person("GET", path),
    "list": lambda person, _: person("GET", "/tasks"),
    "list by status": lambda person, _: person("GET", "/tasks?status=pending"),
    "change": lambda person, path: person("PATCH", path, {"title": "new"}),
    "change this version": lambda person, path: person("PATCH", path, {"title": "new"}, If_Match='"1"'),
    "change nothing": lambda person, path: person("PATCH", path, {}),
    "remove": lambda person, path: person("DELETE", path),
    "remove this version": lambda person, path: person("DELETE", path, If_Match='"1"'),
}
WRITES = [name for name in OPERATIONS if "list" not in name and name not in {"read", "change nothing"}]

OUTAGES: dict[str, Fault] = {
    "requests lost": lost_before,
    "500": refused("InternalServerError", 500),
    "503 that is a page": respond_with(503, b"<html>busy</html>"),
    "throttled": refused("ProvisionedThroughputExceededException"),
    "throttled otherwise": refused("ThrottlingException"),
    "credentials refused": refused("UnrecognizedClientException"),
    "access refused": refused("AccessDeniedException"),
    "no such table": refused("ResourceNotFoundException"),
    "not valid": refused("ValidationException"),
    "a page with status 200": respond_with(200, b"<html>welcome</html>"),
    "nothing with status 200": respond_with(200, b""),
    "half of a response": respond_with(200, b'{"Item": {"PK"'),
    "another's JSON": respond_with(200, b'{"hello": "world"}'),
    "a list": respond_with(200, b"[]"),
    "bytes that are no text": respond_with(200, b"\xff\xfe\x00"),
    "a page with status 400": respond_with(400, b"<html>bad</html>"),
    "a transaction refused for a record that is not shown": refused(
        "TransactionCanceledException", CancellationReasons='[{"Code": "ConditionalCheckFailed"}, {"Code": "None"}]'
    ),
    "a transaction canceled without a reason": refused("TransactionCanceledException"),
}
LOOKED_FOR_BY_EACH = ("access refused", "a page with status 200", "another's JSON")


def rows_of(person: Person) -> list[dict[str, Any]]:
    """Return the rows of a person."""
    query = {"KeyConditionExpression": "PK = :pk", "ExpressionAttributeValues": {":pk": {"S": f"USER#{person.sub}"}}}
    rows: list[dict[str, Any]] = cast("Any", table.client).query(TableName=TABLE, ConsistentRead=True, **query)["Items"]
    return rows


@pytest.fixture(autouse=True)
def _fresh_client_that_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once, with a client whose quota of retries no earlier test has used up."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    use_fresh_client(monkeypatch)


@pytest.mark.parametrize(("operation", "outage"), [
    # What each call has to look for by itself, and all that is looked for in one place; test_faults.py has every pair.
    *itertools.product(OPERATIONS, LOOKED_FOR_BY_EACH),
    *(("create once" if "transaction" in outage else "change", outage) for outage in OUTAGES if outage not in LOOKED_FOR_BY_EACH),
])  # fmt: skip
def test_an_outage_is_unavailable_and_changes_nothing(alice: Person, operation: str, outage: str) -> None:
    path = path_of(alice.creates())
    before = rows_of(alice)
    with network(*[OUTAGES[outage]] * 3) as attempts:
        response = OPERATIONS[operation](alice, path)
    assert response.problem == UNAVAILABLE
    assert response.headers["Retry-After"] == "1"
    assert b"secret" not in response.body
    assert len(attempts) <= 3
    assert rows_of(alice) == before


GARBLED: list[Any] = [
    "x",
    5,
    ["x"],
    {"title": "x"},
    {"title": "xS"},
    {"title": {}},
    {"title": ["S"]},
    {"version": {"N": "x"}},
]


@pytest.mark.parametrize("item", GARBLED, ids=json.dumps)
@pytest.mark.parametrize("operation", ["read", "list", "list by status", "change", "change nothing"])
def test_an_item_that_is_not_dynamodbs_is_unavailable(alice: Person, operation: str, item: Any) -> None:
    path = path_of(alice.creates())
    body = {"ConsumedCapacity": {}, "Item": item, "Attributes": item, "Items": [item], "LastEvaluatedKey": item}
    for garbled in (body, body | {"Items": item}):
        with network(respond_with(200, json.dumps(garbled).encode())):
            assert OPERATIONS[operation](alice, path).problem == UNAVAILABLE


@pytest.mark.parametrize("capacity", ["x", None, {"CapacityUnits": "x"}, {"CapacityUnits": None}, [1]], ids=json.dumps)
def test_a_capacity_that_is_not_dynamodbs_is_unavailable(alice: Person, capacity: Any) -> None:
    path = path_of(alice.creates())
    with network(respond_with(200, json.dumps({"ConsumedCapacity": capacity, "Item": {}}).encode())):
        assert alice("GET", path).problem == UNAVAILABLE


@pytest.mark.parametrize("item", GARBLED, ids=json.dumps)
@pytest.mark.parametrize(("operation", "code"), [
    ("change", "ConditionalCheckFailedException"), ("remove", "ConditionalCheckFailedException"),
    ("create", "ConditionalCheckFailedException"), ("create once", "TransactionCanceledException"),
])  # fmt: skip
def test_the_item_of_a_failed_condition_that_is_not_dynamodbs_is_unavailable(
    alice: Person, operation: str, code: str, item: Any
) -> None:
    path = path_of(alice.creates())
    reasons = [{"Code": "ConditionalCheckFailed", "Item": item}, {"Code": "None"}]
    with network(refused(code, Item=json.dumps(item), CancellationReasons=json.dumps(reasons))):
        assert OPERATIONS[operation](alice, path).problem == UNAVAILABLE


@pytest.mark.parametrize(("operation", "outage"), [
    *((operation, "requests lost") for operation in OPERATIONS),
    *(("change", outage) for outage in ("500", "503 that is a page", "throttled")),
])  # fmt: skip
def test_a_call_has_three_attempts(alice: Person, operation: str, outage: str) -> None:
    path = path_of(alice.creates())
    with network(*[OUTAGES[outage]] * 2) as attempts:
        assert OPERATIONS[operation](alice, path).status in {200, 201, 204}
    assert len(attempts) == 3
    with network(*[OUTAGES[outage]] * 9) as attempts:
        assert OPERATIONS[operation](alice, path).problem == UNAVAILABLE
    assert len(attempts) == 3


class TestLostResponses:
    @pytest.mark.parametrize("operation", WRITES)
    @pytest.mark.parametrize("losses", [1, 2])
    def test_a_write_whose_response_was_lost_is_applied_once(self, alice: Person, operation: str, losses: int) -> None:
        task = alice.creates()
        with network(*[lost_after()] * losses):
            response = OPERATIONS[operation](alice, path_of(task))
        tasks = [task for page in alice.pages("/tasks") for task in page]
        if operation.startswith("create"):
            assert response.status == 201
            assert "Idempotency-Replayed" not in response.headers
            assert tasks == [response.json, task]
        elif operation.startswith("change"):
            assert (response.status, response.json["version"], response.json["title"]) == (200, 2, "new")
            assert tasks == [response.json]
        else:
            assert response.status == 204
            assert tasks == []

    def test_a_create_whose_response_was_lost_is_replayed_by_its_key(self, alice: Person) -> None:
        with network(*[lost_after()] * 3):
            assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").problem == UNAVAILABLE
        again = alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")
        assert alice.pages("/tasks") == [[again.json]]

    @pytest.mark.parametrize("tag", [{}, {"If_Match": "*"}, {"If_Match": '"1"'}, {"If_Match": '"1", "3"'}])
    @pytest.mark.parametrize("change", [{"title": "mine"}, {"status": "done"}, {"due_at": "2030-01-01T00:00:00Z"}])
    def test_a_change_never_overwrites_a_concurrent_change(
        self, alice: Person, tag: dict[str, str], change: dict[str, str]
    ) -> None:
        task = alice.creates(due_at="2029-01-01T00:00:00Z", status="pending")
        theirs = {"title": "theirs", "status": "in_progress", "due_at": "2031-01-01T00:00:00Z"}
        with network(lost_after(lambda: alice("PATCH", path_of(task), theirs))):
            response = alice("PATCH", path_of(task), change, **tag)
        assert response.problem == UNAVAILABLE
        now = alice("GET", path_of(task)).json
        assert now.items() >= theirs.items()

    def test_a_change_never_overwrites_an_earlier_one_that_was_retried(
        self, alice: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = NOON
        monkeypatch.setattr(time, "time_ns", lambda: now - 1_000_000_000)
        task = alice.creates()

        def earlier() -> None:
            monkeypatch.setattr(time, "time_ns", lambda: now - 5_000_000)
            assert alice("PATCH", path_of(task), {"title": "theirs"}).status == 200

        monkeypatch.setattr(time, "time_ns", lambda: now)
        with network(lost_after(earlier)):
            assert alice("PATCH", path_of(task), {"title": "mine"}).problem == UNAVAILABLE
        assert alice("GET", path_of(task)).json["title"] == "theirs"

    def test_a_change_never_overwrites_one_of_the_same_millisecond(
        self, alice: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = NOON
        monkeypatch.setattr(time, "time_ns", lambda: now)
        task = alice.creates()
        with network(lambda _: None, lost_after(lambda: alice("PATCH", path_of(task), {"title": "theirs"}))):
            assert alice("PATCH", path_of(task), {"title": "mine"}).problem == UNAVAILABLE
        assert alice("GET", path_of(task)).json["title"] == "theirs"

    @pytest.mark.parametrize("tag", [{}, {"If_Match": '"1"'}])
    def test_an_own_earlier_write_never_gives_412(self, alice: Person, tag: dict[str, str]) -> None:
        task = alice.creates()
        with network(lost_before, lost_after(), lost_before):
            assert alice("PATCH", path_of(task), {"title": "x"}, **tag).problem == UNAVAILABLE
        with network(lost_after()):
            assert alice("PATCH", path_of(task), {"title": "y"}, If_Match='"2"').status == 200

    def test_a_lost_request_does_not_cause_an_error(self, alice: Person) -> None:
        task = alice.creates(due_at="2030-01-01T00:00:00Z")
        with network(lost_before):
            response = alice("PATCH", path_of(task), {"status": "done"})
        assert (response.status, response.json["version"]) == (200, 2)
        with network(lost_before):
            assert alice("PATCH", path_of(task), {"status": "pending"}, If_Match='"1", "2"').status == 200

    def test_a_412_after_a_lost_request_is_a_412_only_if_it_is_certain(self, alice: Person) -> None:
        path = path_of(alice.creates())
        alice("PATCH", path, {"title": "x"})
        with network(lost_before):
            assert alice("PATCH", path, {"title": "y"}, If_Match='"1"').problem == UNAVAILABLE
        with network(lost_before):
            assert alice("DELETE", path, If_Match='"1"').problem == (412, "precondition-failed")
        assert alice("PATCH", path, {"title": "y"}, If_Match='"1"').problem == (412, "precondition-failed")

    def test_a_delete_that_finds_nothing_after_a_retry_succeeds(self, alice: Person) -> None:
        path = path_of(alice.creates())
        with network(lost_after()):
            assert alice("DELETE", path).status == 204
        with network(lost_before):
            assert alice("DELETE", path).status == 204
        assert alice("DELETE", path).problem == (404, "not-found")

    def test_a_change_whose_task_was_deleted_meanwhile_is_not_404(self, alice: Person) -> None:
        path = path_of(alice.creates())
        with network(lost_after(lambda: alice("DELETE", path))):
            assert alice("PATCH", path, {"title": "x"}).problem == UNAVAILABLE
        assert alice("PATCH", path, {"title": "x"}).problem == (404, "not-found")


class TestWritesDeliveredTwice:
    @pytest.mark.parametrize("operation", [name for name in WRITES if not name.startswith("remove")])
    def test_a_write_delivered_twice_is_applied_once(self, alice: Person, operation: str) -> None:
        task = alice.creates()
        with network(delivered_twice) as attempts:
            response = OPERATIONS[operation](alice, path_of(task))
        assert len(attempts) == 1
        tasks = [task for page in alice.pages("/tasks") for task in page]
        if operation.startswith("create"):
            assert response.status == 201
            assert "Idempotency-Replayed" not in response.headers
            assert tasks == [response.json, task]
        else:
            assert (response.status, response.json["version"], response.json["title"]) == (200, 2, "new")
            assert tasks == [response.json]

    def test_a_create_without_a_key_delivered_again_after_a_change_is_applied_once(self, alice: Person) -> None:
        def change() -> None:
            (task,) = alice("GET", "/tasks").json["tasks"]
            assert alice("PATCH", path_of(task), {"title": "changed"}).status == 200

        with network(lambda request: delivered_twice(request, change)):
            assert alice("POST", "/tasks", {"title": "T"}).status == 201
        assert alice.titles() == ["changed"]

    def test_the_second_of_two_writes_of_a_change_is_recognised(self, alice: Person) -> None:
        path = path_of(alice.creates(due_at="2030-01-01T00:00:00Z"))
        with network(lambda _: None, delivered_twice) as attempts:
            response = alice("PATCH", path, {"status": "done"})
        assert attempts == ["UpdateItem"] * 2
        assert (response.status, response.json["version"]) == (200, 2)

    @pytest.mark.parametrize("tag", [{}, {"If_Match": "*"}, {"If_Match": '"1"'}, {"If_Match": '"1", "3"'}])
    @pytest.mark.parametrize("change", [{"title": "mine"}, {"status": "done"}, {"due_at": "2030-01-01T00:00:00Z"}])
    def test_a_change_delivered_again_after_another_change_is_neither_applied_twice_nor_412(
        self, alice: Person, tag: dict[str, str], change: dict[str, str]
    ) -> None:
        path = path_of(alice.creates())
        theirs = {"title": "theirs", "status": "in_progress", "due_at": "2031-01-01T00:00:00Z"}
        with network(lambda request: delivered_twice(request, lambda: alice("PATCH", path, theirs))) as attempts:
            response = alice("PATCH", path, change, **tag)
        assert len(attempts) == 1
        assert response.problem == UNAVAILABLE
        assert alice("GET", path).json.items() >= (theirs | {"version": 3}).items()

    @pytest.mark.parametrize("tag", [{}, {"If_Match": '"1"'}])
    def test_a_delete_that_is_delivered_twice_finds_nothing_and_is_never_a_412(
        self, alice: Person, tag: dict[str, str]
    ) -> None:
        path = path_of(alice.creates())
        with network(delivered_twice):
            assert alice("DELETE", path, **tag).problem == (404, "not-found")  # an item that is gone names no writer
        assert alice.titles() == []

    def test_a_transaction_in_progress_is_retried(self, alice: Person) -> None:
        with network(refused("TransactionInProgressException")) as attempts:
            assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").status == 201
        assert attempts == ["TransactWriteItems"] * 2


@pytest.mark.parametrize("operation", ["create", "create once", "change"])
def test_a_full_partition_is_a_conflict_with_the_reason(alice: Person, operation: str) -> None:
    path = path_of(alice.creates())
    full = refused("ItemCollectionSizeLimitExceededException")
    if operation == "create once":
        reasons = '[{"Code": "None"}, {"Code": "ItemCollectionSizeLimitExceeded"}]'
        full = refused("TransactionCanceledException", CancellationReasons=reasons)
    with network(full) as attempts:
        response = OPERATIONS[operation](alice, path)
    assert response.problem == (409, "conflict")
    assert "10 GB" in response.json["detail"]
    assert "Retry-After" not in response.headers
    assert len(attempts) == 1
    assert alice.titles() == ["Buy milk"]


class TestConcurrentChanges:
    def test_a_change_without_a_version_is_applied_after_a_concurrent_change(self, alice: Person) -> None:
        task = alice.creates()
        began = rows_of(alice)[0] | {"updated_at": {"S": "9999-12-31T23:59:59.999Z"}}  # by a clock that is ahead of ours
        table.client.put_item(TableName=TABLE, Item=began)
        response = alice("PATCH", path_of(task), {"title": "x"})
        assert (response.status, response.json["version"]) == (200, 2)
        assert response.json["updated_at"] == "9999-12-31T23:59:59.999Z"  # which never goes back
        response = alice("PATCH", path_of(task), {"title": "x"}, If_Match='"2"')
        assert (response.status, response.json["updated_at"]) == (200, "9999-12-31T23:59:59.999Z")

    def test_an_item_that_changes_during_each_attempt_is_written_in_the_end(self, alice: Person) -> None:
        task = alice.creates(due_at="2030-01-01T00:00:00Z")
        moves = iter(["2031-01-01T00:00:00Z", "2032-01-01T00:00:00Z"])

        def moved(_request: object) -> None:
            in_another_thread(lambda: alice("PATCH", path_of(task), {"due_at": next(moves)}))

        with network(moved, moved):
            response = alice("PATCH", path_of(task), {"status": "done"})
        assert response.status == 200
        assert alice.titles(status="done") == ["Buy milk"]
        assert response.json["due_at"] == "2032-01-01T00:00:00Z"

    @pytest.mark.parametrize("times", [1, 5])
    @pytest.mark.parametrize("reasons", [
        ("None", "TransactionConflict"), ("TransactionConflict", "None"), ("ThrottlingError", "None"), ("None", "ThrottlingError"),
        ("ProvisionedThroughputExceeded", "None"), ("None", "ProvisionedThroughputExceeded"), ("TransactionConflict", "ThrottlingError"),
        ("TransactionConflict", "ConditionalCheckFailed"), ("ThrottlingError", "ConditionalCheckFailed"),
    ])  # fmt: skip
    def test_a_transaction_that_conflicts_or_is_throttled_is_retried(
        self, alice: Person, monkeypatch: pytest.MonkeyPatch, reasons: tuple[str, str], times: int
    ) -> None:
        deadline = Deadline(monkeypatch)
        with network(*[canceled(*reasons)] * times) as attempts:
            assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").status == 201
        assert len(attempts) == times + 1
        assert len(deadline.pauses) == times
        assert alice.titles() == ["T"]

    @pytest.mark.parametrize(("reasons", "problem"), [
        (("None", "TransactionConflict"), (409, "conflict")), (("TransactionConflict", "ThrottlingError"), (409, "conflict")),
        (("ThrottlingError", "None"), UNAVAILABLE), (("None", "ProvisionedThroughputExceeded"), UNAVAILABLE),
    ])  # fmt: skip
    def test_a_transaction_is_retried_with_longer_pauses_until_the_deadline_is_near(
        self, alice: Person, monkeypatch: pytest.MonkeyPatch, reasons: tuple[str, str], problem: tuple[int, str]
    ) -> None:
        deadline = Deadline(monkeypatch)
        with network(*[canceled(*reasons)] * 1000) as attempts:
            assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").problem == problem
        assert len(attempts) == len(deadline.pauses) + 1
        assert 1 <= deadline.left < 2
        most = [0.05, 0.1, 0.2, 0.4, 0.8] + [1.0] * 1000
        assert all(pause <= longest for pause, longest in zip(deadline.pauses, most, strict=False))
        assert max(deadline.pauses) > 0.4
        assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").status == 201

    def test_a_permanent_error_is_not_retried(self, alice: Person) -> None:
        with network(canceled("ValidationError", "None")) as attempts:
            assert alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").problem == UNAVAILABLE
        assert len(attempts) == 1

    def test_an_expired_key_is_free_before_dynamodb_deletes_its_record(
        self, alice: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: NOON)
        first = alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        monkeypatch.setattr(time, "time_ns", lambda: NOON + A_DAY - 1)
        assert alice("POST", "/tasks", {"title": "U"}, Idempotency_Key="k").problem == (422, "idempotency-key-reused")
        monkeypatch.setattr(time, "time_ns", lambda: NOON + A_DAY)
        second = alice("POST", "/tasks", {"title": "U"}, Idempotency_Key="k")
        assert second.status == 201
        assert "Idempotency-Replayed" not in second.headers
        assert second.json["task_id"] != first.json["task_id"]


class TestCost:
    @pytest.mark.parametrize(("members", "change", "calls"), [
        ({}, {"title": "x"}, 1), ({}, {"status": "done"}, 1), ({}, {"due_at": "2030-01-01T00:00:00Z"}, 1),
        ({"due_at": "2030-01-01T00:00:00Z"}, {"title": "x"}, 1), ({"due_at": "2030-01-01T00:00:00Z"}, {"status": "done"}, 2),
        ({"due_at": "2030-01-01T00:00:00Z"}, {"status": "done", "due_at": None}, 1), ({"status": "done"}, {"due_at": None}, 2),
    ])  # fmt: skip
    @pytest.mark.parametrize("tag", [{}, {"If_Match": '"1"'}])
    def test_a_change_is_one_write_or_two_and_no_read(
        self, alice: Person, members: dict[str, str], change: dict[str, str], calls: int, tag: dict[str, str]
    ) -> None:
        path = path_of(alice.creates(**members))
        with network() as attempts:
            assert alice("PATCH", path, change, **tag).status == 200
        assert attempts == ["UpdateItem"] * calls

    @pytest.mark.parametrize(("operation", "call"), [
        ("create", "PutItem"), ("create once", "TransactWriteItems"), ("read", "GetItem"), ("list", "Query"), ("list by status", "Query"),
        ("change nothing", "GetItem"), ("remove", "DeleteItem"), ("remove this version", "DeleteItem"),
    ])  # fmt: skip
    def test_every_other_request_makes_one_call(self, alice: Person, operation: str, call: str) -> None:
        path = path_of(alice.creates())
        sent: list[Any] = []
        events: Any = table.client.meta.events
        events.register("provide-client-params.dynamodb.*", lambda params, **_: sent.append(params))
        with network() as attempts:
            OPERATIONS[operation](alice, path)
        assert attempts == [call]
        assert [params.get("ConsistentRead") for params in sent] == [True if call in {"GetItem", "Query"} else None]

    @pytest.mark.parametrize("query", ["", "&status=done", "&status=done&due_after=2030-01-01T00:00:00Z"])
    def test_a_page_reads_its_items_and_one_more(self, alice: Person, query: str) -> None:
        for status in ("pending", "done"):
            for _ in range(4):
                alice.creates(status=status, due_at="2030-01-01T00:00:00Z")
        sent: list[Any] = []
        table.client.meta.events.register("provide-client-params.dynamodb.Query", lambda params, **_: sent.append(params))
        assert alice("GET", f"/tasks?limit=2{query}").json["count"] == 2
        (request,) = sent
        assert (request["Limit"], request["ConsistentRead"]) == (3, True)
        assert "FilterExpression" not in request
        assert request.get("IndexName") == ("LSI1" if query else None)


def test_a_task_is_stored_under_the_documented_keys(alice: Person) -> None:
    task = alice.creates("T", status="in_progress", due_at="2030-01-01T00:00:00Z")
    (row,) = rows_of(alice)
    write = row.pop("write_id")
    id_, created = task["task_id"], task["created_at"]
    shard = row["GSI1PK"]["S"].rpartition("#")[2]
    assert row == {
        "PK": {"S": f"USER#{alice.sub}"},
        "SK": {"S": f"TASK#{id_}"},
        "LSI1SK": {"S": f"TASK#in_progress#2030-01-01T00:00:00Z#{id_}"},
        "GSI1PK": {"S": f"TASK#in_progress#{shard}"},
        "title": {"S": "T"},
        "description": {"S": ""},
        "status": {"S": "in_progress"},
        "due_at": {"S": "2030-01-01T00:00:00Z"},
        "created_at": {"S": created},
        "updated_at": {"S": created},
        "version": {"N": "1"},
    }
    response = alice("PATCH", path_of(task), {"status": "done", "due_at": None})
    (row,) = rows_of(alice)
    assert row["write_id"] not in (write, {"S": response.headers["X-Request-Id"]})
    assert row["LSI1SK"] == {"S": f"TASK#done#~#{id_}"}
    assert row["GSI1PK"] == {"S": f"TASK#done#{shard}"}


def test_tasks_of_one_status_are_spread_over_the_shards(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = (f"01a1f8a7-b50f-7aa8-bb0e-{number:012x}" for number in itertools.count())
    monkeypatch.setattr("chalicelib.tasks.service.new_id", lambda _: next(ids))
    for _ in range(24):
        alice.creates()
    assert {row["GSI1PK"]["S"] for row in rows_of(alice)} == {f"TASK#pending#{shard}" for shard in range(8)}


def test_an_idempotency_record_contains_no_text_of_the_caller(alice: Person) -> None:
    task = alice("POST", "/tasks", {"title": "private"}, Idempotency_Key="a#b").json
    (record,) = [row for row in rows_of(alice) if "expires_at" in row]
    assert record["SK"] == {"S": "IDEMPOTENCY#tasks#a#b"}
    assert record.keys() == {"PK", "SK", "fingerprint", "item_id", "write_id", "expires_at"}
    assert record["item_id"] == {"S": task["task_id"]}
    assert "private" not in json.dumps(record)


def test_an_existing_item_is_never_overwritten(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    task = alice.creates("first")
    monkeypatch.setattr("chalicelib.tasks.service.new_id", lambda _: task["task_id"])
    for headers in ({}, {"Idempotency_Key": "k"}):
        assert alice("POST", "/tasks", {"title": "another"}, **headers).problem == UNAVAILABLE
    assert alice.titles() == ["first"]


def test_a_condition_that_fails_for_a_new_id_is_unavailable(alice: Person) -> None:
    with network(refused("ConditionalCheckFailedException")):
        assert OPERATIONS["create"](alice, "").problem == UNAVAILABLE


def test_an_invalid_call_of_aws_is_internal() -> None:
    with pytest.raises(ParamValidationError), table._translated_errors():
        cast("Any", table.client).get_item(TableName="abc")


DUE = "&status=pending&due_after=2030-01-01T00:00:00Z&due_before=2031-01-01T00:00:00Z"
ID = "01a1f8a7-b50f-7aa8-bb0e-470ad9b338b8"


@pytest.mark.parametrize(("query", "position"), [
    ("", "x"), ("", ""), ("", f"~#{ID}"), ("", ID), ("", f"TASK#x#{ID}"), ("", f"TASK#{ID}\n"), ("", "TASK#x"), ("&status=pending", ID),
    ("&status=pending", "pending#~#x"), ("&status=pending", f"pending#~~#{ID}"), ("&status=pending", f"done#~#{ID}"),
    ("&status=pending", f"pending#{'1' * 1024}#{ID}"), (DUE, f"pending#~#{ID}"), (DUE, f"pending#2029-01-01T00:00:00Z#{ID}"),
    (DUE, f"pending#2032-01-01T00:00:00Z#{ID}"), (DUE, "pending#2030-06-01T00:00:00Z#x"),
])  # fmt: skip
def test_a_forged_cursor_is_refused_without_a_database_call(alice: Person, query: str, position: str) -> None:
    user = User(alice.sub, f"USER#{alice.sub}")
    due = ("2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z") if query == DUE else (None, None)
    range_ = items.soonest_due_first(user, "pending", *due) if query else items.newest_first(user)
    with network() as attempts:
        response = alice("GET", f"/tasks?cursor={pages.encode(position, *map(str, structs.astuple(range_)))}{query}")
    assert response.problem == (400, "invalid-cursor")
    assert attempts == []


def test_text_numbers_booleans_and_none_are_stored_as_what_they_are(alice: Person) -> None:
    key = {"PK": f"USER#{alice.sub}", "SK": f"TASK#{ID}"}
    item: dict[str, Any] = key | {"text": "1", "number": 1, "yes": True, "no": False, "nothing": None, "version": 1}
    table.put_new(item)
    assert table.require(key) == item | {"write_id": table.require(key)["write_id"]}
    (stored,) = rows_of(alice)
    assert [stored[name] for name in ("text", "number", "yes", "no", "nothing")] == [
        {"S": "1"}, {"N": "1"}, {"BOOL": True}, {"BOOL": False}, {"NULL": True},
    ]  # fmt: skip


@pytest.mark.parametrize("value", [1.5, ["a"], {"a": 1}, b"x"])
def test_an_attribute_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(ParamValidationError, match="odd is a"):
        table.put_new({"PK": "TEST#types", "SK": "1", "odd": value})


def test_an_attribute_may_have_any_name(alice: Person) -> None:
    key = {"PK": f"USER#{alice.sub}", "SK": "TASK#names"}
    table.put_new(key | {"version": 3, "updated_at": "2030"})
    names: table.Item = dict.fromkeys(["one", "v3", "unchanged_version", "new_one", "status", "size"], "a value")
    changed = table.update(key, names | {"updated_at": "2031", "write_id": "x"}, {"version": 3}, frozenset({3}))
    assert changed.pop("previous_write_id")
    assert changed == key | names | {"version": 4, "updated_at": "2031", "write_id": "x"}


def test_items_with_the_same_sort_key_are_told_apart_by_their_partition() -> None:
    for owner in ("a", "b"):
        table.put_new({"PK": f"TEST#{owner}", "SK": "PROFILE#main", "owner": owner})
    found = table.batch_get([{"PK": f"TEST#{owner}", "SK": "PROFILE#main"} for owner in ("a", "b")])
    assert {key: item["owner"] for key, item in found.items()} == {
        ("TEST#a", "PROFILE#main"): "a",
        ("TEST#b", "PROFILE#main"): "b",
    }


def test_a_new_item_never_takes_the_place_of_another_even_after_a_retry() -> None:
    key = {"PK": "TEST#taken", "SK": "1"}
    table.put_new(key)
    with network(lost_before), pytest.raises(Unavailable):
        table.put_new(key)


def test_the_bounds_of_a_range_are_of_its_kind() -> None:
    with pytest.raises(ValueError, match="must start with NOTE#"):
        KeyRange("USER#1", "NOTE", "pending#", "pending#~", index="LSI1")


def test_a_task_with_keys_of_an_earlier_format_can_be_read_changed_and_deleted(alice: Person) -> None:
    task = alice.creates("T")
    key = {"PK": {"S": f"USER#{alice.sub}"}, "SK": {"S": f"TASK#{task['task_id']}"}}
    earlier = {
        ":id": {"S": task["task_id"]},
        ":local": {"S": f"pending#~#{task['task_id']}"},
        ":partition": {"S": "STATUS#pending#0"},
        ":sort": {"S": f"{task['created_at']}#{task['task_id']}"},
    }
    update = "SET task_id = :id, LSI1SK = :local, GSI1PK = :partition, GSI1SK = :sort"
    cast("Any", table.client).update_item(
        TableName=TABLE, Key=key, UpdateExpression=update, ExpressionAttributeValues=earlier
    )
    assert alice("GET", path_of(task)).json == task
    assert alice("GET", "/tasks").json["tasks"] == [task]
    changed = alice("PATCH", path_of(task), {"status": "done", "title": "U"}, If_Match='"1"')
    assert (changed.status, changed.json["version"]) == (200, 2)
    assert alice("GET", "/tasks?status=done").json["tasks"] == [changed.json]
    assert alice("DELETE", path_of(task), If_Match='"2"').status == 204


def test_a_task_that_was_stored_without_a_member_has_its_default(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    task = alice.creates("T")
    key = {"PK": {"S": f"USER#{alice.sub}"}, "SK": {"S": f"TASK#{task['task_id']}"}}
    cast("Any", table.client).update_item(TableName=TABLE, Key=key, UpdateExpression="REMOVE description")
    monkeypatch.setattr(items, "_ADDED", {"description": "added later"})
    assert alice("GET", path_of(task)).json["description"] == "added later"
    assert alice("PATCH", path_of(task), {"description": "now"}).json["description"] == "now"
