"""The admin's view of what waits, of all owners."""
# ruff: noqa: RUF001 - the page writes spans of time with a dash

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import expect

from tests.browser.person import Person


def make_older(person: Person, **age: int) -> None:
    """Make the person's newest task older, as if it had been created then; its id begins with that time, in milliseconds."""
    dynamodb: Any = person.server.client("dynamodb")
    table = person.server.settings()["TABLE_NAME"]
    (task, *_) = person.stored()
    created = datetime.now(UTC) - timedelta(**age)
    time = f"{int(created.timestamp() * 1000):012x}"
    old_id, new_id = task["task_id"], f"{time[:8]}-{time[8:]}{task['task_id'][13:]}"
    items = dynamodb.scan(TableName=table, ConsistentRead=True)["Items"]
    (item,) = [item for item in items if item["SK"]["S"] == f"TASK#{old_id}"]
    older = json.loads(json.dumps(item).replace(old_id, new_id)) | {"created_at": {"S": f"{created:%Y-%m-%dT%H:%M:%S}.000Z"}}
    dynamodb.put_item(TableName=table, Item=older)
    dynamodb.delete_item(TableName=table, Key={"PK": item["PK"], "SK": item["SK"]})


def test_an_admin_sees_what_waits_oldest_first_and_how_long(new_person: Callable[..., Person]) -> None:
    admin, alice, bob = new_person("admin@example.com"), new_person(), new_person()
    for person, title, age in (
        (alice, "Ten days", {"days": 10}),
        (bob, "Two days", {"days": 2}),
        (alice, "Five hours", {"hours": 5}),
    ):
        person.call("POST", "/tasks", {"title": title})
        make_older(person, **age)
    bob.call("POST", "/tasks", {"title": "Begun", "status": "in_progress"})

    admin.page.get_by_role("link", name="Everyone").click()
    rows = admin.page.get_by_role("region", name="Oldest first").get_by_role("row")
    expect(rows.filter(has_text="Ten days")).to_contain_text("10 days")
    titles = [row.get_by_role("rowheader").inner_text() for row in rows.all()[1:]]
    assert [title for title in titles if title in {"Ten days", "Two days", "Five hours"}] == [
        "Ten days",
        "Two days",
        "Five hours",
    ]
    owners = {
        row.get_by_role("rowheader").inner_text(): row.locator("code").get_attribute("title") for row in rows.all()[1:]
    }
    assert owners["Ten days"] == owners["Five hours"] != owners["Two days"]

    plot = admin.page.get_by_role("table", name="How many tasks wait how long")
    counts = {
        row.get_by_role("rowheader").inner_text(): row.get_by_role("cell").all_inner_texts()
        for row in plot.get_by_role("row").all()[1:]
    }
    assert (counts["1–4 weeks"], counts["1–3 days"], counts["1–24 h"]) == (["1", "0"], ["1", "0"], ["1", "0"])
    assert int(counts["under 1 h"][1]) >= 1

    admin.page.get_by_text("In progress").last.click()
    expect(rows.filter(has_text="Begun")).to_be_visible()
    expect(rows.filter(has_text="Ten days")).to_have_count(0)


def test_others_are_not_offered_this_view_and_do_not_get_it(alice: Person) -> None:
    expect(alice.page.get_by_role("link", name="Everyone")).to_have_count(0)
    alice.page.goto(f"{alice.app}/#everyone")
    expect(alice.column("pending")).to_be_visible()
    assert alice.sent("GET", "/admin/tasks") == []
