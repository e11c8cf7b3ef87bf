"""The comparison and the copy of `python -m tools restore`, against moto's tables."""

import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from chalicelib.config import settings
from chalicelib.dynamodb import table
from tests.conftest import TABLE, table_properties
from tests.support.people import Person, path_of
from tools.__main__ import main
from tools.deploy import restore
from tools.deploy.personal_data import Place
from tools.errors import CommandError

PLACE = Place(TABLE, "pool")
EVERYTHING = restore.Choice(None, (), apply=True, changed=True, to_the_past=True)
ID = "0193a5b0-7c00-7123-8456-426614174000"


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", settings.region)


@pytest.fixture
def backup(_region: None) -> Iterator[Any]:
    """Return an empty table beside that of the stage."""
    boto3.client("dynamodb").create_table(TableName="backup", **table_properties())
    yield boto3.resource("dynamodb").Table("backup")
    boto3.client("dynamodb").delete_table(TableName="backup")


@pytest.fixture(autouse=True)
def accounts(alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    subs = {alice.sub, bob.sub}
    monkeypatch.setattr(restore, "_subs", lambda _: subs)
    return subs


def save(backup: Any) -> None:
    """Copy the table of the stage."""
    for item in boto3.resource("dynamodb").Table(TABLE).scan()["Items"]:
        backup.put_item(Item=item)


def copy(**choice: Any) -> str:
    return restore.copy("backup", PLACE, EVERYTHING._replace(**choice))


def test_deleted_tasks_come_back_as_they_were(alice: Person, admin: Person, backup: Any) -> None:
    task = alice.creates("Mine", due_at="2030-01-31T09:00:00Z")
    save(backup)
    alice("DELETE", path_of(task))
    later = alice.creates("Later")
    compared = copy(apply=False)
    assert "1 are only in backup\n" in compared
    assert f"1 are only in {TABLE}, and stay" in compared
    assert alice("GET", path_of(task)).status == 404
    assert "brought back" in copy(changed=False)
    found = alice("GET", path_of(task))
    assert (found.json, found.etag) == (task, '"1"')
    assert alice.titles("/tasks", status="pending") == ["Mine", "Later"]
    assert {"Mine", "Later"} <= set(admin.titles("/admin/tasks", status="pending"))
    assert alice("PATCH", path_of(task), {"status": "done"}, If_Match='"1"').status == 200
    assert alice("DELETE", path_of(later)).status == 204


def test_changed_tasks_are_set_back_as_a_new_version(alice: Person, backup: Any) -> None:
    task = alice.creates("Before")
    save(backup)
    changed = alice("PATCH", path_of(task), {"title": "After", "status": "done"}).json
    compared = copy(apply=False)
    assert f"TASK#{task['task_id']}: version 1 there, 2 here" in compared
    assert "1 differ" in copy(changed=False)
    assert alice("GET", path_of(task)).json == changed
    assert "1 differed" in copy()
    found = alice("GET", path_of(task)).json
    assert found == task | {"version": 3, "updated_at": found["updated_at"]}
    assert found["updated_at"] >= changed["updated_at"]
    assert alice("PATCH", path_of(task), {"title": "Lost"}, If_Match='"2"').status == 412
    assert alice.titles("/tasks", status="done") == []
    assert "1 are the same" in copy()
    assert alice("GET", path_of(task)).json == found


def test_twenty_of_the_tasks_that_differ_are_listed(alice: Person, backup: Any) -> None:
    tasks = [alice.creates(f"Task {number}") for number in range(22)]
    save(backup)
    for task in tasks:
        alice("PATCH", path_of(task), {"status": "done"})
    compared = copy(apply=False)
    assert compared.count("version 1 there, 2 here") == 20
    assert "          and 2 more\n" in compared


def test_a_write_between_comparison_and_copy_is_kept(alice: Person, backup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task, deleted = alice.creates("Before"), alice.creates("Deleted")
    save(backup)
    alice("PATCH", path_of(task), {"title": "After"})
    alice("DELETE", path_of(deleted))
    put = restore._Copier._put

    def put_late(copier: restore._Copier, item: dict[str, Any], **condition: Any) -> bool:
        if item["title"] == "Before":
            alice("PATCH", path_of(task), {"title": "Newest"})
        else:
            table.put_new({"PK": item["PK"], "SK": item["SK"], "title": "Somebody else's"})
        return put(copier, item, **condition)

    monkeypatch.setattr(restore._Copier, "_put", put_late)
    done = copy()
    assert "2 were written by somebody else" in done
    assert "Run the same command again" in done
    assert alice("GET", path_of(task)).json["title"] == "Newest"
    assert table.require({"PK": f"USER#{alice.sub}", "SK": f"TASK#{deleted['task_id']}"})["title"] == "Somebody else's"


def test_records_and_counters_do_not_come_back_and_items_of_other_kinds_do(alice: Person, backup: Any) -> None:
    keys = [
        (f"USER#{alice.sub}", "IDEMPOTENCY#tasks#k"), ("LIMIT#sms", "2030"), (f"USER#{alice.sub}", "NOTE#1"), ("TEAM#1", "TEAM"),
    ]  # fmt: skip
    for partition, sort in keys:
        backup.put_item(Item={"PK": partition, "SK": sort, "task_id": "kept", "write_id": "w"})
    assert "2 were only in backup" in copy()
    assert [table.get({"PK": partition, "SK": sort}) is None for partition, sort in keys] == [True, True, False, False]
    assert table.require({"PK": "TEAM#1", "SK": "TEAM"})["task_id"] == "kept"


def test_tasks_of_a_deleted_account_do_not_come_back(alice: Person, bob: Person, backup: Any, accounts: set[str]) -> None:
    gone, kept = alice.creates(), bob.creates()
    save(backup)
    alice("DELETE", path_of(gone))
    bob("DELETE", path_of(kept))
    accounts.remove(alice.sub)
    assert "1 belong to accounts that are gone" in copy()
    assert (alice.titles(), bob.titles()) == ([], ["Buy milk"])


def test_only_what_is_named_comes_back(alice: Person, bob: Person, backup: Any) -> None:
    first, second, other = alice.creates("1"), alice.creates("2"), bob.creates("3")
    save(backup)
    for person, task in ((alice, first), (alice, second), (bob, other)):
        person("DELETE", path_of(task))
    copy(task_ids=(first["task_id"], other["task_id"]))
    assert (alice.titles(), bob.titles()) == (["1"], ["3"])
    with pytest.raises(CommandError, match="Check the user, the task ids and the table"):
        copy(task_ids=(ID,))


def test_one_failed_item_does_not_end_the_rest(alice: Person, backup: Any) -> None:
    task = alice.creates()
    save(backup)
    alice("DELETE", path_of(task))
    backup.put_item(Item={"PK": f"USER#{alice.sub}", "SK": f"TASK#{ID}", "title": "incomplete"})
    with pytest.raises(CommandError, match=rf"1 failed\n.* TASK#{ID}: the item has no 'description'\nCorrect the cause"):
        copy()
    assert alice.titles() == ["Buy milk"]


class TestAnotherTable:
    @pytest.fixture
    def old(self, alice: Person, backup: Any) -> dict[str, Any]:
        """Return a task in the format in which GSI1 had a sort key of its own."""
        created = "2024-12-08T10:00:00.000Z"
        item = {
            "PK": f"USER#{alice.sub}", "SK": f"TASK#{ID}", "LSI1SK": f"in_progress#~#{ID}",
            "GSI1PK": "STATUS#in_progress#0", "GSI1SK": f"{created}#{ID}", "task_id": ID, "title": "Old", "description": "",
            "status": "in_progress", "due_at": "~", "created_at": created, "updated_at": created, "version": 4,
            "write_id": "6b2a7f1c-2f0e-4c0e-9f7a-0a5f6f1f2d3e", "previous_write_id": "w",
        }  # fmt: skip
        backup.put_item(Item=item)
        return item

    def test_of_the_earlier_format_is_read(self, alice: Person, admin: Person, old: dict[str, Any]) -> None:
        assert "what has a higher version there is taken over too" in copy(to_the_past=False, apply=False)
        copy(to_the_past=False)
        response = alice("GET", f"/tasks/{ID}")
        assert (response.etag, response.json["created_at"]) == ('"4"', old["created_at"])
        assert alice.titles("/tasks", status="in_progress") == ["Old"]
        assert admin.titles("/admin/tasks", status="in_progress") == ["Old"]
        stored = table.require({"PK": old["PK"], "SK": old["SK"]})
        assert stored.keys() == old.keys() - {"GSI1SK", "task_id", "previous_write_id"}
        assert stored["write_id"] != old["write_id"]

    def test_is_followed_while_it_changes_but_newer_tasks_are_kept(
        self, alice: Person, backup: Any, old: dict[str, Any]
    ) -> None:
        copy(to_the_past=False)
        backup.put_item(Item=old | {"title": "Changed there", "version": 5})
        assert "1 differed" in copy(to_the_past=False)
        response = alice("GET", f"/tasks/{ID}")
        assert (response.json["title"], response.etag) == ("Changed there", '"5"')
        alice("PATCH", f"/tasks/{ID}", {"title": "Changed here"})
        assert "1 differ, and stay" in copy(to_the_past=False)
        assert alice("GET", f"/tasks/{ID}").json["title"] == "Changed here"

    def test_must_exist(self) -> None:
        with pytest.raises(CommandError, match="There is no table nowhere"):
            restore.copy("nowhere", PLACE, EVERYTHING)

    def test_can_be_the_table_itself_which_gets_the_keys_of_today(
        self, alice: Person, admin: Person, old: dict[str, Any]
    ) -> None:
        boto3.resource("dynamodb").Table(TABLE).put_item(Item=old)
        task = alice.creates("New", status="in_progress")
        compared = restore.copy(TABLE, PLACE, EVERYTHING._replace(apply=False))
        assert "1 are the same" in compared
        assert "1 have keys of an earlier format" in compared
        assert alice.titles("/tasks", status="in_progress") == ["New"]
        rewritten = restore.copy(TABLE, PLACE, EVERYTHING)
        assert "1 had keys of an earlier format" in rewritten
        assert "delete-table" not in compared + rewritten
        assert alice.titles("/tasks", status="in_progress") == ["Old", "New"]
        assert admin.titles("/admin/tasks", status="in_progress") == ["Old", "New"]
        assert [alice("GET", path).etag for path in (f"/tasks/{ID}", path_of(task))] == ['"4"', '"1"']
        stored = table.require({"PK": old["PK"], "SK": old["SK"]})
        assert stored.keys() == old.keys() - {"GSI1SK", "task_id"} | {"previous_write_id"}
        assert stored["previous_write_id"] == old["write_id"]
        assert "2 are the same" in restore.copy(TABLE, PLACE, EVERYTHING)


class TestThePointInTime:
    @pytest.mark.parametrize("moment", ["2026-11-27T08:00:00Z", "2026-11-27T09:00:00.5+01:00"])
    def test_is_restored_once_and_waited_for(self, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
        states = iter(["", "CREATING", "ACTIVE", "ACTIVE", "ACTIVE"])
        monkeypatch.setattr(restore, "_status", lambda _: next(states))
        name = f"{TABLE}-restored-20261127T080000Z"
        assert restore.recover(TABLE, moment, pause=0) == name
        assert restore.recover(TABLE, moment, pause=0) == name  # ACTIVE: a second restore would fail, as the name is taken
        boto3.client("dynamodb").delete_table(TableName=name)

    def test_that_aws_has_not_restored_ends_the_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        states, seconds = iter(["CREATING", "CREATING", "", ""]), iter([0, 0, 60, 61])
        monkeypatch.setattr(restore, "_status", lambda _: next(states))
        monkeypatch.setattr("time.monotonic", lambda: next(seconds))
        monkeypatch.setattr("time.sleep", lambda _: None)
        with pytest.raises(CommandError, match="its status is none"):
            restore.recover(TABLE, "2026-11-27T08:00:00Z")

    @pytest.mark.parametrize(("moment", "message"), [("yesterday", "is not a time"), ("2026-11-27T08:00:00", "no offset")])
    def test_is_unambiguous(self, moment: str, message: str) -> None:
        with pytest.raises(CommandError, match=message):
            restore.recover(TABLE, moment)


def test_an_interruption_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(restore, "recover", interrupt)
    monkeypatch.setattr("tools.stages.apply_placeholder_settings", lambda _: None)
    options = ["--stage", "dev", "--table", TABLE, "--pool-arn", "pool", "--time", "2026-11-27T08:00:00Z"]
    monkeypatch.setattr(sys, "argv", ["tools", "restore", *options])
    assert main() == 1
    assert capsys.readouterr().err == "Interrupted. Run the same command again: it does what is left.\n"
