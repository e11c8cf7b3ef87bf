"""What people do with their tasks."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from tests.browser.person import Person

TOMORROW = (datetime.now(UTC).astimezone() + timedelta(days=1)).date()


def test_create_edit_finish_and_undo(alice: Person) -> None:
    alice.add("Buy milk", str(TOMORROW))
    expect(alice.column("pending").get_by_role("article")).to_contain_text("Tomorrow")

    form = alice.open_editor("Buy milk")
    form.get_by_label("Title").fill("Buy oat milk")
    form.get_by_label("Notes").fill("Two litres")
    form.get_by_role("button", name="Save").click()
    expect(alice.task("Buy oat milk")).to_be_focused()
    expect(alice.task("Buy oat milk")).to_contain_text("Two litres")

    alice.page.get_by_role("button", name="Finish Buy oat milk").click()
    expect(alice.column("done").get_by_role("article")).to_have_count(1)
    expect(alice.column("pending").get_by_text("Nothing waits.")).to_be_visible()

    alice.task("Buy oat milk").hover()
    alice.page.get_by_role("button", name="Delete Buy oat milk").click()
    expect(alice.page.get_by_role("article")).to_have_count(0)
    alice.page.get_by_role("button", name="Undo").click()
    expect(alice.column("done").get_by_role("article")).to_have_count(1)

    (task,) = alice.stored()
    assert (task["title"], task["description"], task["status"], task["version"]) == ("Buy oat milk", "Two litres", "done", 3)
    assert datetime.fromisoformat(task["due_at"]).astimezone().date() == TOMORROW
    assert alice.sent("DELETE", f"/tasks/{task['task_id']}") == []


def test_a_deletion_that_is_not_taken_back_is_sent(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    alice.page.clock.install()
    alice.sign_in()
    alice.add("Old")
    alice.task("Old").press("Delete")
    with alice.page.expect_response(lambda response: response.request.method == "DELETE") as deletion:
        alice.page.clock.fast_forward(10_000)
    assert deletion.value.status == 204
    expect(alice.page.get_by_role("button", name="Undo")).to_have_count(0)
    assert alice.stored() == []


def test_a_deletion_is_sent_when_the_page_is_closed(alice: Person) -> None:
    alice.add("Old")
    second = alice.open_tab()
    alice.task("Old").press("Delete")
    alice.page.goto("about:blank")
    second.goto(alice.app)
    expect(alice.column("pending", second)).to_be_visible()
    for _ in range(600):
        if not alice.stored():
            return
        second.wait_for_timeout(100)
    raise AssertionError


def test_the_status_changes_by_drag_and_by_menu(alice: Person) -> None:
    alice.add("Walk")
    alice.task("Walk").drag_to(alice.column("in_progress"))
    expect(alice.column("in_progress").get_by_role("article")).to_have_count(1)
    alice.page.get_by_label("Status of Walk").select_option("Done")
    expect(alice.column("done").get_by_role("article")).to_have_count(1)
    alice.page.get_by_role("link", name="List").click()
    alice.page.get_by_label("Status of Walk").select_option("Pending")
    alice.page.get_by_role("link", name="Board").click()
    expect(alice.column("pending").get_by_role("article")).to_have_count(1)
    alice.page.reload()
    expect(alice.column("pending").get_by_role("article")).to_have_count(1)
    assert alice.stored()[0]["version"] == 4


def test_everything_works_with_the_keyboard_alone(new_person: Callable[..., Person]) -> None:
    alice = new_person(signed_in=False)
    page, press = alice.page, alice.page.keyboard.press
    page.goto(alice.app)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    press("Tab")
    press("Enter")
    page.get_by_label("Username").wait_for()
    page.keyboard.type(alice.email)
    press("Tab")
    page.keyboard.type(alice.password)
    press("Enter")
    expect(alice.column("pending").get_by_text("Nothing waits.")).to_be_visible()

    press("n")
    for title in ("Second", "First"):
        page.keyboard.type(title)
        press("Enter")
        expect(page.locator("article[aria-busy=false]", has_text=title)).to_be_visible()
    for _ in range(10):
        press("Tab")
        if alice.page.evaluate("document.activeElement.tagName") == "ARTICLE":
            break
    first, second = alice.column("pending").get_by_role("article").all()
    expect(first).to_be_focused()
    press("ArrowDown")
    expect(second).to_be_focused()
    press("ArrowUp")
    name = first.get_by_role("heading").inner_text()

    press("ArrowRight")
    expect(alice.column("in_progress").get_by_role("article", name=name)).to_be_focused()
    press("Enter")
    expect(page.get_by_label("Title")).to_be_focused()
    page.keyboard.type(" of all")
    press("Enter")
    expect(alice.task(f"{name} of all")).to_be_focused()
    press("Enter")
    page.keyboard.type("not this")
    press("Escape")
    expect(alice.task(f"{name} of all")).to_be_focused()
    press("Space")
    expect(alice.column("done").get_by_role("article", name=f"{name} of all")).to_be_focused()
    press("Delete")
    expect(page.get_by_role("article")).to_have_count(1)
    press("Control+z")
    expect(page.get_by_role("article")).to_have_count(2)
    press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_overdue_says_so_and_what_is_done_does_not(alice: Person) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for status in ("pending", "done"):
        alice.call("POST", "/tasks", {"title": status, "status": status, "due_at": yesterday})
    alice.page.reload()
    expect(alice.task("pending").get_by_text("2 days overdue")).to_be_visible()
    expect(alice.task("done")).to_be_visible()
    expect(alice.task("done").get_by_text("overdue")).to_have_count(0)


def test_a_list_of_120_loads_while_scrolling_with_no_repeat_and_no_gap(alice: Person) -> None:
    token = alice.server.token(alice.email)
    with ThreadPoolExecutor(4) as threads:
        for response in threads.map(
            lambda number: alice.server("POST", "/tasks", token, {"title": f"Task {number}"}), range(120)
        ):
            assert response.status == 201
    for view, region in (("List", "All tasks, newest first"), ("Board", "Pending")):
        alice.page.reload()
        alice.page.get_by_role("link", name=view).click()
        tasks = alice.page.get_by_role("region", name=region).get_by_role("article")
        tasks.nth(29).wait_for()
        assert tasks.count() < 120
        while alice.page.get_by_role("button", name="Show more").count():
            tasks.last.scroll_into_view_if_needed()
            alice.page.wait_for_timeout(50)
        expect(tasks).to_have_count(120)
        titles = tasks.get_by_role("heading").all_inner_texts()
        assert len(set(titles)) == 120
        if view == "List":
            assert titles == [task["title"] for task in alice.stored()] + titles[100:]


def test_a_refused_value_is_told_at_its_field_with_the_id_of_the_request(new_person: Callable[..., Person]) -> None:
    alice = new_person(permissions=["clipboard-read", "clipboard-write"])
    with alice.page.expect_response(re.compile(r"/tasks$")) as refusal:
        alice.page.get_by_label("New task", exact=True).fill("\u200b")
        alice.page.keyboard.press("Enter")
    assert refusal.value.status == 422
    expect(alice.page.get_by_label("New task", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(alice.page.get_by_label("New task", exact=True)).to_have_accessible_description(
        re.compile("text of 1 to 200 characters")
    )
    alice.page.get_by_role("button", name="Copy request id").click()
    expect(alice.page.get_by_text("Copied")).to_be_visible()
    assert alice.page.evaluate("navigator.clipboard.readText()") == refusal.value.headers["x-request-id"]

    alice.add("Good")
    form = alice.open_editor("Good")
    form.get_by_label("Title").fill("\u200b")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("Title")).to_have_accessible_description(re.compile("text of 1 to 200 characters"))
    form.get_by_role("button", name="Cancel").click()
    expect(alice.task("Good")).to_be_visible()
