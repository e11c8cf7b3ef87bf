"""The admin's view of what waits, of all owners."""
# ruff: noqa: RUF001 - the page writes spans of time with a dash

import json
import re
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


def read_plot(page: Any) -> dict[str, list[int]]:
    """Return how many tasks wait how long, pending and in progress; other tests have left some as well."""
    expect(page.locator(".plot strong")).not_to_have_text(re.compile("At least"))  # both are loaded
    rows = page.get_by_role("table", name="How many tasks wait how long").get_by_role("row").all()[1:]
    return {
        row.get_by_role("rowheader").inner_text(): [*map(int, row.get_by_role("cell").all_inner_texts())] for row in rows
    }


def test_an_admin_sees_what_waits_oldest_first_and_how_long(new_person: Callable[..., Person]) -> None:
    admin, alice, bob = new_person("admin@example.com"), new_person(), new_person()
    admin.page.get_by_role("link", name="Everyone").click()
    before = read_plot(admin.page)
    admin.page.get_by_role("link", name="Board").click()
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

    added = {
        span: [now - then for now, then in zip(row, before[span], strict=True)]
        for span, row in read_plot(admin.page).items()
    }
    assert added == {
        "under 1 h": [0, 1], "1–24 h": [1, 0], "1–3 days": [1, 0], "3–7 days": [0, 0], "1–4 weeks": [1, 0], "longer": [0, 0]
    }  # fmt: skip

    admin.page.get_by_text("In progress").last.click()
    expect(rows.filter(has_text="Begun")).to_be_visible()
    expect(rows.filter(has_text="Ten days")).to_have_count(0)


def test_others_are_not_offered_this_view_and_do_not_get_it(alice: Person) -> None:
    expect(alice.page.get_by_role("link", name="Everyone")).to_have_count(0)
    alice.page.goto(f"{alice.app}/#everyone")
    expect(alice.column("pending")).to_be_visible()
    assert alice.sent("GET", "/admin/tasks") == []


def test_a_list_that_could_not_be_loaded_can_be_tried_again(new_person: Callable[..., Person]) -> None:
    admin = new_person("admin@example.com")
    headers = {"Access-Control-Allow-Origin": admin.app, "Content-Type": "application/problem+json"}
    body = json.dumps({"detail": "Something failed on our side."})
    pattern = f"{admin.server.url}/admin/tasks**"
    admin.page.route(pattern, lambda route: route.fulfill(status=500, headers=headers, body=body))
    admin.page.get_by_role("link", name="Everyone").click()
    expect(admin.page.get_by_role("alert")).to_contain_text("Something failed on our side.")
    admin.page.unroute(pattern)
    admin.page.get_by_role("button", name="Try again").click()
    expect(admin.page.get_by_role("table", name="How many tasks wait how long")).to_be_attached()
